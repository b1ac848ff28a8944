//! The programs under test, as cargo built them.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// The folder with the programs: `target/debug` or `target/release`.
///
/// # Panics
/// When the test's own program has no place.
#[must_use]
pub fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let beside = own.parent().expect("it stands in a folder");
    // tests stand in `deps`, one below
    if beside.ends_with("deps") {
        beside.parent().expect("deps has a parent")
    } else {
        beside
    }
    .to_owned()
}

/// One of the programs.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --workspace` first",
        path.display()
    );
    path
}

/// The Python that has the tests' libraries.
///
/// # Panics
/// When `SCRUTINEER_TEST_PYTHON` does not name it.
#[must_use]
pub fn python() -> Command {
    let python = std::env::var_os("SCRUTINEER_TEST_PYTHON").expect(
        "SCRUTINEER_TEST_PYTHON is not set. It names a Python that has tests/python/requirements.txt: run `make test`, or \
         `scripts/setup.sh test` once and then SCRUTINEER_TEST_PYTHON=$PWD/target/venv/bin/python cargo test",
    );
    Command::new(python)
}

/// Node, for the scripts of `tests/node` and their packages.
///
/// # Panics
/// When the packages are not installed.
#[must_use]
pub fn node(script: &str) -> Command {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node");
    assert!(
        folder.join("node_modules/.installed").exists(),
        "the packages of tests/node are missing: run `scripts/setup.sh test` once"
    );
    let mut command = Command::new("node");
    command.arg(folder.join(script));
    without_settings(&mut command);
    command
}

/// One of the scripts of `tests/python`, with [`python`].
#[must_use]
pub fn python_script(name: &str) -> Command {
    let mut command = python();
    command.arg(
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(name),
    );
    without_settings(&mut command);
    command
}

/// A command without what the caller's environment says to Scrutineer.
#[must_use]
pub fn command(name: &str) -> Command {
    let mut command = Command::new(path(name));
    without_settings(&mut command);
    command
}

/// Takes away what the caller's environment says to Scrutineer, and its proxies.
fn without_settings(command: &mut Command) {
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("SCRUTINEER_")
            || text.starts_with("OBSERVER_")
            || text.to_lowercase().ends_with("_proxy")
        {
            command.env_remove(&variable);
        }
    }
    command.stdin(Stdio::null());
}
