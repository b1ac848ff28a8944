//! The files' lanes: previews, then photos, then the rest, each in parts.
//!
//! A part is a request of its own, and between two parts whatever was filed
//! meanwhile goes first. Before a file's first part in a run the server is asked
//! where it goes on: what it stored is never sent twice, whatever broke. The
//! parts' size follows the link.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{codes::Code, ids::FileHash, limits};

use super::{
    Change, Command, Engine, Failure, Wait, Waiting,
    messages::{ChunkAnswer, UploadState},
};
use crate::{
    host::{self, Environment, Now},
    journal::files::{Announced, FileLane, FileStanding, Upload, announced},
};

/// Bytes of the first part ever.
const CHUNK_FIRST: u64 = 64 * 1024;
/// Parts are never smaller.
pub(super) const CHUNK_LEAST: u64 = 4 * 1024;
/// Parts are never larger: a part is held in memory, and above this the set-up
/// of a request costs next to nothing.
const CHUNK_MOST: u64 = 8 * 1024 * 1024;
const _: () = assert!(CHUNK_MOST <= limits::CHUNK_BYTES);
/// Milliseconds that a request shall take, about.
const CHUNK_MILLIS: u64 = 10_000;
/// Milliseconds after which a lane gets one part, whatever waits above it.
const STARVED: u64 = 30 * 60_000;
/// Delivered files of which one run asks whether they are durable now.
const CONFIRMED: usize = 8;
/// Answers in one run that a file goes on elsewhere, each without progress.
const CONFLICTS: u32 = 3;

/// The files of one run.
#[derive(Debug, Default)]
pub(super) struct FilesRun {
    /// Where each goes on, as the server said in this run.
    at: BTreeMap<FileHash, u64>,
    /// Nothing more in this run: whole, or it waits.
    over: BTreeSet<FileHash>,
    conflicts: BTreeMap<FileHash, u32>,
    /// Began again at 0 in this run.
    restarted: BTreeSet<FileHash>,
    confirmed: usize,
    /// A request broke, and nothing went through since.
    broken: bool,
    /// A token was refused, and another asked for.
    token_again: bool,
    /// No more files in this run.
    pub(super) stopped: bool,
}

/// A part under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    file: FileHash,
    offset: u64,
    length: u64,
    began: Now,
}

impl Engine {
    fn files(&self) -> BTreeMap<FileHash, Announced> {
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

    fn ask_offset(&mut self, file: FileHash, env: &dyn Environment) {
        if let Some(token) = self.file_token(env) {
            self.wait_for(Waiting::Offset(file), Command::AskOffset { file, token });
        }
    }

    /// A token, or the next step towards one.
    fn file_token(&mut self, env: &dyn Environment) -> Option<String> {
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

    fn chunk_bytes(&self) -> u64 {
        let bytes = self.snapshot.sync.chunk_bytes.unwrap_or(CHUNK_FIRST);
        bytes.clamp(CHUNK_LEAST, CHUNK_MOST)
    }

    pub(super) fn on_offset(
        &mut self,
        answer: Result<UploadState, Failure>,
        env: &dyn Environment,
    ) {
        let Some(Waiting::Offset(file)) =
            self.heard(|waiting| matches!(waiting, Waiting::Offset(_)))
        else {
            return;
        };
        match answer {
            Ok(state) => {
                if let Some(run) = &mut self.run {
                    let upload = self.snapshot.uploads.of(&file);
                    let whole = upload.is_some_and(|one| one.standing == FileStanding::Whole);
                    run.files.confirmed += usize::from(whole);
                }
                self.settle(file, state, env);
            }
            Err(failure) => self.on_file_failure(file, failure, env),
        }
    }

    pub(super) fn on_chunk(&mut self, answer: Result<ChunkAnswer, Failure>, env: &dyn Environment) {
        let Some(Waiting::Chunk(part)) = self.heard(|waiting| matches!(waiting, Waiting::Chunk(_)))
        else {
            return;
        };
        let Some(run) = &mut self.run else { return };
        match answer {
            Ok(ChunkAnswer::Taken(state)) => {
                run.report.bytes_sent += state.offset.saturating_sub(part.offset);
                if state.offset > part.offset {
                    run.files.broken = false;
                    run.files.conflicts.remove(&part.file);
                    self.fit_chunk(&part, env.now());
                } else if self.is_conflict_too_many(part.file) {
                    return self.set_file_aside(
                        part.file,
                        FileStanding::NotTaken,
                        Code::OffsetMismatch,
                        env,
                    );
                }
                self.settle(part.file, state, env);
            }
            Ok(ChunkAnswer::GoesOnAt(offset)) => {
                if self.is_conflict_too_many(part.file) {
                    return self.set_file_aside(
                        part.file,
                        FileStanding::NotTaken,
                        Code::OffsetMismatch,
                        env,
                    );
                }
                let durable = false;
                self.settle(
                    part.file,
                    UploadState {
                        offset,
                        durable,
                        length: None,
                    },
                    env,
                );
            }
            Ok(ChunkAnswer::BeginAgain) => {
                if run.files.restarted.insert(part.file) {
                    // Is it this copy, or what came of it?
                    let file = part.file;
                    self.wait_for(Waiting::Verification(file), Command::VerifyFile(file));
                } else {
                    self.set_file_aside(part.file, FileStanding::NotTaken, Code::FileMismatch, env);
                }
            }
            Err(failure) => self.on_part_failure(part, failure, env),
        }
    }

    pub(super) fn on_verified(&mut self, whole: bool, env: &dyn Environment) {
        let Some(Waiting::Verification(file)) =
            self.heard(|waiting| matches!(waiting, Waiting::Verification(_)))
        else {
            return;
        };
        if whole {
            if let Some(run) = &mut self.run {
                run.files.at.insert(file, 0);
            }
            self.go_on(env);
        } else {
            self.set_file_aside(file, FileStanding::Unreadable, Code::FileMismatch, env);
        }
    }

    /// The part could not be read on this device.
    pub(super) fn on_unreadable(&mut self, env: &dyn Environment) {
        if let Some(Waiting::Chunk(part)) =
            self.heard(|waiting| matches!(waiting, Waiting::Chunk(_)))
        {
            self.set_file_aside(
                part.file,
                FileStanding::Unreadable,
                Code::FileUnreadable,
                env,
            );
        }
    }

    fn is_conflict_too_many(&mut self, file: FileHash) -> bool {
        let Some(run) = &mut self.run else {
            return true;
        };
        let conflicts = run.files.conflicts.entry(file).or_insert(0);
        *conflicts += 1;
        *conflicts > CONFLICTS
    }

    /// Takes note of what the server has, and goes on.
    fn settle(&mut self, file: FileHash, state: UploadState, env: &dyn Environment) {
        let Some(one) = self.files().remove(&file) else {
            return self.go_on(env);
        };
        let size = one.file.size;
        if state.offset > size || state.length.is_some_and(|length| length != size) {
            return self.set_file_aside(file, FileStanding::NotTaken, Code::FileMismatch, env);
        }
        let whole = state.offset == size;
        let before = self.snapshot.uploads.of(&file);
        let new = before.is_none_or(|upload| upload.standing != FileStanding::Whole);
        let moved = state.offset > before.map_or(0, |upload| upload.sent);
        let sync = &mut self.snapshot.sync;
        sync.failures = 0;
        // What the server asked for holds on.
        sync.wait = sync.wait.filter(|wait| wait.asked);
        sync.files_failures = 0;
        sync.files_wait = None;
        let answered = if let Some(run) = &mut self.run {
            run.files.at.insert(file, state.offset);
            run.files.broken &= !moved;
            run.files.token_again = false;
            if whole {
                run.files.over.insert(file);
                run.report.files_delivered += usize::from(new);
            }
            run.answered
        } else {
            false
        };
        self.note_upload(Upload {
            file,
            size,
            standing: if whole {
                FileStanding::Whole
            } else {
                FileStanding::Sending
            },
            sent: state.offset,
            durable: whole && state.durable,
            epoch: self.snapshot.sync.epoch,
            code: None,
        });
        // Only under a history that this run has heard of, and said just now.
        let may_go = whole && state.durable && answered && one.all_delivered;
        if may_go && self.snapshot.drop_bytes && self.snapshot.here.remove(&file) {
            self.out.push_back(Command::DropBytes(file));
        }
        self.go_on(env);
    }

    /// The file waits, visibly, and is in nobody's way.
    fn set_file_aside(
        &mut self,
        file: FileHash,
        standing: FileStanding,
        code: Code,
        env: &dyn Environment,
    ) {
        if let Some(run) = &mut self.run {
            run.files.over.insert(file);
        }
        if let Some(one) = self.files().remove(&file) {
            let before = self.snapshot.uploads.of(&file);
            self.note_upload(Upload {
                file,
                size: one.file.size,
                standing,
                sent: before.map_or(0, |upload| upload.sent),
                durable: false,
                epoch: self.snapshot.sync.epoch,
                code: Some(code),
            });
        }
        self.go_on(env);
    }

    fn note_upload(&mut self, upload: Upload) {
        self.snapshot
            .uploads
            .by_file
            .insert(upload.file, upload.clone());
        self.out.push_back(Command::Apply(vec![
            Change::Upload(upload),
            Change::Sync(self.snapshot.sync.clone()),
        ]));
    }

    /// Parts grow while they are quick, and shrink when they are slow.
    fn fit_chunk(&mut self, part: &Part, now: Now) {
        let bytes = self.chunk_bytes();
        let took = elapsed(part.began, now);
        let fitted = if took > CHUNK_MILLIS * 2 {
            bytes / 2
        } else if took <= CHUNK_MILLIS / 2 && part.length == bytes {
            bytes * 2
        } else {
            bytes
        };
        self.snapshot.sync.chunk_bytes = Some(fitted.clamp(CHUNK_LEAST, CHUNK_MOST));
    }

    fn on_part_failure(&mut self, part: Part, failure: Failure, env: &dyn Environment) {
        let too_large = matches!(
            failure,
            Failure::Problem { status: 413, .. }
                | Failure::Network {
                    status: Some(413),
                    ..
                }
        );
        let connected = matches!(
            failure,
            Failure::Network {
                connected: true,
                ..
            }
        );
        if too_large && part.length <= CHUNK_LEAST {
            return self.set_file_aside(part.file, FileStanding::NotTaken, Code::BodyTooLarge, env);
        }
        if too_large || connected {
            // The next may get through where a large one did not.
            let bytes = (part.length / 2).clamp(CHUNK_LEAST, CHUNK_MOST);
            self.snapshot.sync.chunk_bytes = Some(bytes);
        }
        if too_large {
            return self.go_on(env);
        }
        let Some(run) = &mut self.run else { return };
        if connected && !std::mem::replace(&mut run.files.broken, true) {
            // How much of it came through is the server's to say.
            run.files.at.remove(&part.file);
            return self.ask_offset(part.file, env);
        }
        self.on_file_failure(part.file, failure, env);
    }

    fn on_file_failure(&mut self, file: FileHash, failure: Failure, env: &dyn Environment) {
        let Some(run) = &mut self.run else { return };
        match &failure {
            Failure::Problem {
                status: 401, code, ..
            } => {
                self.snapshot.sync.token = None;
                if run.files.token_again {
                    run.report.files_stopped = Some(*code);
                    run.files.stopped = true;
                    return self.go_on(env);
                }
                run.files.token_again = true;
                self.send_token(env);
            }
            Failure::Problem {
                status: 429 | 503, ..
            }
            | Failure::Network { .. } => {
                self.end_with(failure, env);
            }
            // Of the store for files alone: reports still go through.
            Failure::Problem {
                status: 500..=599,
                code,
                retry_after,
                ..
            } => {
                run.report.files_stopped = Some(*code);
                run.files.stopped = true;
                self.snapshot.sync.back_off_files(*retry_after, env);
                self.go_on(env);
            }
            Failure::Problem { status, code, .. } => {
                let standing = if *status == 403 {
                    FileStanding::Waits
                } else {
                    FileStanding::NotTaken
                };
                let code = *code;
                self.set_file_aside(file, standing, code, env);
            }
        }
    }

    /// What was waited for, if it is of the kind that came.
    fn heard(&mut self, is: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let waiting = &mut self.run.as_mut()?.waiting_for;
        is(waiting).then(|| std::mem::replace(waiting, Waiting::Nothing))
    }
}

/// Milliseconds between two moments; 0 if the clocks do not tell.
fn elapsed(from: Now, to: Now) -> u64 {
    match (from.uptime, to.uptime) {
        (Some(then), Some(now)) if from.boot == to.boot => now.saturating_sub(then),
        _ => u64::try_from(to.wall.saturating_sub(from.wall) / 1000).unwrap_or(0),
    }
}
