//! The server's binary. Everything is in the library, where tests reach it.

fn main() -> std::process::ExitCode {
    scrutineer::cli::main()
}
