//! The server's one error. Outside `api` nothing knows HTTP: a refusal carries
//! its stable code, and `api::error` and `cli` put it in their form.

use protocol::codes::Code;
use serde_json::{Map, Value};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that the caller can understand and act on.
    #[error("{code}: {detail}")]
    Refused {
        /// The stable code.
        code: Code,
        /// For a person.
        detail: String,
        /// Members that the code adds.
        extra: Map<String, Value>,
    },
    /// The database said no.
    #[error("database: {0}")]
    Database(#[from] diesel::result::Error),
    /// No connection could be had.
    #[error("database connection: {0}")]
    Connection(String),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
    /// The store of files said no, or cannot be reached.
    #[error("evidence: {0}")]
    Objects(#[from] object_store::Error),
    /// Something that must not happen did.
    #[error("internal: {0}")]
    Internal(String),
}

/// The result of nearly everything.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A refusal.
    #[must_use]
    pub fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused {
            code,
            detail: detail.into(),
            extra: Map::new(),
        }
    }

    /// Adds a member to a refusal.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Self::Refused { extra, .. } = &mut self {
            extra.insert(name.to_owned(), value.into());
        }
        self
    }

    /// An error with a file.
    pub fn io(path: impl AsRef<std::path::Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().display().to_string();
        move |error| Self::Io(path, error)
    }

    /// The stable code. What is not a refusal is a failure of the database or
    /// of the server itself, and its words are for the log only.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Connection(_) => Code::DatabaseUnavailable,
            Self::Database(error) if is_unavailable(error) => Code::DatabaseUnavailable,
            Self::Objects(_) => Code::EvidenceUnavailable,
            Self::Database(_) | Self::Io(..) | Self::Internal(_) => Code::Internal,
        }
    }
}

/// Whether the database cannot serve anybody now, as against disliking one
/// statement: only the latter may condemn an entry to quarantine.
#[must_use]
pub fn is_unavailable(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind as Kind, Error as E};
    match error {
        E::DatabaseError(
            Kind::ClosedConnection
            | Kind::UnableToSendCommand
            | Kind::SerializationFailure
            | Kind::ReadOnlyTransaction,
            _,
        ) => true,
        E::DatabaseError(Kind::Unknown, info) => {
            let message = info.message();
            [
                "disk",
                "full",
                "I/O",
                "locked",
                "busy",
                "readonly",
                "read-only",
                "connection",
                "shutting down",
                "terminating",
                "no space",
                "out of memory",
                "malformed",
                "deadlock",
                "too many clients",
                "starting up",
            ]
            .iter()
            .any(|word| message.contains(word))
        }
        E::BrokenTransactionManager | E::RollbackErrorOnCommit { .. } => true,
        _ => false,
    }
}
