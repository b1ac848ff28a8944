//! Scrutineer's tests of the whole: real processes, both databases, and the demo.
//!
//! # How they are organised
//!
//! This library is the harness; the tests stand in `tests/it/`, one binary with
//! a module for each subject, so that it links once.
//!
//! | module | what it gives |
//! |---|---|
//! | [`programs`] | finds `scrutineer` and `observer` beside the test's own program |
//! | [`database`] | a fresh database of either kind, and a dump of its tables |
//! | [`postgres`] | a PostgreSQL of our own in a temporary folder, one a process |
//! | [`site`] | an installation: data folder, database, port; runs commands and the server |
//! | [`observer`] | an observer's home, driven through the real `observer` |
//! | [`phone`] | a phone in the test's own process: signs what a test wants signed, good or bad |
//! | [`console`] | a coordinator who has signed in over HTTP |
//! | [`link`] | a bad network between phones and a server |
//! | [`faults`] | programs on a file system that fails |
//! | [`ledger`] | reads a ledger and checks numbers, chain and every signature |
//! | [`demo_data`] | the files of `tests/data/demo` |
//! | [`upload`] | announces files and sends their bytes, honestly or not |
//! | [`bundle`] | couriers' bundles, good or bad |
//! | [`s3`] | an S3-speaking server of the test's own |
//! | [`bench`] | the measurements of `make bench` |
//! | [`crashes`] | the cycles of `make crashes` |
//! | [`road`] | the measurements of `make road` |
//! | [`sim`] | the simulator: phones, network and servers in virtual time, from one seed |
//! | [`storm`] | all phones coming back at once, in virtual time |
//! | [`wait`], [`chance`], [`reaper`] | deadlines, seeded randomness, and an end to every process started |
//!
//! # How to run them
//!
//! `make test` runs all. While you work: `cargo build --workspace` once (the
//! tests start the real programs), then `cargo nextest run -p tests NAME` or
//! `cargo test -p tests NAME`. A test that touches the database exists twice,
//! as `…::sqlite::NAME` and `…::postgres::NAME`; `NAME` alone runs both.
//!
//! What is random comes from a seed that a failure prints;
//! `SCRUTINEER_SEED=… cargo test …` repeats it. `SCRUTINEER_TEST_PYTHON` names
//! the Python that has `tests/python/requirements.txt`; `make test` sets it.
//!
//! Tests run in parallel, share nothing, and wait for events, never for time.

pub mod bench;
pub mod browser;
pub mod bundle;
pub mod chance;
pub mod console;
pub mod crashes;
pub mod database;
pub mod demo_data;
pub mod faults;
pub mod http;
pub mod ledger;
pub mod link;
pub mod observer;
pub mod phone;
pub mod postgres;
pub mod programs;
pub mod reaper;
pub mod road;
pub mod s3;
pub mod second_factor;
pub mod sim;
pub mod site;
pub mod storm;
pub mod upload;
pub mod wait;

/// Makes two tests of each function of one argument, [`database::Kind`].
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name($crate::database::Kind::Sqlite); })+
        }
        mod postgres {
            $(#[test] fn $name() { super::$name($crate::database::Kind::Postgres); })+
        }
    };
}
