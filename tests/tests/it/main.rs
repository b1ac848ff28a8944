//! Tests of the whole. What is where: the harness's documentation (`tests/src/lib.rs`).

#![expect(clippy::print_stderr, reason = "a failing seed must be seen")]

mod attach;
mod bad_input;
mod cases;
mod commands;
mod console;
mod convergence;
mod courier;
mod crashes;
mod demo;
mod evidence;
mod evidence_backup;
mod evidence_bad_input;
mod evidence_s3;
mod exports;
mod foreign_tus;
mod harness;
mod lists;
mod live;
mod matrix;
mod messages;
mod mission_desk;
mod observers;
mod operation;
mod people;
mod power;
mod rebuilding;
mod recovery;
mod reference;
mod releases;
mod room;
mod sealed_home;
mod secret_service;
mod sim;
mod storm;
mod stranger;
mod telephone;
