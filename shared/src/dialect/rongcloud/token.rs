//! `/user/getToken.json`: creates a user, and answers what its app proves itself with.

use jsonwebtoken::{EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::json;

use super::form::Form;
use super::names::{not_longer, user};
use super::{Error, Reply};
use crate::domain::{Profile, Rongcloud, Timestamp, UserId};

/// Longest `name` and `portraitUri`, in bytes (ours).
const PROFILE_BYTES: usize = 1_024;

/// The user whom a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Who it is.
    pub user: UserId,
    /// What others are to see of it from now on: `name` and `portraitUri`.
    pub profile: Profile,
}

impl TokenRequest {
    /// Reads `userId=u1&name=Alice&portraitUri=https%3A%2F%2F…`. What is empty is absent.
    ///
    /// # Errors
    ///
    /// 1003 for no body, 1002 for no user id or none that can be one, 1005 for what is too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let form = Form::parse(bytes)?;
        let value = |name: &str| {
            let Some(text) = form.get(name) else { return Ok(None) };
            not_longer(name, text, PROFILE_BYTES).map(|()| Some(text.to_owned()))
        };
        let profile = Profile { nick: value("name")?, face_url: value("portraitUri")? };
        Ok(Self { user: user("userId", form.required("userId")?)?, profile })
    }

    /// The answer: `{"code":200,"userId":"u1","token":"…"}`.
    pub fn granted(&self, token: &str) -> Reply {
        Reply::ok().with("userId", self.user.as_str()).with("token", token)
    }
}

/// What a user's app proves itself with: a JWT (HS256 with the app's secret) of the App-Key, the user and the moment.
pub fn sign(rongcloud: &Rongcloud, user: &UserId, now: Timestamp) -> String {
    let claims = json!({"aud": rongcloud.app_key, "sub": user.as_str(), "iat": now.secs()});
    let key = EncodingKey::from_secret(rongcloud.app_secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_may_have_a_name_and_a_picture() {
        let parse = |form: &str| TokenRequest::parse(form.as_bytes()).unwrap();
        let alice = parse("userId=jlk456j5&name=Alice+A&portraitUri=http%3A%2F%2Fexample.com%2Fa.png");
        assert_eq!(alice.user.as_str(), "jlk456j5");
        let owned = |text: &str| Some(text.to_owned());
        assert_eq!(alice.profile, Profile { nick: owned("Alice A"), face_url: owned("http://example.com/a.png") });
        assert_eq!(alice.granted("t").to_json(), json!({"code": 200, "userId": "jlk456j5", "token": "t"}));
        assert_eq!(parse("userId=u&name=&portraitUri=").profile, Profile::default());
    }

    #[test]
    fn every_faulty_field_has_its_code() {
        assert!(TokenRequest::parse(format!("userId={}", "x".repeat(64)).as_bytes()).is_ok());
        for (form, code, info) in [
            (String::new(), 1003, "there is no body"),
            ("name=n".to_owned(), 1002, "userId is missing"),
            ("userId=".to_owned(), 1002, "userId is missing"),
            (
                "userId=%0A".to_owned(),
                1002,
                "userId is none: a user id must be 1 to 64 bytes without control characters",
            ),
            (format!("userId={}", "x".repeat(65)), 1005, "userId must not be longer than 64 bytes"),
            (format!("userId=u&name={}", "x".repeat(1_025)), 1005, "name must not be longer than 1024 bytes"),
            (
                format!("userId=u&portraitUri={}", "x".repeat(1_025)),
                1005,
                "portraitUri must not be longer than 1024 bytes",
            ),
        ] {
            let error = TokenRequest::parse(form.as_bytes()).unwrap_err();
            assert_eq!((error.code.number(), error.info.as_str()), (code, info), "{form}");
        }
    }
}
