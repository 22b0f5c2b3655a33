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
        for other in modules.keys().filter(|other| *other != module && !modules[module].contains(other)) {
            let names = [format!("crate::{other}::"), format!("crate::{other};"), format!("crate::{{{other}")];
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                assert!(
                    !names.iter().any(|name| code.contains(name)),
                    "{}:{}: `{module}` must not use `{other}`",
                    path.display(),
                    number + 1
                );
            }
        }
    }
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

#[test]
fn nothing_past_the_dialects_names_one() {
    for (path, text) in sources() {
        // The app's item holds its identity in each dialect, and says from which one a limit was taken.
        if path.starts_with("dialect") || path == Path::new("domain/app.rs") || path == Path::new("lib.rs") {
            continue;
        }
        let code: String = text
            .split("#[cfg(test)]")
            .next()
            .unwrap_or_default()
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default().to_lowercase())
            .collect();
        for dialect in ["dialect::", "usersig", "userssig"] {
            assert!(!code.contains(dialect), "{} knows a dialect: `{dialect}`", path.display());
        }
    }
}

/// Every source file of the crate, by its path under `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((path.strip_prefix(&root).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 40, "the sources are found");
    files
}
