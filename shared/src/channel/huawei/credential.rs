//! Access tokens, by OAuth's client credentials. Huawei grants a thousand of an app in five minutes, so environments share
//! them.

use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tracing::warn;

use crate::channel::Shared;
use crate::channel::access::{AccessToken, GrantError, Granted, name};
use crate::channel::pace::Pace;
use crate::domain::{Channel, HuaweiCredentials, Push};

/// The credential of an app.
pub(super) struct Credential<'a> {
    shared: &'a Shared,
    credentials: &'a HuaweiCredentials,
    name: String,
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: i64,
}

impl<'a> Credential<'a> {
    pub(super) fn new(shared: &'a Shared, credentials: &'a HuaweiCredentials, push: &Push) -> Self {
        let HuaweiCredentials { token_uri, app_id, client_secret, .. } = credentials;
        let name = name(&push.app, Channel::Huawei, &[token_uri, app_id, client_secret.expose_secret()]);
        Self { shared, credentials, name }
    }

    /// A token that is fresh, and not the one that just failed.
    pub(super) async fn token(&self, failed: Option<&AccessToken>) -> Result<AccessToken, GrantError> {
        let (shared, credentials) = (self.shared.clone(), self.credentials.clone());
        self.shared.tokens.get(&self.name, failed, move || grant(shared, credentials)).await
    }
}

fn grant(shared: Shared, credentials: HuaweiCredentials) -> BoxFuture<'static, Result<Granted, GrantError>> {
    async move {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &credentials.app_id)
            .append_pair("client_secret", credentials.client_secret.expose_secret())
            .finish();
        let request = shared.http.post(&credentials.token_uri, "application/x-www-form-urlencoded", form);
        // One request an hour: the batch's rate is for messages.
        let answer = shared.http.send(&Pace::new(1), request).await.map_err(|error| {
            warn!(channel = "huawei", %error, "No access token was granted");
            GrantError::Unavailable(None)
        })?;
        match (answer.status, serde_json::from_slice(&answer.body)) {
            (StatusCode::OK, Ok(Grant { access_token, expires_in })) => {
                Ok(Granted { token: access_token.into(), life_secs: expires_in })
            }
            (status, _) => {
                warn!(channel = "huawei", status = status.as_u16(), "No access token was granted");
                // OAuth's `invalid_client` and the like (RFC 6749, section 5.2).
                let is_refused =
                    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                Err(if is_refused { GrantError::Rejected } else { GrantError::Unavailable(answer.retry_after) })
            }
        }
    }
    .boxed()
}
