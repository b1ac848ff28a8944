//! `make sim`.
use std::process::ExitCode;
use super::*;
/// TODO
pub fn main() -> ExitCode {
    let args: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let start = std::time::Instant::now();
    let mut req = 0; let mut fails = 0;
    for seed in args[0]..args[0]+args[1] {
        match run_seed(seed) { Ok(t) => req += t.requests, Err(b) => { fails += 1; println!("seed {seed}: {}: {}", b.rule, b.what);
          if fails <= args.get(2).copied().unwrap_or(0) { let (setting, steps) = script::story(seed); println!("{}", shrink::shrink(shrink::Story{setting, steps, broken: b}, 400).told()); } } }
    }
    println!("{} seeds {} fails {} requests {:?}", args[1], fails, req, start.elapsed());
    ExitCode::SUCCESS
}
