//! The calls about the caller's own devices: a client app proves its user, and says how to reach it.

use fanfare::domain::{DeviceId, User};
use fanfare::gate::{Denied, Proven};
use fanfare::runtime::http::Request;
use fanfare::store::Barred;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use crate::Audience;
use crate::form::{self, Form};
use crate::route::DeviceCall;
use crate::trouble::{Trouble, json_response};

impl Audience {
    pub(crate) async fn devices(&self, call: DeviceCall<'_>, request: &Request) -> Response<String> {
        let result = match call {
            DeviceCall::List => self.list_devices(request).await,
            DeviceCall::Put(id) => self.put_device(id, request).await,
            DeviceCall::Delete(id) => self.delete_device(id, request).await,
            DeviceCall::WrongMethod => Err(Trouble::WrongMethod),
            DeviceCall::NoSuchPath => Err(Trouble::NoSuchPath),
        };
        result.unwrap_or_else(Trouble::into_http)
    }

    async fn list_devices(&self, request: &Request) -> Result<Response<String>, Trouble> {
        let (proven, user) = self.user(request).await?;
        let devices = self.contacts.devices(&proven.app.id, user.ordinal).await?;
        let devices: Vec<Value> = devices.iter().map(form::answer).collect();
        Ok(json_response(StatusCode::OK, &json!({"devices": devices})))
    }

    async fn put_device(&self, id: &str, request: &Request) -> Result<Response<String>, Trouble> {
        let (proven, user) = self.user(request).await?;
        let id = device_id(id)?;
        let device = Form::read(&request.body, &proven.app.channels)?.device(id, self.clock.now());
        // Deleted since it was looked up: the proof is void.
        let stored = self.contacts.register(&proven.app.id, &user, device).await?.ok_or_else(|| proven.void())?;
        Ok(json_response(StatusCode::OK, &form::answer(&stored)))
    }

    async fn delete_device(&self, id: &str, request: &Request) -> Result<Response<String>, Trouble> {
        let (proven, user) = self.user(request).await?;
        let id = device_id(id)?;
        self.contacts.unregister(&proven.app.id, user.ordinal, &id).await?;
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    /// The user who calls, created if this is its first login.
    async fn user(&self, request: &Request) -> Result<(Proven, User), Trouble> {
        let proven = self.gate.client(bearer(&request.headers)?, request.source).await?;
        let admission = self.admission(&proven.app).by_proof_of(proven.issued_at);
        match self.users.ensure(&proven.app.id, &proven.user, &admission).await? {
            Ok(user) => Ok((proven, user)),
            Err(Barred::Void) => Err(proven.void().into()),
            Err(Barred::Deleted) => Err(proven.barred().into()),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Trouble> {
    let (_, credential) = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .ok_or_else(|| Denied::nothing("the header must be `Authorization: Bearer <UserSig or token>`"))?;
    Ok(credential.trim())
}

fn device_id(text: &str) -> Result<DeviceId, Trouble> {
    DeviceId::try_from(text).map_err(|invalid| Trouble::invalid("invalid_device_id", invalid.to_string()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn bearer_of(header: Option<&'static str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
        }
        bearer(&headers).ok().map(str::to_owned)
    }

    #[test]
    fn the_proof_is_borne_in_the_header() {
        assert_eq!(bearer_of(Some("Bearer abc")).as_deref(), Some("abc"));
        assert_eq!(bearer_of(Some("bearer  abc")).as_deref(), Some("abc"));
        for header in [None, Some("abc"), Some("Basic abc"), Some("Bearer"), Some("")] {
            assert_eq!(bearer_of(header), None, "{header:?}");
        }
    }

    #[test]
    fn a_device_id_must_have_its_shape() {
        assert!(device_id("A-z.0_9").is_ok());
        for text in ["", "a b", "a%20b", &"x".repeat(65)] {
            assert!(matches!(device_id(text), Err(Trouble::Invalid { code: "invalid_device_id", .. })), "{text}");
        }
    }
}
