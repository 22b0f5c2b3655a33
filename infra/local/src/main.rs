//! Starts the whole of Fanfare on this machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    fanfare_local::main()
}
