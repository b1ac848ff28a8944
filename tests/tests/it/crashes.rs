//! A few cycles of `make crashes`: `kill -9` of phones and server at random moments,
//! over a link that cuts, delays, repeats and lies.

use tests::{
    chance::Chance,
    crashes::{self, Options},
    database::Kind,
    on_both_databases,
};

on_both_databases!(what_is_acknowledged_outlives_kills);

fn what_is_acknowledged_outlives_kills(kind: Kind) {
    let options = Options {
        cycles: 40,
        check_every: 20,
        phones: 4,
        seed: Chance::new().seed,
        only: None,
    };
    eprintln!("SCRUTINEER_SEED={}", options.seed);
    let tally = crashes::run(kind, &options);
    assert!(tally.is_good(), "{tally:#?}");
    assert!(tally.cycles() >= options.cycles, "{tally:#?}");
    assert!(tally.acknowledged > 0 && tally.files > 0, "{tally:#?}");
}
