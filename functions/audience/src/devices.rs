//! The calls about the caller's own devices: a client app proves its user, and says how to reach it.

use fanfare::domain::{DeviceId, User};
use fanfare::gate::{Proven, bearer};
use fanfare::runtime::http::Request;
use fanfare::store::Barred;
use http::{Response, StatusCode};
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
            DeviceCall::WrongMethod { allowed } => Err(Trouble::WrongMethod { allowed }),
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

fn device_id(text: &str) -> Result<DeviceId, Trouble> {
    DeviceId::try_from(text).map_err(|invalid| Trouble::invalid("invalid_device_id", invalid.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_must_have_its_shape() {
        assert!(device_id("A-z.0_9").is_ok());
        for text in ["", "a b", "a%20b", &"x".repeat(65)] {
            assert!(matches!(device_id(text), Err(Trouble::Invalid { code: "invalid_device_id", .. })), "{text}");
        }
    }
}
