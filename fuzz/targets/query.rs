//! Queries of URLs: who calls, and whether that is proven.
#![no_main]

use std::sync::LazyLock;

use fanfare::dialect::tencent::caller::Parameters;
use fanfare::domain::{App, Timestamp};
use invariants::{ADMIN, SDK_APP_ID, app, check_error};
use libfuzzer_sys::fuzz_target;

/// What a UserSig has at least, so that it does not stand in a text by chance.
const SECRET_BYTES: usize = 40;

static APP: LazyLock<App> = LazyLock::new(app);

fuzz_target!(|input: &[u8]| {
    let query = String::from_utf8_lossy(input);
    let parameters = match Parameters::parse(&query) {
        Ok(parameters) => parameters,
        Err(error) => return check_error(&error),
    };
    assert!(!parameters.identifier.is_empty());

    let value = |wanted: &str| form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted);
    let user_sig = value("usersig").map(|(_, value)| value.into_owned()).unwrap_or_default();
    if user_sig.len() >= SECRET_BYTES && !parameters.identifier.contains(&user_sig) {
        assert!(!format!("{parameters:?}").contains(&user_sig), "the log could show a UserSig");
    }

    // Escaped throughout, and in another order, it says the same.
    let respelled = form_urlencoded::Serializer::new(String::new())
        .append_pair("usersig", &user_sig)
        .append_pair("x", "y")
        .append_pair("identifier", &parameters.identifier)
        .append_pair("sdkappid", &parameters.sdk_app_id.to_string())
        .finish();
    let again = Parameters::parse(&respelled).expect("the same parameters");
    assert_eq!((again.sdk_app_id, &again.identifier), (parameters.sdk_app_id, &parameters.identifier));

    // No input knows the key.
    for now in [0, 1_600_000_000, i64::MAX / 1_000].map(Timestamp::from_secs) {
        let refused = parameters.prove(&APP, now).expect_err("let in without the key");
        assert_eq!(again.prove(&APP, now), Err(refused.clone()));
        check_error(&refused);
    }
    let signed = fanfare::dialect::tencent::usersig::sign(
        &invariants::KEY.into(),
        SDK_APP_ID,
        &parameters.identifier,
        1_600_000_000,
        60,
        None,
    );
    let proven = form_urlencoded::Serializer::new(String::new())
        .append_pair("sdkappid", &SDK_APP_ID.to_string())
        .append_pair("identifier", &parameters.identifier)
        .append_pair("usersig", &signed)
        .finish();
    let proven = Parameters::parse(&proven).expect("the same parameters");
    match proven.prove(&APP, Timestamp::from_secs(1_600_000_000)) {
        Ok(user_sig) => assert_eq!(user_sig.identifier, parameters.identifier),
        Err(refused) => {
            check_error(&refused);
            assert_ne!(parameters.identifier, ADMIN, "{refused:?}");
        }
    }
    assert_eq!(proven.administrator(&APP).is_ok(), parameters.identifier == ADMIN, "{:?}", parameters.identifier);
});
