//! Where answers and errors go.

use std::io::{self, IsTerminal as _, Write as _};

use clap::error::ErrorKind;
use protocol::codes::Code;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// How to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    /// One JSON value, or words.
    pub(super) json: bool,
}

impl Out {
    /// The command's answer: `value` for programs, `words` for people.
    pub(super) fn answer(self, value: &Value, words: &str) -> Result<()> {
        let text = if self.json {
            value.to_string()
        } else {
            words.trim_end().to_owned()
        };
        self.line(&text)
    }

    /// A line on standard output. Whoever reads it may have gone: `head` does
    /// so, and that is no error.
    pub(super) fn line(self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::Io("standard output".into(), error))
            }
            _ => Ok(()),
        }
    }

    /// Whether a person watches.
    pub(super) fn is_watched(self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Prints an error; answers the exit status.
    pub(super) fn error(self, error: &Error) -> u8 {
        let text = if self.json {
            to_json(error).to_string()
        } else {
            words(error)
        };
        writeln!(io::stderr(), "{text}").ok();
        if error.code() == Code::Usage { 2 } else { 1 }
    }

    /// Prints what clap says of wrong usage, or its help; answers the exit
    /// status.
    pub(super) fn usage(self, error: &clap::Error) -> u8 {
        let is_help = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        );
        if self.json && !is_help {
            let message = error.render().to_string();
            let message = message.trim().trim_start_matches("error: ");
            let value = json!({"code": Code::Usage, "message": message});
            writeln!(io::stderr(), "{value}").ok();
        } else {
            error.print().ok();
        }
        u8::try_from(error.exit_code()).unwrap_or(2)
    }
}

fn to_json(error: &Error) -> Value {
    let mut members = Map::new();
    members.insert("code".into(), json!(error.code()));
    members.insert("message".into(), message(error).into());
    if let Error::Refused { extra, .. } = error {
        members.extend(extra.clone());
    }
    Value::Object(members)
}

fn words(error: &Error) -> String {
    let mut text = format!("scrutineer: {}", message(error));
    if let Error::Refused { extra, .. } = error {
        for (name, value) in extra {
            text.push_str(&format!("\n  {name}: {value}"));
        }
    }
    text
}

/// Whoever runs a command runs the server: nothing is kept from them.
fn message(error: &Error) -> String {
    match error {
        Error::Refused { code, detail, .. } if detail.is_empty() => code.title().to_owned(),
        Error::Refused { detail, .. } => detail.clone(),
        other => other.to_string(),
    }
}

/// A table for people: columns as wide as they need.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let plain = |cell: &String| {
        cell.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    };
    let mut all: Vec<Vec<String>> = vec![header.iter().map(|name| (*name).to_owned()).collect()];
    all.extend(rows.iter().map(|row| row.iter().map(plain).collect()));
    let width = |index: usize| {
        all.iter()
            .filter_map(|row| row.get(index))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..header.len())
        .map(|index| width(index).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The beginning of a text, for a table.
pub(super) fn shorten(text: &str) -> String {
    const CHARS: usize = 60;
    if text.chars().count() <= CHARS {
        return text.to_owned();
    }
    text.chars().take(CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_code_message_and_more() {
        let error = Error::refused(Code::StaleDecision, "changed").with("version", 7);
        assert_eq!(
            to_json(&error),
            json!({"code": "stale_decision", "message": "changed", "version": 7})
        );
        assert_eq!(words(&error), "scrutineer: changed\n  version: 7");
        let bare = Error::refused(Code::Forbidden, "");
        assert_eq!(
            words(&bare),
            format!("scrutineer: {}", Code::Forbidden.title())
        );
    }

    #[test]
    fn tables_align_and_keep_control_characters_out() {
        let text = table(
            &["id", "text"],
            &[vec!["1".into(), "a\u{1b}[31m\nb".into()]],
        );
        assert_eq!(text, "id  text\n1   a [31m b\n");
        assert_eq!(shorten(&"x".repeat(61)).chars().count(), 60);
    }
}
