//! The shortest story that breaks the same rule, and how it is told.

use std::fmt::Write as _;

use super::{
    clock::shown,
    oracle::Broken,
    run,
    script::{Act, Setting, Step},
};

/// A way to run a story.
pub type Runner = dyn Fn(Setting, &[Step]) -> Result<(), Broken>;

/// A story that breaks a rule.
#[derive(Clone, Debug)]
pub struct Story {
    /// What it is about.
    pub setting: Setting,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The rule.
    pub broken: Broken,
}

/// Leaves out steps as long as the same rule is broken: halves, quarters, and so
/// on down to single ones; at most so many tries.
#[must_use]
pub fn shrink(story: Story, tries: usize) -> Story {
    shrink_with(story, tries, &|setting, steps| {
        run(setting, steps).map(drop)
    })
}

/// The same with another way to run a story.
#[must_use]
pub fn shrink_with(mut story: Story, mut tries: usize, run: &Runner) -> Story {
    let mut size = story.steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < story.steps.len() && tries > 0 {
            tries -= 1;
            let mut steps = story.steps.clone();
            steps.drain(at..(at + size).min(steps.len()));
            match run(story.setting, &steps) {
                Err(broken) if broken.rule == story.broken.rule => {
                    story.steps = steps;
                    story.broken = broken;
                    shorter = true;
                }
                _ => at += size,
            }
        }
        if tries == 0 || (size == 1 && !shorter) {
            break;
        }
        size = (size / 2).max(1);
    }
    fewer_phones(story, run)
}

/// Leaves out phones that nothing happens to.
fn fewer_phones(story: Story, run: &Runner) -> Story {
    let used = story.steps.iter().filter_map(|step| step.act.phone()).max();
    let setting = Setting {
        phones: used.map_or(1, |last| last + 1),
        ..story.setting
    };
    match run(setting, &story.steps) {
        Err(broken) if broken.rule == story.broken.rule => Story {
            setting,
            broken,
            ..story
        },
        _ => story,
    }
}

impl Story {
    /// The story in plain words.
    #[must_use]
    pub fn told(&self) -> String {
        let Self {
            setting,
            steps,
            broken,
        } = self;
        let mut text = String::new();
        let _ = writeln!(
            text,
            "  {} phone(s), {} server(s), {} of trouble{}",
            setting.phones,
            setting.servers,
            shown(setting.length),
            if setting.liveness {
                ", then calm"
            } else {
                " to the end"
            },
        );
        for step in steps {
            let _ = writeln!(text, "  {}  {}", shown(step.at), step.act.told());
        }
        let _ = writeln!(text, "  broken: {}: {}", broken.rule, broken.what);
        let _ = writeln!(
            text,
            "  again:  make sim SEEDS=1 SEED_START={}",
            setting.seed
        );
        text
    }
}

impl Act {
    /// The phone that it is about.
    #[must_use]
    pub fn phone(&self) -> Option<usize> {
        match self {
            Self::File { phone, .. }
            | Self::Amend { phone, .. }
            | Self::Withdraw { phone, .. }
            | Self::Answer { phone, .. }
            | Self::CheckIn { phone }
            | Self::Attach { phone, .. }
            | Self::Sync { phone }
            | Self::Next { phone, .. }
            | Self::NextPart { phone, .. }
            | Self::FlipNews { phone, .. }
            | Self::Die { phone, .. }
            | Self::Fail { phone, .. }
            | Self::Reboot { phone }
            | Self::Jump { phone, .. }
            | Self::Clone { phone }
            | Self::Both { phone }
            | Self::Poison { phone, .. }
            | Self::LoseKeys { phone }
            | Self::RefuseReturns { phone, .. }
            | Self::Version { phone, .. }
            | Self::Revoke { phone } => Some(*phone),
            Self::Decide { .. }
            | Self::Limit(_)
            | Self::Crash
            | Self::CrashAfterCommit
            | Self::Down(_)
            | Self::Pressed(_)
            | Self::Backup
            | Self::PutBack { .. }
            | Self::ServerJump(_) => None,
            // With the phone or without it, somebody is told something.
            Self::Tell { phone } => *phone,
        }
    }

    /// What happens, in plain words.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::File {
                phone,
                severity,
                length,
            } => format!(
                "phone {phone} files a {} report of {length} characters",
                ["low", "medium", "high", "critical"][usize::from(*severity) % 4]
            ),
            Self::Amend { phone, nth } => format!("phone {phone} amends its report {nth}"),
            Self::Withdraw { phone, nth } => format!("phone {phone} withdraws its report {nth}"),
            Self::Answer { phone, nth } => {
                format!("phone {phone} answers the question on its report {nth}, if there is one")
            }
            Self::CheckIn { phone } => format!("phone {phone} checks in at a station"),
            Self::Attach { phone, nth, bytes } => {
                format!("phone {phone} attaches {bytes} bytes to its report {nth}")
            }
            Self::Sync { phone } => format!("phone {phone} is asked to sync"),
            Self::Next { phone, fate } => {
                format!("what will happen to a call of phone {phone}: {fate:?}")
            }
            Self::FlipNews { phone, .. } => {
                format!("a bit will be another in the next news of phone {phone}")
            }
            Self::NextPart { phone, fate } => {
                format!("what will happen to a part of a file of phone {phone}: {fate:?}")
            }
            Self::Die { phone, calls, cut } => format!(
                "phone {phone} will {} {} call {calls} to its store",
                if cut.power { "lose power" } else { "be killed" },
                if cut.done { "after" } else { "before" },
            ),
            Self::Fail {
                phone,
                calls,
                trouble,
            } => format!("the next {calls} write(s) of phone {phone} fail: {trouble:?}"),
            Self::Reboot { phone } => format!("phone {phone} loses power and starts anew"),
            Self::Jump { phone, seconds } => {
                format!("the clock of phone {phone} jumps by {seconds} seconds")
            }
            Self::Clone { phone } => format!("phone {phone} is cloned"),
            Self::Both { phone } => format!("phone {phone} files two reports at the same moment"),
            Self::Decide { nth, turn } => {
                format!("a coordinator decides on report {nth} of the ledger (choice {turn})")
            }
            Self::Revoke { phone } => format!("the device of phone {phone} is revoked"),
            Self::Poison { phone, status } => format!(
                "the server will answer {status} to whatever carries the next entry of phone {phone}"
            ),
            Self::Limit(bytes) => {
                format!("a proxy takes no body larger than {bytes} bytes from now on")
            }
            Self::Crash => "the server crashes and starts anew".into(),
            Self::CrashAfterCommit => {
                "the server will crash after the next commit, before it answers".into()
            }
            Self::Down(seconds) => format!("the server is away for {seconds} seconds"),
            Self::Pressed(seconds) => format!("the server is full for {seconds} seconds"),
            Self::Backup => "the database is copied".into(),
            Self::PutBack { renewed: true } => "the copy is restored".into(),
            Self::PutBack { renewed: false } => "the copy is put in place, raw".into(),
            Self::ServerJump(seconds) => {
                format!("the server's clock is off by {seconds} seconds from now on")
            }
            Self::LoseKeys { phone } => {
                format!("the keys of phone {phone} are gone; it packs, and begins anew")
            }
            Self::RefuseReturns {
                phone,
                status,
                times,
            } => format!(
                "the server will answer {status} to {times} requests in which phone {phone} hands something back"
            ),
            Self::Tell { phone: None } => "a coordinator tells everybody something".into(),
            Self::Tell { phone: Some(phone) } => {
                format!("a coordinator tells the observer of phone {phone} something")
            }
            Self::Version { phone, old: true } => {
                format!("phone {phone} is set back to version 0.1.0")
            }
            Self::Version { phone, old: false } => {
                format!("phone {phone} is upgraded to today's version")
            }
        }
    }
}
