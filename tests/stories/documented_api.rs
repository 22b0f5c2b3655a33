//! A newcomer pastes `docs/API.md` into a shell, block after block.
//!
//! One shell gets every `bash` block of the page, in order, with the address of a stack of its own in place of the one
//! that stands there. What a block prints must be what the fence right below it says, if there is one: `text` word
//! for word, `json` as the same values one after the other. In those, the text `…` stands for any text that is not
//! empty, and the times 1700000000 and 1700000000000 for any time, of seconds and of milliseconds.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::a_stack;

const PAGE: &str = include_str!("../../docs/API.md");
/// What stands on the page for the address of the stack.
const ADDRESS: &str = "127.0.0.1:3000";
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_api_md_says_is_what_happens() {
    for tool in ["bash", "curl", "python3"] {
        let runs = Command::new(tool).arg("--version").output().await.is_ok_and(|output| output.status.success());
        assert!(runs, "the examples of docs/API.md need {tool}, and it does not run on this machine");
    }
    let stack = a_stack().await;
    let address = stack.base().trim_start_matches("http://");
    let examples = examples(PAGE);
    assert!(examples.iter().filter(|example| example.answer.is_some()).count() > 20, "the page has examples");

    let mut shell = Shell::start();
    for Example { line, block, answer } in examples {
        let said = shell.paste(&block.replace(ADDRESS, address)).await;
        match answer {
            None => assert_eq!(said, "", "docs/API.md:{line} promises to say nothing"),
            Some(Answer::Text(expected)) => assert_eq!(said.trim_end(), expected.trim_end(), "docs/API.md:{line}"),
            Some(Answer::Json(expected)) => {
                let fits =
                    values(&expected).zip(values(&said)).is_some_and(|(expected, said)| all_fit(&expected, &said));
                assert!(fits, "docs/API.md:{line} promises\n{expected}\nand this was answered:\n{said}");
            }
        }
    }
}

/// A `bash` block, and what it is to print.
struct Example {
    line: usize,
    block: String,
    answer: Option<Answer>,
}

enum Answer {
    Json(String),
    Text(String),
}

fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    // Whether only empty lines have passed since the last `bash` block.
    let mut is_below = false;
    let mut lines = (1..).zip(page.lines());
    while let Some((line, text)) = lines.next() {
        let Some(kind) = text.strip_prefix("```") else {
            is_below &= text.is_empty();
            continue;
        };
        let inside: String = lines
            .by_ref()
            .map(|(_, text)| text)
            .take_while(|text| *text != "```")
            .map(|text| format!("{text}\n"))
            .collect();
        let last = examples.last_mut().filter(|_| is_below);
        match (kind, last) {
            ("bash", _) => examples.push(Example { line, block: inside, answer: None }),
            ("json", Some(example)) => example.answer = Some(Answer::Json(inside)),
            ("text", Some(example)) => example.answer = Some(Answer::Text(inside)),
            _ => panic!("docs/API.md:{line}: a block of {kind:?} that answers nothing"),
        }
        is_below = kind == "bash";
    }
    examples
}

/// The JSON values of a text, one after the other.
fn values(text: &str) -> Option<Vec<Value>> {
    serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().ok()
}

fn all_fit(expected: &[Value], said: &[Value]) -> bool {
    expected.len() == said.len() && expected.iter().zip(said).all(|(expected, said)| fits(expected, said))
}

fn fits(expected: &Value, said: &Value) -> bool {
    match (expected, said) {
        (Value::String(expected), Value::String(said)) if expected == "…" => !said.is_empty(),
        (Value::Number(expected), Value::Number(said)) => match expected.as_i64() {
            Some(1_700_000_000) => said.as_i64().is_some_and(|secs| (1_700_000_000..100_000_000_000).contains(&secs)),
            Some(1_700_000_000_000) => said.as_i64().is_some_and(|millis| millis >= 1_700_000_000_000),
            _ => expected == said,
        },
        (Value::Array(expected), Value::Array(said)) => all_fit(expected, said),
        (Value::Object(expected), Value::Object(said)) => {
            expected.len() == said.len()
                && expected.iter().all(|(name, value)| said.get(name).is_some_and(|said| fits(value, said)))
        }
        _ => expected == said,
    }
}

/// A shell that is typed into.
struct Shell {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Shell {
    /// Printed after each block, to tell where its output ends.
    const END: &str = "== end of the block ==";

    fn start() -> Self {
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .env_remove("http_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, input, output: BufReader::new(output).lines() }
    }

    /// What a block prints.
    async fn paste(&mut self, block: &str) -> String {
        // The answer to curl may lack a line's end, so the mark brings one.
        let typed = format!("{block}\nprintf '\\n%s\\n' '{}'\n", Self::END);
        self.input.write_all(typed.as_bytes()).await.unwrap();
        let mut printed = Vec::new();
        let reading = async {
            loop {
                let line = self.output.next_line().await.unwrap().expect("the shell goes on");
                if line == Self::END {
                    return;
                }
                printed.push(line);
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reading).await.is_ok();
        assert!(in_time, "the block does not end; so far it printed {printed:#?}\n{block}");
        printed.join("\n").trim_end().to_owned()
    }
}
