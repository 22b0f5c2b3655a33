//! The arrows of the architecture, read off the `use` lines: they point down only.
#![allow(clippy::unwrap_used, reason = "sources that cannot be read fail the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each module may use of its siblings.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("domain", &[][..]),
        ("dialect", &["domain"]),
        ("store", &["domain", "runtime"]),
        ("queue", &["domain", "runtime"]),
        ("channel", &["domain", "runtime"]),
        ("gate", &["dialect", "domain", "runtime", "store"]),
        ("runtime", &["domain"]),
    ])
}

/// SDK crates, and the one module that names each.
const SDKS: [(&str, &str); 3] =
    [("aws_sdk_dynamodb", "store"), ("aws_sdk_sqs", "queue"), ("aws_sdk_apigatewaymanagement", "channel")];

#[test]
fn arrows_between_modules_point_down_only() {
    let modules = allowed();
    for (path, text) in sources() {
        let Some(module) = modules.keys().find(|module| path.starts_with(module)) else { continue };
        for used in modules_used(&text) {
            let may =
                used == *module || !modules.contains_key(used.as_str()) || modules[module].contains(&used.as_str());
            assert!(may, "{}: `{module}` must not use `{used}`", path.display());
        }
    }
}

#[test]
fn a_module_is_seen_in_every_form_of_use() {
    let text = "use crate::domain::App; // crate::runtime
        use crate::{
            channel::{ws, apns::Client},
            queue, store as s, dialect::tencent,
        };
        fn f() { crate::other::g(); }";
    assert_eq!(modules_used(text), ["domain", "channel", "queue", "store", "dialect", "other"]);
}

#[test]
fn each_sdk_is_named_by_one_module() {
    for (path, text) in sources() {
        for (sdk, module) in SDKS {
            let may = path.starts_with(module);
            assert!(may || !text.contains(sdk), "{} names {sdk}, which is {module}'s", path.display());
        }
    }
}

/// Words by which code knows a dialect.
const DIALECTS: [&str; 5] = ["dialect::", "tencent", "rongcloud", "usersig", "user_sig"];

/// What may know dialects: they themselves, the gate above them, the app's item, which holds its identity in each, and the
/// tests that follow a request from its contract to its vendors.
const KNOWING: [&str; 6] = ["dialect", "gate", "domain/app.rs", "domain/mod.rs", "lib.rs", "wire_tests"];

/// The functions that serve no contract. (`connection` asks for a query parameter by the name that clients know.)
const FUNCTIONS: [&str; 4] = ["fan-out", "deliver", "campaign", "connection"];

#[test]
fn nothing_past_the_dialects_names_one() {
    for (path, text) in sources() {
        if KNOWING.iter().any(|knowing| path.starts_with(knowing)) {
            continue;
        }
        for dialect in DIALECTS {
            assert!(!code_of(&text).contains(dialect), "{} knows a dialect: `{dialect}`", path.display());
        }
    }
    // What it hands on are types: nothing but their names.
    let (_, domain) = sources().into_iter().find(|(path, _)| path == Path::new("domain/mod.rs")).unwrap();
    assert!(!code_of(&domain).contains("dialect::"));
}

#[test]
fn functions_that_serve_no_contract_name_none() {
    for function in FUNCTIONS {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions").join(function).join("src");
        let files = sources_under(&root);
        assert!(files.iter().any(|(path, _)| path == Path::new("lib.rs")), "{function} is found");
        for (path, text) in files {
            for dialect in &DIALECTS[..3] {
                let path = path.display();
                assert!(!code_of(&text).contains(dialect), "{function}/{path} knows a dialect: `{dialect}`");
            }
        }
    }
}

/// A source without its comments and its tests, in small letters.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default().to_lowercase() + "\n").collect()
}

/// What a source names right under `crate`, alone or in braces, outside of comments.
fn modules_used(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let name = |path: &str| -> String {
        path.trim_start().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
    };
    code.split("crate::").skip(1).flat_map(|path| branches(path).into_iter().map(name).collect::<Vec<_>>()).collect()
}

/// The branches of a path: those in its braces, or the path itself.
fn branches(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else { return vec![path] };
    let (mut branches, mut start, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                branches.push(&group[start..at]);
                start = at + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    branches.retain(|branch| !branch.trim().is_empty());
    branches
}

/// Every source file of the crate, by its path under `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let files = sources_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 40, "the sources are found");
    files
}

/// Every source file in a folder, by its path in it.
fn sources_under(root: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((path.strip_prefix(root).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}
