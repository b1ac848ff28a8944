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
mod files;
mod load;
mod process;

use std::process::ExitCode;

use clap::Parser;

use crate::postgres::Postgres;

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
        let cluster = Postgres::start()?;
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
    let mut bounds = Vec::new();
    let mut rates: Vec<(usize, Vec<load::Figures>)> = [8, 16, 64]
        .map(|connections| (connections, Vec::new()))
        .into();
    for round in 0..options.rounds {
        bounds.push(bound::measure(
            &database(&format!("source{round}"))?,
            &database(&format!("bound{round}"))?,
            options.reports,
        )?);
        for (connections, figures) in &mut rates {
            let url = database(&format!("load{round}x{connections}"))?;
            figures.push(load::measure(&url, options.reports, *connections)?);
        }
    }
    let bound = bound::print(&mut bounds);
    for (connections, figures) in &mut rates {
        load::print(*connections, figures, bound);
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
