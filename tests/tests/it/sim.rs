//! Some stories of the simulator at every change; `make sim` runs as many as you like.

use tests::sim::{oracle::Broken, run, run_seed, script, shrink};

// No fault is planted in what is tested.
const _: () = assert!(!protocol::planted::COMPILED);

/// Seeds that run at every change.
const SEEDS: std::ops::Range<u64> = 1..31;

#[test]
fn no_story_breaks_a_rule() {
    for seed in SEEDS {
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
