//! What the bodies of entries say.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ids::FileHash;

/// How grave an observer calls what they saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A flaw that changes nothing.
    Low,
    /// A breach of the rules.
    Medium,
    /// A breach that may change a station's result or harm someone.
    High,
    /// Needs someone now.
    Critical,
}

impl Severity {
    /// All, from low to critical.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl std::str::FromStr for Severity {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.name() == text)
            .ok_or_else(|| format!("`{text}` is not one of low, medium, high, critical"))
    }
}

/// A place on the WGS 84 ellipsoid, in degrees; accuracy in metres (68 %).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Place {
    /// Latitude, −90 to 90.
    pub lat: f64,
    /// Longitude, −180 to 180.
    pub lon: f64,
    /// Radius in metres, where the device tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

impl Place {
    /// Whether the coordinates are on the globe and the accuracy is sensible.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        (-90.0..=90.0).contains(&self.lat)
            && (-180.0..=180.0).contains(&self.lon)
            && self
                .accuracy
                .is_none_or(|metres| metres.is_finite() && metres >= 0.0)
    }
}

/// One field of an amendment.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Patch<T> {
    /// Leave as it was.
    #[default]
    Keep,
    /// Take away (`null` on the wire).
    Clear,
    /// Replace.
    Set(T),
}

impl<T> Patch<T> {
    /// The new value, if one is set.
    pub fn set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Changes the new value, if one is set.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(change(value)),
        }
    }

    /// Writes the change onto a field.
    pub fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }
}

impl<T> From<Option<T>> for Patch<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }
}

/// What a `file` or an `amend` says of a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportFields {
    /// Code of the mission's taxonomy. Clear.
    pub category: Option<String>,
    /// Clear.
    pub severity: Option<Severity>,
    /// The observer's words.
    pub text: Patch<String>,
    /// Station code, as the observer gave it.
    pub station: Patch<String>,
    /// Where the device was.
    pub place: Patch<Place>,
    /// When it happened, as the observer says: RFC 3339.
    pub observed_at: Patch<String>,
}

impl ReportFields {
    /// Splits into clear members and members to disclose.
    #[must_use]
    pub fn to_body(&self) -> (Map<String, Value>, Vec<(&'static str, Value)>) {
        let mut clear = Map::new();
        if let Some(category) = &self.category {
            clear.insert("category".into(), json!(category));
        }
        if let Some(severity) = self.severity {
            clear.insert("severity".into(), json!(severity.name()));
        }
        let mut disclosed = Vec::new();
        push(&mut disclosed, "text", &self.text);
        push(&mut disclosed, "station", &self.station);
        push(&mut disclosed, "place", &self.place);
        push(&mut disclosed, "observed_at", &self.observed_at);
        (clear, disclosed)
    }

    /// Reads a resolved body. A member of the wrong type is an error, because
    /// guessing would change what the observer said; a place beyond the globe is
    /// kept as it came.
    ///
    /// # Errors
    /// Names the first member that cannot be read.
    pub fn from_body(body: &Map<String, Value>) -> Result<Self, &'static str> {
        let text_of = |name: &'static str| match body.get(name) {
            None => Ok(Patch::Keep),
            Some(Value::Null) => Ok(Patch::Clear),
            Some(Value::String(text)) => Ok(Patch::Set(text.clone())),
            Some(_) => Err(name),
        };
        Ok(Self {
            category: text_of("category")?.set().cloned(),
            severity: match text_of("severity")?.set() {
                None => None,
                Some(name) => Some(name.parse().map_err(|_| "severity")?),
            },
            text: text_of("text")?,
            station: text_of("station")?,
            place: match body.get("place") {
                None => Patch::Keep,
                Some(Value::Null) => Patch::Clear,
                Some(value) => Patch::Set(place_of(value)?),
            },
            observed_at: text_of("observed_at")?,
        })
    }
}

/// A list is no place: nobody could tell which number is the latitude.
fn place_of(value: &Value) -> Result<Place, &'static str> {
    if value.is_object() {
        Place::deserialize(value).map_err(|_| "place")
    } else {
        Err("place")
    }
}

fn push<T: Serialize>(out: &mut Vec<(&'static str, Value)>, name: &'static str, patch: &Patch<T>) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => out.push((name, Value::Null)),
        Patch::Set(value) => out.push((name, json!(value))),
    }
}

/// Arriving or leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// The observer is at the station.
    Arrived,
    /// The observer has left it.
    Left,
}

/// What a `check_in` says.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckIn {
    /// Clear.
    pub event: Move,
    /// Disclosed.
    pub station: String,
    /// Disclosed.
    pub place: Option<Place>,
}

impl CheckIn {
    /// Splits into clear members and members to disclose.
    #[must_use]
    pub fn to_body(&self) -> (Map<String, Value>, Vec<(&'static str, Value)>) {
        let mut clear = Map::new();
        clear.insert("event".into(), json!(self.event));
        let mut disclosed = vec![("station", json!(self.station))];
        if let Some(place) = self.place {
            disclosed.push(("place", json!(place)));
        }
        (clear, disclosed)
    }

    /// Reads a resolved body.
    ///
    /// # Errors
    /// Names the first member that cannot be read.
    pub fn from_body(body: &Map<String, Value>) -> Result<Self, &'static str> {
        Ok(Self {
            event: body
                .get("event")
                .and_then(|v| Move::deserialize(v).ok())
                .ok_or("event")?,
            station: body
                .get("station")
                .and_then(Value::as_str)
                .ok_or("station")?
                .to_owned(),
            place: match body.get("place") {
                None | Some(Value::Null) => None,
                Some(value) => Some(place_of(value)?),
            },
        })
    }
}

/// A file by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// SHA-256 of the file.
    pub sha256: FileHash,
    /// Bytes.
    pub size: u64,
    /// Media type (RFC 6838), as the phone knows it. A claim: nobody executes by it.
    pub media_type: String,
}

/// What an `attach` says: the manifest of a file, and of its preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Clear. The original, untouched.
    pub file: FileRef,
    /// Clear. A small picture of it without metadata, made on the phone.
    pub preview: Option<FileRef>,
    /// Disclosed. When it was taken, as the phone knows: RFC 3339.
    pub taken_at: Option<String>,
}

impl Attach {
    /// Splits into clear members and members to disclose.
    #[must_use]
    pub fn to_body(&self) -> (Map<String, Value>, Vec<(&'static str, Value)>) {
        let mut clear = Map::new();
        clear.insert("file".into(), json!(self.file));
        if let Some(preview) = &self.preview {
            clear.insert("preview".into(), json!(preview));
        }
        let taken_at = self.taken_at.as_ref();
        let disclosed = taken_at.map(|at| ("taken_at", json!(at)));
        (clear, disclosed.into_iter().collect())
    }

    /// Reads a resolved body.
    ///
    /// # Errors
    /// Names the first member that cannot be read.
    pub fn from_body(body: &Map<String, Value>) -> Result<Self, &'static str> {
        let file = |name: &'static str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) if value.is_object() => {
                FileRef::deserialize(value).map(Some).map_err(|_| name)
            }
            Some(_) => Err(name),
        };
        Ok(Self {
            file: file("file")?.ok_or("file")?,
            preview: file("preview")?,
            taken_at: match body.get("taken_at") {
                None | Some(Value::Null) => None,
                Some(value) => Some(value.as_str().ok_or("taken_at")?.to_owned()),
            },
        })
    }
}
