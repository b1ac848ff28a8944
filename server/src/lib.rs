//! Scrutineer's server: one ledger per mission, everything else a projection.
//!
//! `api → domain → store`, never upwards: only `api` knows HTTP, only `store`
//! knows diesel, only [`clock`] asks for the time and for randomness.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod error;
pub mod keys;
pub mod serve;
pub mod store;
