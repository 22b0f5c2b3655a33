//! Requests as a text to be pinned: each as it came, and below it the same to be read.

use std::fmt::Write;

use serde_json::Value;

use super::recorder::Sent;
use crate::channel::testkit::form;

/// Headers of the HTTP client's own.
const INCIDENTAL: [&str; 4] = ["accept", "content-length", "host", "user-agent"];

/// All requests, one after the other.
pub(super) fn of(sent: &[Sent]) -> String {
    sent.iter().map(one).collect::<Vec<_>>().join("\n\n\n")
}

fn one(sent: &Sent) -> String {
    let mut text = sent.line.clone();
    let mut headers: Vec<(&str, &str)> =
        sent.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    headers.sort_unstable();
    for (name, value) in headers.into_iter().filter(|(name, _)| !INCIDENTAL.contains(name)) {
        let proof = (name == "authorization").then(|| format!("{}…", scheme(value)));
        write!(text, "\n{name}: {}", proof.as_deref().unwrap_or(value)).unwrap();
    }
    let body = without_what_differs(sent);
    if !body.is_empty() {
        write!(text, "\n\n{body}\n\n{}", readable(&body)).unwrap();
    }
    text
}

/// How a proof begins. The rest is tested where it is made.
fn scheme(proof: &str) -> &str {
    proof.split_inclusive([' ', '=']).next().unwrap_or_default()
}

/// The body without what no two tries have in common: what is signed with a key of this run, and the id by which vivo keeps
/// a message to be sent.
fn without_what_differs(sent: &Sent) -> String {
    let mut body = sent.body.clone();
    if let Some((before, _)) = body.split_once("assertion=") {
        body = format!("{before}assertion=…");
    }
    if sent.line.ends_with("/saveListPayload") {
        let id = sent.at(&["/requestId"]).unwrap();
        body = body.replace(id.as_str().unwrap(), "…");
    }
    body
}

/// A body with a line for each member or field.
fn readable(body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(json) => serde_json::to_string_pretty(&json).unwrap(),
        Err(_) => {
            let fields = form(body.as_bytes()).into_iter().map(|(name, value)| field(&name, &value));
            fields.collect::<Vec<_>>().join("\n")
        }
    }
}

fn field(name: &str, value: &str) -> String {
    match serde_json::from_str::<Value>(value) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => {
            format!("{name} = {}", serde_json::to_string_pretty(&json).unwrap())
        }
        _ => format!("{name} = {value}"),
    }
}
