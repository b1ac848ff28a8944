//! `make sim` and `make sim-faults`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is what a program says"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "how long it took, for a person; nothing in a story depends on it"
)]

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::Parser;
use protocol::planted::{self, Fault};

use super::{
    clock::HOUR,
    oracle::Broken,
    run_seed, script,
    shrink::{Story, shrink},
    world::Tally,
};

/// Stories tried while a failing one is made shorter.
const TRIES: usize = 600;
/// Failing stories that are told; the others are counted.
const TOLD: u64 = 5;

/// Runs simulated stories.
#[derive(Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Threads; each runs whole stories. 0: one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// One story of so many phones that come back at once, from the seed `--start`.
    #[arg(long)]
    crowd: Option<usize>,
    /// Plant each fault in turn, and see whether it is caught.
    #[arg(long)]
    faults: bool,
    /// Only the fault of this name.
    #[arg(long)]
    fault: Option<String>,
    /// Print the steps of the one seed, whatever comes of it.
    #[arg(long)]
    tell: bool,
}

/// What many stories added up to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    failed: Vec<(u64, Broken)>,
    tally: Tally,
}

impl Sum {
    fn add(&mut self, seed: u64, told: Result<Tally, Broken>) {
        self.seeds += 1;
        match told {
            Err(broken) => self.failed.push((seed, broken)),
            Ok(one) => {
                for (what, times) in one.faults {
                    *self.tally.faults.entry(what).or_default() += times;
                }
                self.tally.requests += one.requests;
                self.tally.promised += one.promised;
                self.tally.ledger += one.ledger;
                self.tally.passed += one.passed / HOUR;
            }
        }
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    // A story that panics is told as one that breaks a rule.
    std::panic::set_hook(Box::new(|_| {}));
    if args.faults {
        return faults(&args);
    }
    if args.tell {
        let (setting, steps) = script::story(args.start);
        let broken = run_seed(args.start).err().unwrap_or_else(|| Broken {
            rule: "none",
            what: String::new(),
        });
        let story = Story {
            setting,
            steps,
            broken,
        };
        print!("{}", story.told());
        return ExitCode::SUCCESS;
    }
    let began = Instant::now();
    if let Some(phones) = args.crowd {
        let (setting, steps) = script::crowd(args.start, phones);
        let mut sum = Sum::default();
        sum.add(args.start, super::run(setting, &steps));
        report(&sum, began.elapsed().as_secs_f64(), &args);
        return match sum.failed.first() {
            None => ExitCode::SUCCESS,
            Some((_, broken)) => {
                println!("{}: {}", broken.rule, broken.what);
                ExitCode::FAILURE
            }
        };
    }
    let sum = many(&args, &|sum| {
        eprint!(
            "\r{} seeds, {} failed, {:.0} seeds/s ",
            sum.seeds,
            sum.failed.len(),
            sum.seeds as f64 / began.elapsed().as_secs_f64()
        );
    });
    eprintln!();
    report(&sum, began.elapsed().as_secs_f64(), &args);
    if sum.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn threads(args: &Args) -> usize {
    match args.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => some,
    }
}

/// Runs the seeds on some threads; a failing story is told as soon as it is short.
fn many(args: &Args, progress: &(dyn Fn(&Sum) + Sync)) -> Sum {
    let next = AtomicU64::new(args.start);
    let end = args.start.saturating_add(args.seeds);
    let told = AtomicU64::new(0);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..threads(args) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let came = run_seed(seed);
                    if let Err(broken) = &came
                        && told.fetch_add(1, Ordering::Relaxed) < TOLD
                    {
                        tell(seed, broken.clone());
                    }
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.add(seed, came);
                    if sum.seeds.is_multiple_of(25) {
                        progress(&sum);
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn tell(seed: u64, broken: Broken) {
    let (setting, steps) = script::story(seed);
    let story = Story {
        setting,
        steps,
        broken,
    };
    println!(
        "\nseed {seed} breaks a rule:\n{}",
        shrink(story, TRIES).told()
    );
}

/// The block for `docs/reliability.md`.
fn report(sum: &Sum, seconds: f64, args: &Args) {
    let failed = sum.failed.len();
    let mut rules = BTreeMap::<&str, Vec<u64>>::new();
    for (seed, broken) in &sum.failed {
        rules.entry(broken.rule).or_default().push(*seed);
    }
    for (rule, seeds) in rules {
        let shown: Vec<_> = seeds.iter().take(10).collect();
        println!("failed: {rule}: {} seeds, such as {shown:?}", seeds.len());
    }
    println!();
    println!("| | |");
    println!("|---|---|");
    println!(
        "| seeds | {} to {} |",
        args.start,
        args.start + sum.seeds - 1
    );
    println!("| simulated days | {} |", sum.tally.passed / 24);
    println!("| requests answered | {} |", sum.tally.requests);
    println!(
        "| entries that phones called safe | {} |",
        sum.tally.promised
    );
    println!("| rows of ledgers at the end | {} |", sum.tally.ledger);
    let bound = match failed {
        0 => format!(
            ", so under {:.4} % with 95 % confidence",
            100.0 * crate::crashes::bound(sum.seeds)
        ),
        _ => String::new(),
    };
    println!(
        "| stories that broke a rule | {failed} of {}{bound} |",
        sum.seeds
    );
    println!();
    println!("| fault | times |");
    println!("|---|---|");
    for (fault, times) in &sum.tally.faults {
        println!("| {fault} | {times} |");
    }
    println!();
    println!(
        "{} seeds, {failed} failures, {:.1} seeds per second ({} threads)",
        sum.seeds,
        sum.seeds as f64 / seconds,
        threads(args)
    );
}

/// Plants each fault in turn.
fn faults(args: &Args) -> ExitCode {
    if !planted::COMPILED {
        eprintln!("build with --features planted: make sim-faults");
        return ExitCode::FAILURE;
    }
    let wanted = |fault: &&Fault| {
        args.fault
            .as_deref()
            .is_none_or(|name| name == fault.name())
    };
    let all: Vec<&Fault> = Fault::ALL.iter().filter(wanted).collect();
    let mut caught = 0;
    println!("| fault | what it does | where | caught by | after seeds |");
    println!("|---|---|---|---|---|");
    for fault in &all {
        plant(**fault);
        let found = first_broken(args);
        let (by, after) = match &found {
            Some((seeds, broken)) => (broken.rule, seeds.to_string()),
            None => ("**not caught**", args.seeds.to_string()),
        };
        caught += usize::from(found.is_some());
        println!(
            "| {} | {} | {} | {by} | {after} |",
            fault.name(),
            fault.words(),
            fault.place()
        );
    }
    println!("\ncaught {caught} of {}", all.len());
    if caught == all.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(feature = "planted")]
fn plant(fault: Fault) {
    planted::plant(Some(fault));
}

#[cfg(not(feature = "planted"))]
fn plant(_: Fault) {}

/// The lowest seed that breaks a rule, as how many seeds it took.
fn first_broken(args: &Args) -> Option<(u64, Broken)> {
    let next = AtomicU64::new(0);
    let found = Mutex::new(None::<(u64, Broken)>);
    std::thread::scope(|scope| {
        for _ in 0..threads(args) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let found = || found.lock().unwrap_or_else(PoisonError::into_inner);
                    // Lower ones that others are at still count.
                    if at >= args.seeds || found().as_ref().is_some_and(|(best, _)| *best < at) {
                        break;
                    }
                    if let Err(broken) = run_seed(args.start + at) {
                        let mut found = found();
                        if found.as_ref().is_none_or(|(best, _)| at + 1 < *best) {
                            *found = Some((at + 1, broken));
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
