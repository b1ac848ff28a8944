//! `make sim`: runs many stories and says what came of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::sim::command::main()
}
