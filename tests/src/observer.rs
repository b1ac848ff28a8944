//! An observer's home, driven through the real `observer`.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{programs, reaper, site::Ended};

/// See the module.
#[derive(Debug)]
pub struct Observer {
    /// The home folder.
    pub home: PathBuf,
    /// Arguments that every command gets.
    pub options: Vec<String>,
    _folder: Option<TempDir>,
}

impl Observer {
    /// A fresh home in a temporary folder.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("observer-")
            .tempdir()
            .expect("a temporary folder");
        Self {
            home: folder.path().join("home"),
            options: Vec::new(),
            _folder: Some(folder),
        }
    }

    /// A home in a folder that stays.
    #[must_use]
    pub fn at(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
            options: Vec::new(),
            _folder: None,
        }
    }

    /// A command on this home.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = programs::command("observer");
        command
            .arg("--home")
            .arg(&self.home)
            .args(&self.options)
            .args(arguments)
            .arg("--json");
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.command(arguments).output().expect("observer runs"))
    }

    /// Uses an enrolment link while the server answers.
    #[track_caller]
    pub fn enrol(&self, url: &str) -> Value {
        self.run(&["enrol", url]).json()
    }

    /// Files a report. Answers `report` and `entry`.
    #[track_caller]
    #[must_use]
    pub fn file(&self, arguments: &[&str]) -> Value {
        self.run(&[&["file"], arguments].concat()).json()
    }

    /// Synchronises while the server answers.
    #[track_caller]
    pub fn sync(&self) -> Value {
        self.run(&["sync"]).json()
    }

    /// Starts a command and waits for nothing.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("observer runs");
        reaper::kill_later(child.id());
        Running(Some(child))
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self::new()
    }
}

/// A command that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running(Option<Child>);

impl Running {
    /// Its process.
    ///
    /// # Panics
    /// When it was ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.as_ref().expect("it runs").id()
    }

    /// `kill -9`. What it said before counts: it may have been done.
    ///
    /// # Panics
    /// When it cannot be waited for.
    #[must_use]
    pub fn kill(mut self) -> Ended {
        let mut child = self.0.take().expect("it runs");
        child.kill().ok();
        Self::end(child)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    #[must_use]
    pub fn wait(mut self) -> Ended {
        Self::end(self.0.take().expect("it runs"))
    }

    fn end(child: Child) -> Ended {
        let pid = child.id();
        let output = child.wait_with_output().expect("it ends");
        reaper::ended(pid);
        Ended::of(&output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
            reaper::ended(child.id());
        }
    }
}
