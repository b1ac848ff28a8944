//! The files' lanes: previews, then photos, then the rest, each in parts.
//!
//! A part is a request of its own, and between two parts whatever was filed
//! meanwhile goes first. Before a file's first part in a run the server is asked
//! where it goes on: what it stored is never sent twice, whatever broke. The
//! parts' size follows the link.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{codes::Code, ids::FileHash, limits};

use super::{Command, Engine, Wait, Waiting};
use crate::{
    host::{self, Environment, Now},
    journal::files::{Announced, FileLane, FileStanding, announced},
};

/// Bytes of the first part ever.
const CHUNK_FIRST: u64 = 64 * 1024;
/// Parts are never smaller.
pub(super) const CHUNK_LEAST: u64 = 4 * 1024;
/// Parts are never larger: a part is held in memory, and above this the set-up
/// of a request costs next to nothing.
pub(super) const CHUNK_MOST: u64 = 8 * 1024 * 1024;
const _: () = assert!(CHUNK_MOST <= limits::CHUNK_BYTES);
/// Milliseconds after which a lane gets one part, whatever waits above it.
const STARVED: u64 = 30 * 60_000;
/// Delivered files of which one run asks whether they are durable now.
const CONFIRMED: usize = 8;

/// The files of one run.
#[derive(Debug, Default)]
pub(super) struct FilesRun {
    /// Where each goes on, as the server said in this run.
    pub(super) at: BTreeMap<FileHash, u64>,
    /// Nothing more in this run: whole, or it waits.
    pub(super) over: BTreeSet<FileHash>,
    pub(super) conflicts: BTreeMap<FileHash, u32>,
    /// Began again at 0 in this run.
    pub(super) restarted: BTreeSet<FileHash>,
    pub(super) confirmed: usize,
    /// A request broke, and nothing went through since.
    pub(super) broken: bool,
    /// A token was refused, and another asked for.
    pub(super) token_again: bool,
    /// No more files in this run.
    pub(super) stopped: bool,
}

/// A part under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) file: FileHash,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) began: Now,
}

impl Engine {
    pub(super) fn files(&self) -> BTreeMap<FileHash, Announced> {
        let entries = self.snapshot.entries.iter().map(AsRef::as_ref);
        announced(entries, &self.snapshot.deliveries)
    }

    /// Whether a file is to be sent: announced, and not known to be whole.
    fn waits(&self, one: &Announced) -> bool {
        let whole = self.snapshot.uploads.of(&one.file.sha256);
        one.delivered && whole.is_none_or(|upload| upload.standing != FileStanding::Whole)
    }

    /// Whether files wait that need no asking: not those that wait for somebody.
    pub(super) fn files_due(&self) -> bool {
        self.snapshot.send_files
            && self.files().values().any(|one| {
                let upload = self.snapshot.uploads.of(&one.file.sha256);
                let moving = upload.is_none_or(|upload| upload.standing == FileStanding::Sending);
                self.waits(one) && moving && self.snapshot.here.contains(&one.file.sha256)
            })
    }

    /// Files that the server has not wholly.
    pub(super) fn files_pending(&self) -> usize {
        let whole = |one: &Announced| {
            let upload = self.snapshot.uploads.of(&one.file.sha256);
            upload.is_some_and(|upload| upload.standing == FileStanding::Whole)
        };
        self.files().values().filter(|one| !whole(one)).count()
    }

    /// What this run could still send, in the lanes' order.
    fn candidates(&self) -> Vec<Announced> {
        let Some(run) = &self.run else {
            return Vec::new();
        };
        if !self.snapshot.send_files || run.files.stopped {
            return Vec::new();
        }
        let mut found: Vec<Announced> = self
            .files()
            .into_values()
            .filter(|one| self.waits(one) && !run.files.over.contains(&one.file.sha256))
            .collect();
        found.sort_by_key(|one| (one.lane, !one.critical, one.position));
        found
    }

    /// The next step for a file, or the end of the run.
    pub(super) fn next_file(&mut self, env: &dyn Environment) {
        let candidates = self.candidates();
        self.note_starving(&candidates, env.now());
        if let Some(one) = candidates.first() {
            return self.send_part(one, env);
        }
        match self.to_confirm(env) {
            Some(file) => self.ask_offset(file, env),
            None => self.finish(None),
        }
    }

    /// One part of a lane that waited too long, if there is one. Critical
    /// reports go first even then.
    pub(super) fn starving(&mut self, env: &dyn Environment) -> Option<Announced> {
        let run = self.run.as_ref()?;
        if run.plan.next_is_critical() || !run.answered {
            return None;
        }
        self.snapshot.sync.valid_token(env.now())?;
        let candidates = self.candidates();
        self.note_starving(&candidates, env.now());
        let first = candidates.first().map(|one| one.lane);
        let texts = !self.run.as_ref()?.plan.is_empty();
        let since = &self.snapshot.sync.lanes_since;
        candidates.into_iter().rev().find(|one| {
            let waited = since[one.lane as usize].is_some_and(|wait| wait.left(env.now()) == 0);
            waited && (texts || Some(one.lane) != first)
        })
    }

    /// Takes note of since when each lane has had something to send.
    fn note_starving(&mut self, candidates: &[Announced], now: Now) {
        for lane in [FileLane::Preview, FileLane::Photo, FileLane::Other] {
            let since = &mut self.snapshot.sync.lanes_since[lane as usize];
            if candidates.iter().all(|one| one.lane != lane) {
                *since = None;
            } else if since.is_none() {
                *since = Some(Wait::new(STARVED, now));
            }
        }
    }

    /// A file that is with the server, of which more is to be learnt: whether it
    /// is durable, or still is, so that the bytes here may go. Any of them, so
    /// that each has its turn in some run.
    fn to_confirm(&self, env: &dyn Environment) -> Option<FileHash> {
        let run = self.run.as_ref()?;
        let wanted = run.explicit || self.snapshot.drop_bytes;
        let allowed = self.snapshot.send_files && !run.files.stopped && run.answered;
        if !wanted || !allowed || run.files.confirmed >= CONFIRMED {
            return None;
        }
        let open = |one: &Announced| {
            let file = one.file.sha256;
            let may_go = self.snapshot.drop_bytes && self.snapshot.here.contains(&file);
            let upload = self.snapshot.uploads.of(&file);
            let whole = upload.filter(|upload| upload.standing == FileStanding::Whole);
            one.delivered
                && whole.is_some_and(|upload| !upload.durable || may_go)
                && !run.files.over.contains(&file)
        };
        let found: Vec<_> = self.files().into_values().filter(open).collect();
        let last = found.len().checked_sub(1)?;
        let at = usize::try_from(host::between(env, 0, last as u64)).ok()?;
        found.get(at).map(|one| one.file.sha256)
    }

    /// The next part of a file; the server is asked first where it goes on.
    pub(super) fn send_part(&mut self, one: &Announced, env: &dyn Environment) {
        let file = one.file.sha256;
        let Some(run) = &self.run else { return };
        let Some(offset) = run.files.at.get(&file).copied() else {
            return self.ask_offset(file, env);
        };
        if !self.snapshot.here.contains(&file) {
            return self.set_file_aside(file, FileStanding::Unreadable, Code::FileUnreadable, env);
        }
        let Some(token) = self.file_token(env) else {
            return;
        };
        let length = self.chunk_bytes().min(one.file.size.saturating_sub(offset));
        self.snapshot.sync.lanes_since[one.lane as usize] = None;
        let part = Part {
            file,
            offset,
            length,
            began: env.now(),
        };
        self.wait_for(
            Waiting::Chunk(part),
            Command::SendChunk {
                file,
                offset,
                length,
                token,
            },
        );
    }

    pub(super) fn ask_offset(&mut self, file: FileHash, env: &dyn Environment) {
        if let Some(token) = self.file_token(env) {
            self.wait_for(Waiting::Offset(file), Command::AskOffset { file, token });
        }
    }

    /// A token, or the next step towards one.
    pub(super) fn file_token(&mut self, env: &dyn Environment) -> Option<String> {
        if let Some(token) = self.snapshot.sync.valid_token(env.now()) {
            return Some(token.to_owned());
        }
        let run = self.run.as_mut()?;
        // The one for reading may have expired during a long upload.
        if run.token_asked && run.files.token_again {
            self.finish(None);
        } else {
            run.files.token_again = run.token_asked;
            self.send_token(env);
        }
        None
    }

    pub(super) fn chunk_bytes(&self) -> u64 {
        let bytes = self.snapshot.sync.chunk_bytes.unwrap_or(CHUNK_FIRST);
        bytes.clamp(CHUNK_LEAST, CHUNK_MOST)
    }
}
