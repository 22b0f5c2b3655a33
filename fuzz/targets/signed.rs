//! Bodies of requests, JSON and forms: any bytes, for each call of RongCloud's contract.
#![no_main]

use fanfare::dialect::rongcloud::Command;
use invariants::signed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match signed::addressed(input) {
        Some((command, body)) => signed::check_call(command, body),
        // Addressed to none, it goes to all.
        None => Command::ALL.iter().for_each(|command| signed::check_call(command, input)),
    }
});
