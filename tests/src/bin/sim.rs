//! `make sim`: runs many stories and says what came of it.

use std::process::ExitCode;

/// The same as the server's: a story allocates a great deal.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tests::sim::command::main()
}
