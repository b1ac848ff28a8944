//! The simulator: phones, network and servers in virtual time, all from one seed.
//!
//! Both ends are production code. A phone is a [`sync_core::Client`] on a store,
//! files, secrets, clocks and a network that are simulated; the server is the
//! whole HTTP service on a real SQLite. Between them go bytes. People's acts and
//! faults come from the seed before a story begins ([`script`]), so that a story
//! that breaks a rule can be told again without the steps that do not matter
//! ([`shrink`]).
//!
//! | module | what it is |
//! |---|---|
//! | [`script`] | a story: steps at their times |
//! | [`world`] | the queue of events, and what each does |
//! | [`phone`] | the production client and its executor |
//! | [`disk`], [`files`], [`pocket`], [`line`], [`clock`] | the parts of a phone: store, files, secrets, network, clocks |
//! | [`old`] | what an earlier version of a phone's program makes of them |
//! | [`lost`] | what a phone without keys packs for the mission |
//! | [`fuse`] | where a phone may die |
//! | [`server`] | the production service on a database that can be copied and put back |
//! | [`restore`] | a backup in a folder, and a database filled from it |
//! | [`oracle`] | what was promised, and what the ledger was seen to hold |
//! | [`checks`] | the invariants |
//! | [`shrink`] | the shortest story that breaks the same rule, in words |

mod bytes;
mod checks;
pub mod clock;
pub mod command;
pub mod disk;
pub mod files;
pub mod fuse;
pub mod line;
mod lost;
mod old;
pub mod oracle;
pub mod phone;
pub mod pocket;
mod restore;
pub mod script;
pub mod server;
pub mod shrink;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use oracle::Broken;
use script::{Setting, Step};
use world::{Tally, World};

/// Runs a story.
///
/// # Errors
/// The rule that it breaks. A panic breaks I17.
pub fn run(setting: Setting, steps: &[Step]) -> Result<Tally, Broken> {
    let told = catch_unwind(AssertUnwindSafe(|| World::new(setting, steps).run()));
    told.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Broken {
            rule: "I17 no panic",
            what: text.unwrap_or_default(),
        })
    })
}

/// Runs the story of a seed.
///
/// # Errors
/// As [`run`].
pub fn run_seed(seed: u64) -> Result<Tally, Broken> {
    let (setting, steps) = script::story(seed);
    run(setting, &steps)
}
