//! What some stories have besides. Each chapter is drawn from a chance of its own,
//! so that a seed's other steps are the same with it and without it.

use super::{Act, Setting, Step, moment};
use crate::{
    chance::Chance,
    sim::clock::{MINUTE, SECOND, Time},
};

/// Adds the chapters of a story.
pub(super) fn add(setting: &Setting, steps: &mut Vec<Step>) {
    let mut chance = Chance::seeded(setting.seed ^ 0x0001_0000);
    if chance.below(5) == 0 {
        versions(&mut chance, setting, steps);
    }
    let mut chance = Chance::seeded(setting.seed ^ 0x0002_0000);
    if chance.below(3) == 0 {
        messages(&mut chance, setting, steps);
    }
    let mut chance = Chance::seeded(setting.seed ^ 0x0003_0000);
    if chance.below(6) == 0 {
        lost_keys(&mut chance, setting, steps);
    }
    let mut chance = Chance::seeded(setting.seed ^ 0x0004_0000);
    refused_returns(&mut chance, setting, steps);
}

fn some_phone(chance: &mut Chance, setting: &Setting) -> usize {
    usize::try_from(chance.below(setting.phones as u64)).unwrap_or(0)
}

/// A phone is set back to an earlier version, works on as that, and is upgraded;
/// sometimes it had that version from the beginning, or gets it twice.
///
/// What 0.1.0 enrolled cannot be handed back to a database from before that
/// (docs/reliability.md), so no story has both. Half of the phones that see an older
/// database put in place, raw, have the earlier version when it comes, and many go
/// on with it after.
fn versions(chance: &mut Chance, setting: &Setting, steps: &mut Vec<Step>) {
    let history = has_history(steps);
    let raw = steps
        .iter()
        .find(|step| step.act == Act::PutBack { renewed: false })
        .map(|step| step.at);
    for _ in 0..=chance.below(2) {
        let phone = some_phone(chance, setting);
        let raw = raw.filter(|_| chance.below(2) == 0);
        let back = match raw {
            Some(raw) => moment(chance, raw),
            None if chance.below(4) == 0 && !history => 0,
            None => moment(chance, setting.length),
        };
        let span = (setting.length - back).max(MINUTE);
        let again = back + MINUTE + moment(chance, span);
        let again = again.max(raw.filter(|_| chance.below(2) == 0).unwrap_or(0));
        let soon = raw.map_or(span / 8, |raw| raw - back) + SECOND;
        let mut push = |at: Time, act| steps.push(Step { at, act });
        push(back, Act::Version { phone, old: true });
        push(again, Act::Version { phone, old: false });
        for at in [back, again] {
            // Something to lose before and after.
            for severity in [1, 3] {
                let at = at + moment(chance, soon);
                let act = Act::File {
                    phone,
                    severity,
                    length: 80,
                };
                push(at, act);
            }
        }
    }
}

/// Coordinators tell observers something, one or all of them.
fn messages(chance: &mut Chance, setting: &Setting, steps: &mut Vec<Step>) {
    for _ in 0..=chance.below(4) {
        let at = moment(chance, setting.length);
        let one = chance.below(2) == 0;
        let phone = one.then(|| some_phone(chance, setting));
        let act = Act::Tell { phone };
        steps.push(Step { at, act });
    }
}

/// A phone loses its keys, and its observer goes on with others.
fn lost_keys(chance: &mut Chance, setting: &Setting, steps: &mut Vec<Step>) {
    for _ in 0..=chance.below(2) {
        let phone = some_phone(chance, setting);
        let at = moment(chance, setting.length);
        steps.push(Step {
            at,
            act: Act::LoseKeys { phone },
        });
        for after in [-30, -5, 60, 600] {
            let act = Act::File {
                phone,
                severity: 1,
                length: 50,
            };
            let at = (at + after * SECOND).max(0);
            steps.push(Step { at, act });
        }
    }
}

/// After an older database was put in place the server stumbles over what a phone
/// hands back.
fn refused_returns(chance: &mut Chance, setting: &Setting, steps: &mut Vec<Step>) {
    if !has_history(steps) || chance.below(3) > 0 {
        return;
    }
    let act = Act::RefuseReturns {
        phone: some_phone(chance, setting),
        status: *chance.pick(&[400, 413, 422]),
        times: 1 + u32::try_from(chance.below(8)).unwrap_or(0),
    };
    steps.push(Step { at: 0, act });
}

fn has_history(steps: &[Step]) -> bool {
    let mut acts = steps.iter().map(|step| step.act);
    acts.any(|act| matches!(act, Act::PutBack { .. }))
}
