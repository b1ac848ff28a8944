//! A file system that fails. Preloaded (`LD_PRELOAD`) into a real program, it
//! stands between that program and the C library for the files below one folder:
//! it counts every call that changes something, keeps what would undo those that
//! have not been synced, and at the n-th call does what the test wants.
//!
//! | variable | meaning |
//! |---|---|
//! | `FAULTFS_FOLDER` | files below it are watched; without it nothing is |
//! | `FAULTFS_AT` | the call at which it happens, from 1; `0`: right after the program's own end |
//! | `FAULTFS_FAULT` | `kill`: the process ends there, its writes stay; `power`: it ends, and all that was not synced is undone; `power-part`: the same, but the earlier half of it stays; `full`: this call and all later ones that need space fail with ENOSPC; `io`: this call fails with EIO |
//! | `FAULTFS_COUNT` | a file that holds the number of calls so far |
//!
//! What it knows of syncing is what POSIX promises: `fsync` of a file makes its
//! bytes durable, `fsync` of a folder the names in it.

pub mod hooks;
mod real;
mod undo;

use std::{
    cell::Cell,
    ffi::{OsString, c_int},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use undo::Undo;

/// The exit status of a process that ended here.
const ENDED: c_int = 137;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Power,
    PowerPart,
    Full,
    Io,
}

/// What the test wants, and what has happened.
struct State {
    folder: PathBuf,
    at: u64,
    fault: Fault,
    counter: Option<c_int>,
    calls: u64,
    undo: Vec<Undo>,
}

thread_local! {
    /// Whether this thread is at work here: what it calls itself is not watched.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with the state, unless nothing is watched or this thread is inside
/// already.
fn watched<T>(work: impl FnOnce(&mut State) -> Option<T>) -> Option<T> {
    if INSIDE.replace(true) {
        return None;
    }
    let answer = state().as_mut().and_then(work);
    INSIDE.set(false);
    answer
}

fn state() -> MutexGuard<'static, Option<State>> {
    static STATE: OnceLock<Mutex<Option<State>>> = OnceLock::new();
    STATE
        .get_or_init(|| Mutex::new(State::of_environment()))
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn of_environment() -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os("FAULTFS_FOLDER")?);
        let number = std::env::var("FAULTFS_AT").ok()?.parse().ok()?;
        let fault = match std::env::var("FAULTFS_FAULT").ok()?.as_str() {
            "kill" => Fault::Kill,
            "power" => Fault::Power,
            "power-part" => Fault::PowerPart,
            "full" => Fault::Full,
            "io" => Fault::Io,
            _ => return None,
        };
        let counter = std::env::var_os("FAULTFS_COUNT").and_then(|path| real::create(&path));
        if number == 0 {
            // SAFETY: the function stays as long as the program does.
            unsafe { libc::atexit(after_the_end) };
        }
        Some(Self {
            folder,
            at: number,
            fault,
            counter,
            calls: 0,
            undo: Vec::new(),
        })
    }

    fn watches(&self, path: &Path) -> bool {
        path.starts_with(&self.folder)
    }

    /// Counts a call that changes something. `Err`: it fails with this number.
    /// `needs_space`: it would make something longer.
    fn step(&mut self, needs_space: bool) -> Result<(), c_int> {
        self.calls += 1;
        if let Some(counter) = self.counter {
            real::write_at(counter, format!("{:<10}", self.calls).as_bytes(), 0);
        }
        match self.fault {
            Fault::Full if self.calls >= self.at && needs_space => return Err(libc::ENOSPC),
            _ if self.calls != self.at => return Ok(()),
            Fault::Full => return Ok(()),
            Fault::Io => return Err(libc::EIO),
            Fault::Kill => {}
            Fault::Power => self.lose(0),
            Fault::PowerPart => self.lose(self.undo.len() / 2),
        }
        // SAFETY: ends the process; nothing runs afterwards.
        unsafe { libc::_exit(ENDED) }
    }

    /// Undoes what was not synced, the latest first, until so many are left.
    fn lose(&mut self, keep: usize) {
        while self.undo.len() > keep {
            if let Some(undo) = self.undo.pop() {
                undo.apply();
            }
        }
        // Memory that processes shared is gone with the power.
        undo::remove_shared_memory(&self.folder);
    }

    fn note(&mut self, undo: Option<Undo>) {
        self.undo.extend(undo);
    }

    /// A file, or the names of a folder, are durable now.
    fn synced(&mut self, path: &Path) {
        self.undo.retain(|undo| !undo.is_synced_by(path));
    }
}

/// The power fails right after the program said that it was done.
extern "C" fn after_the_end() {
    watched(|state| {
        match state.fault {
            Fault::Power => state.lose(0),
            Fault::PowerPart => state.lose(state.undo.len() / 2),
            Fault::Kill | Fault::Full | Fault::Io => {}
        }
        Some(())
    });
}

/// The path of an open file.
fn path_of(fd: c_int) -> Option<PathBuf> {
    let link = format!("/proc/self/fd/{fd}");
    std::fs::read_link(link).ok()
}

/// A C path, made absolute.
fn path_from(text: *const std::ffi::c_char) -> Option<PathBuf> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller of the C function promises a string that ends with NUL.
    let bytes = unsafe { std::ffi::CStr::from_ptr(text) }
        .to_bytes()
        .to_vec();
    std::path::absolute(OsString::from_vec(bytes)).ok()
}
