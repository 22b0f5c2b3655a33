//! The local stack as `cargo run` starts it, built where the stories can find it.

fn main() -> std::process::ExitCode {
    fanfare_local::main()
}
