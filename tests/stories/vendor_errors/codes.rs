//! No number and no word that a sender knows is without a row.

use super::row::Row;
use super::tables::{ALL, Table};

/// A range of more numbers than this stands for what has no meaning of its own: one row is enough.
const MOST_OF_A_RANGE: i64 = 20;

#[test]
fn each_code_that_a_sender_knows_has_a_row() {
    let mut missing = Vec::new();
    for table in ALL {
        let codes = codes(&table);
        assert!(codes.len() > 3, "{}: {codes:?}", table.channel);
        missing.extend(codes.into_iter().filter(|code| !has_row(table.rows, code)).map(|code| (table.channel, code)));
    }
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

/// What stands before `=>` in the code that sorts the answers: numbers, their ranges, and words.
fn codes(table: &Table) -> Vec<String> {
    let code = table.source.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let mut codes = Vec::new();
    for pattern in lines.filter_map(|line| Some(line.split_once("=>")?.0)) {
        // A guard is no pattern.
        let pattern = pattern.split(" if ").next().unwrap();
        let parts = pattern.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | '=' | '-' | '"'));
        for part in parts.map(|part| part.replace('_', "")) {
            let is_word = part.len() > 2 && part.starts_with('"');
            let is_number = part.starts_with(|c: char| c.is_ascii_digit() || c == '-') && part.len() > 1;
            if is_word || is_number {
                codes.push(part.trim_matches('"').to_owned());
            }
        }
    }
    codes
}

fn has_row(rows: &[Row], code: &str) -> bool {
    // Words lose what parts them, here as above.
    let is_of = |code: &str| rows.iter().any(|row| row.reason.replace('_', "") == code || row.is_of(code));
    let Some((first, last)) = code.split_once("..") else {
        return is_of(code) || is_taken(code);
    };
    let first: i64 = first.parse().unwrap();
    let last: i64 = last.trim_start_matches('=').parse().unwrap_or(599);
    match (first..=last).count() as i64 {
        0..=MOST_OF_A_RANGE => (first..=last).all(|code| is_of(&code.to_string())),
        _ => first == 200 || rows.iter().any(|row| row.is_in(&(first..=last))),
    }
}

/// What stands for no error: every other device of the stories is answered so.
fn is_taken(code: &str) -> bool {
    matches!(code, "0" | "200" | "80000000")
}
