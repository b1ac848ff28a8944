//! Every outcome and error code: one table, stable for ever. A code is never
//! renamed and never reused; `docs/codes.md` is made from this table.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a code appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A problem answer over HTTP, or an error of a command.
    Problem,
    /// The reason of a quarantined entry.
    Quarantine,
    /// The reason of a refused entry.
    Refusal,
}

macro_rules! codes {
    ($($variant:ident $name:literal $place:ident $status:literal $title:literal;)*) => {
        /// A stable code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it stands on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// HTTP status as a problem (200 for what is never one).
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What it means.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Where it appears.
            #[must_use]
            pub fn place(self) -> Place {
                match self { $(Self::$variant => Place::$place,)* }
            }
        }
    };
}

codes! {
    // requests
    MalformedJson "malformed_json" Problem 400 "The body is not well-formed JSON of the expected shape.";
    MalformedQuery "malformed_query" Problem 400 "A query parameter is unknown or has a value that cannot be read.";
    InvalidCursor "invalid_cursor" Problem 400 "The cursor was not made by this server for this query.";
    InvalidValue "invalid_value" Problem 400 "A value is outside what is allowed.";
    TooLong "too_long" Problem 400 "A text is longer than its limit.";
    TooManyEntries "too_many_entries" Problem 413 "More entries than one exchange may carry.";
    BodyTooLarge "body_too_large" Problem 413 "The body is larger than allowed, before or after decompression.";
    UnsupportedMediaType "unsupported_media_type" Problem 415 "The content type or encoding is not supported here.";
    MethodNotAllowed "method_not_allowed" Problem 405 "The method is not offered at this address.";
    NotFound "not_found" Problem 404 "There is nothing here that you may see.";
    UnsupportedProtocol "unsupported_protocol" Problem 400 "The protocol version is not spoken here.";
    // who is asking
    TokenMissing "token_missing" Problem 401 "This needs a bearer token.";
    TokenInvalid "token_invalid" Problem 401 "The token is not one of this server's, or not for this use.";
    TokenExpired "token_expired" Problem 401 "The token has expired; get a new one.";
    TokenRevoked "token_revoked" Problem 401 "The token's device or account may act no more.";
    LoginFailed "login_failed" Problem 401 "The e-mail address or the password is wrong.";
    SecondFactorNeeded "second_factor_needed" Problem 401 "The account has a second factor; send a code of its app, or a recovery code.";
    SecondFactorInvalid "second_factor_invalid" Problem 401 "The code is wrong, or was used already.";
    SecondFactorMissing "second_factor_missing" Problem 403 "This session opens nothing until a second factor is set up.";
    SessionEnded "session_ended" Problem 401 "The session has ended; sign in again.";
    CrossSite "cross_site" Problem 403 "A browser sent this from another site.";
    TooManyAttempts "too_many_attempts" Problem 429 "Too many attempts; wait and try again.";
    MissionChoiceNeeded "mission_choice_needed" Problem 409 "The account belongs to several missions; name one.";
    Forbidden "forbidden" Problem 403 "Your role may not do this.";
    InvalidGrant "invalid_grant" Problem 400 "The assertion does not prove an enrolled, unrevoked device.";
    UnsupportedGrantType "unsupported_grant_type" Problem 400 "Only the JWT bearer grant (RFC 7523) is offered.";
    // enrolment
    EnrolmentCodeUnknown "enrolment_code_unknown" Problem 404 "No such enrolment code.";
    EnrolmentCodeExpired "enrolment_code_expired" Problem 410 "The enrolment code has expired; ask for a new one.";
    EnrolmentCodeUsed "enrolment_code_used" Problem 409 "The enrolment code was used by another device.";
    EnrolmentProofInvalid "enrolment_proof_invalid" Problem 400 "The proof does not show that the device holds its key.";
    KeyNotAccepted "key_not_accepted" Problem 400 "The key is weak, malformed, of another kind, or enrolled already.";
    AccreditationUnknown "accreditation_unknown" Problem 404 "No such accreditation in this mission.";
    AccreditationRevoked "accreditation_revoked" Problem 409 "The accreditation has been revoked.";
    // accounts
    OwnAccount "own_account" Problem 403 "Another lead must change your account.";
    AccountElsewhere "account_elsewhere" Problem 409 "The account has roles elsewhere on this server; only whoever runs it may do this.";
    // decisions
    StaleDecision "stale_decision" Problem 409 "The report has changed since it was read.";
    TransitionNotAllowed "transition_not_allowed" Problem 409 "The report cannot go from its status to that one.";
    AssignedOtherwise "assigned_otherwise" Problem 409 "Somebody else was faster; `assignee` looks after the report now.";
    JoinedOtherwise "joined_otherwise" Problem 409 "The report's case has changed since it was read; `case` is the one it is in now.";
    CaseFull "case_full" Problem 409 "A case holds no more reports than it has.";
    ReasonNeeded "reason_needed" Problem 400 "This decision needs a reason or a question.";
    ReportIdTaken "report_id_taken" Problem 409 "Another report has this id already; `number` is its own.";
    NotByTelephone "not_by_telephone" Problem 409 "Only a report by telephone can be corrected or merged.";
    ReportMerged "report_merged" Problem 409 "The report has been merged into `merged_into`; decide there, or take that back first.";
    MergeNotAllowed "merge_not_allowed" Problem 409 "This report cannot be merged into that one.";
    SamePerson "same_person" Problem 403 "An erasure needs a second person.";
    AlreadyDone "already_done" Problem 409 "This has been done already.";
    ReportUnknown "report_unknown" Problem 404 "No such report in this mission.";
    DeviceUnknown "device_unknown" Problem 404 "No such device in this mission.";
    UserUnknown "user_unknown" Problem 404 "No such account with a role in this mission.";
    EntryUnknown "entry_unknown" Problem 404 "No such entry in this mission.";
    MissionUnknown "mission_unknown" Problem 404 "No such mission.";
    // evidence
    EvidenceUnknown "evidence_unknown" Problem 404 "No entry that you may see announces this file.";
    EvidenceWaits "evidence_waits" Problem 403 "The entry that announces the file is in quarantine; a coordinator has to admit it first.";
    EvidenceIncomplete "evidence_incomplete" Problem 409 "The file has not arrived as a whole yet.";
    OffsetMismatch "offset_mismatch" Problem 409 "The upload does not go on there; `Upload-Offset` says where it does.";
    FileMismatch "file_mismatch" Problem 460 "The bytes that came are not the file that was announced; begin again at 0.";
    TusVersion "tus_version" Problem 412 "Only version 1.0.0 of the tus protocol is spoken here.";
    EvidenceUnavailable "evidence_unavailable" Problem 503 "The files' store cannot be reached now; try again later.";
    RangeNotSatisfiable "range_not_satisfiable" Problem 416 "The file has no such bytes.";
    FileUnreadable "file_unreadable" Problem 400 "The file cannot be read, or changed while it was.";
    // imports
    ColumnMissing "column_missing" Problem 400 "The file lacks a needed column.";
    ValueMissing "value_missing" Problem 400 "A needed value is empty.";
    ValueDuplicate "value_duplicate" Problem 400 "The value must be unique in the file and stands twice.";
    NumberInvalid "number_invalid" Problem 400 "Not a number of the expected form.";
    CoordinateInvalid "coordinate_invalid" Problem 400 "A latitude or longitude is not on the globe, or one of the pair is missing.";
    RowMalformed "row_malformed" Problem 400 "The row cannot be read as CSV in UTF-8, or has another number of fields than the header.";
    StationUnknown "station_unknown" Problem 400 "No such station in this mission.";
    ImportRejected "import_rejected" Problem 400 "The file has errors; nothing was imported.";
    PreviewStale "preview_stale" Problem 409 "The file or the register is not what was previewed; look at what would change once more.";
    // operation
    WeakSecret "weak_secret" Problem 400 "A secret or password is too weak or known to everybody.";
    ConfigurationInvalid "configuration_invalid" Problem 400 "The configuration is not usable.";
    DataFolderInvalid "data_folder_invalid" Problem 400 "The data folder is missing, damaged or not initialised.";
    AlreadyExists "already_exists" Problem 409 "It exists already.";
    ServerRunning "server_running" Problem 409 "A server is running on this data; stop it first.";
    BundleInvalid "bundle_invalid" Problem 400 "The bundle is cut off, damaged or of a form that cannot be read; nothing of it was imported.";
    BundleWrongKey "bundle_wrong_key" Problem 400 "The bundle is sealed to another key than those at hand.";
    BundleWrongMission "bundle_wrong_mission" Problem 409 "The bundle, or this part of it, belongs to another mission than its key.";
    BundleUnknown "bundle_unknown" Problem 404 "No such bundle waits here.";
    BundlesFull "bundles_full" Problem 507 "There is no room for more bundles until those that wait are imported.";
    BackupInvalid "backup_invalid" Problem 400 "The backup is incomplete, damaged or sealed to another key; nothing was changed.";
    BackupRunning "backup_running" Problem 409 "Another backup is being written into the same folder; wait for its end.";
    EvidenceLost "evidence_lost" Problem 500 "Everything else was done, but some files of evidence are missing or damaged; they are named.";
    Overloaded "overloaded" Problem 503 "The server is busy; try again after the time it names.";
    DatabaseUnavailable "database_unavailable" Problem 503 "The database cannot be reached or is full; nothing was changed.";
    Internal "internal" Problem 500 "An error of the server's own; it has been logged.";
    // client
    Usage "usage" Problem 400 "The command was used wrongly.";
    NotEnrolled "not_enrolled" Problem 409 "This home is not enrolled; use an enrolment link first.";
    AlreadyEnrolled "already_enrolled" Problem 409 "This home is enrolled already.";
    LinkInvalid "link_invalid" Problem 400 "The enrolment link is incomplete or damaged.";
    NetworkFailed "network_failed" Problem 503 "The server could not be reached, or something else answered.";
    ServerKeyMismatch "server_key_mismatch" Problem 409 "The server's key is not the one that the enrolment link named.";
    ReceiptInvalid "receipt_invalid" Problem 409 "The server's receipt does not verify; nothing is marked as delivered.";
    StoreDamaged "store_damaged" Problem 500 "The journal's file is damaged; it was moved aside and kept.";
    StoreFailed "store_failed" Problem 500 "The device could not write; nothing was filed.";
    CategoryUnknown "category_unknown" Problem 400 "The category is not in the mission's list on this device; nothing was filed.";
    QuestionNone "question_none" Problem 409 "There is no open question on this report.";
    PassphraseNeeded "passphrase_needed" Problem 401 "The keys of this home are locked; give the passphrase.";
    PassphraseWrong "passphrase_wrong" Problem 401 "The passphrase is wrong; nothing was changed.";
    SecretServiceFailed "secret_service_failed" Problem 503 "The desktop's secret service cannot be reached, or does not hold the key.";
    KeysLost "keys_lost" Problem 409 "The keys of this home are missing; nothing was changed, and it can still be packed for the mission.";
    WipeUnfinished "wipe_unfinished" Problem 409 "A wipe was begun here: the keys are destroyed; wipe once more to finish it.";
    NotConfirmed "not_confirmed" Problem 400 "It was not confirmed; nothing was changed.";
    // entries that the ledger keeps apart until a coordinator decides
    RevokedDevice "revoked_device" Quarantine 200 "The device or its accreditation was revoked before the entry arrived.";
    Unreadable "unreadable" Quarantine 200 "Signed by an enrolled key, but payload or disclosures cannot be read.";
    UnknownVersion "unknown_version" Quarantine 200 "Of a version or kind that this server does not know yet.";
    DisclosureMissing "disclosure_missing" Quarantine 200 "Came without some of its disclosed fields; completed when they come.";
    OverLimit "over_limit" Quarantine 200 "A text or code in it is longer than its limit.";
    WrongMission "wrong_mission" Quarantine 200 "Names another mission than the one its key is enrolled in.";
    ForeignSubject "foreign_subject" Quarantine 200 "Touches a report of another accreditation.";
    OverQuota "over_quota" Quarantine 200 "Announces more bytes than its accreditation may send, or a file larger than allowed.";
    SubjectConflict "subject_conflict" Quarantine 200 "Files a report under an id that is taken already.";
    Overtaken "overtaken" Quarantine 200 "Handed back from an earlier history of the server, but no longer fits what the ledger holds; kept, and counts for nothing.";
    NotProcessable "not_processable" Quarantine 200 "The server failed to process it alone; kept for a person to look at.";
    // entries that are not stored
    BadSignature "bad_signature" Refusal 200 "The signature does not verify.";
    BadAlgorithm "bad_algorithm" Refusal 200 "The algorithm is not the key's own (EdDSA or ES256).";
    WrongType "wrong_type" Refusal 200 "Signed for another use.";
    UnknownKey "unknown_key" Refusal 200 "The key is not enrolled here.";
    MalformedEntry "malformed_entry" Refusal 200 "Not an entry: its parts cannot be decoded.";
    EntryTooLarge "entry_too_large" Refusal 200 "Larger than an entry may be.";
}

impl Code {
    /// Finds a code by its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Code {
    /// A code of a later server reads as [`Code::Internal`]: its place in the
    /// message says what to do, the name only tells a person.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::from_name(&name).unwrap_or(Self::Internal))
    }
}
