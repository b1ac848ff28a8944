//! `make bench`: what the server does with signed reports, beside a bound
//! taken in the same run, on both databases. Figures and what they mean:
//! `docs/benchmarks.md`.

/// As in the server, so that the bound is not held back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tests::bench::main()
}
