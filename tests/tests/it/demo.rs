//! The demo, from the beginning to its screen.

use std::process::{Command, Stdio};

use tests::{programs, site::Port};

#[test]
fn the_demo_shows_what_it_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let port = Port::free();
    let output = Command::new(programs::path("demo"))
        .args(["--check", "--port", &port.number.to_string(), "--folder"])
        .arg(folder.path().join("demo"))
        .stdin(Stdio::null())
        .output()
        .expect("the demo runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for words in [
        "70 reports from 22 observers wait",
        "62 decisions, 7 amendments, 3 withdrawals, 4 answers",
        "checked:",
    ] {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
}
