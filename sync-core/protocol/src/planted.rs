//! Faults planted on purpose, to see that the simulator catches them.
//!
//! A hook stands where somebody could make the mistake, and asks [`is`]. Without
//! the feature `planted` that is a constant `false`, and the compiler leaves
//! nothing of the hook; the programs do not compile with it. `make sim-faults`
//! turns on one after the other; the table is in `docs/reliability.md`.

/// Whether faults are compiled in.
pub const COMPILED: bool = cfg!(feature = "planted");

macro_rules! faults {
    ($($name:ident: $where:literal, $words:literal;)+) => {
        /// A planted fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Fault {
            $(#[doc = $words] $name,)+
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Where it is planted.
            #[must_use]
            pub fn place(self) -> &'static str {
                match self { $(Self::$name => $where,)+ }
            }

            /// What it does, in plain words.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)+ }
            }

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

faults! {
    StoreErrorIgnored: "sync-core client", "A report counts as filed although the store refused to write it.";
    ConflictIgnored: "sync-core client", "Two filings take the same place, and the loser counts as filed.";
    FileNotSynced: "sync-core evidence", "An attached file's bytes are not synced before its entry is filed.";
    CursorBeforeItems: "sync-core engine", "The cursor is stored before the items that came with it.";
    NewsUnchecked: "sync-core engine", "A page of news that lost its items on the way counts as empty.";
    ReturnUnnoticed: "sync-core engine", "A history that goes by its old name again is not shown its receipt.";
    SeenReceiptNotKept: "sync-core engine", "The highest receipt of a history is not kept.";
    OldReceiptIgnored: "sync-core client", "The receipt that an earlier version did not name is not looked for.";
    DeliveredUnproved: "sync-core engine", "An entry counts as delivered without a receipt.";
    ForeignReceipt: "protocol", "A receipt under another key is believed.";
    EpochIgnored: "sync-core engine", "A new history of the server goes unnoticed.";
    ReturnedDropped: "sync-core engine", "Decisions are not handed back to a server that lost them.";
    EnrolmentNotReturned: "sync-core engine", "The enrolment is not handed back to a server that lost it.";
    UnknownIgnored: "sync-core engine", "The enrolment is not handed back to a server that does not know the device.";
    RefusedDropped: "sync-core engine", "An entry that was refused is not offered again.";
    StuckDropped: "sync-core engine", "An entry that got a 4xx is not offered again.";
    StuckReturnDropped: "sync-core engine", "What is handed back and got a 4xx is not handed back again.";
    StuckBlocks: "sync-core engine", "What gets a 500 alone ends the run, and nothing behind it is offered.";
    StuckDelivered: "sync-core engine", "An entry that stands alone after bisecting counts as delivered.";
    PoisonBlocks: "sync-core engine", "A batch that is refused is not bisected.";
    ProofBesidePoison: "sync-core engine", "A receipt is only handed in beside what the server answers no request with.";
    TooLargeNotHalved: "sync-core engine", "A batch that is too large is not halved.";
    CriticalLast: "sync-core engine", "Critical reports are sent last.";
    ForkKeepsJournal: "sync-core engine", "After a fork the phone writes on in the same journal.";
    BackoffForgotten: "sync-core engine", "The wait is not kept for the next start.";
    WaitShortened: "sync-core engine", "The phone waits half as long as the server asked.";
    WaitByWallClock: "sync-core engine", "A wait is measured by the wall clock alone.";
    TokenByWallClock: "sync-core engine", "A token's end is judged by the phone's own clock.";
    AssertionByWallClock: "sync-core engine", "The proof for a token is dated by the phone's own clock.";
    PartAssumedTaken: "sync-core engine", "A part of a file whose connection broke counts as taken.";
    BytesDroppedEarly: "sync-core engine", "A file's bytes go once it is complete, durable or not.";
    AckBeforeCommit: "server ingest", "The answer is sent before the commit, which a crash may prevent.";
    DuplicateNotLookedUp: "server ledger", "Entries are appended without looking whether they are there.";
    QuarantinedNotStored: "server ledger", "What is quarantined is answered, and not stored.";
    ChainSkipsQuarantine: "server ledger", "The chain leaves quarantined entries out.";
    ForkNotTold: "server ledger", "Two entries in one place of a journal are not told.";
    HeldNotReleased: "server ledger", "An entry that was held stays held when its base arrives.";
    AmendResetsStatus: "server ledger", "An amendment sets the coordinators' status back.";
    RollbackUnheard: "server epoch", "A receipt that contradicts the database is not heard.";
    ReceiptNotWanted: "server epoch", "The server never asks for the receipt of what it lacks.";
    MessageSkipsOne: "server ledger", "A message does not reach the first of those it is for.";
    CursorSkips: "server ingest", "The cursor goes one decision too far.";
    HashNotVerified: "server evidence", "A complete file is not checked against its hash.";
    DurableTooEarly: "server evidence", "A file is called durable once it is complete.";
}

#[cfg(feature = "planted")]
static NOW: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(u8::MAX);

/// Plants one fault in this process, or none.
#[cfg(feature = "planted")]
pub fn plant(fault: Option<Fault>) {
    let number = fault.map_or(u8::MAX, |fault| fault as u8);
    NOW.store(number, std::sync::atomic::Ordering::SeqCst);
}

/// Whether this fault is planted now.
#[cfg(feature = "planted")]
#[must_use]
pub fn is(fault: Fault) -> bool {
    NOW.load(std::sync::atomic::Ordering::Relaxed) == fault as u8
}

/// Whether this fault is planted now: never, without the feature.
#[cfg(not(feature = "planted"))]
#[inline(always)]
#[must_use]
pub const fn is(_: Fault) -> bool {
    false
}
