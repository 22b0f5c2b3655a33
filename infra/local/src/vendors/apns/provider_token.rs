//! The provider's authentication tokens, and how often it may make new ones.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use http::{StatusCode, header};
use rcgen::KeyPair;
use serde::Deserialize;

use super::{
    super::{jwt::Verifier, vendor::VendorRequest},
    Refusal,
};

/// A provider makes a new token at most every 20 minutes.
pub(super) const MIN_INTERVAL_MS: i64 = 20 * 60 * 1000;
const MAX_AGE_MS: i64 = 60 * 60 * 1000;

const MISSING: Refusal = Refusal(StatusCode::FORBIDDEN, "MissingProviderToken");
const INVALID: Refusal = Refusal(StatusCode::FORBIDDEN, "InvalidProviderToken");
const EXPIRED: Refusal = Refusal(StatusCode::FORBIDDEN, "ExpiredProviderToken");
pub(super) const TOO_MANY_UPDATES: Refusal = Refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyProviderTokenUpdates");

pub(super) struct ProviderTokens {
    verifier: Verifier,
    key_id: &'static str,
    team_id: &'static str,
    /// Distinct tokens that were accepted and are not too old yet: a handful at most.
    known: Mutex<Vec<Known>>,
}

struct Known {
    token: String,
    issued_at_ms: i64,
    first_seen_ms: i64,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    iat: i64,
}

impl ProviderTokens {
    pub(super) fn new(key: &KeyPair, key_id: &'static str, team_id: &'static str) -> io::Result<Self> {
        Ok(Self { verifier: Verifier::es256(key)?, key_id, team_id, known: Mutex::default() })
    }

    /// Whether the request's token is good now.
    ///
    /// "A new token at most every 20 minutes" is held against distinct tokens, in two ways. Two
    /// tokens whose `iat` lie less than 20 minutes apart are one update too many: that is what
    /// processes do that each sign for themselves, with an `iat` of their own or with a signature
    /// that differs each time. And a third distinct token within 20 minutes is one too many,
    /// whatever their `iat`.
    ///
    /// So two tokens whose `iat` are neighbours on a grid of 20 minutes or more may both be used,
    /// alternately and within the same second, as happens where the grid turns over and clocks
    /// are not quite equal.
    pub(super) fn check(&self, request: &VendorRequest, now_ms: i64) -> Result<(), Refusal> {
        if !request.headers.contains_key(header::AUTHORIZATION) {
            return Err(MISSING);
        }
        let token = request.bearer().ok_or(INVALID)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // The check of a signature takes longer than all the rest, and a token comes again a
        // million times.
        if let Some(known) = known.iter().find(|known| known.token == token) {
            return check_age(known.issued_at_ms, now_ms);
        }
        let issued_at_ms = self.verify(token)?;
        check_age(issued_at_ms, now_ms)?;
        known.retain(|known| check_age(known.issued_at_ms, now_ms).is_ok());
        let too_close = |known: &&Known| known.issued_at_ms.abs_diff(issued_at_ms) < INTERVAL;
        let recent = |known: &&Known| now_ms.abs_diff(known.first_seen_ms) < INTERVAL;
        if known.iter().any(|known| too_close(&known)) || known.iter().filter(recent).count() > 1 {
            return Err(TOO_MANY_UPDATES);
        }
        known.push(Known { token: token.to_owned(), issued_at_ms, first_seen_ms: now_ms });
        Ok(())
    }

    /// When the token was issued, if the team did.
    fn verify(&self, token: &str) -> Result<i64, Refusal> {
        let (header, claims) = self.verifier.verify::<Claims>(token).ok_or(INVALID)?;
        if header.kid.as_deref() != Some(self.key_id) || claims.iss != self.team_id {
            return Err(INVALID);
        }
        claims.iat.checked_mul(1000).ok_or(INVALID)
    }
}

const INTERVAL: u64 = MIN_INTERVAL_MS as u64;

fn check_age(issued_at_ms: i64, now_ms: i64) -> Result<(), Refusal> {
    match now_ms.saturating_sub(issued_at_ms) {
        ..0 => Err(INVALID),
        0..=MAX_AGE_MS => Ok(()),
        _ => Err(EXPIRED),
    }
}
