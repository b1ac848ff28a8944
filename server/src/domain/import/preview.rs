//! What an import changes, counted whole and told a window at a time.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Report;

/// How many of the missing are named to whoever asks for no window.
const MISSING_NAMED: usize = 100;

/// What is to be done with a file.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// Tell what would change; nothing is written.
    Preview(Window),
    /// Write it; if it was previewed, only what was seen then.
    Apply {
        /// What was seen.
        seen: Option<&'a Seen>,
    },
}

/// Which part of each list is told.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first, from 0.
    pub from: usize,
    /// How many.
    pub len: usize,
}

/// What a preview was of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The file's SHA-256, base64url.
    pub sha256: String,
    /// The name of what the register held.
    pub register: String,
}

/// What came of a file.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The counts, and every error.
    pub report: Report,
    /// A window of the changes.
    pub changes: Changes,
    /// What it is of.
    pub seen: Seen,
}

/// A window of what an import changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows that are new.
    pub created: Vec<New>,
    /// Rows that say something new.
    pub updated: Vec<Changed>,
    /// Known and not in the file.
    pub missing: Vec<String>,
}

/// A row that is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct New {
    /// Its line in the file.
    pub line: u64,
    /// Code or number.
    pub key: String,
    /// What it says, by column.
    pub values: BTreeMap<String, String>,
}

/// A row that says something new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Changed {
    /// Its line in the file.
    pub line: u64,
    /// Code or number.
    pub key: String,
    /// What changes.
    pub fields: Vec<FieldChange>,
}

/// One value before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldChange {
    /// The column.
    pub field: String,
    /// What is known.
    pub before: String,
    /// What the file says.
    pub after: String,
}

/// A row's values by column, in the order of the file's form.
pub(super) type Values = Vec<(String, String)>;

/// Counts what changes, and keeps what lies in the window.
pub(super) struct Tally {
    pub(super) report: Report,
    pub(super) changes: Changes,
    window: Window,
}

impl Tally {
    pub(super) fn new(report: Report, task: Task<'_>) -> Self {
        let window = match task {
            Task::Preview(window) => window,
            Task::Apply { .. } => Window { from: 0, len: 0 },
        };
        Self {
            report,
            changes: Changes::default(),
            window,
        }
    }

    /// Counts a row as created, updated or unchanged; answers whether to write it.
    pub(super) fn count<T: PartialEq>(
        &mut self,
        (line, key): (u64, &str),
        old: Option<&T>,
        new: &T,
        values: impl Fn(&T) -> Values,
    ) -> bool {
        let Some(old) = old else {
            if self.shows(self.report.created) {
                self.changes.created.push(New {
                    line,
                    key: key.to_owned(),
                    values: values(new)
                        .into_iter()
                        .filter(|(_, value)| !value.is_empty())
                        .collect(),
                });
            }
            self.report.created += 1;
            return true;
        };
        if old == new {
            self.report.unchanged += 1;
            return false;
        }
        self.update((line, key), || difference(values(old), values(new)));
        true
    }

    /// Counts a row as updated.
    pub(super) fn update(
        &mut self,
        (line, key): (u64, &str),
        fields: impl FnOnce() -> Vec<FieldChange>,
    ) {
        if self.shows(self.report.updated) {
            self.changes.updated.push(Changed {
                line,
                key: key.to_owned(),
                fields: fields(),
            });
        }
        self.report.updated += 1;
    }

    /// Notes which of the known are not in the file.
    pub(super) fn note_missing<'k>(&mut self, known: impl Iterator<Item = &'k String>) {
        let mut missing: Vec<&String> = known.collect();
        missing.sort_unstable();
        self.report.missing_count = u64::try_from(missing.len()).unwrap_or(u64::MAX);
        let named = missing.iter().take(MISSING_NAMED);
        self.report.missing = named.map(|key| (*key).clone()).collect();
        let shown = missing.into_iter().skip(self.window.from);
        self.changes.missing = shown.take(self.window.len).cloned().collect();
    }

    fn shows(&self, at: u64) -> bool {
        let from = self.window.from;
        usize::try_from(at).is_ok_and(|at| at >= from && at - from < self.window.len)
    }
}

/// What differs between two rows of one register.
fn difference(old: Values, new: Values) -> Vec<FieldChange> {
    let mut old: BTreeMap<String, String> = old.into_iter().collect();
    let mut changes: Vec<FieldChange> = new
        .into_iter()
        .map(|(field, after)| FieldChange {
            before: old.remove(&field).unwrap_or_default(),
            field,
            after,
        })
        .collect();
    changes.extend(old.into_iter().map(|(field, before)| FieldChange {
        field,
        before,
        after: String::new(),
    }));
    changes.retain(|change| change.before != change.after);
    changes
}
