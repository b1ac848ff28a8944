//! Categories: `stage,code,definition[,severity][,label_xx…]`.

use std::collections::BTreeMap;

use protocol::{entry::Severity, limits};

use super::{
    Columns, Field, Progress, Reading, Table, Tally,
    preview::Values,
    take_key,
    value::{NAME_CHARS, Reader},
};
use crate::{
    domain::missions::Mission,
    error::{Error, Result},
    store::{Conn, registers, registers::Category},
};

const LABEL: &str = "label_";

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::new("stage", true),
        Field::new("code", true),
        Field::new("definition", true),
        Field::new("severity", false),
    ]
}

/// The labels that the header or the mapping names.
pub(super) fn label_fields(header: &[String], map: &BTreeMap<String, String>) -> Vec<Field> {
    let in_header = header.iter().map(|name| name.to_lowercase());
    let names: std::collections::BTreeSet<String> = in_header
        .chain(map.keys().cloned())
        .filter(|name| is_label(name))
        .collect();
    names
        .into_iter()
        .map(|name| Field::new(name, false))
        .collect()
}

/// Whether this is `label_` and a language tag (RFC 5646, its common forms).
pub(super) fn is_label(name: &str) -> bool {
    name.strip_prefix(LABEL).is_some_and(|tag| {
        let mut parts = tag.split(['-', '_']);
        let language = parts.next().unwrap_or_default();
        (2..=3).contains(&language.len())
            && language.bytes().all(|byte| byte.is_ascii_alphabetic())
            && parts.all(|part| {
                (2..=8).contains(&part.len())
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
    })
}

/// One row.
pub(super) struct Parsed {
    line: u64,
    stage: String,
    code: String,
    definition: String,
    severity: Option<&'static str>,
    labels: BTreeMap<String, String>,
}

pub(super) fn parse(
    table: &mut Table<'_>,
    columns: &Columns,
    fields: &[Field],
    file: &mut Reading<'_>,
) -> Vec<Parsed> {
    let labels: Vec<(String, Option<usize>)> = fields
        .iter()
        .filter_map(|field| {
            let language = field.name.strip_prefix(LABEL)?.replace('_', "-");
            Some((language, columns.of(&field.name)))
        })
        .collect();
    let mut keys = std::mem::take(&mut file.keys);
    file.rows(table, |row, errors| {
        let mut cells = Reader { row, errors };
        let stage = cells.needed_code(columns.of("stage"), "stage").to_owned();
        let code = cells.needed_code(columns.of("code"), "code").to_owned();
        let definition = cells.needed(columns.of("definition"), "definition", limits::TEXT_CHARS);
        let severity = cells.choice(
            columns.of("severity"),
            "severity",
            &Severity::ALL.map(Severity::name),
        );
        let mut texts = BTreeMap::new();
        for (language, column) in &labels {
            let label = cells.text(*column, "label", NAME_CHARS);
            if !label.is_empty() {
                texts.insert(language.clone(), label);
            }
        }
        if !code.is_empty() {
            take_key(&mut keys, row, columns.of("code"), &code, cells.errors);
        }
        Some(Parsed {
            line: row.line,
            stage,
            code,
            definition,
            severity,
            labels: texts,
        })
    })
}

/// The rows to write.
pub(super) fn plan(
    conn: &mut Conn,
    mission: &Mission,
    columns: &Columns,
    parsed: Vec<Parsed>,
    tally: &mut Tally,
) -> Result<Vec<Category>> {
    let mut known = registers::categories(conn, mission.reference.no)?;
    let mut put = Vec::new();
    for row in parsed {
        let old = known.remove(&row.code);
        let mut severity = row.severity.map(str::to_owned);
        // A language that the file does not have keeps its labels.
        let mut labels = BTreeMap::new();
        if let Some(old) = &old {
            if columns.of("severity").is_none() {
                severity.clone_from(&old.severity);
            }
            let kept: BTreeMap<String, String> =
                serde_json::from_str(&old.labels).unwrap_or_default();
            labels.extend(
                kept.into_iter()
                    .filter(|(language, _)| !has_language(columns, language)),
            );
        }
        labels.extend(row.labels);
        let new = Category {
            mission: mission.reference.no,
            code: row.code,
            stage: row.stage,
            definition: row.definition,
            severity,
            labels: serde_json::to_string(&labels)
                .map_err(|error| Error::Internal(error.to_string()))?,
        };
        if tally.count((row.line, &new.code), old.as_ref(), &new, values) {
            put.push(new);
        }
    }
    tally.note_missing(known.keys());
    Ok(put)
}

/// A row as its file says it.
pub(in crate::domain) fn values(row: &Category) -> Values {
    let labels: BTreeMap<String, String> = serde_json::from_str(&row.labels).unwrap_or_default();
    let own = [
        ("stage", row.stage.clone()),
        ("code", row.code.clone()),
        ("definition", row.definition.clone()),
        ("severity", row.severity.clone().unwrap_or_default()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let labels = labels
        .into_iter()
        .map(|(language, label)| (format!("{LABEL}{language}"), label));
    own.into_iter().chain(labels).collect()
}

pub(super) fn put(conn: &mut Conn, put: Vec<Category>, _: Progress<'_>) -> Result<()> {
    registers::put_categories(conn, &put)?;
    Ok(())
}

fn has_language(columns: &Columns, language: &str) -> bool {
    let plain = format!("{LABEL}{language}");
    columns.of(&plain).is_some() || columns.of(&plain.replace('-', "_")).is_some()
}
