//! Tests of the whole. What is where: the harness's documentation (`tests/src/lib.rs`).

#![expect(clippy::print_stderr, reason = "a failing seed must be seen")]

mod attach;
mod bad_input;
mod commands;
mod convergence;
mod crashes;
mod demo;
mod evidence;
mod evidence_bad_input;
mod evidence_s3;
mod exports;
mod foreign_tus;
mod harness;
mod lists;
mod matrix;
mod operation;
mod people;
mod power;
mod rebuilding;
mod recovery;
mod releases;
mod sim;
mod storm;
mod stranger;
