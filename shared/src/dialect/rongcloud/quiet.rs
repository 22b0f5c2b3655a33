//! `/user/blockPushPeriod/set.json`, `…/get.json` and `…/delete.json`: the quiet hours of a user.

use serde_json::json;

use super::form::Form;
use super::names::user;
use super::{Code, Error, Reply};
use crate::domain::{QuietHours, QuietLevel, UserId};

/// Longest window, in minutes.
const MINUTES: u16 = 1_439;

/// A change of a user's quiet hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietRequest {
    /// Whose they are.
    pub user: UserId,
    /// The new ones, in place of the old; `None`, a `period` or a `level` of 0, if there are to be none.
    pub hours: Option<QuietHours>,
}

impl QuietRequest {
    /// Reads `userId=u1&startTime=23:59:59&period=120&level=1`.
    ///
    /// # Errors
    ///
    /// 1003 for no body, 1002 for what is missing or out of its range, 1005 for a user id that is too long.
    pub fn set(bytes: &[u8]) -> Result<Self, Error> {
        let form = Form::parse(bytes)?;
        let fault = |what: &str| Error::new(Code::Parameter, what);
        let user = user("userId", form.required("userId")?)?;
        let start = start_secs(form.required("startTime")?);
        let start_secs = start.ok_or_else(|| fault("startTime must be HH:MM:SS, 00:00:00 to 23:59:59"))?;
        let minutes = form.required("period")?.parse().ok().filter(|minutes| *minutes <= MINUTES);
        let minutes = minutes.ok_or_else(|| fault("period must be 0 to 1439 minutes"))?;
        // Absent it is 1, and 0 is what an answer says where there are none (RongCloud's SDK for Go, `UserBlockPushPeriodSet`).
        let level = match form.get("level") {
            None | Some("1") => Some(QuietLevel::AllButMentions),
            Some("5") => Some(QuietLevel::All),
            Some("0") => None,
            Some(_) => return Err(fault("level must be 0, 1 or 5")),
        };
        let hours = level.filter(|_| minutes > 0).map(|level| QuietHours { start_secs, minutes, level });
        Ok(Self { user, hours })
    }
}

/// Reads `userId=u1`: whose quiet hours are asked for, or deleted.
///
/// # Errors
///
/// 1003 for no body, 1002 for no user id or none that can be one, 1005 for one that is too long.
pub fn whose(bytes: &[u8]) -> Result<UserId, Error> {
    user("userId", Form::parse(bytes)?.required("userId")?)
}

/// The answer to a question: `{"code":200,"data":{"startTime":"23:59:59","period":120,"unPushLevel":1}}`. For none it is a
/// `period` of 0, "not set", and a level of 0, "all are notified".
pub fn found(hours: Option<QuietHours>) -> Reply {
    let (start, minutes, level) = match hours {
        None => (String::new(), 0, 0),
        Some(QuietHours { start_secs, minutes, level }) => (clock(start_secs), minutes, number(level)),
    };
    Reply::ok().with("data", json!({"startTime": start, "period": minutes, "unPushLevel": level}))
}

fn number(level: QuietLevel) -> u8 {
    match level {
        QuietLevel::AllButMentions => 1,
        QuietLevel::All => 5,
    }
}

/// Seconds after midnight, from `HH:MM:SS`.
fn start_secs(text: &str) -> Option<u32> {
    let parts: Vec<&str> = text.split(':').collect();
    let [hours, minutes, seconds] = parts[..] else { return None };
    let number = |part: &str, below: u32| {
        let is_plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|number: &u32| is_plain && *number < below)
    };
    Some(number(hours, 24)? * 3_600 + number(minutes, 60)? * 60 + number(seconds, 60)?)
}

fn clock(secs: u32) -> String {
    format!("{:02}:{:02}:{:02}", secs / 3_600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_samples_of_the_pages_are_understood() {
        let request = QuietRequest::set(b"userId=userId&startTime=23:59:59&period=120&level=1").unwrap();
        let hours = QuietHours { start_secs: 86_399, minutes: 120, level: QuietLevel::AllButMentions };
        assert_eq!((request.user.as_str(), request.hours), ("userId", Some(hours)));
        let data = json!({"startTime": "23:59:59", "period": 120, "unPushLevel": 1});
        assert_eq!(found(request.hours).to_json(), json!({"code": 200, "data": data}));
        let unsaid = QuietRequest::set(b"userId=userId&startTime=23:59:59&period=120").unwrap();
        assert_eq!(unsaid.hours, Some(hours));
        for none in ["period=120&level=0", "period=0&level=5", "period=0"] {
            let request = QuietRequest::set(format!("userId=u&startTime=00:00:00&{none}").as_bytes()).unwrap();
            assert_eq!(request.hours, None, "{none}");
        }
        assert_eq!(whose(b"userId=userId").unwrap().as_str(), "userId");
        let data = json!({"startTime": "", "period": 0, "unPushLevel": 0});
        assert_eq!(found(None).to_json(), json!({"code": 200, "data": data}));
    }

    #[test]
    fn every_faulty_field_has_its_code() {
        for (form, code, info) in [
            ("", 1003, "there is no body"),
            ("startTime=00:00:00&period=1&level=5", 1002, "userId is missing"),
            ("userId=u&period=1&level=5", 1002, "startTime is missing"),
            ("userId=u&startTime=24:00:00&period=1&level=5", 1002, "startTime must be HH:MM:SS, 00:00:00 to 23:59:59"),
            ("userId=u&startTime=00:60:00&period=1&level=5", 1002, "startTime must be HH:MM:SS, 00:00:00 to 23:59:59"),
            (
                "userId=u&startTime=%2B1:00:00&period=1&level=5",
                1002,
                "startTime must be HH:MM:SS, 00:00:00 to 23:59:59",
            ),
            ("userId=u&startTime=0:00:00&period=1&level=5", 1002, "startTime must be HH:MM:SS, 00:00:00 to 23:59:59"),
            ("userId=u&startTime=00:00&period=1&level=5", 1002, "startTime must be HH:MM:SS, 00:00:00 to 23:59:59"),
            ("userId=u&startTime=00:00:00&level=5", 1002, "period is missing"),
            ("userId=u&startTime=00:00:00&period=1440&level=5", 1002, "period must be 0 to 1439 minutes"),
            ("userId=u&startTime=00:00:00&period=-1&level=5", 1002, "period must be 0 to 1439 minutes"),
            ("userId=u&startTime=00:00:00&period=99999&level=5", 1002, "period must be 0 to 1439 minutes"),
            ("userId=u&startTime=00:00:00&period=1&level=2", 1002, "level must be 0, 1 or 5"),
        ] {
            let error = QuietRequest::set(form.as_bytes()).unwrap_err();
            assert_eq!((error.code.number(), error.info.as_str()), (code, info), "{form}");
        }
        assert_eq!(whose(b"user=u").unwrap_err().info, "userId is missing");
        assert_eq!(whose(b"").unwrap_err().code, Code::NoBody);
    }

    proptest! {
        #[test]
        fn what_is_set_is_found(start_secs in 0_u32..86_400, minutes in 0_u16..=1_439, all in any::<bool>()) {
            let level = if all { 5 } else { 1 };
            let form = format!("userId=u&startTime={}&period={minutes}&level={level}", clock(start_secs));
            let hours = QuietRequest::set(form.as_bytes()).unwrap().hours;
            prop_assert_eq!(hours.is_some(), minutes > 0);
            if hours.is_some() {
                let data = json!({"startTime": clock(start_secs), "period": minutes, "unPushLevel": level});
                prop_assert_eq!(&found(hours).to_json()["data"], &data);
                prop_assert_eq!(hours.map(|hours| hours.start_secs), Some(start_secs));
            }
        }

        #[test]
        fn no_text_breaks_the_clock(text in "\\PC{0,12}|[0-9:]{0,9}") {
            if let Some(secs) = start_secs(&text) {
                prop_assert_eq!(clock(secs), text);
            }
        }
    }
}
