//! Headers of requests: who calls by RongCloud's contract, and whether that is proven. A line is a header.
#![no_main]

use std::sync::LazyLock;

use fanfare::dialect::rongcloud::signature::{Signed, sign};
use fanfare::domain::{App, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use invariants::{APP_KEY, APP_SECRET, app, signed::check_error};
use libfuzzer_sys::fuzz_target;

const MOMENTS: [i64; 3] = [0, 1_600_000_000, i64::MAX / 1_000];

static APP: LazyLock<App> = LazyLock::new(app);
/// The app, were its signatures to be no older than a minute.
static STRICT: LazyLock<App> = LazyLock::new(|| {
    let mut app = app();
    if let Some(rongcloud) = &mut app.rongcloud {
        rongcloud.signature_max_age_secs = 60;
    }
    app
});
/// The app, had it no secret.
static OPEN: LazyLock<App> = LazyLock::new(|| {
    let mut app = app();
    if let Some(rongcloud) = &mut app.rongcloud {
        rongcloud.app_secret = "".into();
    }
    app
});

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    check(&headers);

    // Signed with the secret, whatever nonce and time they name, they are the app's; and by this secret alone.
    headers.insert("app-key", HeaderValue::from_static(APP_KEY));
    let text = |name: &str| {
        let value = headers.get(name).or_else(|| headers.get(format!("rc-{name}")))?;
        Some(value.to_str().ok()?.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let (Some(nonce), Some(timestamp)) = (text("nonce"), text("timestamp")) else { return };
    for (secret, is_good) in [(APP_SECRET, true), ("another secret", false), ("", false)] {
        let signature = sign(&secret.into(), &nonce, &timestamp);
        headers.insert("signature", signature.parse().expect("hexadecimal"));
        let signed = Signed::read(&headers).expect("all four are there");
        for now in MOMENTS.map(Timestamp::from_secs) {
            assert_eq!(signed.verify(&APP, now).is_ok(), is_good, "{nonce:?} {timestamp:?}");
            assert!(signed.verify(&OPEN, now).is_err(), "an empty secret lets anyone in");
        }
        let fresh = MOMENTS.map(|now| signed.verify(&STRICT, Timestamp::from_secs(now)).is_ok());
        assert!(fresh.iter().filter(|fresh| **fresh).count() <= usize::from(is_good), "good at two far apart moments");
    }
});

/// No input knows the secret.
fn check(headers: &HeaderMap) {
    let signed = match Signed::read(headers) {
        Ok(signed) => signed,
        Err(error) => return check_error(&error),
    };
    assert!(!signed.app_key.is_empty());
    for app in [&APP, &STRICT, &OPEN] {
        for now in MOMENTS.map(Timestamp::from_secs) {
            check_error(&signed.verify(app, now).expect_err("let in without the secret"));
        }
    }
}
