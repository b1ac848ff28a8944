//! Results as JSON and in words.

use std::{fmt::Write as _, path::PathBuf};

use indicatif::HumanBytes;
use serde_json::json;
use sync_core::client::{
    Enrolment, FileStatus, Filed, KeepEvidence, Message, Overview, Report, ReportFile, SendFiles,
    Settings, SyncReport, lock::Lock,
};

use crate::run::Done;

/// What every filing is told.
pub(crate) const WAITS: &str = "it is safe on this device and waits to be sent.";

pub(crate) fn filed(done: Filed, what: &str) -> Done {
    Done {
        json: json!(done),
        words: format!("{what} report {}; {WAITS}\n", done.report),
    }
}

pub(crate) fn settings(settings: &Settings) -> Done {
    let files = match settings.files {
        SendFiles::Always => "Files are sent at each sync.",
        SendFiles::Never => "Files are not sent; they wait on this device.",
    };
    let keep = match settings.keep_evidence {
        KeepEvidence::Always => "Files stay on this device.",
        KeepEvidence::UntilDurable => {
            "A file leaves this device once the server says that it is backed up there."
        }
    };
    Done {
        json: json!(settings),
        words: format!("{files}\n{keep}\n"),
    }
}

/// A file in a line: what it is, how large, where it stands.
fn file_line(file: &ReportFile) -> String {
    let sent = if file.status == FileStatus::Waiting && file.sent > 0 {
        let percent = file.sent.saturating_mul(100) / file.file.size.max(1);
        format!(", {percent} % sent")
    } else {
        String::new()
    };
    let why = file.code.map(|code| format!(" ({})", code.title()));
    format!(
        "{}, {}, {}{sent}{}{}",
        file.file.media_type,
        HumanBytes(file.file.size),
        file.status.words(),
        why.unwrap_or_default(),
        if file.here {
            ""
        } else {
            ", no longer on this device"
        },
    )
}

pub(crate) fn enrolled(enrolment: &Enrolment) -> Done {
    let words = if enrolment.enrolled {
        format!(
            "Enrolled in \u{201c}{}\u{201d} as accreditation {}.\n",
            enrolment.mission_name.as_deref().unwrap_or_default(),
            enrolment.accreditation.as_deref().unwrap_or_default()
        )
    } else {
        "The link is kept, but the server could not be reached yet. \
         You can file reports now; `observer sync` completes the enrolment.\n"
            .to_owned()
    };
    Done {
        json: json!(enrolment),
        words,
    }
}

pub(crate) fn listed(reports: &[Report]) -> String {
    if reports.is_empty() {
        return "No reports yet.\n".to_owned();
    }
    let mut out = String::new();
    for report in reports {
        let text: String = report
            .text
            .as_deref()
            .unwrap_or_default()
            .chars()
            .take(60)
            .collect();
        let _ = writeln!(
            out,
            "{}  {:<22}  {}  {}",
            &report.report.to_string()[..8],
            report.words,
            report.category.as_deref().unwrap_or("-"),
            printable(&text)
        );
        for file in &report.files {
            let _ = writeln!(out, "          {}", file_line(file));
        }
    }
    out
}

pub(crate) fn shown(report: &Report) -> String {
    let mut out = format!(
        "Report {}\n{} \u{2013} {}\n",
        report.report,
        report.words,
        report.status.meaning()
    );
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(out, "{name}: {}", printable(&value));
        }
    };
    line(
        "Reason",
        report.code.map(|code| format!("{} ({code})", code.title())),
    );
    line(
        "Question for you",
        report
            .question
            .as_ref()
            .and_then(|question| question.text.clone()),
    );
    line("Category", report.category.clone());
    line(
        "Severity",
        report.severity.map(|severity| severity.name().to_owned()),
    );
    line("Station", report.station.clone());
    line(
        "Place",
        report
            .place
            .map(|place| format!("{}, {}", place.lat, place.lon)),
    );
    line("Observed at", report.observed_at.clone());
    line("Filed at", report.filed_at.clone());
    line("Text", report.text.clone());
    for file in &report.files {
        line(
            "File",
            Some(format!("{} {}", file.file.sha256, file_line(file))),
        );
    }
    for step in &report.entries {
        let number = step
            .number
            .map_or("waiting".to_owned(), |number| format!("number {number}"));
        let words = step
            .words
            .as_deref()
            .map(|words| format!(": {words}"))
            .unwrap_or_default();
        let at = step.at.clone().unwrap_or_default();
        line(
            "  You",
            Some(format!("{at} {} ({number}){words}", step.kind)),
        );
    }
    for decision in &report.decisions {
        let to = decision.to.as_deref().unwrap_or(&decision.kind);
        let why = decision.question.as_ref().or(decision.reason.as_ref());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        line(
            "  Coordinators",
            Some(format!("{to} (number {}){why}", decision.number)),
        );
    }
    out
}

pub(crate) fn messages(messages: &[Message]) -> Done {
    let mut words = String::new();
    for message in messages {
        let mark = match (message.urgent, message.read) {
            (true, false) => "URGENT, NEW ",
            (true, true) => "URGENT ",
            (false, false) => "NEW ",
            (false, true) => "",
        };
        let title = message.title.as_deref().unwrap_or_default();
        let sent = message.sent_at.as_deref().unwrap_or_default();
        let text = message.text.as_deref().unwrap_or("(withheld)");
        let _ = writeln!(
            words,
            "{mark}{} {}\n{}\n",
            printable(sent),
            printable(title),
            printable(text)
        );
    }
    if messages.is_empty() {
        words.push_str("No messages.\n");
    }
    Done {
        json: json!(messages),
        words,
    }
}

/// How the keys of a home stand.
pub(crate) struct Keys {
    pub(crate) lock: Option<Lock>,
    pub(crate) mission_copy: bool,
    pub(crate) homes_aside: Vec<PathBuf>,
}

impl Keys {
    fn locked_by(&self) -> &'static str {
        match self.lock {
            None => "nothing",
            Some(Lock::Passphrase { .. }) => "passphrase",
            Some(Lock::SecretService { .. }) => "secret_service",
        }
    }
}

pub(crate) fn stood(overview: &Overview, aside: &[PathBuf], keys: &Keys) -> Done {
    let mut value = json!(overview);
    value["enrolled"] = json!(
        overview
            .enrolment
            .as_ref()
            .is_some_and(|enrolment| enrolment.enrolled)
    );
    value["moved_aside"] = json!(aside);
    value["locked_by"] = json!(keys.locked_by());
    value["mission_copy"] = json!(keys.mission_copy);
    value["homes_aside"] = json!(keys.homes_aside);
    let mut words = match &overview.enrolment {
        None => "Not enrolled yet; use `observer enrol LINK`.\n".to_owned(),
        Some(enrolment) => match (&enrolment.mission_name, enrolment.refused) {
            (Some(name), _) => format!(
                "Enrolled in \u{201c}{name}\u{201d} as accreditation {}.\n",
                enrolment.accreditation.as_deref().unwrap_or_default()
            ),
            (None, Some(code)) => format!(
                "The server refused the link: {} Reports are kept.\n",
                code.title()
            ),
            (None, None) => {
                "The enrolment waits for the server. You can file reports.\n".to_owned()
            }
        },
    };
    let _ = writeln!(
        words,
        "{} of {} entries wait to be delivered. The server last answered: {}.",
        overview.pending,
        overview.entries,
        overview.last_contact.as_deref().unwrap_or("never")
    );
    if !overview.files.by_status.is_empty() {
        let counts: Vec<String> = overview
            .files
            .by_status
            .iter()
            .map(|(status, count)| format!("{count} {}", status.words()))
            .collect();
        let _ = writeln!(
            words,
            "Files: {}; {} still to be sent, {} on this device.",
            counts.join(", "),
            HumanBytes(overview.files.bytes_waiting),
            HumanBytes(overview.files.bytes_here)
        );
    }
    if overview.messages > 0 {
        let _ = writeln!(
            words,
            "{} messages, {} not read yet; `observer messages` shows them.",
            overview.messages, overview.messages_unread
        );
    }
    for one in &overview.reference {
        let _ = writeln!(
            words,
            "{} {} are on this device (version {}).",
            one.lines, one.register, one.version
        );
    }
    if overview.unreadable > 0 {
        let _ = writeln!(
            words,
            "{} entries cannot be opened; they are kept.",
            overview.unreadable
        );
    }
    let _ = writeln!(
        words,
        "{}",
        match keys.lock {
            None =>
                "The keys are not locked: whoever copies this home can read it (`observer passphrase set`).",
            Some(Lock::Passphrase { .. }) => "The keys are locked with a passphrase.",
            Some(Lock::SecretService { .. }) =>
                "The keys are locked by the desktop's secret service.",
        }
    );
    let enrolled = overview.enrolment.as_ref().is_some_and(|one| one.enrolled);
    if enrolled && !keys.mission_copy {
        words += "If the keys are lost, nobody can open what is here: the copy for the mission could not be written.\n";
    }
    for path in &keys.homes_aside {
        let _ = writeln!(words, "An earlier home is kept as {}.", path.display());
    }
    for path in aside {
        let _ = writeln!(words, "A damaged journal is kept as {}.", path.display());
    }
    Done { json: value, words }
}

pub(crate) fn synced(report: &SyncReport) -> String {
    let mut out = String::new();
    let taken = report.delivered + report.already_stored + report.held + report.quarantined;
    let _ = writeln!(
        out,
        "{taken} delivered, {} still waiting, {} new decisions.",
        report.pending, report.items
    );
    for (count, what) in [
        (report.held, "wait at the server for an earlier part"),
        (report.quarantined, "are being checked by a coordinator"),
        (
            report.refused + report.stuck,
            "were not accepted; they are kept and offered again",
        ),
    ] {
        if count > 0 {
            let _ = writeln!(out, "{count} {what}.");
        }
    }
    if report.files_delivered + report.files_pending > 0 {
        let _ = writeln!(
            out,
            "{} files delivered, {} still waiting.",
            report.files_delivered, report.files_pending
        );
    }
    if report.messages > 0 {
        let _ = writeln!(
            out,
            "{} new messages; `observer messages` shows them.",
            report.messages
        );
    }
    if report.reference > 0 {
        out.push_str("Stations or categories were brought up to date.\n");
    }
    if let Some(code) = report.files_stopped {
        let _ = writeln!(out, "Files could not be sent for now: {}", code.title());
    }
    if let Some(code) = report.reading {
        let _ = writeln!(out, "Decisions could not be read: {}", code.title());
    }
    out
}

/// Control characters could play tricks with a terminal.
pub(crate) fn printable(text: &str) -> String {
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
