//! Who is on the telephone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::AccreditationId;

/// Whose words a report by telephone has: the clear member `caller` of its `file`. What a
/// citizen says of themselves is disclosed beside it, as `contact`. A kind that this
/// version does not know is not read: nobody could say whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Caller {
    /// An observer of the mission.
    Observer {
        /// By the accreditation's random id.
        accreditation: AccreditationId,
    },
    /// Anybody else.
    Citizen {},
}

impl Caller {
    /// Reads it from a resolved body.
    ///
    /// # Errors
    /// Names the member that cannot be read.
    pub fn from_body(body: &Map<String, Value>) -> Result<Self, &'static str> {
        body.get("caller")
            .and_then(|value| Self::deserialize(value).ok())
            .ok_or("caller")
    }

    /// The accreditation, of an observer.
    #[must_use]
    pub fn accreditation(&self) -> Option<AccreditationId> {
        match self {
            Self::Observer { accreditation } => Some(*accreditation),
            Self::Citizen {} => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(caller: Value) -> Result<Caller, &'static str> {
        let body = json!({ "caller": caller });
        Caller::from_body(body.as_object().expect("an object"))
    }

    #[test]
    fn a_caller_reads_as_written_and_a_strange_one_not_at_all() {
        let id = "0192e7a0-0000-4000-8000-000000000001";
        let observer = json!({ "kind": "observer", "accreditation": id });
        let citizen = json!({ "kind": "citizen" });
        for known in [&observer, &citizen] {
            assert_eq!(json!(read(known.clone()).unwrap()), *known);
        }
        for strange in [
            json!({ "kind": "observer" }),
            json!({ "kind": "citizen", "accreditation": id }),
            json!({ "kind": "party_agent" }),
            json!("citizen"),
            json!(null),
        ] {
            assert_eq!(read(strange), Err("caller"));
        }
    }
}
