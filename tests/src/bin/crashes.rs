//! `make crashes`: phones and server killed at random moments.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::crashes::main()
}
