//! What a coordinator needs until the console comes.

use protocol::{codes::Code, encoding::b64, entry::SdJwt};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    COORDINATORS, Desk, LEADS, actor,
    args::{Actor, Erasure, InMission, Quarantine, Report},
    out::{Out, shorten, table},
    people::id,
};
use crate::{
    clock::Micros,
    domain::{
        acts::{self, Decision},
        erasure as erasures,
        evidence::Evidence,
        export::{self, Format, Options, Record},
    },
    error::{Error, Result},
    store::{bulk, ledger::EntryRow, quarantine as waiting},
};

pub(super) fn report(desk: &Desk, command: Report, out: Out) -> Result<()> {
    match command {
        Report::List {
            mission,
            limit,
            before,
            which,
        } => {
            let mission = desk.mission(mission)?;
            let options = Options {
                filter: which.filter()?.for_lists(),
                ..Options::new(Format::JsonLines)
            };
            let mut records = desk.store.read(|conn| {
                export::page(conn, desk.office(), &mission, &options, before, limit + 1)
            })?;
            let full = i64::try_from(records.len()).is_ok_and(|count| count > limit);
            if full {
                records.pop();
            }
            let next = records.last().filter(|_| full).map(|record| record.number);
            list(&records, next, out)
        }
        Report::Show { report, mission } => {
            let mission = desk.mission(mission)?;
            let found = desk
                .store
                .read(|conn| export::one(conn, desk.office(), &mission, report, false))?;
            let found = found.ok_or_else(|| unknown(report))?;
            out.answer(&found, &show(&found))
        }
        Report::Decide {
            report,
            mission,
            actor,
            to,
            version,
            reason,
            question,
        } => {
            let wish = Wish {
                to,
                version,
                reason,
                question,
            };
            decide(desk, report, mission, &actor, wish, out)
        }
    }
}

fn unknown(report: Uuid) -> Error {
    Error::refused(
        Code::ReportUnknown,
        format!("there is no report {report} in this mission"),
    )
}

fn list(records: &[Record], next: Option<i64>, out: Out) -> Result<()> {
    let value: Vec<_> = records
        .iter()
        .map(|record| Value::Object(record.to_json(false)))
        .collect();
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            let mut status = record.status.clone();
            for (is, word) in [
                (record.withdrawn, "withdrawn"),
                (record.erased, "erased"),
                (record.caller.is_some(), "by telephone"),
                (record.merged_into.is_some(), "merged"),
            ] {
                if is {
                    status = format!("{status}, {word}");
                }
            }
            vec![
                record.number.to_string(),
                record.report.to_string(),
                status,
                record.severity.clone().unwrap_or_default(),
                record.category.clone(),
                record.station.clone().unwrap_or_default(),
                shorten(record.text.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    let header = [
        "number", "report", "status", "severity", "category", "station", "text",
    ];
    let mut words = table(&header, &rows);
    if let Some(next) = next {
        words.push_str(&format!("more: --before {next}\n"));
    }
    out.answer(&json!({"reports": value, "next": next}), &words)
}

/// A report for people: its columns, then what happened to it.
fn show(report: &Value) -> String {
    let mut text = String::new();
    for (name, value) in report.as_object().into_iter().flatten() {
        if name == "entries" || value.is_null() {
            continue;
        }
        text.push_str(&format!("{name}: {}\n", plain(value)));
    }
    for entry in report["entries"].as_array().into_iter().flatten() {
        let of = |name: &str| plain(&entry[name]);
        text.push_str(&format!(
            "\n{} {} received {} ({})\n  {}\n",
            of("number"),
            of("kind"),
            of("received_at"),
            of("standing"),
            of("hash"),
        ));
        for (name, value) in body(entry["sd_jwt"].as_str().unwrap_or_default()) {
            text.push_str(&format!("  {name}: {}\n", plain(&value)));
        }
    }
    text
}

/// What an entry says; nothing if it cannot be read.
fn body(sd_jwt: &str) -> Map<String, Value> {
    SdJwt::parse(sd_jwt)
        .and_then(|entry| entry.read())
        .map(|read| read.body)
        .unwrap_or_default()
}

/// A value without quotes, and without what would move a terminal's cursor.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

struct Wish {
    to: String,
    version: Option<i64>,
    reason: Option<String>,
    question: Option<String>,
}

fn decide(
    desk: &Desk,
    report: Uuid,
    mission: InMission,
    by: &Actor,
    wish: Wish,
    out: Out,
) -> Result<()> {
    let mission = desk.mission(mission)?;
    let decided = desk.store.write(|conn| {
        let user = actor(conn, &mission, by, COORDINATORS)?;
        let version = match wish.version {
            Some(version) => version,
            None => {
                let ids = [report.as_bytes().to_vec()];
                let row = bulk::reports_by_id(conn, mission.reference.no, &ids)?.pop();
                row.ok_or_else(|| unknown(report))?.version
            }
        };
        let decision = Decision {
            to: wish.to,
            version,
            reason: wish.reason,
            question: wish.question,
        };
        acts::decide(
            conn,
            desk.office(),
            mission.reference,
            user,
            report,
            decision,
        )
    })?;
    out.answer(
        &json!({
            "report": report,
            "status": decided.status,
            "version": decided.version,
            "number": decided.number,
            "entry": decided.entry,
        }),
        &format!(
            "report {report} is now {} (version {})",
            decided.status, decided.version
        ),
    )
}

pub(super) fn quarantine(desk: &Desk, command: Quarantine, out: Out) -> Result<()> {
    match command {
        Quarantine::List {
            mission,
            limit,
            before,
        } => {
            let mission = desk.mission(mission)?;
            let rows = desk
                .store
                .read(|conn| waiting::page(conn, mission.reference.no, None, before, limit))?;
            let value: Vec<Value> = rows.iter().map(entry).collect();
            let lines: Vec<_> = rows
                .iter()
                .map(|row| {
                    vec![
                        row.number.to_string(),
                        b64(&row.hash),
                        row.kind.clone(),
                        row.standing.clone(),
                        row.quarantine.clone().unwrap_or_default(),
                        Micros(row.received_at).rfc3339(),
                    ]
                })
                .collect();
            let header = ["number", "entry", "kind", "standing", "code", "received"];
            out.answer(&json!(value), &table(&header, &lines))
        }
        Quarantine::Admit {
            entry,
            mission,
            actor: by,
            reason,
        } => {
            let mission = desk.mission(mission)?;
            let number = desk.store.write(|conn| {
                let user = actor(conn, &mission, &by, COORDINATORS)?;
                acts::admit(conn, desk.office(), mission.reference, user, entry, &reason)
            })?;
            out.answer(
                &json!({"entry": entry, "number": number}),
                &format!("entry {entry} counts now"),
            )
        }
    }
}

fn entry(row: &EntryRow) -> Value {
    let optional = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(id);
    let sd_jwt = std::str::from_utf8(&row.sd_jwt).unwrap_or_default();
    json!({
        "entry": b64(&row.hash),
        "number": row.number,
        "kind": row.kind,
        "standing": row.standing,
        "code": row.quarantine,
        "subject": optional(&row.subject),
        "device": optional(&row.device),
        "received_at": Micros(row.received_at).rfc3339(),
        "body": body(sd_jwt),
    })
}

pub(super) fn erasure(desk: &Desk, command: Erasure, out: Out) -> Result<()> {
    match command {
        Erasure::Request {
            report,
            mission,
            actor: by,
            reason,
        } => {
            let mission = desk.mission(mission)?;
            let row = desk.store.write(|conn| {
                let user = actor(conn, &mission, &by, LEADS)?;
                erasures::request(
                    conn,
                    desk.office(),
                    mission.reference,
                    user,
                    report,
                    &reason,
                )
            })?;
            let erasure = id(&row.id);
            out.answer(
                &json!({"erasure": erasure, "report": report}),
                &format!("erasure {erasure} waits for a second person's approval"),
            )
        }
        Erasure::Approve {
            erasure,
            mission,
            actor: by,
        } => {
            let mission = desk.mission(mission)?;
            let (row, number) = desk.store.write(|conn| {
                let user = actor(conn, &mission, &by, LEADS)?;
                erasures::approve(conn, desk.office(), mission.reference, user, erasure)
            })?;
            desk.store.scrub()?;
            let evidence = Evidence::open(&desk.config, desk.store.clone(), desk.host.clone())?;
            actix_web::rt::System::new().block_on(evidence.destroy_doomed())?;
            out.answer(
                &json!({"erasure": erasure, "report": id(&row.report), "number": number}),
                &format!("the words of report {} are erased", id(&row.report)),
            )
        }
    }
}
