//! Errors as RFC 9457 problem details with a stable code.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::codes::Code;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The header that repeats a problem's code: an answer to `HEAD` has no body.
pub const CODE_HEADER: &str = "scrutineer-code";

/// An error answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:scrutineer:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's meaning, the same for every occurrence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// The stable code to program against.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub code: Code,
    /// What was wrong this time, for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Members that some codes add, such as what changed.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Problem {
    /// A problem with this code.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:scrutineer:problem:{}", code.name()),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            extra: Map::new(),
        }
    }
}
