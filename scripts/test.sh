#!/usr/bin/env bash
# The whole test run, on SQLite and PostgreSQL. The tests start their own PostgreSQL in a
# temporary folder; no service is needed.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

if [ -x target/venv/bin/python ]; then
  export SCRUTINEER_TEST_PYTHON="$PWD/target/venv/bin/python"
fi

# All targets, so that the tests which start `scrutineer` and `observer` find them.
step "building the programs and the tests"
cargo build --workspace --all-targets --locked --quiet

step "examples in the documentation"
cargo test --workspace --doc --locked --quiet

if cargo nextest --version >/dev/null 2>&1; then
  step "tests (cargo nextest)"
  exec cargo nextest run --workspace --locked --no-fail-fast "$@"
fi
step "tests (cargo test; with cargo-nextest installed it is quicker)"
exec cargo test --workspace --all-targets --locked --no-fail-fast "$@"
