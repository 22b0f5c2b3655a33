//! Access tokens: the app's ids, signed, for a token of a day. vivo grants ten of an app in a second, so environments share
//! them.

use std::future::Future;

use base16ct::lower::encode_string;
use futures::FutureExt;
use futures::future::BoxFuture;
use md5::{Digest, Md5};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tracing::warn;

use crate::channel::Shared;
use crate::channel::access::{AccessToken, GrantError, Granted, name, said};
use crate::channel::batch::Batch;
use crate::channel::turns::Turn;
use crate::domain::{Channel, Outcome, Timestamp, VivoCredentials};

use super::answer::{self, Verdict};
use super::payload::app_id;

const GRANT: &str = "/message/auth";
/// How long a token is good for (vivo, "Authentication").
const LIFE_SECS: i64 = 86_400;

/// The credential of an app.
pub(super) struct Credential<'a> {
    shared: &'a Shared,
    credentials: &'a VivoCredentials,
    batch: &'a Batch<'a>,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grant {
    auth_token: SecretString,
}

impl<'a> Credential<'a> {
    pub(super) fn new(shared: &'a Shared, credentials: &'a VivoCredentials, batch: &'a Batch<'a>) -> Self {
        let VivoCredentials { endpoint, app_id, app_key, app_secret, .. } = credentials;
        let name = name(&batch.push.app, Channel::Vivo, &[endpoint, app_id, app_key, app_secret.expose_secret()]);
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
    credentials: VivoCredentials,
    now: Timestamp,
) -> BoxFuture<'static, Result<Granted, GrantError>> {
    async move {
        let timestamp = now.millis();
        let body = json!({
            "appId": app_id(&credentials),
            "appKey": credentials.app_key,
            "timestamp": timestamp,
            "sign": sign(&credentials, timestamp),
        });
        let url = format!("{}{GRANT}", credentials.endpoint.trim_end_matches('/'));
        let request = shared.http.post(&url, "application/json", body.to_string());
        // One request a day: the batch's rate is for messages.
        let answer = shared.http.send(&Turn::free(), request).await;
        let answer = answer.inspect_err(|error| warn!(channel = "vivo", %error, "No access token was granted"))?;
        let verdict = answer::verdict(answer.status, &answer.body, answer.retry_after);
        if let (Verdict::Taken { .. }, Ok(Grant { auth_token })) = (&verdict, serde_json::from_slice(&answer.body)) {
            return Ok(Granted { token: auth_token, life_secs: LIFE_SECS });
        }
        let why = said(answer.status, &answer::code(&answer.body));
        Err(match verdict.of_all() {
            Some(Outcome::Config | Outcome::Auth | Outcome::Permanent) => GrantError::Rejected(why),
            // A limit of messages, too: there are none to send until it is over.
            _ => GrantError::Unavailable(why, answer.retry_after),
        })
    }
    .boxed()
}

/// The signature: MD5 of ids, time and secret, in hexadecimal.
fn sign(credentials: &VivoCredentials, timestamp: i64) -> String {
    let digest = Md5::new()
        .chain_update(&credentials.app_id)
        .chain_update(&credentials.app_key)
        .chain_update(timestamp.to_string())
        .chain_update(credentials.app_secret.expose_secret());
    encode_string(&digest.finalize())
}
