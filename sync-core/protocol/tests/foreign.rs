//! Independent libraries read the vectors: Python's sd-jwt, jwcrypto and joserfc, and hashlib.

use std::{path::Path, process::Command};

#[test]
fn independent_libraries_verify_the_vectors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os("SCRUTINEER_TEST_PYTHON").expect(
        "SCRUTINEER_TEST_PYTHON is not set. It names a Python that has tests/python/requirements.txt: \
         run `make test`, or `scripts/setup.sh test` once and then \
         SCRUTINEER_TEST_PYTHON=$PWD/target/venv/bin/python cargo test",
    );
    let output = Command::new(&python)
        .arg(root.join("tests/python/verify_vectors.py"))
        .arg(root.join("tests/vectors"))
        .output()
        .unwrap_or_else(|error| panic!("SCRUTINEER_TEST_PYTHON={}: {error}", python.display()));
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "verify_vectors.py failed:\n{said}{complained}"
    );
    // a script that checked nothing has not passed
    let last = said.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("verified "),
        "verify_vectors.py ended with: {last}\n{complained}"
    );
}
