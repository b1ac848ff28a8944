#!/usr/bin/env bash
# Formatting, lints, and the licences, bans, sources and known holes of the dependencies.
# What could not be checked is said; with CI set, only the advisory database may be missing.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "formatting (cargo fmt --check)"
cargo fmt --all --check

step "lints (cargo clippy, warnings are errors)"
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings

step "the console (svelte-check, warnings are errors)"
npm run --silent --prefix server/web check

step "dependencies: licences, bans, sources (cargo deny)"
if ! cargo deny --version >/dev/null 2>&1 && [ -n "${CI:-}" ]; then
  echo "installing cargo-deny, which takes some minutes"
  # built to be had soon, not to run fast
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
    cargo install cargo-deny@0.20.2 --locked --quiet
fi
if ! cargo deny --version >/dev/null 2>&1; then
  echo "NOT CHECKED: licences, bans, sources, advisories. cargo-deny is missing: cargo install cargo-deny --locked"
  exit 0
fi
cargo deny --locked --log-level error check --hide-inclusion-graph licenses bans sources

step "dependencies: known holes (cargo deny, advisories)"
if cargo deny --locked fetch db >target/advisories.log 2>&1; then
  cargo deny --locked check advisories
else
  echo "NOT CHECKED: advisories. The RustSec database could not be fetched (target/advisories.log)"
fi
