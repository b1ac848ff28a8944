//! `make bench`: what the server does with signed reports, beside a bound
//! taken in the same run, on both databases. Figures and what they mean:
//! `docs/benchmarks.md`.

fn main() -> std::process::ExitCode {
    tests::bench::main()
}
