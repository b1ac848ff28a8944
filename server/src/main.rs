//! The server's binary. Everything is in the library, where tests reach it.

/// The C library's took a sixth of ingest's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const _: () = assert!(
    !protocol::planted::COMPILED,
    "planted faults are for the simulator"
);

fn main() -> std::process::ExitCode {
    scrutineer::cli::main()
}
