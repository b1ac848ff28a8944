//! After a shutdown: every phone comes back within seconds.
//!
//! Virtual time, one thread. The phones run the real engine
//! ([`sync_core::engine`]), each with its own; who is let in is decided by the real
//! [`scrutineer::domain::admission`]. Between them stands a server that is a model
//! ([`server`]): it serves as many requests a second as `make bench` measured.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this prints what was measured"
)]

mod curve;
mod phones;
mod server;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

pub use self::phones::{Outcome, run};

/// Lets every phone come back at once, in virtual time
#[derive(Clone, Debug, Parser)]
#[command(name = "storm")]
pub struct Options {
    /// Phones, each with one report that waits
    #[arg(long, default_value_t = 113_000)]
    pub phones: usize,
    /// Of a hundred phones, how many have a critical report
    #[arg(long, default_value_t = 2)]
    pub critical: u64,
    /// Seconds within which all are back
    #[arg(long, default_value_t = 10)]
    pub within: u64,
    /// Requests a second that the server serves: 4,549 reports a second, ten a
    /// request, is the least that docs/benchmarks.md shows
    #[arg(long, default_value_t = 455)]
    pub rate: u64,
    /// Microseconds of the server's time that a new connection takes, whether it is
    /// served or turned away, or given up meanwhile. Assumed, not measured
    #[arg(long, default_value_t = 200)]
    pub connection: i64,
    /// Requests answered at once, as `max_in_flight`
    #[arg(long, default_value_t = 512)]
    pub places: usize,
    /// What is random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where to write the curve, an SVG
    #[arg(long)]
    pub picture: Option<PathBuf>,
}

/// Runs it and prints what came of it.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = run(&options);
    print(&options, &outcome);
    if let Some(path) = &options.picture
        && let Err(error) = std::fs::write(path, curve::draw(&options, &outcome))
    {
        eprintln!("storm: {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if outcome.starved() == 0 {
        ExitCode::SUCCESS
    } else {
        eprintln!("storm: {} phones are not served", outcome.starved());
        ExitCode::FAILURE
    }
}

fn print(options: &Options, outcome: &Outcome) {
    println!(
        "{} phones back within {} s, {} % with a critical report; {} requests a second are served",
        options.phones, options.within, options.critical, options.rate
    );
    for (name, waits) in [
        ("critical reports", &outcome.critical),
        ("other reports", &outcome.text),
        ("what is new, read", &outcome.news),
    ] {
        println!(
            "{name}: {}, all after {:.0} s; wait p50 {:.0} s, p99 {:.0} s, at most {:.0} s",
            waits.len(),
            outcome.last(waits),
            waits.at(0.5),
            waits.at(0.99),
            waits.at(1.0)
        );
    }
    let offered = outcome.offered();
    println!(
        "requests: {} offered, {} served, {} turned away, {} gave up before they were connected",
        offered.iter().sum::<u32>(),
        outcome.served.iter().sum::<u32>(),
        outcome.turned_away,
        outcome.gave_up
    );
    let peak = |counts: &[u32]| counts.iter().max().copied().unwrap_or_default();
    println!(
        "requests a second: at most {} offered, {} served; after the first minute at most {} offered",
        peak(&offered),
        peak(&outcome.served),
        peak(offered.get(60..).unwrap_or_default())
    );
    println!("starved: {}", outcome.starved());
}
