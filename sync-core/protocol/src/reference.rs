//! Reference data: a mission's stations and categories as immutable snapshots,
//! and the way from one to the next.
//!
//! A snapshot is a text: a line that names the register, then one line of JSON for
//! each code, in the order of the codes' bytes. Its SHA-256 is its name. Lines are
//! exact texts, as signed texts are: whoever applies a [`Delta`] copies them and
//! writes none anew, so that everybody arrives at the same hash.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{ids::ReferenceHash, limits};

/// The media type of a snapshot.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// What a mission keeps for its observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Register {
    /// What a report may be about.
    Categories,
    /// Where one observes.
    Stations,
}

impl Register {
    /// All, the ones that are small first.
    pub const ALL: [Self; 2] = [Self::Categories, Self::Stations];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Categories => "categories",
            Self::Stations => "stations",
        }
    }

    /// Finds a register by its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|register| register.name() == name)
    }

    /// The first line of its snapshots.
    fn header(self) -> String {
        format!("{{\"register\":\"{}\",\"v\":1}}", self.name())
    }
}

impl std::fmt::Display for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a phone holds of a register. By naming one it asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Holding {
    /// The register; one that the server does not know is not answered.
    pub register: String,
    /// Its snapshot; none yet without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub sha256: Option<ReferenceHash>,
}

/// The newest snapshot of a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Offer {
    /// The register.
    pub register: Register,
    /// Counts the register's versions on this server; for people.
    pub version: u64,
    /// The snapshot's name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub sha256: ReferenceHash,
    /// Bytes of its text.
    pub bytes: u64,
    /// How to make it of what the phone holds, if that is short enough to stand here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Delta>,
    /// What the phone holds, if the difference to that is shorter than the whole and
    /// waits at the snapshot's address with `?from=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub from: Option<ReferenceHash>,
}

/// The way from one snapshot to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delta {
    /// The snapshot that it begins with; without it, one that holds no line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub from: Option<ReferenceHash>,
    /// Lines that are new, or stand in the place of those with the same code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<String>,
    /// Codes whose lines go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

impl Delta {
    /// Bytes of its lines and codes, without what JSON adds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = self.put.iter().chain(&self.removed);
        texts.map(|text| text.len() + 8).sum()
    }
}

/// A text that is no snapshot, or a delta that does not fit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a snapshot of this register, or a delta that does not lead to one")]
pub struct Malformed;

/// One version of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    register: Register,
    lines: BTreeMap<String, String>,
}

impl Snapshot {
    /// One that holds no line.
    #[must_use]
    pub fn empty(register: Register) -> Self {
        Self {
            register,
            lines: BTreeMap::new(),
        }
    }

    /// One of these lines, by their codes.
    #[must_use]
    pub fn of(register: Register, lines: BTreeMap<String, String>) -> Self {
        Self { register, lines }
    }

    /// Reads the text. Order, line ends and first line must be as they should: the
    /// hash names exactly one text.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(register: Register, text: &str) -> Result<Self, Malformed> {
        let body = text
            .strip_prefix(&register.header())
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or(Malformed)?;
        let mut snapshot = Self::empty(register);
        if body.is_empty() {
            return Ok(snapshot);
        }
        for line in body.strip_suffix('\n').ok_or(Malformed)?.split('\n') {
            let code = code_of(line)?;
            let last = snapshot.lines.last_key_value();
            if last.is_some_and(|(last, _)| *last >= code) {
                return Err(Malformed);
            }
            snapshot.lines.insert(code, line.to_owned());
        }
        Ok(snapshot)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let size: usize = self.lines.values().map(|line| line.len() + 1).sum();
        let mut text = self.register.header();
        text.reserve(size + 1);
        text.push('\n');
        for line in self.lines.values() {
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// The name of a text.
    #[must_use]
    pub fn name(text: &str) -> ReferenceHash {
        ReferenceHash(Sha256::digest(text).into())
    }

    /// Which register.
    #[must_use]
    pub fn register(&self) -> Register {
        self.register
    }

    /// The lines by their codes.
    #[must_use]
    pub fn lines(&self) -> &BTreeMap<String, String> {
        &self.lines
    }

    /// Changes it into the next. Whether that is the one which was announced, only
    /// its hash tells.
    ///
    /// # Errors
    /// [`Malformed`]: a line that is none, or a text beyond
    /// [`limits::REFERENCE_BYTES`].
    pub fn apply(&mut self, delta: &Delta) -> Result<(), Malformed> {
        for line in &delta.put {
            self.lines.insert(code_of(line)?, line.clone());
        }
        for code in &delta.removed {
            self.lines.remove(code);
        }
        let size: usize = self.lines.values().map(|line| line.len() + 1).sum();
        if size > limits::REFERENCE_BYTES {
            return Err(Malformed);
        }
        Ok(())
    }

    /// The way from another version to this one.
    #[must_use]
    pub fn since(&self, from: &Self, name: Option<ReferenceHash>) -> Delta {
        Delta {
            from: name,
            put: self
                .lines
                .iter()
                .filter(|(code, line)| from.lines.get(*code) != Some(line))
                .map(|(_, line)| line.clone())
                .collect(),
            removed: from
                .lines
                .keys()
                .filter(|code| !self.lines.contains_key(*code))
                .cloned()
                .collect(),
        }
    }

    /// The stations that can be read; a line of a later version may not.
    pub fn stations(&self) -> impl Iterator<Item = Station> {
        self.lines
            .values()
            .filter_map(|line| serde_json::from_str(line).ok())
    }

    /// The categories that can be read.
    pub fn categories(&self) -> impl Iterator<Item = Category> {
        self.lines
            .values()
            .filter_map(|line| serde_json::from_str(line).ok())
    }
}

/// The code of a line.
fn code_of(line: &str) -> Result<String, Malformed> {
    #[derive(Deserialize)]
    struct Coded {
        code: String,
    }
    if line.contains(['\n', '\r']) || !line.starts_with('{') {
        return Err(Malformed);
    }
    serde_json::from_str::<Coded>(line)
        .map(|coded| coded.code)
        .map_err(|_| Malformed)
}

/// A line of the stations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Station {
    /// Unique in the mission.
    pub code: String,
    /// Code of the location just above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constituency: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constituency_name: Option<String>,
    /// Made up for a demonstration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
    /// Latitude, WGS 84.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// Longitude.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
    /// Its name.
    pub name: String,
    /// Voters registered there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_voters: Option<i64>,
}

/// A line of the categories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Unique in the mission; reports carry it.
    pub code: String,
    /// What belongs to it.
    pub definition: String,
    /// Labels by language (BCP 47).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What to assume if the observer says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Stage of the day.
    pub stage: String,
}

/// Where a snapshot is read.
#[must_use]
pub fn path(register: Register, sha256: &ReferenceHash) -> String {
    format!("/v1/reference/{register}/{sha256}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(lines: &[&str]) -> Snapshot {
        let mut snapshot = Snapshot::empty(Register::Stations);
        let put = lines.iter().map(|line| (*line).to_owned()).collect();
        let delta = Delta {
            put,
            ..Delta::default()
        };
        snapshot.apply(&delta).expect("applies");
        snapshot
    }

    #[test]
    fn a_text_comes_back_as_it_was() {
        let one = snapshot(&[r#"{"code":"b","name":"B"}"#, r#"{"code":"a","name":"\n"}"#]);
        let text = one.text();
        assert_eq!(
            text,
            "{\"register\":\"stations\",\"v\":1}\n{\"code\":\"a\",\"name\":\"\\n\"}\n{\"code\":\"b\",\"name\":\"B\"}\n"
        );
        assert_eq!(Snapshot::parse(Register::Stations, &text), Ok(one));
        let empty = Snapshot::empty(Register::Stations);
        assert_eq!(
            Snapshot::parse(Register::Stations, &empty.text()),
            Ok(empty)
        );
    }

    #[test]
    fn only_the_one_text_is_read() {
        let good = snapshot(&[r#"{"code":"a","name":"A"}"#, r#"{"code":"b","name":"B"}"#]).text();
        let lines: Vec<&str> = good.lines().collect();
        for bad in [
            String::new(),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            good.replace("stations", "categories"),
            good.replace('\n', "\r\n"),
            format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1]),
            format!("{}\n{}\n{}\n", lines[0], lines[1], lines[1]),
            format!("{}\n[\"code\"]\n", lines[0]),
            format!("{}\n{{\"code\":1}}\n", lines[0]),
            format!("\u{feff}{good}"),
        ] {
            assert_eq!(
                Snapshot::parse(Register::Stations, &bad),
                Err(Malformed),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_delta_leads_from_one_to_the_other() {
        let old = snapshot(&[
            r#"{"code":"a","name":"A"}"#,
            r#"{"code":"b","name":"B"}"#,
            r#"{"code":"c","name":"C"}"#,
        ]);
        let new = snapshot(&[
            r#"{"code":"a","name":"A"}"#,
            r#"{"code":"b","name":"B2"}"#,
            r#"{"code":"d","name":"D"}"#,
        ]);
        let delta = new.since(&old, Some(Snapshot::name(&old.text())));
        assert_eq!(delta.put.len(), 2);
        assert_eq!(delta.removed, ["c"]);
        let mut made = old.clone();
        made.apply(&delta).expect("applies");
        assert_eq!(made, new);
        // Twice is once.
        made.apply(&delta).expect("applies");
        assert_eq!(made, new);
        let broken = Delta {
            put: vec!["{\"code\":\"x\"}\n{\"code\":\"y\"}".into()],
            ..Delta::default()
        };
        assert_eq!(made.apply(&broken), Err(Malformed));
    }

    #[test]
    fn registers_have_names() {
        for register in Register::ALL {
            assert_eq!(Register::from_name(register.name()), Some(register));
            assert_eq!(serde_json::json!(register), register.name());
        }
        assert_eq!(Register::from_name("forms"), None);
    }
}
