//! The desktop's secret service (freedesktop.org), by way of `secret-tool` of
//! libsecret: it is there where such a service is, and speaks with all of them.

use std::{
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};

use protocol::{
    codes::Code,
    encoding::{b64, unb64_array},
};
use sync_core::Error;
use zeroize::Zeroizing;

const ATTRIBUTE: &str = "scrutineer-observer";

fn failed(reason: impl std::fmt::Display) -> Error {
    Error::Refused {
        code: Code::SecretServiceFailed,
        message: format!("the desktop's secret service cannot be used: {reason}"),
    }
}

/// Stores a key under a name. It goes over a pipe, and stands in no argument.
pub(crate) fn store(name: &str, key: &[u8; 32]) -> Result<(), Error> {
    let label = "--label=Keys of Scrutineer observer";
    let done = run(&["store", label, ATTRIBUTE, name], &b64(key))?;
    check(&done)
}

/// The key under a name.
pub(crate) fn look_up(name: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
    let done = run(&["lookup", ATTRIBUTE, name], "")?;
    check(&done)?;
    let text = Zeroizing::new(done.stdout);
    let key = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| unb64_array(text.trim()));
    key.map(Zeroizing::new)
        .ok_or_else(|| failed("it does not hold the key of this home"))
}

/// Forgets a name; one that is not there is forgotten already.
pub(crate) fn forget(name: &str) -> Result<(), Error> {
    let done = run(&["clear", ATTRIBUTE, name], "")?;
    // It exits with 1, and says nothing, if there was nothing to clear.
    if done.stderr.is_empty() {
        Ok(())
    } else {
        check(&done)
    }
}

fn check(done: &Output) -> Result<(), Error> {
    if done.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&done.stderr);
    Err(failed(match told.trim() {
        "" => "it does not hold the key of this home",
        told => told,
    }))
}

fn run(arguments: &[&str], input: &str) -> Result<Output, Error> {
    let input = Zeroizing::new(input.to_owned());
    let mut child = Command::new("secret-tool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                failed("secret-tool is not installed (Debian: libsecret-tools)")
            }
            _ => failed(error),
        })?;
    let mut pipe = child.stdin.take().ok_or_else(|| failed("no pipe"))?;
    let written = pipe.write_all(input.as_bytes());
    drop(pipe);
    let done = child.wait_with_output().map_err(failed)?;
    // One that refused early did not read; what it said counts.
    if done.status.success() {
        written.map_err(failed)?;
    }
    Ok(done)
}
