//! `/user/getToken.json`: creates a user, and answers what its app proves itself with.
//!
//! The token is a JWT (RFC 7519): HMAC-SHA256 with the app's secret over the App-Key (`iss`), the user (`sub`) and the
//! moment (`iat`). Its audience (`aud`) is ours alone, so that nothing else that an app signs with its secret is taken for
//! one. It does not expire; kicking or deleting the user makes it void.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, dangerous};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::names::{not_longer, user};
use super::{Code, Error, Reply};
use crate::dialect::issued::issued_at;
use crate::domain::{Profile, Rongcloud, Timestamp, UserId};

/// Longest token that is looked at, in bytes (ours): a user id of 64 and an App-Key of a thousand leave room in it.
const TOKEN_BYTES: usize = 4 * 1024;
/// What tokens are for, and nothing else is.
const AUDIENCE: &str = "fanfare-client";
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

/// Why a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No app has the App-Key that it names.
    #[error("the token was made for another App-Key than there is")]
    UnknownApp,
    /// There is no secret to verify it with.
    #[error("the app has no secret to verify tokens with")]
    NoSecret,
    /// It cannot be decoded.
    #[error("the token cannot be decoded")]
    Malformed,
    /// It was not signed with the app's secret, or is no client's token.
    #[error("the token was not made with the app's secret")]
    Forged,
    /// It was good once: its user was kicked or deleted since it was made.
    #[error("the token is void: it was made before its user was kicked or deleted")]
    Void,
}

impl Failure {
    /// The number that RongCloud's clients know it by (`RCConnectErrorCode` of its SDKs: 31002 wrong App-Key, 31004 wrong
    /// token, 31020 token that is good no more). They have none for what is the operator's fault: that is the server's.
    pub fn number(self) -> u32 {
        match self {
            Self::UnknownApp => 31_002,
            Self::NoSecret => Code::NoSecret.number(),
            Self::Malformed | Self::Forged => 31_004,
            Self::Void => 31_020,
        }
    }

    /// Whether whoever brings it did wrong: what is counted until the caller is locked out.
    pub fn is_wrong_token(self) -> bool {
        matches!(self, Self::Malformed | Self::Forged | Self::Void)
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    aud: String,
    iat: i64,
}

/// Makes a user's token, with which its app proves from `now` on that it is the user's. The app must have a secret.
pub fn sign(rongcloud: &Rongcloud, user: &UserId, now: Timestamp) -> String {
    let claims =
        Claims { iss: rongcloud.app_key.clone(), sub: user.clone(), aud: AUDIENCE.to_owned(), iat: now.secs() };
    let key = EncodingKey::from_secret(rongcloud.app_secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a struct of texts and a number is JSON")
}

/// Whose token it claims to be, **unverified**: the App-Key of the app by which to find the secret, and the user.
///
/// # Errors
///
/// When it cannot be decoded.
pub fn peek(text: &str) -> Result<(String, UserId), Failure> {
    if text.len() > TOKEN_BYTES {
        return Err(Failure::Malformed);
    }
    let claims: Claims = dangerous::insecure_decode_claims(text).map_err(|_| Failure::Malformed)?;
    Ok((claims.iss, claims.sub))
}

/// The user whom a token proves, and when it was made, if it was signed with the app's secret.
///
/// # Errors
///
/// When it proves nothing.
pub fn verify(text: &str, rongcloud: &Rongcloud, now: Timestamp) -> Result<(UserId, Timestamp), Failure> {
    let (app_key, _) = peek(text)?;
    if app_key != rongcloud.app_key {
        return Err(Failure::UnknownApp);
    }
    let secret = rongcloud.app_secret.expose_secret();
    if secret.is_empty() {
        // An empty secret would verify what anyone can sign.
        return Err(Failure::NoSecret);
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[&rongcloud.app_key]);
    validation.set_required_spec_claims(&["aud", "iss", "sub"]);
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::decode::<Claims>(text, &key, &validation).map_err(|_| Failure::Forged)?;
    Ok((token.claims.sub, issued_at(token.claims.iat, now)))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn app(key: &str, secret: &str) -> Rongcloud {
        serde_json::from_value(json!({"app_key": key, "app_secret": secret})).unwrap()
    }

    fn user_id(text: &str) -> UserId {
        UserId::try_from(text).unwrap()
    }

    fn check(text: &str) -> Result<(UserId, Timestamp), Failure> {
        verify(text, &app("key", "secret"), NOW)
    }

    fn token(header: &Value, claims: &Value, secret: &str) -> String {
        let header: Header = serde_json::from_value(header.clone()).unwrap();
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn claims() -> Value {
        json!({"iss": "key", "sub": "alice", "aud": "fanfare-client", "iat": NOW.secs()})
    }

    #[test]
    fn a_token_proves_its_user_until_a_verdict_and_has_no_end() {
        for name in ["a", "jlk456j5", "用户-1 \"q\" \\", &"x".repeat(64)] {
            let text = sign(&app("key", "secret"), &user_id(name), NOW);
            assert!(text.contains('.') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'&'), "{text}");
            assert_eq!(peek(&text), Ok(("key".to_owned(), user_id(name))));
            for later in [0, 86_400 * 365 * 50] {
                assert_eq!(verify(&text, &app("key", "secret"), NOW.plus_secs(later)), Ok((user_id(name), NOW)));
            }
        }
        // Of another maker, and with an end that has come: it is not looked at.
        let mut own = claims();
        own["exp"] = 1.into();
        assert_eq!(check(&token(&json!({"alg": "HS256"}), &own, "secret")), Ok((user_id("alice"), NOW)));
    }

    #[test]
    fn what_a_token_is_wrong_in_has_its_code() {
        let good = token(&json!({"typ": "JWT", "alg": "HS256"}), &claims(), "secret");
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            token(&json!({"alg": "HS256"}), &claims, "secret")
        };
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let unsigned = format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims().to_string()));
        let (rest, _) = good.rsplit_once('.').unwrap();
        for (text, failure, number) in [
            (String::new(), Failure::Malformed, 31_004),
            (".".to_owned(), Failure::Malformed, 31_004),
            ("a.b.c".to_owned(), Failure::Malformed, 31_004),
            ("x".repeat(100_000) + "..", Failure::Malformed, 31_004),
            (with("sub", "".into()), Failure::Malformed, 31_004),
            (with("sub", "x".repeat(65).into()), Failure::Malformed, 31_004),
            (with("iat", "1".into()), Failure::Malformed, 31_004),
            (with("aud", json!(["fanfare-client"])), Failure::Malformed, 31_004),
            (with("iss", "another".into()), Failure::UnknownApp, 31_002),
            (with("aud", "another".into()), Failure::Forged, 31_004),
            (unsigned, Failure::Forged, 31_004),
            (format!("{rest}."), Failure::Forged, 31_004),
            (token(&json!({"alg": "HS256"}), &claims(), "another"), Failure::Forged, 31_004),
            (token(&json!({"alg": "HS512"}), &claims(), "secret"), Failure::Forged, 31_004),
        ] {
            assert_eq!(check(&text), Err(failure), "{}", &text[..text.len().min(200)]);
            assert_eq!(failure.number(), number);
        }
        assert!(check(&good).is_ok());
        let by_nothing = token(&json!({"alg": "HS256"}), &claims(), "");
        assert_eq!(verify(&by_nothing, &app("key", ""), NOW), Err(Failure::NoSecret));
        assert_eq!((Failure::NoSecret.number(), Failure::Void.number()), (1_001, 31_020));
    }

    #[test]
    fn one_that_was_made_later_than_now_is_taken_for_one_of_old() {
        let made = |iat: i64| {
            check(&token(
                &json!({"alg": "HS256"}),
                &{
                    let mut claims = claims();
                    claims["iat"] = iat.into();
                    claims
                },
                "secret",
            ))
            .unwrap()
            .1
            .secs()
        };
        let now = NOW.secs();
        for (iat, expected) in [(now - 1, now - 1), (now + 300, now + 300), (now + 301, 0), (i64::MAX, 0), (0, 0)] {
            assert_eq!(made(iat), expected, "{iat}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused(text in "\\PC{0,40}|[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
            prop_assert!(check(&text).is_err());
        }

        #[test]
        fn a_changed_character_never_proves_another(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
            let text = sign(&app("key", "secret"), &user_id("alice"), NOW);
            let mut changed = text.clone();
            let at = at.index(text.len());
            changed.replace_range(at..=at, &to);
            if let Ok(proven) = check(&changed) {
                prop_assert_eq!(proven, (user_id("alice"), NOW));
            }
        }
    }

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
