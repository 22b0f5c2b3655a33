//! Access tokens: the app's key, signed, for a token of a day. Environments share them.

use std::future::Future;

use base16ct::lower::encode_string;
use futures::FutureExt;
use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::channel::Shared;
use crate::channel::access::{AccessToken, GrantError, Granted, name, said};
use crate::channel::batch::Batch;
use crate::channel::turns::Turn;
use crate::domain::{Channel, OppoCredentials, Outcome, Timestamp};

use super::answer;

const GRANT: &str = "/server/v1/auth";
/// How long a token is good for (OPPO, "Authentication").
const LIFE_SECS: i64 = 86_400;

/// The credential of an app.
pub(super) struct Credential<'a> {
    shared: &'a Shared,
    credentials: &'a OppoCredentials,
    batch: &'a Batch<'a>,
    name: String,
}

#[derive(Deserialize)]
struct Grant {
    data: Token,
}

#[derive(Deserialize)]
struct Token {
    auth_token: SecretString,
}

impl<'a> Credential<'a> {
    pub(super) fn new(shared: &'a Shared, credentials: &'a OppoCredentials, batch: &'a Batch<'a>) -> Self {
        let OppoCredentials { endpoint, app_key, master_secret, .. } = credentials;
        let name = name(&batch.push.app, Channel::Oppo, &[endpoint, app_key, master_secret.expose_secret()]);
        Self { shared, credentials, batch, name }
    }

    /// Has an access token for what is to be sent next; without one, the outcome of all.
    pub(super) async fn ready(&self) -> Result<(), Outcome> {
        self.shared.tokens.ready(&self.name, &self.batch.complaint, self.grant()).await
    }

    /// Sends to so many devices with an access token, as [`AccessTokens::send_to`](crate::channel::access::AccessTokens::send_to) does.
    pub(super) async fn send_to<F>(&self, count: usize, send: impl Fn(AccessToken) -> F) -> Vec<Outcome>
    where
        F: Future<Output = Option<Vec<Outcome>>>,
    {
        self.shared.tokens.send_to(&self.name, (count, &self.batch.complaint), self.grant(), send).await
    }

    fn grant(&self) -> impl Fn() -> BoxFuture<'static, Result<Granted, GrantError>> + Clone + Send + 'static + use<> {
        let (shared, credentials, now) = (self.shared.clone(), self.credentials.clone(), self.batch.clock.now());
        move || grant(shared.clone(), credentials.clone(), now)
    }
}

fn grant(
    shared: Shared,
    credentials: OppoCredentials,
    now: Timestamp,
) -> BoxFuture<'static, Result<Granted, GrantError>> {
    async move {
        let timestamp = now.millis().to_string();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("app_key", &credentials.app_key)
            .append_pair("timestamp", &timestamp)
            .append_pair("sign", &sign(&credentials, &timestamp))
            .finish();
        let url = format!("{}{GRANT}", credentials.endpoint.trim_end_matches('/'));
        let request = shared.http.post(&url, "application/x-www-form-urlencoded", form);
        // One request a day: the batch's rate is for messages.
        let answer = shared.http.send(&Turn::free(), request).await;
        let answer = answer.inspect_err(|error| warn!(channel = "oppo", %error, "No access token was granted"))?;
        match serde_json::from_slice(&answer.body) {
            Ok(Grant { data }) if answer.status.is_success() => {
                Ok(Granted { token: data.auth_token, life_secs: LIFE_SECS })
            }
            _ => {
                let why = said(answer.status, &answer::code(&answer.body));
                match answer::verdict(answer.status, &answer.body, answer.retry_after).of_all() {
                    Some(Outcome::Config) => Err(GrantError::Rejected(why)),
                    _ => Err(GrantError::Unavailable(why, answer.retry_after)),
                }
            }
        }
    }
    .boxed()
}

/// The signature: SHA-256 of key, time and secret, in hexadecimal.
fn sign(credentials: &OppoCredentials, timestamp: &str) -> String {
    let digest = Sha256::new()
        .chain_update(&credentials.app_key)
        .chain_update(timestamp)
        .chain_update(credentials.master_secret.expose_secret());
    encode_string(&digest.finalize())
}
