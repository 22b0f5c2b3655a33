//! Bodies of requests: any bytes, for each call of the contract.
#![no_main]

use fanfare::dialect::tencent::Command;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match invariants::addressed(input) {
        Some((call, body)) => invariants::check_call(call, body),
        // Addressed to none, it goes to all.
        None => Command::ALL.iter().for_each(|command| invariants::check_call(command.call, input)),
    }
});
