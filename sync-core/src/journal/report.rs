//! What a report is, from its entries, their deliveries and the coordinators'
//! decisions.

use protocol::{
    codes::Code,
    entry::{Kind, Place, ReportFields, SdJwt, Severity},
    ids::{EntryHash, EpochId, SubjectId},
};
use serde::{Deserialize, Serialize};

use super::{
    Book, Entry,
    course::Course,
    delivery::{Deliveries, Standing},
    files::{FilesNow, ReportFile},
    status::Status,
};

/// A decision as it is kept: the signed bytes and where they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptItem {
    /// Ledger number.
    pub number: u64,
    /// The server's history.
    pub epoch: EpochId,
    /// The entry in its standard form.
    pub compact: String,
    /// The server may have lost it while an earlier version of this program looked on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

/// A coordinator's decision on a report, read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// The decision's name; an answer to a question carries it.
    #[serde(rename = "entry")]
    pub hash: EntryHash,
    /// Ledger number.
    pub number: u64,
    /// The server's history.
    #[serde(skip)]
    pub epoch: EpochId,
    /// The report.
    #[serde(skip)]
    pub subject: SubjectId,
    /// The entry about the report that it was made on.
    #[serde(skip)]
    pub base: Option<EntryHash>,
    /// What it does: `decide`, `admit`, …
    pub kind: String,
    /// The status it gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Why, unless withheld.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Decision {
    /// Reads a kept item; `None` for one of a later version that cannot be read.
    #[must_use]
    pub fn read(item: &KeptItem) -> Option<Self> {
        let sd = SdJwt::parse(&item.compact).ok()?;
        let read = sd.read().ok()?;
        let text = |name: &str| {
            read.body
                .get(name)
                .and_then(|value| value.as_str())
                .map(str::to_owned)
        };
        Some(Self {
            hash: sd.hash(),
            number: item.number,
            epoch: item.epoch,
            subject: read.payload.subject,
            base: read.payload.base,
            kind: read.payload.kind.name().to_owned(),
            to: text("to"),
            question: text("question"),
            reason: text("reason"),
        })
    }
}

/// One of the observer's acts on a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The entry.
    pub entry: EntryHash,
    /// What it does.
    pub kind: String,
    /// When, by the device's clock.
    pub at: Option<String>,
    /// How it stands; `None` if it waits.
    pub delivery: Option<Standing>,
    /// Ledger number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Why it is quarantined, refused or stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What it says beside the report's fields: a reason, an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

/// A question that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// The decision that asks.
    pub entry: EntryHash,
    /// What it asks, unless withheld.
    pub text: Option<String>,
}

/// A report as the observer sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The report's id.
    pub report: SubjectId,
    /// Where it stands: the stable code.
    pub status: Status,
    /// The same in words.
    pub words: &'static str,
    /// Code of the mission's taxonomy.
    pub category: Option<String>,
    /// How grave.
    pub severity: Option<Severity>,
    /// The observer's words.
    pub text: Option<String>,
    /// Station code.
    pub station: Option<String>,
    /// Where it was.
    pub place: Option<Place>,
    /// When it happened, as the observer says.
    pub observed_at: Option<String>,
    /// When it was filed, by the device's clock.
    pub filed_at: Option<String>,
    /// Whether it was taken back.
    pub withdrawn: bool,
    /// The open question, if any.
    pub question: Option<Question>,
    /// Why it is quarantined or not accepted.
    pub code: Option<Code>,
    /// The files attached to it.
    pub files: Vec<ReportFile>,
    /// The observer's acts.
    pub entries: Vec<Step>,
    /// The coordinators' acts.
    pub decisions: Vec<Decision>,
}

/// The last question on a report, unless it was answered or overtaken.
/// `decisions` are in the order of [`sort_decisions`](super::course::sort_decisions).
#[must_use]
pub fn open_question<'a>(
    book: &Book,
    decisions: &'a [Decision],
    subject: SubjectId,
) -> Option<&'a Decision> {
    let last = decisions
        .iter()
        .rev()
        .find(|decision| decision.subject == subject && decision.to.is_some())?;
    let answered = book.of(subject).any(|entry| answers(entry, last));
    (last.to.as_deref() == Some("needs_info") && !answered).then_some(last)
}

fn answers(entry: &Entry, question: &Decision) -> bool {
    *entry.kind() == Kind::Answer
        && entry
            .read
            .body
            .get("question")
            .and_then(|value| value.as_str())
            == Some(question.hash.to_string().as_str())
}

impl Report {
    /// The report of this id; `None` if it was not filed from this device.
    /// `decisions` are in the order of [`sort_decisions`](super::course::sort_decisions).
    #[must_use]
    pub fn read(
        book: &Book,
        deliveries: &Deliveries,
        decisions: &[Decision],
        files: &FilesNow,
        report: SubjectId,
    ) -> Option<Self> {
        let entries: Vec<&Entry> = book.of(report).map(AsRef::as_ref).collect();
        let first = entries.iter().find(|entry| *entry.kind() == Kind::File)?;
        let mut now = ReportFields::default();
        for fields in entries.iter().filter_map(|entry| entry.fields()) {
            now.category = fields.category.or(now.category);
            now.severity = fields.severity.or(now.severity);
            replace(&mut now.text, fields.text);
            replace(&mut now.station, fields.station);
            replace(&mut now.place, fields.place);
            replace(&mut now.observed_at, fields.observed_at);
        }
        let question = open_question(book, decisions, report).map(|asked| Question {
            entry: asked.hash,
            text: asked.question.clone(),
        });
        let decisions: Vec<Decision> = decisions
            .iter()
            .filter(|decision| decision.subject == report)
            .cloned()
            .collect();
        let (status, code) = judge(&entries, deliveries, &decisions);
        Some(Self {
            report,
            status,
            words: status.words(),
            category: now.category.clone(),
            severity: now.severity,
            text: now.text.set().cloned(),
            station: now.station.set().cloned(),
            place: now.place.set().copied(),
            observed_at: now.observed_at.set().cloned(),
            filed_at: first.read.at.as_ref().map(|at| at.wall.clone()),
            withdrawn: entries.iter().any(|entry| *entry.kind() == Kind::Withdraw),
            question,
            code,
            files: entries
                .iter()
                .filter_map(|entry| files.read(entry))
                .collect(),
            entries: entries
                .iter()
                .map(|entry| step(entry, deliveries))
                .collect(),
            decisions,
        })
    }
}

fn replace<T>(field: &mut protocol::entry::Patch<T>, newer: protocol::entry::Patch<T>) {
    if !matches!(newer, protocol::entry::Patch::Keep) {
        *field = newer;
    }
}

fn step(entry: &Entry, deliveries: &Deliveries) -> Step {
    let delivery = deliveries.of(&entry.hash);
    let words = match entry.kind() {
        Kind::Withdraw => entry.read.body.get("reason"),
        Kind::Answer => entry.read.body.get("text"),
        _ => None,
    };
    Step {
        entry: entry.hash,
        kind: entry.kind().name().to_owned(),
        at: entry.read.at.as_ref().map(|at| at.wall.clone()),
        delivery: delivery.map(|delivery| delivery.standing),
        number: delivery.and_then(|delivery| delivery.number),
        code: delivery.and_then(|delivery| delivery.code),
        words: words.and_then(|value| value.as_str()).map(str::to_owned),
    }
}

/// Where a report stands. What the observer must know first comes first: not
/// accepted, not sent, taken back; then what the coordinators said last.
fn judge(
    entries: &[&Entry],
    deliveries: &Deliveries,
    decisions: &[Decision],
) -> (Status, Option<Code>) {
    let standings = || entries.iter().map(|entry| deliveries.of(&entry.hash));
    let refused = standings()
        .flatten()
        .find(|delivery| matches!(delivery.standing, Standing::Refused | Standing::Stuck));
    if let Some(refused) = refused {
        return (Status::Refused, refused.code);
    }
    if standings().any(|delivery| delivery.is_none()) {
        return (Status::Waiting, None);
    }
    let last_word = decisions
        .iter()
        .rev()
        .find(|decision| decision.to.is_some());
    let set_aside = |standing| {
        standings().flatten().find(|delivery| {
            delivery.standing == standing
                // A later decision on the report shows that it has been dealt with.
                && !decisions.iter().any(|decision| {
                    Some(decision.epoch) == deliveries.epoch && Some(decision.number) > delivery.number
                })
        })
    };
    if let Some(quarantined) = set_aside(Standing::Quarantined) {
        return (Status::Quarantined, quarantined.code);
    }
    if let Some(held) = set_aside(Standing::Held) {
        // Once everything before it is there, it waits no longer.
        let complete = entries.iter().all(|entry| {
            entry
                .read
                .payload
                .base
                .is_none_or(|base| deliveries.is_delivered(&base))
        });
        if !complete {
            return (Status::Held, held.code);
        }
    }
    if entries.iter().any(|entry| *entry.kind() == Kind::Withdraw) {
        return (Status::Withdrawn, None);
    }
    let course = Course {
        entries,
        deliveries,
        decisions,
    };
    let later = |kind: &Kind, than: &Decision| {
        let mut acts = entries.iter().filter(|entry| entry.kind() == kind);
        acts.any(|entry| course.is_later(entry.hash, than))
    };
    let status = match last_word.and_then(|decision| Some((decision, decision.to.as_deref()?))) {
        None => Status::Delivered,
        Some((decision, to)) => match to {
            "in_review" => Status::InReview,
            "needs_info" if entries.iter().any(|entry| answers(entry, decision)) => {
                Status::InReview
            }
            "needs_info" => Status::NeedsInfo,
            // An amendment after a decision opens the report again.
            "verified" | "not_verified" | "dismissed" if later(&Kind::Amend, decision) => {
                Status::Delivered
            }
            "verified" => Status::Verified,
            "not_verified" => Status::NotVerified,
            "dismissed" => Status::Dismissed,
            // `received`, `reopened`, and words of a later version.
            _ => Status::Delivered,
        },
    };
    (status, None)
}
