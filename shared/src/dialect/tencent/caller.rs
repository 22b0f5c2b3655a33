//! Who calls: the parameters in the URL, and the proof that an administrator of the app sent them.

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};

use super::usersig::{self, Failure, UserSig};
use super::{Code, Error};
use crate::domain::{App, Timestamp};

/// The URL parameters of a server call.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// The app that the call is about.
    pub sdk_app_id: u64,
    /// The account that calls.
    pub identifier: String,
    /// The account's proof, by which anyone who reads it could call.
    user_sig: SecretString,
}

/// An administrator of an app, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account: whom receivers see as the sender, unless the call names another.
    pub identifier: String,
}

impl Parameters {
    /// Reads a URL's query. Names and values are case-sensitive, the order is free, unknown names are let pass, and
    /// of a name that stands twice the first counts.
    ///
    /// `contenttype` may be absent. `random` is not looked at: no rule hangs on it, and hand-made calls lack it.
    pub fn parse(query: &str) -> Result<Self, Error> {
        let value = |name: &str| parameter(query, name);
        let malformed = |info: &str| Error::new(Code::UrlParameter, info);

        let sdk_app_id = value("sdkappid")
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Error::new(Code::SdkAppIdMissing, "the URL parameter sdkappid is missing"))?;
        if !sdk_app_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed("the URL parameter sdkappid must be an integer"));
        }
        let sdk_app_id =
            sdk_app_id.parse().map_err(|_| malformed("the URL parameter sdkappid is larger than any SDKAppID"))?;
        let identifier = value("identifier")
            .filter(|text| !text.is_empty())
            .ok_or_else(|| malformed("the URL parameter identifier is missing"))?;
        let user_sig = value("usersig").ok_or_else(|| malformed("the URL parameter usersig is missing"))?;
        if value("contenttype").is_some_and(|text| text != "json") {
            return Err(malformed("the URL parameter contenttype must be json"));
        }
        Ok(Self { sdk_app_id, identifier: identifier.into_owned(), user_sig: user_sig.into_owned().into() })
    }

    /// What the UserSig says, if `app` is the one that the URL names and the UserSig is good and its identifier's.
    pub fn prove(&self, app: &App, now: Timestamp) -> Result<UserSig, Error> {
        verify(app, self.user_sig.expose_secret(), self.sdk_app_id, Some(&self.identifier), now)
    }

    /// The caller, if it is an administrator of `app`. It must be [proven](Self::prove) who calls.
    pub fn administrator(&self, app: &App) -> Result<Caller, Error> {
        administrator(app, &self.identifier)?;
        Ok(Caller { identifier: self.identifier.clone() })
    }
}

/// The user of `app` who bears a UserSig: how client apps prove themselves.
/// [`peek`](usersig::peek) says which app to bring.
pub fn user(app: &App, sdk_app_id: u64, user_sig: &str, now: Timestamp) -> Result<UserSig, Error> {
    verify(app, user_sig, sdk_app_id, None, now)
}

/// Whether someone is an administrator of the app.
pub fn administrator(app: &App, identifier: &str) -> Result<(), Error> {
    let admins = app.tencent.as_ref().map_or(&[][..], |tencent| &tencent.admins);
    if admins.iter().any(|admin| admin == identifier) {
        return Ok(());
    }
    Err(Error::new(Code::NotAdmin, "the identifier is not an administrator of the app"))
}

/// The answer when no app has the SDKAppID.
pub fn unknown_app(sdk_app_id: u64) -> Error {
    Error::new(Code::UnknownApp, format!("there is no app with the SDKAppID {sdk_app_id}"))
}

fn verify(
    app: &App,
    user_sig: &str,
    sdk_app_id: u64,
    identifier: Option<&str>,
    now: Timestamp,
) -> Result<UserSig, Error> {
    // An app of another id would mean that whoever looked it up erred: its key must not open this one.
    let tencent = app
        .tencent
        .as_ref()
        .filter(|tencent| tencent.sdk_app_id == sdk_app_id)
        .ok_or_else(|| unknown_app(sdk_app_id))?;
    usersig::verify(user_sig, &tencent.secret_key, sdk_app_id, identifier, now)
        .map_err(|failure: Failure| failure.into())
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const T: Timestamp = Timestamp::from_secs(1_600_000_000);

    fn app() -> App {
        let tencent = json!({"sdk_app_id": 1_400_000_000, "secret_key": "key", "admins": ["admin", "boss+1"]});
        serde_json::from_value(json!({"id": "a", "tencent": tencent})).unwrap()
    }

    fn sig_of(user: &str) -> String {
        usersig::sign(&"key".into(), 1_400_000_000, user, T.secs(), 60, None)
    }

    fn authenticate(query: &str, now: Timestamp) -> Result<Caller, Error> {
        let parameters = Parameters::parse(query)?;
        parameters.prove(&app(), now)?;
        parameters.administrator(&app())
    }

    fn query(sdk_app_id: &str, identifier: &str, user_sig: &str) -> String {
        format!("sdkappid={sdk_app_id}&identifier={identifier}&usersig={user_sig}&random=99999999&contenttype=json")
    }

    #[test]
    fn an_administrator_is_let_in() {
        let reordered = format!("usersig={}&identifier=admin&sdkappid=1400000000&x=y", sig_of("admin"));
        for query in [query("1400000000", "admin", &sig_of("admin")), reordered] {
            let caller = authenticate(&query, T).unwrap();
            assert_eq!(caller.identifier, "admin");
        }
        let escaped = query("1400000000", "boss%2B1", &sig_of("boss+1").replace('*', "%2A").replace('_', "%5F"));
        assert_eq!(authenticate(&escaped, T).unwrap().identifier, "boss+1");
    }

    #[test]
    fn every_faulty_parameter_has_its_code() {
        let good = query("1400000000", "admin", "x");
        for (query, code) in [
            (String::new(), 60012),
            (good.replace("sdkappid", "SdkAppId"), 60012),
            (query("", "admin", "x"), 60012),
            (query("abc", "admin", "x"), 60025),
            (query("-1", "admin", "x"), 60025),
            (query("%2B1", "admin", "x"), 60025),
            (query("99999999999999999999", "admin", "x"), 60025),
            (query("1400000000", "", "x"), 60025),
            (good.replace("identifier=admin&", ""), 60025),
            (good.replace("usersig=x&", ""), 60025),
            (good.replace("=json", "=JSON"), 60025),
            (good.replace("=json", "=xml"), 60025),
        ] {
            assert_eq!(Parameters::parse(&query).unwrap_err().code.number(), code, "{query}");
        }
        assert!(Parameters::parse(&good.replace("&contenttype=json", "").replace("99999999", "-x")).is_ok());
    }

    #[test]
    fn the_user_sig_is_checked_before_the_administrator() {
        for (query, code) in [
            (query("1400000000", "admin", ""), 70002),
            (query("1400000000", "admin", "x"), 70003),
            (query("1400000000", "admin", &sig_of("someone")), 70013),
            (query("1400000000", "someone", &sig_of("admin")), 70013),
            (query("1400000000", "someone", &sig_of("someone")), 60010),
            (query("1400000001", "admin", &sig_of("admin")), 70020),
        ] {
            let error = authenticate(&query, T).unwrap_err();
            assert_eq!(error.code.number(), code, "{query}");
        }
        let late = query("1400000000", "someone", &sig_of("someone"));
        assert_eq!(authenticate(&late, T.plus_secs(61)).unwrap_err().code, Code::UserSigExpired);
    }

    #[test]
    fn a_client_is_known_by_its_user_sig_alone() {
        let text = sig_of("xiaojun");
        let (sdk_app_id, _) = usersig::peek(&text).unwrap();
        assert_eq!(user(&app(), sdk_app_id, &text, T).unwrap().identifier, "xiaojun");
        assert_eq!(user(&app(), sdk_app_id, &text, T.plus_secs(61)).unwrap_err().code, Code::UserSigExpired);
    }

    proptest! {
        #[test]
        fn no_query_but_a_signed_one_is_let_in(query in "\\PC{0,60}|(sdkappid|usersig|identifier|[=&%+*a-z0-9]){0,12}") {
            prop_assert!(authenticate(&query, T).is_err());
        }
    }
}
