//! What the answers to an upload's requests mean. A file stays on the device,
//! whatever they say, and none is in another's way.

use protocol::{
    codes::Code,
    ids::FileHash,
    planted::{Fault, is as planted},
};

use super::{
    Change, Command, Engine, Failure, Waiting,
    files::{CHUNK_LEAST, CHUNK_MOST, Part},
    messages::{ChunkAnswer, UploadState},
};
use crate::{
    host::{Environment, Now},
    journal::files::{FileStanding, Upload},
};

/// Milliseconds that a request shall take, about.
const CHUNK_MILLIS: u64 = 10_000;
/// Answers in one run that a file goes on elsewhere, each without progress.
const CONFLICTS: u32 = 3;

impl Engine {
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
        let durable = state.durable || planted(Fault::BytesDroppedEarly);
        let may_go = whole && durable && answered && one.all_delivered;
        if may_go && self.snapshot.drop_bytes && self.snapshot.here.remove(&file) {
            self.out.push_back(Command::DropBytes(file));
        }
        self.go_on(env);
    }

    /// The file waits, visibly, and is in nobody's way.
    pub(super) fn set_file_aside(
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
        let fitted = fitted(bytes, elapsed(part.began, now), part.length == bytes);
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
        if connected && planted(Fault::PartAssumedTaken) {
            let state = UploadState {
                offset: part.offset + part.length,
                durable: false,
                length: None,
            };
            return self.settle(part.file, state, env);
        }
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
    pub(super) fn heard(&mut self, is: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let waiting = &mut self.run.as_mut()?.waiting_for;
        is(waiting).then(|| std::mem::replace(waiting, Waiting::Nothing))
    }
}

/// How large the next part is to be, after one of this size that took so many
/// milliseconds; it grows only after a full one.
pub(super) fn fitted(bytes: u64, took: u64, full: bool) -> u64 {
    if took > CHUNK_MILLIS * 2 {
        bytes / 2
    } else if took <= CHUNK_MILLIS / 2 && full {
        bytes * 2
    } else {
        bytes
    }
}

/// Milliseconds between two moments; 0 if the clocks do not tell.
pub(super) fn elapsed(from: Now, to: Now) -> u64 {
    match (from.uptime, to.uptime) {
        (Some(then), Some(now)) if from.boot == to.boot => now.saturating_sub(then),
        _ => u64::try_from(to.wall.saturating_sub(from.wall) / 1000).unwrap_or(0),
    }
}
