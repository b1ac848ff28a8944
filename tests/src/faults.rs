//! Programs on a file system that fails (`tests/faultfs`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::programs;

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process ends; what it wrote stays.
    Kill,
    /// It ends with the power: what was not synced is gone.
    Power,
    /// The same, but the earlier half of it has reached the disk.
    PowerPart,
    /// There is no more space, from this call on.
    Full,
    /// This call fails.
    Io,
}

impl Fault {
    /// All.
    pub const ALL: [Self; 5] = [
        Self::Kill,
        Self::Power,
        Self::PowerPart,
        Self::Full,
        Self::Io,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Power => "power",
            Self::PowerPart => "power-part",
            Self::Full => "full",
            Self::Io => "io",
        }
    }

    /// Whether the process ends by it.
    #[must_use]
    pub fn ends(self) -> bool {
        !matches!(self, Self::Full | Self::Io)
    }
}

/// The exit status of a process that the fault ended.
pub const ENDED: i32 = 137;

/// Has a fault happen to a program at its n-th change of the files below a folder.
pub fn plant(command: &mut Command, folder: &Path, fault: Fault, at: u64) {
    // What is compared is what the kernel says of open files.
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    command
        .env("LD_PRELOAD", programs::path("libfaultfs.so"))
        .env("FAULTFS_FOLDER", &real)
        .env("FAULTFS_FAULT", fault.name())
        .env("FAULTFS_AT", at.to_string())
        .env("FAULTFS_COUNT", counter(folder));
}

/// How many changes the program made.
///
/// # Panics
/// When it did not count.
#[must_use]
pub fn calls(folder: &Path) -> u64 {
    std::fs::read_to_string(counter(folder))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

fn counter(folder: &Path) -> PathBuf {
    folder.with_extension("calls")
}

/// A copy of a folder and all in it.
///
/// # Panics
/// When it cannot be made.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("lists") {
        let path = entry.expect("a name").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copies");
        }
    }
}
