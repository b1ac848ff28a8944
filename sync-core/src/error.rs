//! What can go wrong, for whoever calls the façade.

use protocol::codes::Code;

use crate::{seal::SealError, store::StoreError};

/// An error of the façade: what kind it is, a stable code, and words for a
/// person.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for is not possible as asked; nothing was changed.
    #[error("{message}")]
    Refused {
        /// Why.
        code: Code,
        /// For a person.
        message: String,
    },
    /// The server said no; everything stays on the device.
    #[error("{message}")]
    Server {
        /// The server's code.
        code: Code,
        /// For a person.
        message: String,
    },
    /// The server was not reached, or something else answered. Everything
    /// stays on the device.
    #[error("{message}")]
    Network {
        /// For a person.
        message: String,
    },
    /// The device could not read or write its own files.
    #[error("{message}")]
    Device {
        /// [`Code::StoreFailed`], [`Code::StoreDamaged`] or [`Code::DataFolderInvalid`].
        code: Code,
        /// For a person.
        message: String,
    },
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. } | Self::Server { code, .. } | Self::Device { code, .. } => {
                *code
            }
            Self::Network { .. } => Code::NetworkFailed,
        }
    }

    pub(crate) fn refused(code: Code, message: impl Into<String>) -> Self {
        Self::Refused {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn device(code: Code, message: impl Into<String>) -> Self {
        Self::Device {
            code,
            message: message.into(),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged(message) => Self::device(
                Code::StoreDamaged,
                format!(
                    "the journal's file is damaged ({message}); it is kept, and salvaged at the next start"
                ),
            ),
            StoreError::Newer => Self::device(
                Code::DataFolderInvalid,
                "these files were written by a newer version of this program; update it",
            ),
            StoreError::Conflict | StoreError::Failed(_) => Self::device(
                Code::StoreFailed,
                format!("the device could not write or read: {error}"),
            ),
        }
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        Self::device(Code::StoreFailed, error.to_string())
    }
}
