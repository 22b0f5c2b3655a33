//! What holds of every reply: the members of its call, and no others.

use std::collections::BTreeSet;

use fanfare::dialect::tencent::{Call, Code, Reply};
use fanfare::domain::limits;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::{check_error, names_of};

/// What every answer has.
const ALWAYS: [&str; 3] = ["ActionStatus", "ErrorCode", "ErrorInfo"];
const REFUSED: &str = "ErrorList";

/// A reply has the shape that its call's page gives it.
pub(crate) fn check(call: Call, reply: Reply) {
    if let Some(error) = reply.error() {
        check_error(error);
    }
    let response = reply.into_http();
    assert_eq!(
        (response.status().as_u16(), response.headers()[CONTENT_TYPE].as_bytes()),
        (200, &b"application/json"[..])
    );
    let answer: Value = serde_json::from_str(response.body()).expect("JSON");
    let (status, info) = (answer["ActionStatus"].as_str(), answer["ErrorInfo"].as_str());
    let succeeded = answer["ErrorCode"] == 0;
    if succeeded {
        assert_eq!((status, info), (Some("OK"), Some("")));
    } else {
        assert!(status == Some("FAIL") && is_known(&answer["ErrorCode"]), "{answer}");
    }
    // Where no account exists, the call fails and says so of each.
    let no_one = answer["ErrorCode"] == Code::UnknownAccount.number();
    let (own, may_refuse): (&[&str], bool) = match call {
        Call::Batch => (&["TaskId"], succeeded || no_one),
        Call::QueryOnlineStatus | Call::QueryState if succeeded || no_one => (&["QueryResult"], true),
        _ if !succeeded => (&[], false),
        Call::ImPush | Call::Push => (&["TaskId"], false),
        Call::SetAttrName | Call::SetTypedAttrName | Call::AccountImport | Call::Kick => (&[], false),
        Call::GetAttrName => (&["AttrNames"], false),
        Call::GetAttr => (&["UserAttrs"], true),
        Call::GetTag => (&["UserTags"], true),
        Call::MultiaccountImport => (&["FailAccounts"], false),
        Call::AccountCheck | Call::AccountDelete => (&["ResultItem"], false),
        Call::SetAttr | Call::RemoveAttr | Call::AddTag | Call::AddOrReplaceTag | Call::RemoveTag | Call::ClearTags => {
            (&[], true)
        }
        Call::QueryOnlineStatus | Call::QueryState => unreachable!("it failed or it did not"),
    };
    let members: BTreeSet<&str> = names_of(&answer).collect();
    let refuses = members.contains(REFUSED);
    let refused = refuses.then_some(REFUSED);
    assert_eq!(members, ALWAYS.into_iter().chain(own.iter().copied()).chain(refused).collect(), "{call:?}: {answer}");
    assert!(!refuses || may_refuse, "{call:?}: {answer}");
    let lists_accounts = matches!(call, Call::Batch | Call::QueryOnlineStatus | Call::QueryState);
    assert!(refuses || !no_one || !lists_accounts, "{call:?} names no one: {answer}");
    for name in own.iter().chain(&refused) {
        assert!(is_good(call, name, &answer[name], succeeded), "{call:?}: {name} in {answer}");
    }
}

fn is_good(call: Call, name: &str, value: &Value, succeeded: bool) -> bool {
    let all = |most: usize, is_good: &dyn Fn(&Value) -> bool| {
        value.as_array().is_some_and(|items| items.len() <= most && items.iter().all(is_good))
    };
    let accounts = limits::ACCOUNTS_PER_REQUEST;
    match name {
        "TaskId" => value.as_str().is_some_and(|text| text.is_empty() != succeeded),
        "AttrNames" => are_texts(value),
        "FailAccounts" => all(accounts, &Value::is_string),
        "UserAttrs" => all(accounts, &|user| has(user, &["To_Account", "Attrs"]) && are_texts(&user["Attrs"])),
        "UserTags" => all(accounts, &|user| {
            let tags = user["Tags"].as_array();
            has(user, &["To_Account", "Tags"]) && tags.is_some_and(|tags| tags.iter().all(Value::is_string))
        }),
        "ResultItem" => all(accounts, &|result| is_result(call, result)) && *value != Value::Array(Vec::new()),
        "QueryResult" => {
            let details =
                value.as_array().into_iter().flatten().filter(|result| result.get("Detail").is_some()).count();
            all(limits::STATUS_ACCOUNTS, &is_state)
                && value
                    .as_array()
                    .is_some_and(|all| (details == 0 || details == all.len()) && all.is_empty() != succeeded)
        }
        REFUSED => {
            // The longest lists of accounts have 500, and an account may be changed and refused as often as it is named.
            let most = limits::TARGETS_PER_REQUEST.max(limits::STATUS_ACCOUNTS);
            all(most, &is_refusal) && *value != Value::Array(Vec::new())
        }
        _ => false,
    }
}

fn is_refusal(refusal: &Value) -> bool {
    has(refusal, &["To_Account", "ErrorCode", "ErrorInfo"])
        && refusal["To_Account"].is_string()
        && is_known(&refusal["ErrorCode"])
        && refusal["ErrorInfo"].as_str().is_some_and(|info| !info.is_empty())
}

fn is_result(call: Call, result: &Value) -> bool {
    let (code, info) = (&result["ResultCode"], result["ResultInfo"].as_str());
    let is_checked = call == Call::AccountCheck;
    let is_good = match result["AccountStatus"].as_str() {
        Some("Imported" | "NotImported") => is_checked && *code == 0 && info == Some(""),
        Some(_) => false,
        None if *code == 0 => !is_checked && info == Some(""),
        None => !is_checked && *code == Code::UnknownAccount.number() && info.is_some_and(|info| !info.is_empty()),
    };
    let always = ["UserID", "ResultCode", "ResultInfo"];
    let own = is_checked.then_some("AccountStatus");
    is_good && result["UserID"].is_string() && has(result, &always.into_iter().chain(own).collect::<Vec<_>>())
}

fn is_state(result: &Value) -> bool {
    let is_word = |status: &Value| matches!(status.as_str(), Some("Online" | "PushOnline" | "Offline"));
    let detail = result.get("Detail");
    let is_detailed = detail.is_none_or(|detail| {
        let is_good = |entry: &Value| has(entry, &["Platform", "Status"]) && is_word(&entry["Status"]);
        detail.as_array().is_some_and(|entries| entries.iter().all(is_good))
    });
    let own = detail.map(|_| "Detail");
    let names: Vec<&str> = ["To_Account", "Status", "State"].into_iter().chain(own).collect();
    has(result, &names) && is_detailed && is_word(&result["Status"]) && result["State"] == result["Status"]
}

/// Whether an object has these members and no others.
fn has(object: &Value, names: &[&str]) -> bool {
    names_of(object).collect::<BTreeSet<_>>() == names.iter().copied().collect()
}

fn are_texts(object: &Value) -> bool {
    object.as_object().is_some_and(|members| members.values().all(Value::is_string))
}

fn is_known(code: &Value) -> bool {
    Code::ALL.iter().any(|known| *code == known.number())
}
