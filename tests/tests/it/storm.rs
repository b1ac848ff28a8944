//! After a shutdown: `make storm` in small. Real engines and the real admission, in
//! virtual time; the server's speed is a model.

use tests::storm::{self, Options};

#[test]
fn a_crowd_comes_back_as_a_queue_and_the_critical_come_first() {
    let options = Options {
        phones: 1_500,
        critical: 2,
        within: 10,
        rate: 12,
        connection: 10_000,
        places: 24,
        seed: 1,
        picture: None,
    };
    let outcome = storm::run(&options);
    assert_eq!(outcome.starved(), 0, "everybody is served");
    let (critical, text) = (&outcome.critical, &outcome.text);
    assert!(critical.len() > 10 && text.len() > 1_000);
    // Two in a hundred wait less than almost everybody else.
    assert!(
        critical.at(1.0) < text.at(0.5),
        "critical {} s, others {} s",
        critical.at(1.0),
        text.at(0.5)
    );
    assert!(
        text.at(1.0) <= outcome.news.at(1.0),
        "reading is what waits"
    );
    // Nobody sends words later than the server needs for them and some reading.
    let alone = options.phones as f64 / options.rate as f64;
    assert!(
        text.at(1.0) < alone * 5.0,
        "{} s, {alone} s alone",
        text.at(1.0)
    );
    // Once the first rush is over, what comes is near what can be served.
    let offered = outcome.offered();
    for (at, ten) in offered.chunks(10).enumerate().skip(6) {
        let mean = f64::from(ten.iter().sum::<u32>()) / 10.0;
        assert!(
            mean < options.rate as f64 * 3.0,
            "{mean} requests a second come after {at}0 s"
        );
    }
    assert!(outcome.turned_away > 0 && outcome.served.iter().sum::<u32>() > 0);
}

#[test]
fn the_same_seed_gives_the_same_curve() {
    let options = Options {
        phones: 200,
        critical: 5,
        within: 5,
        rate: 10,
        connection: 500,
        places: 8,
        seed: 7,
        picture: None,
    };
    let (one, two) = (storm::run(&options), storm::run(&options));
    assert_eq!(one.by_lane, two.by_lane);
    assert_eq!(one.text.at(1.0), two.text.at(1.0));
}
