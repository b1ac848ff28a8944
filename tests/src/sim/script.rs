//! What happens in a story, besides what follows from it: people's acts and
//! faults, each at its time. All of it comes from the seed before the story
//! begins, so that steps can be left out of it.

mod chapters;

use super::{
    clock::{HOUR, MINUTE, SECOND, Time},
    fuse::{Cut, Trouble},
};
use crate::chance::Chance;

/// What becomes of one call of a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and so does its answer.
    Good,
    /// There is no network.
    NoRoute,
    /// It gets lost on its way.
    RequestLost,
    /// It is answered, and the answer gets lost.
    AnswerLost,
    /// It arrives long after the phone gave up.
    Late(u32),
    /// It arrives, and once more after so many seconds.
    Twice(u32),
    /// Only so many thousandths of it arrive.
    CutRequest(u32),
    /// Only so many thousandths of the answer arrive, taken for all of it.
    CutAnswer(u32),
    /// A bit of it is another when it arrives.
    FlipRequest(u32),
    /// A bit of the answer is another when it arrives.
    FlipAnswer(u32),
    /// A captive portal answers.
    Portal,
    /// Something sends it elsewhere.
    Redirect,
    /// Somebody else answers in the server's form, with a receipt of their own.
    Impostor,
    /// A proxy answers with this status, in HTML.
    Proxy(u16),
    /// The server answers with a problem of this status.
    Problem(u16),
}

/// A step of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A report is filed; severity 3 is critical.
    File {
        /// The phone.
        phone: usize,
        /// From 0, low.
        severity: u8,
        /// Characters of its text.
        length: u32,
    },
    /// The phone's n-th report is corrected.
    Amend {
        /// The phone.
        phone: usize,
        /// Which.
        nth: usize,
    },
    /// The phone's n-th report is taken back.
    Withdraw {
        /// The phone.
        phone: usize,
        /// Which.
        nth: usize,
    },
    /// An open question is answered.
    Answer {
        /// The phone.
        phone: usize,
        /// Which report.
        nth: usize,
    },
    /// The observer arrives at a station.
    CheckIn {
        /// The phone.
        phone: usize,
    },
    /// A file is attached to the phone's n-th report.
    Attach {
        /// The phone.
        phone: usize,
        /// Which.
        nth: usize,
        /// Bytes.
        bytes: u32,
    },
    /// Somebody asks for a sync.
    Sync {
        /// The phone.
        phone: usize,
    },
    /// What happens to the phone's next call.
    Next {
        /// The phone.
        phone: usize,
        /// That.
        fate: Fate,
    },
    /// What happens to the phone's next part of a file.
    NextPart {
        /// The phone.
        phone: usize,
        /// That.
        fate: Fate,
    },
    /// A bit is another in the next news that the phone gets: items and cursor.
    FlipNews {
        /// The phone.
        phone: usize,
        /// Which.
        at: u32,
    },
    /// The phone dies at the n-th call to its store from now.
    Die {
        /// The phone.
        phone: usize,
        /// After so many.
        calls: u32,
        /// How.
        cut: Cut,
    },
    /// Writes fail.
    Fail {
        /// The phone.
        phone: usize,
        /// So many.
        calls: u32,
        /// How.
        trouble: Trouble,
    },
    /// The phone starts anew, and its uptime with it.
    Reboot {
        /// The phone.
        phone: usize,
    },
    /// The phone's wall clock jumps.
    Jump {
        /// The phone.
        phone: usize,
        /// By so many seconds.
        seconds: i64,
    },
    /// Another phone gets a copy of everything on this one.
    Clone {
        /// The phone.
        phone: usize,
    },
    /// Two reports are filed at the same moment by two programs on one phone.
    Both {
        /// The phone.
        phone: usize,
    },
    /// A coordinator moves the n-th report on.
    Decide {
        /// Which, of the ledger.
        nth: usize,
        /// Which of the moves that are possible.
        turn: usize,
    },
    /// The server answers no exchange that carries the phone's next entry.
    Poison {
        /// The phone.
        phone: usize,
        /// What it answers instead.
        status: u16,
    },
    /// Something in front of the server takes no larger body than this.
    Limit(u32),
    /// The phone's device is revoked.
    Revoke {
        /// The phone.
        phone: usize,
    },
    /// All servers die and start anew.
    Crash,
    /// The next exchange is the server's last before it dies: after the commit,
    /// before the answer.
    CrashAfterCommit,
    /// No server answers for so many seconds.
    Down(u32),
    /// The servers are full for so many seconds: the lanes below this share wait.
    Pressed(u32),
    /// The database is copied.
    Backup,
    /// The last copy is put in place: by a restore, or raw.
    PutBack {
        /// By a restore.
        renewed: bool,
    },
    /// The server's clock jumps by so many seconds.
    ServerJump(i64),
    /// The phone's keys are gone; its observer packs what is there for the mission
    /// and begins anew.
    LoseKeys {
        /// The phone.
        phone: usize,
    },
    /// The server answers this status to the phone's next requests that hand back
    /// what it signed.
    RefuseReturns {
        /// The phone.
        phone: usize,
        /// The status.
        status: u16,
        /// How many.
        times: u32,
    },
    /// A coordinator tells observers something.
    Tell {
        /// The observer of this phone alone; else everybody.
        phone: Option<usize>,
    },
    /// Another version of the program is put on a phone.
    Version {
        /// The phone.
        phone: usize,
        /// 0.1.0; else today's.
        old: bool,
    },
}

/// A step at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Time,
    /// What.
    pub act: Act,
}

/// What a story is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The seed of everything.
    pub seed: u64,
    /// Phones at the beginning.
    pub phones: usize,
    /// Servers on one database.
    pub servers: usize,
    /// How long people act and things go wrong.
    pub length: Time,
    /// Whether faults end then and all must come to rest.
    pub liveness: bool,
    /// A complete file is durable at once; else once a restore brought it back from a
    /// backup.
    pub durable: bool,
    /// Observers let go of files that are durable.
    pub drop_bytes: bool,
}

/// Which faults a story has.
#[derive(Clone, Copy)]
struct Mix {
    network: bool,
    flips: bool,
    phone: bool,
    clocks: bool,
    clones: bool,
    revocations: bool,
    server: bool,
    history: bool,
    problems: bool,
    files: bool,
}

/// Makes a story of a seed.
#[must_use]
pub fn story(seed: u64) -> (Setting, Vec<Step>) {
    let mut chance = Chance::seeded(seed);
    let phones = match chance.below(20) {
        0 => 10 + usize::try_from(chance.below(41)).unwrap_or(0),
        1..=4 => 4 + usize::try_from(chance.below(5)).unwrap_or(0),
        _ => 1 + usize::try_from(chance.below(3)).unwrap_or(0),
    };
    let length = *chance.pick(&[10 * MINUTE, HOUR, 6 * HOUR, 30 * HOUR]);
    let setting = Setting {
        seed,
        phones,
        servers: if chance.below(4) == 0 { 2 } else { 1 },
        length,
        liveness: chance.below(10) < 8,
        durable: chance.below(2) == 0,
        drop_bytes: chance.below(2) == 0,
    };
    let mut likely = |percent| chance.below(100) < percent;
    let mix = Mix {
        network: likely(85),
        flips: likely(30),
        phone: likely(60),
        clocks: likely(40),
        clones: likely(12),
        revocations: likely(30),
        server: likely(50),
        history: likely(25),
        problems: likely(40),
        files: likely(30),
    };
    let count = 6 + chance.below(30) + (phones as u64) * 2;
    let mut steps: Vec<Step> = (0..count)
        .map(|_| Step {
            at: moment(&mut chance, length),
            act: people(&mut chance, phones, mix),
        })
        .collect();
    if chance.below(6) == 0 {
        burst(&mut chance, phones, length, &mut steps);
    }
    if mix.history {
        for _ in 0..=chance.below(2) {
            let at = moment(&mut chance, length);
            let renewed = chance.below(2) == 0;
            steps.push(Step {
                at,
                act: Act::PutBack { renewed },
            });
        }
    }
    if mix.clones {
        clone(&mut chance, phones, length, &mut steps);
    }
    if mix.clocks && chance.below(3) == 0 {
        jump_in_a_wait(&mut chance, phones, length, &mut steps);
    }
    let faults = chance.below(count) + 2;
    for _ in 0..faults {
        // Faults near people's acts meet more than those in the silence.
        let near = chance.pick(&steps).at;
        let at = near.saturating_sub(i64::try_from(chance.below(20)).unwrap_or(0) * SECOND);
        if let Some(act) = fault(&mut chance, phones, mix) {
            steps.push(Step { at: at.max(0), act });
        }
    }
    chapters::add(&setting, &mut steps);
    steps.sort_by_key(|step| step.at);
    (setting, steps)
}

/// A story of a crowd: a shutdown ends, and all phones come back within a minute,
/// each with a report, to a server that can serve few of them.
#[must_use]
pub fn crowd(seed: u64, phones: usize) -> (Setting, Vec<Step>) {
    let mut chance = Chance::seeded(seed);
    let setting = Setting {
        seed,
        phones,
        servers: 2,
        length: 2 * HOUR,
        liveness: true,
        durable: false,
        drop_bytes: false,
    };
    let mut steps = Vec::new();
    for phone in 0..phones {
        let at = 10 * MINUTE + i64::try_from(chance.below(60)).unwrap_or(0) * SECOND;
        let severity = u8::try_from(chance.below(4)).unwrap_or(0);
        let act = Act::File {
            phone,
            severity,
            length: 120,
        };
        steps.push(Step { at, act });
        if chance.below(4) == 0 {
            let fate = *chance.pick(&[Fate::AnswerLost, Fate::Twice(300), Fate::Portal]);
            let act = Act::Next { phone, fate };
            steps.push(Step { at: at - 1, act });
        }
        if chance.below(50) == 0 {
            let nth = usize::try_from(chance.below(phones as u64)).unwrap_or(0);
            let act = Act::Decide { nth, turn: 0 };
            steps.push(Step {
                at: at + 20 * MINUTE,
                act,
            });
        }
    }
    for minute in [10, 12, 15, 25] {
        let at = minute * MINUTE + 5 * SECOND;
        let act = Act::Pressed(60 + u32::from(minute == 12));
        steps.push(Step { at, act });
    }
    steps.sort_by_key(|step| step.at);
    (setting, steps)
}

fn moment(chance: &mut Chance, length: Time) -> Time {
    i64::try_from(chance.below(u64::try_from(length).unwrap_or(1))).unwrap_or(0)
}

/// The server asks a phone to wait, its clock jumps, and something is filed.
fn jump_in_a_wait(chance: &mut Chance, phones: usize, length: Time, steps: &mut Vec<Step>) {
    const YEARS: i64 = 10 * 365 * 24 * 3_600;
    let phone = usize::try_from(chance.below(phones as u64)).unwrap_or(0);
    let at = moment(chance, length);
    let file = Act::File {
        phone,
        severity: 1,
        length: 40,
    };
    let fate = Fate::Problem(503);
    let seconds = *chance.pick(&[YEARS, -YEARS, 3_600]);
    for (after, act) in [
        (0, Act::Next { phone, fate }),
        (1, file),
        (30, Act::Jump { phone, seconds }),
        (60, file),
    ] {
        let at = at + after * SECOND;
        steps.push(Step { at, act });
    }
}

/// A phone is cloned, and both go on.
fn clone(chance: &mut Chance, phones: usize, length: Time, steps: &mut Vec<Step>) {
    let phone = usize::try_from(chance.below(phones as u64)).unwrap_or(0);
    let at = moment(chance, length * 3 / 4);
    let act = Act::Clone { phone };
    steps.push(Step { at, act });
    for which in [phone, phones, phone, phones] {
        let at = at + MINUTE + moment(chance, length / 4);
        let act = Act::File {
            phone: which,
            severity: 1,
            length: 60,
        };
        steps.push(Step { at, act });
    }
}

/// Many reports of one phone while there is no network.
fn burst(chance: &mut Chance, phones: usize, length: Time, steps: &mut Vec<Step>) {
    let phone = usize::try_from(chance.below(phones as u64)).unwrap_or(0);
    let begin = moment(chance, length);
    let fate = Fate::NoRoute;
    let act = Act::Next { phone, fate };
    steps.push(Step { at: begin, act });
    for report in 0..12 {
        let act = Act::File {
            phone,
            severity: u8::try_from(chance.below(4)).unwrap_or(0),
            length: 20 + u32::try_from(chance.below(200)).unwrap_or(0),
        };
        let at = begin + SECOND + report * SECOND / 20;
        steps.push(Step { at, act });
    }
}

fn people(chance: &mut Chance, phones: usize, mix: Mix) -> Act {
    let index = |chance: &mut Chance, below: u64| usize::try_from(chance.below(below)).unwrap_or(0);
    let phone = index(chance, phones as u64);
    let nth = index(chance, 4);
    match chance.below(100) {
        0..=34 => Act::File {
            phone,
            severity: u8::try_from(chance.below(4)).unwrap_or(0),
            length: if chance.below(12) == 0 {
                3_000
            } else {
                20 + u32::try_from(chance.below(200)).unwrap_or(0)
            },
        },
        35..=44 => Act::Amend { phone, nth },
        45..=47 => Act::Withdraw { phone, nth },
        48..=55 => Act::Answer { phone, nth },
        56..=60 => Act::CheckIn { phone },
        61..=68 if mix.files => Act::Attach {
            phone,
            nth,
            bytes: *chance.pick(&[10, 5_000, 70_000, 200_000]),
        },
        61..=76 => Act::Sync { phone },
        77..=97 => Act::Decide {
            nth: index(chance, 8),
            turn: index(chance, 4),
        },
        98 if mix.revocations => Act::Revoke { phone },
        _ => Act::Both { phone },
    }
}

fn fault(chance: &mut Chance, phones: usize, mix: Mix) -> Option<Act> {
    let phone = usize::try_from(chance.below(phones as u64)).unwrap_or(0);
    let small = |chance: &mut Chance, below: u64| u32::try_from(chance.below(below)).unwrap_or(0);
    let act = match chance.below(100) {
        0..=44 if mix.network => {
            let thousandths = small(chance, 1_000);
            let fate = match chance.below(15) {
                14 => Fate::Impostor,
                0 => Fate::NoRoute,
                1 | 2 => Fate::RequestLost,
                3..=5 => Fate::AnswerLost,
                6 => Fate::Late(300 + small(chance, 4_000)),
                7 | 8 => Fate::Twice(small(chance, 4_000)),
                9 => Fate::CutRequest(thousandths),
                10 => Fate::CutAnswer(thousandths),
                11 => Fate::Portal,
                12 => Fate::Redirect,
                _ => Fate::Proxy(*chance.pick(&[401, 403, 404, 413, 502, 503, 520])),
            };
            if mix.files && chance.below(3) == 0 {
                Act::NextPart { phone, fate }
            } else {
                Act::Next { phone, fate }
            }
        }
        45..=49 if mix.flips => {
            let at = small(chance, u64::from(u32::MAX));
            if chance.below(3) == 0 {
                return Some(Act::FlipNews { phone, at });
            }
            let fate = if chance.below(2) == 0 {
                Fate::FlipRequest(at)
            } else {
                Fate::FlipAnswer(at)
            };
            if mix.files && chance.below(2) == 0 {
                Act::NextPart { phone, fate }
            } else {
                Act::Next { phone, fate }
            }
        }
        50..=52 if mix.problems => Act::Poison {
            phone,
            status: *chance.pick(&[400, 413, 422, 500]),
        },
        53 if mix.problems => Act::Limit(*chance.pick(&[4_500, 6_000])),
        54..=57 if mix.problems => Act::Next {
            phone,
            fate: Fate::Problem(*chance.pick(&[400, 401, 403, 404, 413, 422, 429, 500, 503])),
        },
        58..=71 if mix.phone => Act::Die {
            phone,
            calls: small(chance, 40),
            cut: Cut {
                done: chance.below(2) == 0,
                power: chance.below(2) == 0,
            },
        },
        72..=74 if mix.phone => Act::Fail {
            phone,
            calls: 1 + small(chance, 4),
            trouble: *chance.pick(&[Trouble::Full, Trouble::Broken, Trouble::Doubtful]),
        },
        75..=77 if mix.phone => Act::Reboot { phone },
        78..=81 if mix.clocks => {
            const YEARS: i64 = 10 * 365 * 24 * 3_600;
            Act::Jump {
                phone,
                seconds: *chance.pick(&[YEARS, -YEARS, 3_600, -3_600, -90]),
            }
        }
        83..=85 if mix.server => Act::Crash,
        86..=88 if mix.server => Act::CrashAfterCommit,
        89 | 90 if mix.server => Act::Down(10 + small(chance, 2_000)),
        91 | 92 if mix.server => Act::Pressed(10 + small(chance, 600)),
        93 if mix.server && mix.clocks => Act::ServerJump(*chance.pick(&[-1_800, -60, 60, 1_800])),
        94 | 95 if mix.history => Act::Backup,
        _ => return None,
    };
    Some(act)
}
