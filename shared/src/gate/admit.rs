//! Whoever proves who it is: whether it is heard, and whether its proof is good still.
//!
//! It costs two strongly consistent reads of one unit each, side by side. A wrong proof costs one read and one write, and
//! more writes only where several of one caller come in the same moment.

use std::net::IpAddr;

use tracing::info;

use crate::domain::{App, Timestamp, UserId};
use crate::store::{Attempt, Standing, StoreError};

use super::Gate;
use super::origin::origin;

/// Whoever says it is someone.
pub(super) struct Claim<'a> {
    pub app: &'a App,
    /// The user, or what else is named.
    pub name: &'a str,
    pub source: Option<IpAddr>,
}

/// What a good proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub name: String,
    pub issued_at: Timestamp,
}

/// Why a claim is not believed.
pub(super) enum Unproven<E> {
    /// The proof is none, for the given reason.
    Proof(E),
    /// It was one, before its user was kicked or deleted.
    Void,
    /// It was not looked at: too many before it were wrong.
    LockedOut,
    /// The store failed.
    Store(StoreError),
}

impl<E> From<StoreError> for Unproven<E> {
    fn from(failure: StoreError) -> Self {
        Self::Store(failure)
    }
}

impl Gate {
    /// Takes a proof, unless whoever brings it is locked out, or it is void. One that is wrong is counted.
    pub(super) async fn admit<E>(
        &self,
        claim: Claim<'_>,
        proof: Result<Identity, E>,
        is_wrong: impl Fn(&E) -> bool,
        now: Timestamp,
    ) -> Result<Identity, Unproven<E>> {
        let Claim { app, name, source } = claim;
        let origin = origin(source);
        let attempt = Attempt { app: &app.id, claimed: name, origin: &origin, limit: app.wrong_proofs_per_minute() };
        let (before, standing) =
            futures::try_join!(self.attempts.look(attempt, now), self.standing(app, proof.as_ref().ok()))?;
        if before.is_locked {
            return Err(locked_out(app));
        }
        let (unproven, is_wrong) = match proof {
            Ok(identity) if !standing.voids(identity.issued_at) => return Ok(identity),
            Ok(_) => (Unproven::Void, true),
            Err(error) => {
                let is_wrong = is_wrong(&error);
                (Unproven::Proof(error), is_wrong)
            }
        };
        if is_wrong && !self.attempts.fail(attempt, before, now).await? {
            return Err(locked_out(app));
        }
        Err(unproven)
    }

    /// What is held against a proven user. Of one who is not proven it is of no interest.
    async fn standing(&self, app: &App, proven: Option<&Identity>) -> Result<Standing, StoreError> {
        // An administrator need not be an account that could be kicked.
        match proven.and_then(|identity| UserId::try_from(identity.name.as_str()).ok()) {
            Some(user) => self.standing.get(&app.id, &user).await,
            None => Ok(Standing::default()),
        }
    }
}

fn locked_out<E>(app: &App) -> Unproven<E> {
    info!(app.id = %app.id, "Refused a caller that is locked out");
    Unproven::LockedOut
}
