//! The benchmark: real signed reports with real texts, through real sockets to
//! a real server process, on SQLite and PostgreSQL, beside a bound taken in the
//! same run without HTTP.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, and polls a process's memory"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its figures are what it is for"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "a share of a count is a count"
)]

mod bound;
mod data;
mod desks;
mod files;
mod load;
mod process;

use std::process::ExitCode;

use clap::Parser;

use crate::postgres::Postgres;

/// What `docs/operating.md` recommends, for 1 GB of memory.
const POSTGRES: [&str; 5] = [
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "min_wal_size=512MB",
    "checkpoint_timeout=15min",
    "autovacuum=on",
];

#[derive(Parser)]
#[command(about = "Measures the server on both databases")]
struct Options {
    /// Reports of one measurement.
    #[arg(long, default_value_t = 60_000)]
    reports: usize,
    /// Accreditations to import and reports to export.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Measurements of each figure; the median is printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only this database.
    #[arg(long)]
    only: Option<String>,
    /// Leave imports and exports out.
    #[arg(long)]
    ingest_only: bool,
    /// Measure the console instead: with `--rows` reports, and reports coming in for so many
    /// seconds.
    #[arg(long, value_name = "SECONDS")]
    desks: Option<usize>,
}

/// Runs the benchmark.
pub fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Connections that send at the same time.
const CONNECTIONS: [usize; 3] = [8, 16, 64];
/// Rows of one commit of the bound.
const COMMIT: usize = 1_000;
/// Verified commits of the bound that may wait.
const AHEAD: usize = 4;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn run(options: &Options) -> Result<(), Error> {
    println!("machine: {}", process::machine());
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let folder = tempfile::tempdir()?;
    if wanted("sqlite") {
        measure(options, "SQLite", &|name| {
            Ok(format!("sqlite://{}", folder.path().join(name).display()))
        })?;
    }
    if wanted("postgres") {
        let cluster = Postgres::start_with(&POSTGRES)?;
        measure(options, "PostgreSQL", &|name| {
            Ok(cluster.create_database(name)?)
        })?;
    }
    Ok(())
}

fn measure(
    options: &Options,
    name: &str,
    database: &dyn Fn(&str) -> Result<String, Error>,
) -> Result<(), Error> {
    println!("\n== {name}");
    if let Some(seconds) = options.desks {
        return desks::measure(name, &database("desks")?, options.rows, seconds);
    }
    let (mut alone, mut bounds) = (Vec::new(), Vec::new());
    let mut rates = CONNECTIONS.map(|connections| (connections, Vec::new()));
    for round in 0..options.rounds {
        let url = database(&format!("source{round}"))?;
        let (source, rate) = bound::Source::create(&url, options.reports)?;
        alone.push(rate);
        let url = database(&format!("bound{round}"))?;
        let bound = source.bound(&url, COMMIT, AHEAD)?;
        bounds.push(bound);
        for (connections, rounds) in &mut rates {
            let url = database(&format!("bound{round}x{connections}"))?;
            let group = source.bound(&url, *connections * data::PER_EXCHANGE / 2, 0)?;
            let url = database(&format!("load{round}x{connections}"))?;
            let figures = load::measure(&url, options.reports, *connections)?;
            rounds.push(load::Round {
                figures,
                bound,
                group,
            });
        }
    }
    println!(
        "bound (verify strictly + insert the same rows, {COMMIT} a commit): {:.0} reports/s",
        median(&mut bounds)
    );
    let of =
        |pick: fn(&bound::Alone) -> f64| median(&mut alone.iter().map(pick).collect::<Vec<_>>());
    println!(
        "  in one thread: the server's pipeline without HTTP {:.0}/s, verifying alone {:.0}/s",
        of(|alone| alone.pipeline),
        of(|alone| alone.verify)
    );
    for (connections, rounds) in &rates {
        load::print(*connections, rounds);
    }
    if !options.ingest_only {
        files::measure(&database("files")?, options.rows)?;
    }
    Ok(())
}

/// The middle of some figures.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
