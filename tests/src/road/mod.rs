//! What reports cost on a bad line: the measurements of `make road`.
//!
//! Real programs over a shaped link ([`crate::link`]): bytes are what TCP carries,
//! time is real. Without TLS on both sides of the comparison; a handshake would
//! add about 1.6 kB and a round trip or two to each connection.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this prints what was measured"
)]

mod file;
mod odk;
mod reports;

use std::process::ExitCode;

use clap::Parser;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Measures what reports cost on a bad line
#[derive(Debug, Parser)]
#[command(name = "road")]
struct Options {
    /// What to measure: `reports`, beside ODK's way, or a large `file`
    #[arg(long, default_value = "reports", value_parser = ["reports", "file"])]
    part: String,
    /// Reports to send over the slow line
    #[arg(long, default_value_t = 10)]
    reports: usize,
    /// Bits a second of the slow line, each way
    #[arg(long, default_value_t = 20_000)]
    bits: u64,
    /// Milliseconds of a round trip on it
    #[arg(long, default_value_t = 800)]
    round_trip: u64,
    /// Connections that it breaks off
    #[arg(long, default_value_t = 3)]
    cuts: u32,
    /// Size of the large file
    #[arg(long, default_value_t = 500)]
    megabytes: u64,
    /// Connections that break off under the large file
    #[arg(long, default_value_t = 50)]
    file_cuts: u32,
    /// Where the cuts fall
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the measurements.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let measured = if options.part == "file" {
        file::measure(&options)
    } else {
        reports::measure(&options)
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("road: {error}");
            ExitCode::FAILURE
        }
    }
}
