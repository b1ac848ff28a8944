//! `make storm`: all phones come back at once.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::storm::main()
}
