//! Access tokens by OAuth's client credentials (RFC 6749, section 4.4): an app's id and secret for a token that lasts an
//! hour. Huawei grants a thousand of an app in five minutes, so environments share them.

use std::future::Future;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tracing::warn;

use super::Shared;
use super::access::{AccessToken, GrantError, Granted, name, said};
use super::batch::Batch;
use super::turns::Turn;
use crate::domain::{Channel, Outcome};

/// What an app proves itself with.
#[derive(Clone)]
pub(super) struct Client<'a> {
    /// Where access tokens are to be had.
    pub(super) token_uri: &'a str,
    /// The app's id there.
    pub(super) id: &'a str,
    /// Its secret.
    pub(super) secret: &'a SecretString,
}

/// The access tokens of an app with one vendor.
pub(super) struct ClientCredentials<'a> {
    shared: &'a Shared,
    batch: &'a Batch<'a>,
    channel: Channel,
    client: Client<'a>,
    name: String,
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Refused {
    error: Value,
}

impl<'a> ClientCredentials<'a> {
    pub(super) fn new(shared: &'a Shared, batch: &'a Batch<'a>, channel: Channel, client: Client<'a>) -> Self {
        let name = name(&batch.push.app, channel, &[client.token_uri, client.id, client.secret.expose_secret()]);
        Self { shared, batch, channel, client, name }
    }

    /// Has an access token for what is to be sent next; without one, the outcome of all.
    pub(super) async fn ready(&self) -> Result<(), Outcome> {
        self.shared.tokens.ready(&self.name, &self.batch.complaint, self.grant()).await
    }

    /// Sends to so many devices with an access token, as [`AccessTokens::send_to`](super::access::AccessTokens::send_to) does.
    pub(super) async fn send_to<F>(&self, count: usize, send: impl Fn(AccessToken) -> F) -> Vec<Outcome>
    where
        F: Future<Output = Option<Vec<Outcome>>>,
    {
        self.shared.tokens.send_to(&self.name, (count, &self.batch.complaint), self.grant(), send).await
    }

    fn grant(&self) -> impl Fn() -> BoxFuture<'static, Result<Granted, GrantError>> + Clone + Send + 'static + use<> {
        let (shared, channel, token_uri) = (self.shared.clone(), self.channel, self.client.token_uri.to_owned());
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", self.client.id)
            .append_pair("client_secret", self.client.secret.expose_secret())
            .finish();
        move || grant(shared.clone(), channel, token_uri.clone(), form.clone())
    }
}

fn grant(
    shared: Shared,
    channel: Channel,
    token_uri: String,
    form: String,
) -> BoxFuture<'static, Result<Granted, GrantError>> {
    async move {
        let request = shared.http.post(&token_uri, "application/x-www-form-urlencoded", form);
        // One request an hour: the batch's rate is for messages.
        let answer = shared.http.send(&Turn::free(), request).await;
        let answer = answer.inspect_err(|error| warn!(%channel, %error, "No access token was granted"))?;
        match (answer.status, serde_json::from_slice(&answer.body)) {
            (StatusCode::OK, Ok(Grant { access_token, expires_in })) => {
                Ok(Granted { token: access_token.into(), life_secs: expires_in })
            }
            (status, _) => {
                let why = said(status, &word(&answer.body));
                // OAuth's `invalid_client` and the like (RFC 6749, section 5.2).
                let is_refused =
                    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                Err(if is_refused {
                    GrantError::Rejected(why)
                } else {
                    GrantError::Unavailable(why, answer.retry_after)
                })
            }
        }
    }
    .boxed()
}

/// OAuth's word for what is wrong, or Huawei's number in its place; empty if there is none.
fn word(body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(Refused { error: Value::String(word) }) => word,
        Ok(Refused { error: Value::Number(number) }) => number.to_string(),
        _ => String::new(),
    }
}
