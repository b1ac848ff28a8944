//! Attaching files, and telling how far they are.

use std::{cell::RefCell, path::PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::ids::{FileHash, SubjectId};
use serde_json::json;
use sync_core::{
    Client,
    client::{Attached, FileProgress, NewFile},
};

use crate::{
    run::{Done, Failure},
    tell::WAITS,
};

/// Attaches one after the other. What was attached before one fails stays, and
/// is told with the error.
pub(crate) async fn attach(
    client: &Client,
    report: SubjectId,
    files: Vec<PathBuf>,
    taken_at: Option<String>,
) -> Result<Done, Failure> {
    let mut done: Vec<Attached> = Vec::new();
    let mut words = String::new();
    for path in files {
        let new = NewFile {
            path,
            taken_at: taken_at.clone(),
        };
        let shown = new.path.display().to_string();
        match client.attach(report, &new).await {
            Ok(attached) => {
                words += &match attached.entry {
                    Some(_) => format!("Attached {shown}; {WAITS}\n"),
                    None => format!("{shown} is attached to this report already.\n"),
                };
                done.push(attached);
            }
            Err(error) => {
                return Err(Failure {
                    error,
                    more: Some(json!({"report": report, "attached": done})),
                });
            }
        }
    }
    Ok(Done {
        json: json!({"report": report, "attached": done}),
        words,
    })
}

/// One bar at a time, on a terminal alone: for the file that is being sent.
pub(crate) struct Bars {
    shown: bool,
    now: RefCell<Option<(FileHash, ProgressBar)>>,
}

impl Bars {
    pub(crate) fn new(shown: bool) -> Self {
        Self {
            shown,
            now: RefCell::new(None),
        }
    }

    pub(crate) fn tell(&self, progress: FileProgress) {
        if !self.shown {
            return;
        }
        let mut now = self.now.borrow_mut();
        let (file, bar) = now.get_or_insert_with(|| (progress.file, bar(progress.size)));
        if *file != progress.file {
            *file = progress.file;
            *bar = self::bar(progress.size);
        }
        bar.set_position(progress.sent);
        if progress.sent == progress.size {
            bar.finish_and_clear();
        }
    }
}

fn bar(size: u64) -> ProgressBar {
    // Draws nothing where standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
