//! Some stories of the simulator at every change; `make sim` runs as many as you like.

use tests::sim::{oracle::Broken, run, run_seed, script, shrink};

// No fault is planted in what is tested.
const _: () = assert!(!protocol::planted::COMPILED);

/// Seeds that run at every change.
const SEEDS: std::ops::Range<u64> = 1..31;
/// Seeds that once broke a rule, as long as their stories stay what they are.
const FOUND: [u64; 21] = [
    77, 545, 1869, 1924, 3138, 3691, 3933, 5052, 7178, 10475, 12025, 13478, 14031, 16011, 17133,
    17653, 24734, 27049, 31828, 34169, 52336,
];

#[test]
fn no_story_breaks_a_rule() {
    for seed in SEEDS.chain(FOUND) {
        if let Err(broken) = run_seed(seed) {
            let (setting, steps) = script::story(seed);
            let story = shrink::Story {
                setting,
                steps,
                broken,
            };
            panic!("seed {seed}:\n{}", shrink::shrink(story, 60).told());
        }
    }
}

/// Stories that once broke a rule.
#[test]
fn what_was_found_stays_mended() {
    use script::{Act, Fate, Setting, Step};
    let minute = tests::sim::clock::MINUTE;
    let (phone, nth, severity, length) = (0, 0, 1, 60);
    let setting = Setting {
        seed: 10,
        phones: 1,
        servers: 1,
        length: 240 * minute,
        liveness: true,
        durable: true,
        drop_bytes: true,
    };
    let file = Act::File {
        phone,
        severity,
        length,
    };
    let fate = Fate::CutAnswer(287);
    let bytes = 5_000;
    let stories = [
        // An older database, put in place before any receipt reached the phone: it did
        // not know the device, and nothing could prove that it once had.
        [
            (199, Act::Next { phone, fate }),
            (213, file),
            (215, Act::PutBack { renewed: false }),
        ],
        // A file that the phone let go of, under a database that is older than it.
        [
            (60, file),
            (61, Act::Attach { phone, nth, bytes }),
            (200, Act::PutBack { renewed: true }),
        ],
        // An older database, put in place while an earlier version ran on the phone,
        // which named no receipt that could prove it.
        [
            (60, Act::Version { phone, old: true }),
            (61, file),
            (200, Act::PutBack { renewed: false }),
        ],
    ];
    for story in stories {
        let steps = story.map(|(at, act)| Step {
            at: at * minute,
            act,
        });
        if let Err(broken) = run(setting, &steps) {
            panic!("{broken:?} in {steps:?}");
        }
    }
}

/// A report that only the lost keys open comes by the mission's copy of them.
#[test]
fn what_a_phone_without_keys_packed_arrives() {
    use script::{Act, Fate, Setting, Step};
    let phone = 0;
    let setting = Setting {
        seed: 4,
        phones: 1,
        servers: 1,
        length: 600 * tests::sim::clock::MINUTE,
        liveness: true,
        durable: false,
        drop_bytes: false,
    };
    let file = Act::File {
        phone,
        severity: 1,
        length: 60,
    };
    let fate = Fate::NoRoute;
    let acts = [Act::Next { phone, fate }, file, Act::LoseKeys { phone }];
    let steps = acts.map(|act| Step {
        at: 60 * tests::sim::clock::MINUTE,
        act,
    });
    let told = run(setting, &steps).expect("breaks no rule");
    assert_eq!(told.promised, 1);
    assert_eq!(told.faults.get("phone lost its keys"), Some(&1));
    assert!(told.faults.get("bundle handed in") > Some(&1));
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in [3, 8, 21, 34] {
        let [first, second] = [0, 1].map(|_| run_seed(seed).expect("breaks no rule"));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert!(traces.insert(first.trace), "another seed, another story");
    }
}

#[test]
fn a_crowd_comes_to_rest() {
    let (setting, steps) = script::crowd(1, 60);
    let told = run(setting, &steps).expect("breaks no rule");
    assert_eq!(told.promised, 60);
}

#[test]
fn steps_that_do_not_matter_are_left_out_of_a_story() {
    use script::Act;
    // Broken whenever phones 1 and 4 both file.
    let rule = |_: script::Setting, steps: &[script::Step]| {
        let files = |who: usize| {
            let mut acts = steps.iter().map(|step| step.act);
            acts.any(|act| matches!(act, Act::File { phone, .. } if phone == who))
        };
        let broken = Broken {
            rule: "both",
            what: String::new(),
        };
        if files(1) && files(4) {
            Err(broken)
        } else {
            Ok(())
        }
    };
    let (setting, steps) = script::crowd(2, 9);
    let broken = rule(setting, &steps).expect_err("broken");
    let story = shrink::Story {
        setting,
        steps,
        broken,
    };
    let short = shrink::shrink_with(story, 200, &rule);
    assert_eq!(short.steps.len(), 2, "{}", short.told());
    assert_eq!(short.setting.phones, 5);
    assert!(short.told().contains("phone 4 files a"));
}
