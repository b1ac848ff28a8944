//! The files of `tests/data/demo`: public claims as sample data.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The folder.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/demo")
}

/// One of the two elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// 7 February 2024.
    Presidential,
    /// 1 September 2024.
    Parliamentary,
}

impl Election {
    /// The name of its file, without the ending.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Presidential => "presidential",
            Self::Parliamentary => "parliamentary",
        }
    }

    /// Its name.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Presidential => "Presidential election, 7 February 2024",
            Self::Parliamentary => "Parliamentary election, 1 September 2024",
        }
    }

    /// What observers and coordinators do, in order.
    ///
    /// # Panics
    /// When the file cannot be read.
    #[must_use]
    pub fn acts(self) -> Vec<Act> {
        let path = folder().join(self.file()).with_extension("jsonl");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }
}

/// One line.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// A new report.
    File(Filing),
    /// The whole new text.
    Amend {
        /// Which report.
        incident: String,
        /// The text.
        text: String,
    },
    /// The observer takes it back.
    Withdraw {
        /// Which report.
        incident: String,
        /// Why.
        reason: String,
    },
    /// The observer answers the open question.
    Answer {
        /// Which report.
        incident: String,
        /// What they say.
        text: String,
    },
    /// A coordinator decides.
    Decide {
        /// Which report.
        incident: String,
        /// The new status.
        to: String,
        /// Why.
        reason: Option<String>,
        /// What the observer is asked.
        question: Option<String>,
    },
}

/// A new report.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Filing {
    /// Its name in the sources.
    pub incident: String,
    /// Who files it: an accreditation's number.
    pub observer: String,
    /// What.
    pub category: String,
    /// How grave; the category's default if not given.
    pub severity: Option<String>,
    /// Where.
    pub station: Option<String>,
    /// What was seen.
    pub text: String,
    /// When.
    pub at: Option<String>,
    /// Where the device was.
    pub lat: Option<f64>,
    /// Where the device was.
    pub lon: Option<f64>,
    /// How exactly.
    pub accuracy: Option<f64>,
}

impl Act {
    /// Which report it is about.
    #[must_use]
    pub fn incident(&self) -> &str {
        match self {
            Self::File(filing) => &filing.incident,
            Self::Amend { incident, .. }
            | Self::Withdraw { incident, .. }
            | Self::Answer { incident, .. }
            | Self::Decide { incident, .. } => incident,
        }
    }
}

impl Filing {
    /// The arguments of `observer file`.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "--category".to_owned(),
            self.category.clone(),
            "--text".into(),
            self.text.clone(),
        ];
        let mut add = |name: &str, value: Option<String>| {
            // `--lon=-1.5`: a value may begin with a hyphen.
            arguments.extend(value.map(|value| format!("--{name}={value}")));
        };
        add("severity", self.severity.clone());
        add("station", self.station.clone());
        add("at", self.at.clone());
        add("lat", self.lat.map(|number| number.to_string()));
        add("lon", self.lon.map(|number| number.to_string()));
        add("accuracy", self.accuracy.map(|number| number.to_string()));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        for election in [Election::Presidential, Election::Parliamentary] {
            let acts = election.acts();
            let filed: Vec<&str> = acts
                .iter()
                .filter(|act| matches!(act, Act::File(_)))
                .map(Act::incident)
                .collect();
            assert!(filed.len() >= 25);
            assert!(acts.iter().all(|act| filed.contains(&act.incident())));
        }
    }
}
