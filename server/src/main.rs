//! The server's binary. Everything is in the library, where tests reach it.

/// The C library's took a sixth of ingest's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    scrutineer::cli::main()
}
