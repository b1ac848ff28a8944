//! What has come back since a backup was restored.

use serde_json::json;

use super::{
    Desk,
    out::{Out, table},
};
use crate::{
    domain::recovery::{self, Recovery},
    error::{Error, Result},
};

pub(super) fn show(desk: &Desk, out: Out) -> Result<()> {
    let ended = desk.store.read(recovery::list)?;
    let value = serde_json::to_value(&ended).map_err(|e| Error::Internal(e.to_string()))?;
    if ended.is_empty() {
        return out.answer(
            &json!(value),
            "No backup was restored, and no older database put in place.",
        );
    }
    let rows: Vec<_> = ended.iter().map(row).collect();
    let header = [
        "mission",
        "since",
        "why",
        "backup of",
        "kept",
        "proven",
        "came back",
        "missing",
    ];
    let mut words = table(&header, &rows);
    if ended.iter().any(|one| one.missing_count() > 0) {
        words.push_str(WHAT_IS_MISSING);
    }
    out.answer(&json!(value), &words)
}

/// For whoever reads of missing numbers.
const WHAT_IS_MISSING: &str = "
Missing numbers were given to entries that no phone has brought back so far: reports and
decisions whose phones have not come yet; decisions that no phone had read; revocations,
admissions and erasures, which are on no phone. They cannot be had from here. The log of the
lost server says what each was (`signed for a person`); do again what people did since the
backup. docs/operating.md, \"What happens to phones\".
";

fn row(one: &Recovery) -> Vec<String> {
    let came: Vec<String> = one
        .recovered
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let missing: Vec<String> = one
        .missing
        .iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    vec![
        one.mission.to_string(),
        one.since.clone(),
        one.reason.clone(),
        one.backup_at.clone().unwrap_or_default(),
        one.kept.to_string(),
        one.known.to_string(),
        came.join(", "),
        if missing.is_empty() {
            "nothing known".into()
        } else {
            format!("{}: {}", one.missing_count(), missing.join(", "))
        },
    ]
}
