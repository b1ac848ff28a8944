//! What a `message` says, and to whom.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ids::AccreditationId;

/// Whom a message is for, as codes of the registers. Within one list a single match
/// suffices; stations and constituencies are one list in this; if places and
/// institutions are named, both must match. `accreditations` are added to those. Without
/// any list it is for everybody. One that names what this version does not know is not
/// read: it would reach more than it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// Codes of the locations just above stations: who is assigned to one of their
    /// stations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constituencies: Vec<String>,
    /// Codes of stations: who is assigned to one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stations: Vec<String>,
    /// Institutions: who is sent by one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub institutions: Vec<String>,
    /// Accreditations by their random ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accreditations: Vec<AccreditationId>,
}

impl Audience {
    /// Whether nothing narrows it.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        *self == Self::default()
    }
}

/// A message to observers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Clear.
    pub audience: Audience,
    /// Clear.
    pub urgent: bool,
    /// Disclosed. A line above the text.
    pub title: Option<String>,
    /// Disclosed. `None`: withheld or erased.
    pub text: Option<String>,
}

impl Message {
    /// Splits into clear members and members to disclose.
    #[must_use]
    pub fn to_body(&self) -> (Map<String, Value>, Vec<(&'static str, Value)>) {
        let mut clear = Map::new();
        clear.insert("audience".into(), json!(self.audience));
        if self.urgent {
            clear.insert("urgent".into(), json!(true));
        }
        let title = self.title.as_ref().map(|title| ("title", json!(title)));
        let text = self.text.as_ref().map(|text| ("text", json!(text)));
        (clear, title.into_iter().chain(text).collect())
    }

    /// Reads a resolved body.
    ///
    /// # Errors
    /// Names the first member that cannot be read.
    pub fn from_body(body: &Map<String, Value>) -> Result<Self, &'static str> {
        let text_of = |name: &'static str| match body.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(name),
        };
        let audience = body.get("audience").filter(|value| value.is_object());
        Ok(Self {
            audience: audience
                .and_then(|value| Audience::deserialize(value).ok())
                .ok_or("audience")?,
            urgent: match body.get("urgent") {
                None => false,
                Some(value) => value.as_bool().ok_or("urgent")?,
            },
            title: text_of("title")?,
            text: text_of("text")?,
        })
    }
}
