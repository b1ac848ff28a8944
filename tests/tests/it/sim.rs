//! Some stories of the simulator at every change; `make sim` runs as many as you like.

use tests::sim::{run, run_seed, script, shrink};

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
    use script::{Act, Step};
    // One step that no world can do, among many that do not matter.
    let (setting, mut steps) = script::crowd(2, 3);
    steps.push(Step {
        at: setting.length,
        act: Act::Sync { phone: 99 },
    });
    let broken = run(setting, &steps).expect_err("there is no phone 99");
    assert_eq!(broken.rule, "I17 no panic");
    let story = shrink::Story {
        setting,
        steps,
        broken,
    };
    let short = shrink::shrink(story, 60);
    assert_eq!(short.steps.len(), 1);
    assert!(short.told().contains("phone 99 is asked to sync"));
    assert!(!protocol::planted::COMPILED);
}
