//! `kill -9`, again and again: real phones and a real server, killed at random
//! moments while a link between them cuts, delays, repeats and lies.
//!
//! A *cycle* is one `kill -9` that struck a running process: a phone that files,
//! amends, attaches or synchronises, or the server. Every so often everything is
//! let finish, and what was acknowledged is compared with the ledger and the stored
//! files. What is chosen follows from the seed; what a moment strikes does not.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this prints what was measured"
)]

mod check;
mod phone;
mod world;

use std::{collections::BTreeMap, process::ExitCode};

use clap::Parser;

use crate::{database::Kind, wait::Stopwatch};

/// Kills phones and server at random moments, and counts what is lost or doubled
#[derive(Clone, Debug, Parser)]
#[command(name = "crashes")]
pub struct Options {
    /// Kills on each database
    #[arg(long, default_value_t = 1_000)]
    pub cycles: u64,
    /// Kills between two comparisons
    #[arg(long, default_value_t = 100)]
    pub check_every: u64,
    /// Phones side by side
    #[arg(long, default_value_t = 5)]
    pub phones: u64,
    /// What is chosen at random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// One database alone: sqlite or postgres
    #[arg(long, value_parser = ["sqlite", "postgres"])]
    pub only: Option<String>,
}

/// What was done and found on one database.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Kills by what was killed.
    pub kills: BTreeMap<&'static str, u64>,
    /// Commands that were let finish, by how they ended: `done`, or their code.
    pub ends: BTreeMap<String, u64>,
    /// Entries that a command acknowledged, or the server by a receipt.
    pub acknowledged: u64,
    /// Entries of phones in the ledger.
    pub in_ledger: u64,
    /// Files whose bytes were read back and compared.
    pub files: u64,
    /// Acknowledged entries and files that are not there, each named.
    pub losses: Vec<String>,
    /// What stands twice, each named.
    pub doubles: Vec<String>,
    /// Whatever else is not as it must be.
    pub faults: Vec<String>,
    /// Connections that the link broke off, and that it repeated.
    pub cut: u32,
    /// The same: repeated.
    pub repeated: u32,
}

impl Tally {
    /// Kills in all.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        self.kills.values().sum()
    }

    /// Whether everything is as it must be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.losses.is_empty() && self.doubles.is_empty() && self.faults.is_empty()
    }
}

/// Runs the cycles on one database.
///
/// # Panics
/// When a program cannot be started, or the ledger does not verify.
#[must_use]
pub fn run(kind: Kind, options: &Options) -> Tally {
    let mut world = world::World::new(kind, options);
    let mut tally = Tally::default();
    while tally.cycles() < options.cycles {
        let left = options.cycles - tally.cycles();
        world.chaos(left.min(options.check_every), &mut tally);
        world.calm(&mut tally);
        world.compare(&mut tally);
        if !tally.is_good() {
            break;
        }
    }
    world.rebuild(&mut tally);
    tally
}

/// Runs the measurements.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    let mut good = true;
    let mut all = (0, 0);
    for (kind, name) in [(Kind::Sqlite, "sqlite"), (Kind::Postgres, "postgres")] {
        if options.only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let watch = Stopwatch::start();
        let tally = run(kind, &options);
        print(name, &tally, watch.elapsed().as_secs_f64());
        good &= tally.is_good();
        all = (all.0 + tally.cycles(), all.1 + tally.acknowledged);
    }
    if good {
        println!(
            "{} cycles, {} acknowledged entries: losses 0, duplicates 0; 95 % bound: {:.2} losses in 1,000 cycles, {:.2} in 1,000 entries",
            all.0,
            all.1,
            bound(all.0) * 1e3,
            bound(all.1) * 1e3
        );
        ExitCode::SUCCESS
    } else {
        eprintln!(
            "crashes: not everything is as it must be (seed {})",
            options.seed
        );
        ExitCode::FAILURE
    }
}

/// With nothing found in so many tries, the chance that is not exceeded with 95 %
/// confidence (the exact form of the rule of three).
#[must_use]
pub fn bound(tries: u64) -> f64 {
    if tries == 0 {
        return 1.0;
    }
    1.0 - 0.05_f64.powf(1.0 / tries as f64)
}

fn print(name: &str, tally: &Tally, seconds: f64) {
    let listed = |counts: Vec<String>| counts.join(", ");
    println!(
        "{name}: {} kills in {seconds:.0} s ({}); link: {} cut, {} repeated; commands let finish: {}",
        tally.cycles(),
        listed(
            tally
                .kills
                .iter()
                .map(|(what, count)| format!("{what} {count}"))
                .collect()
        ),
        tally.cut,
        tally.repeated,
        listed(
            tally
                .ends
                .iter()
                .map(|(how, count)| format!("{how} {count}"))
                .collect()
        ),
    );
    println!(
        "{name}: acknowledged entries {}, in the ledger {}, files compared {}, losses {}, duplicates {}, other faults {}",
        tally.acknowledged,
        tally.in_ledger,
        tally.files,
        tally.losses.len(),
        tally.doubles.len(),
        tally.faults.len()
    );
    for (what, list) in [
        ("lost", &tally.losses),
        ("twice", &tally.doubles),
        ("fault", &tally.faults),
    ] {
        for one in list {
            println!("{name}: {what}: {one}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, Tally, bound, world::World};
    use crate::{database::Kind, upload::hash_of};

    /// Or the figures would prove nothing.
    #[test]
    fn a_loss_and_a_double_are_seen() {
        let options = Options {
            cycles: 0,
            check_every: 0,
            phones: 1,
            seed: 1,
            only: None,
        };
        let mut world = World::new(Kind::Sqlite, &options);
        let phone = &mut world.phones[0];
        let filed = || {
            phone
                .observer
                .file(&["--category=ballot_stuffing", "--text=1"])
        };
        let entries = [filed(), filed()].map(|said| said["entry"].as_str().map(str::to_owned));
        phone.confirmed.extend(entries.into_iter().flatten());
        let mut tally = Tally::default();
        world.calm(&mut tally);
        world.compare(&mut tally);
        assert_eq!(
            (tally.losses.len(), tally.doubles.len()),
            (0, 1),
            "{tally:?}"
        );
        world.phones[0].confirmed.insert("never filed".into());
        world.phones[0].files.insert(hash_of(b"never sent"), 10);
        let mut tally = Tally::default();
        world.compare(&mut tally);
        // Neither in the ledger nor on the phone, and the file.
        assert_eq!(tally.losses.len(), 3, "{tally:?}");
    }

    #[test]
    fn nothing_in_a_thousand_is_at_most_three_in_a_thousand() {
        assert!((bound(1_000) * 1_000.0 - 3.0).abs() < 0.01);
        assert!((bound(1) - 0.95).abs() < 1e-9);
        assert!((bound(0) - 1.0).abs() < f64::EPSILON);
    }
}
