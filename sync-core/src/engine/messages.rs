//! What goes between the engine and whoever drives it.

use std::rc::Rc;

use protocol::{
    codes::Code,
    enrolment, exchange,
    ids::{EntryHash, FileHash, JournalId, ReferenceHash},
    reference::Register,
};
use serde::Serialize;

use super::state::{Identity, SyncState};
use crate::journal::{
    Entry,
    delivery::Delivery,
    files::Upload,
    reference::{Kept, Wanted},
    report::KeptItem,
};

/// What the engine wants done, in this order. Each of the requests is answered
/// by its event; nothing else is wanted before that.
#[derive(Clone, Debug)]
pub enum Command {
    /// Write all of this, durably, before going on.
    Apply(Vec<Change>),
    /// `POST /v1/enrolments`; answer with [`Event::Enrolment`].
    SendEnrolment(enrolment::Request),
    /// `POST /v1/exchange`; answer with [`Event::Exchange`].
    SendExchange {
        /// The request.
        request: Box<exchange::Request>,
        /// The bearer token, if one is held.
        token: Option<String>,
    },
    /// `POST /v1/token`; answer with [`Event::Token`].
    SendToken {
        /// The signed assertion.
        assertion: String,
    },
    /// `HEAD /v1/evidence/{file}`; answer with [`Event::Offset`].
    AskOffset {
        /// The file.
        file: FileHash,
        /// The bearer token.
        token: String,
    },
    /// `PATCH /v1/evidence/{file}` with a part of it; answer with
    /// [`Event::Chunk`], or [`Event::Unreadable`].
    SendChunk {
        /// The file.
        file: FileHash,
        /// Where the part begins.
        offset: u64,
        /// Its bytes.
        length: u64,
        /// The bearer token.
        token: String,
    },
    /// `GET /v1/reference/…`, a part of it; answer with [`Event::Reference`].
    FetchReference {
        /// Which bytes of what.
        fetch: Fetch,
        /// The bearer token.
        token: String,
    },
    /// Read the copy here through; answer with [`Event::Verified`].
    VerifyFile(FileHash),
    /// The bytes of this file may go from this device. Nothing to answer.
    DropBytes(FileHash),
    /// Nothing to do for so many milliseconds; poll again then.
    WakeAfter(u64),
    /// A run is over.
    Finished(Box<SyncReport>),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody asks for a run now, whatever wait is on.
    SyncRequested,
    /// Somebody asks to enrol now, and nothing more.
    EnrolRequested,
    /// An entry was filed, by this process or another. What it attaches is here.
    Filed(Rc<Entry>),
    /// The answer to [`Command::SendEnrolment`].
    Enrolment(Result<Box<enrolment::Response>, Failure>),
    /// The answer to [`Command::SendExchange`].
    Exchange(Result<exchange::Response, Failure>),
    /// The answer to [`Command::SendToken`].
    Token(Result<TokenGrant, Failure>),
    /// The answer to [`Command::AskOffset`].
    Offset(Result<UploadState, Failure>),
    /// The answer to [`Command::SendChunk`].
    Chunk(Result<ChunkAnswer, Failure>),
    /// The part that [`Command::SendChunk`] names cannot be read here.
    Unreadable,
    /// Whether the copy that [`Command::VerifyFile`] names is the file.
    Verified(bool),
    /// The answer to [`Command::FetchReference`].
    Reference(Result<ReferencePart, Failure>),
}

/// Which bytes of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The register.
    pub register: Register,
    /// The snapshot.
    pub sha256: ReferenceHash,
    /// Only the way to it, from this one.
    pub from: Option<ReferenceHash>,
    /// The first byte.
    pub offset: u64,
    /// How many, at most.
    pub length: u64,
    /// Names the bytes of which parts have come; empty before the first.
    pub etag: String,
}

/// A part of reference data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencePart {
    /// Where it begins.
    pub offset: u64,
    /// Bytes in all.
    pub total: u64,
    /// Names all the bytes of which this is a part.
    pub etag: String,
    /// Whether they are gzip.
    pub gzip: bool,
    /// The part.
    pub bytes: Vec<u8>,
}

/// What the server has of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadState {
    /// Bytes from the beginning.
    pub offset: u64,
    /// Bytes in all, if it says.
    pub length: Option<u64>,
    /// Whether the file outlives its disk.
    pub durable: bool,
}

/// What came of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkAnswer {
    /// It was taken, perhaps not wholly.
    Taken(UploadState),
    /// The upload goes on elsewhere.
    GoesOnAt(u64),
    /// What came is not the file: from 0 again.
    BeginAgain,
}

/// A token as the server grants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenGrant {
    /// The token.
    pub access_token: String,
    /// Seconds for which it is valid.
    pub expires_in: u32,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not recognisably this server's answer: nothing, or somebody else's.
    Network {
        /// For a person.
        message: String,
        /// Whether anything may have been sent.
        connected: bool,
        /// The HTTP status, if there was one.
        status: Option<u16>,
    },
    /// The server's own refusal.
    Problem {
        /// HTTP status.
        status: u16,
        /// Its code.
        code: Code,
        /// What it says.
        detail: String,
        /// Seconds that it asks to wait.
        retry_after: Option<u32>,
    },
}

/// Something to write. What is written together is seen together.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The enrolment.
    Identity(Identity),
    /// The state of syncing.
    Sync(SyncState),
    /// The journal that new entries go to.
    CurrentJournal(JournalId),
    /// What became of an entry.
    Delivery(EntryHash, Delivery),
    /// A decision or a message that came.
    Item(EntryHash, KeptItem),
    /// A receipt: its compact JWS.
    Receipt(String),
    /// How a file's upload stands.
    Upload(Upload),
    /// A version of a register, whole.
    Reference(Kept),
    /// What is fetched of a register; nothing any more.
    Wanted(Register, Option<Box<Wanted>>),
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// Entries that are new to the server.
    pub delivered: usize,
    /// Entries that it held already.
    pub already_stored: usize,
    /// Entries that it holds and that wait for an earlier one.
    pub held: usize,
    /// Entries that it holds and a coordinator decides on.
    pub quarantined: usize,
    /// Entries that it did not take; kept.
    pub refused: usize,
    /// Entries that it answers no request with; kept.
    pub stuck: usize,
    /// Entries that are not delivered now, the refused and the stuck included.
    pub pending: usize,
    /// Files that are with the server now, wholly, and were not before.
    pub files_delivered: usize,
    /// Files that the server has not wholly, whatever they wait for.
    pub files_pending: usize,
    /// Bytes of files that the server took.
    pub bytes_sent: u64,
    /// Why no more files were sent although reports went through.
    pub files_stopped: Option<Code>,
    /// The server's own entries that it got back after its history was renewed.
    pub returned: usize,
    /// Decisions that came.
    pub items: usize,
    /// Decisions and messages that came without a good signature and were not believed.
    pub items_rejected: usize,
    /// Messages that came.
    pub messages: usize,
    /// Registers of which a newer version came, wholly.
    pub reference: usize,
    /// Registers of which the server has a newer version that has not come wholly.
    pub reference_pending: usize,
    /// Whether the device is enrolled now.
    pub enrolled: bool,
    /// Whether a new journal was opened, because another device writes into
    /// the old one (a cloned phone).
    pub new_journal: bool,
    /// Whether the server has another history than before (a restored backup).
    pub new_epoch: bool,
    /// Why no decisions could be read although entries were taken.
    pub reading: Option<Code>,
    /// Milliseconds that the server asks to wait before going on.
    pub wait_ms: Option<u64>,
    /// Why the run ended early.
    #[serde(skip)]
    pub ended: Option<Ended>,
}

impl SyncReport {
    /// Adds a later run's report to this one: what was done adds up, how things
    /// stand is the later one's.
    pub fn absorb(&mut self, later: Self) {
        *self = Self {
            delivered: self.delivered + later.delivered,
            already_stored: self.already_stored + later.already_stored,
            held: self.held + later.held,
            quarantined: self.quarantined + later.quarantined,
            files_delivered: self.files_delivered + later.files_delivered,
            bytes_sent: self.bytes_sent + later.bytes_sent,
            returned: self.returned + later.returned,
            items: self.items + later.items,
            items_rejected: self.items_rejected + later.items_rejected,
            messages: self.messages + later.messages,
            reference: self.reference + later.reference,
            new_journal: self.new_journal || later.new_journal,
            new_epoch: self.new_epoch || later.new_epoch,
            ..later
        };
    }
}

/// Why a run ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The code.
    pub code: Code,
    /// For a person.
    pub message: String,
}
