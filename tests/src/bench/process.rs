//! Real processes: the server under measurement, its memory, its commands.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::Value;

use super::Error;

/// What the figures were taken on.
pub(super) fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "))
        .unwrap_or("unknown processor")
        .to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores; the load comes from the same cores")
}

/// The program beside this one.
pub(super) fn program() -> Result<PathBuf, Error> {
    let path = std::env::current_exe()?.with_file_name("scrutineer");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!(
            "{} is missing: cargo build --release --bins",
            path.display()
        )
        .into())
    }
}

/// Runs a command of the server and reads its JSON.
pub(super) fn cli(folder: &Path, database_url: &str, arguments: &[&str]) -> Result<Value, Error> {
    let output = Command::new(program()?)
        .args(arguments)
        .arg("--data")
        .arg(folder)
        .args(["--database-url", database_url])
        .output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
}

/// Runs a command that reads something from standard input.
pub(super) fn cli_with(
    folder: &Path,
    database_url: &str,
    arguments: &[&str],
    input: &str,
) -> Result<(), Error> {
    let mut child = Command::new(program()?)
        .args(arguments)
        .arg("--data")
        .arg(folder)
        .args(["--database-url", database_url])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut pipe = child.stdin.take().ok_or("no pipe")?;
    writeln!(pipe, "{input}")?;
    drop(pipe);
    if child.wait()?.success() {
        Ok(())
    } else {
        Err(format!("{arguments:?} failed").into())
    }
}

/// Runs a command and answers seconds and peak memory in MB.
pub(super) fn timed(
    folder: &Path,
    database_url: &str,
    arguments: &[&str],
) -> Result<(f64, f64), Error> {
    let start = Instant::now();
    let mut child = Command::new(program()?)
        .args(arguments)
        .arg("--data")
        .arg(folder)
        .args(["--database-url", database_url])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(memory(child.id(), "VmHWM").unwrap_or(0.0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        let mut words = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut words)?;
        }
        return Err(format!("{arguments:?}: {words}").into());
    }
    Ok((seconds, peak))
}

/// A running server.
pub(super) struct Serving {
    child: Child,
    /// `host:port`.
    pub(super) address: String,
    /// Seconds from spawn to listening.
    pub(super) start: f64,
}

impl Serving {
    pub(super) fn start(folder: &Path, database_url: &str) -> Result<Self, Error> {
        let started = Instant::now();
        let mut child = Command::new(program()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"])
            .arg(folder)
            .args(["--database-url", database_url])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let start = started.elapsed().as_secs_f64();
        let said: Value =
            serde_json::from_str(&line).map_err(|_| format!("the server did not start: {line}"))?;
        let url = said["listening"].as_str().ok_or("no address")?;
        let address = url
            .strip_prefix("http://")
            .ok_or("not HTTP")?
            .trim_end_matches('/')
            .to_owned();
        Ok(Self {
            child,
            address,
            start,
        })
    }

    /// Megabytes: `VmRSS` now, `VmHWM` at the peak.
    pub(super) fn memory(&self, what: &str) -> f64 {
        memory(self.child.id(), what).unwrap_or(f64::NAN)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn memory(pid: u32, what: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(what)?.strip_prefix(':'))?;
    line.trim()
        .strip_suffix(" kB")?
        .trim()
        .parse::<f64>()
        .ok()
        .map(|kilobytes| kilobytes / 1024.0)
}
