//! `query_online_status`, and `querystate`, as it was called before: whether accounts are online.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::body::{self, Field};
use super::{Code, Error, Refusal, Reply, terms};
use crate::domain::{Platform, Presence, Reach, UserId, limits};

/// A question about accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The accounts, each once, in the order asked: their names, and which can exist.
    asked: Vec<(String, Option<UserId>)>,
    wants_detail: bool,
}

/// Reads the question.
///
/// `IsReturnInstid` and `IsReturnCustomStatus` are read and have no effect: a connection has no number, and users have
/// no state of their own making.
pub fn question(bytes: &[u8]) -> Result<Question, Error> {
    let json = body::parse(bytes, Code::Json)?;
    let request = Field::root(&json);
    let list = request.required("To_Account", Code::ToAccount)?;
    let names = list.items(Code::ToAccount)?;
    if names.is_empty() {
        return Err(list.error(Code::Json, "must not be empty"));
    }
    if names.len() > limits::STATUS_ACCOUNTS {
        let fault = format!("must not have more than {} elements", limits::STATUS_ACCOUNTS);
        return Err(list.error(Code::TooManyTargets, &fault));
    }
    let mut seen = BTreeSet::new();
    let mut asked = Vec::with_capacity(names.len());
    for name in &names {
        let name = name.text(Code::ToAccount)?;
        if seen.insert(name) {
            asked.push((name.to_owned(), terms::account(name)));
        }
    }
    let wants_detail = flag(&request, "IsNeedDetail")?;
    flag(&request, "IsReturnInstid")?;
    flag(&request, "IsReturnCustomStatus")?;
    Ok(Question { asked, wants_detail })
}

impl Question {
    /// Those of the accounts that can exist.
    pub fn ids(&self) -> Vec<UserId> {
        self.asked.iter().filter_map(|(_, id)| id.clone()).collect()
    }

    /// The answer. Accounts of which no presence is given do not exist. Only if none exists the call has failed.
    pub fn answer(self, presences: &HashMap<UserId, Presence>) -> Reply {
        let mut results = Vec::new();
        let mut refused = Vec::new();
        for (name, id) in self.asked {
            match id.and_then(|id| presences.get(&id)) {
                Some(presence) => results.push(result(&name, presence, self.wants_detail)),
                None => refused.push(Refusal::unknown(name)),
            }
        }
        let reply = if results.is_empty() {
            Reply::from(Error::new(Code::UnknownAccount, "none of the accounts exists"))
        } else {
            Reply::ok()
        };
        reply.with("QueryResult", results).with_refusals(&refused)
    }
}

fn result(name: &str, presence: &Presence, wants_detail: bool) -> Value {
    let status = status(presence.reach());
    // The older call has it as `State`, and so have samples of the newer one.
    let mut result = json!({"To_Account": name, "Status": status, "State": status});
    if wants_detail {
        result["Detail"] = detail(presence);
    }
    result
}

/// One entry for each platform of Tencent's, where ours are several.
fn detail(presence: &Presence) -> Value {
    let mut by_name: BTreeMap<&str, Reach> = BTreeMap::new();
    for (platform, reach) in presence.platforms() {
        let known = by_name.entry(platform_name(platform)).or_default();
        *known = reach.max(*known);
    }
    by_name.into_iter().map(|(name, reach)| json!({"Platform": name, "Status": status(reach)})).collect()
}

fn status(reach: Reach) -> &'static str {
    match reach {
        Reach::Online => "Online",
        Reach::ByVendor => "PushOnline",
        Reach::Offline => "Offline",
    }
}

/// Tencent knows iPhone, Android, Web, PC, iPad and Mac.
fn platform_name(platform: Option<Platform>) -> &'static str {
    match platform {
        // Which of Apple's it is, nobody has said.
        Some(Platform::Ios) => "iPhone",
        // The nearest of those that there are: a phone that is not Apple's.
        Some(Platform::Android | Platform::Harmony) => "Android",
        // An installation that no vendor reaches is a page in a browser, or something like it.
        Some(Platform::Web) | None => "Web",
    }
}

fn flag(request: &Field<'_>, name: &str) -> Result<bool, Error> {
    let Some(field) = request.member(name) else { return Ok(false) };
    match field.integer(Code::Json)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(field.error(Code::Json, "must be 0 or 1")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{DeviceId, Timestamp};

    fn bytes(value: &Value) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn id(name: &str) -> UserId {
        UserId::try_from(name).unwrap()
    }

    fn online() -> Presence {
        let connected = BTreeSet::from([DeviceId::try_from("desk").unwrap()]);
        Presence::of(&[], &connected, |_| true, Timestamp::from_secs(0))
    }

    #[test]
    fn accounts_that_exist_are_told_and_the_others_listed() {
        let request = json!({"To_Account": ["a", "小明", "b", "a", "gone"]});
        let question = question(&bytes(&request)).unwrap();
        assert_eq!(question.ids(), [id("a"), id("b"), id("gone")]);
        let presences = HashMap::from([(id("a"), online()), (id("b"), Presence::default())]);
        let reply = question.answer(&presences).to_json();
        assert_eq!(reply["ErrorCode"], 0);
        let result = |name: &str, status: &str| json!({"To_Account": name, "Status": status, "State": status});
        assert_eq!(reply["QueryResult"], json!([result("a", "Online"), result("b", "Offline")]));
        let refused: Vec<_> = reply["ErrorList"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (&entry["To_Account"], &entry["ErrorCode"]))
            .collect();
        assert_eq!(refused, [(&json!("小明"), &json!(70107)), (&json!("gone"), &json!(70107))]);
    }

    #[test]
    fn the_call_fails_only_if_no_account_exists() {
        let reply = question(br#"{"To_Account":["x"]}"#).unwrap().answer(&HashMap::new()).to_json();
        assert_eq!((&reply["ActionStatus"], &reply["ErrorCode"]), (&json!("FAIL"), &json!(70107)));
        assert_eq!((&reply["QueryResult"], &reply["ErrorList"][0]["To_Account"]), (&json!([]), &json!("x")));
    }

    #[test]
    fn details_are_there_if_they_are_asked_for() {
        let asked = |detail: Value| {
            let question = question(&bytes(&json!({"To_Account": ["a", "b"], "IsNeedDetail": detail}))).unwrap();
            let presences = HashMap::from([(id("a"), online()), (id("b"), Presence::default())]);
            question.answer(&presences).to_json()["QueryResult"].clone()
        };
        let told = asked(json!(1));
        assert_eq!(told[0]["Detail"], json!([{"Platform": "Web", "Status": "Online"}]));
        assert_eq!(told[1]["Detail"], json!([]));
        assert_eq!(asked(json!(0))[0].get("Detail"), None);
        assert_eq!(asked(json!(null))[0].get("Detail"), None);
    }

    #[test]
    fn every_faulty_question_has_its_code() {
        let names = |count: usize| -> Value { (0..count).map(|n| n.to_string()).collect() };
        let all = json!({"To_Account": names(500), "IsNeedDetail": 1, "IsReturnInstid": 1, "IsReturnCustomStatus": 0});
        assert_eq!(question(&bytes(&all)).unwrap().ids().len(), 500);
        for (request, code) in [
            (json!({}), 90003),
            (json!({"To_Account": null}), 90003),
            (json!({"To_Account": "u"}), 90003),
            (json!({"To_Account": ["u", 5]}), 90003),
            (json!({"To_Account": []}), 90001),
            (json!({"To_Account": names(501)}), 90011),
            (json!({"To_Account": ["u"], "IsNeedDetail": "1"}), 90001),
            (json!({"To_Account": ["u"], "IsNeedDetail": 2}), 90001),
            (json!({"To_Account": ["u"], "IsReturnInstid": true}), 90001),
            (json!({"To_Account": ["u"], "IsReturnCustomStatus": []}), 90001),
        ] {
            assert_eq!(question(&bytes(&request)).unwrap_err().code.number(), code, "{request}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(question(&bytes).is_err());
        }
    }
}
