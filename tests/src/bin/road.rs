//! `make road`: what reports cost on a bad line.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::road::main()
}
