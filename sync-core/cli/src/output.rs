//! What is printed, for programs and for people.

use std::{io::Write as _, process::ExitCode};

use protocol::codes::Code;
use serde_json::{Value, json};

use crate::run::{Done, Failure};

/// Wrong usage, and `--help` and `--version`, which clap calls errors too.
pub(crate) fn usage(error: &clap::Error, json: bool) -> ExitCode {
    use clap::error::ErrorKind;
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        out(&error.to_string());
        return ExitCode::SUCCESS;
    }
    if json {
        // The first line says what; the rest is help for people.
        let text = error.to_string();
        let message = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        err(&json!({"code": Code::Usage, "message": message}).to_string());
    } else {
        err(error.to_string().trim_end());
    }
    ExitCode::from(2)
}

pub(crate) fn success(done: &Done, json: bool) -> ExitCode {
    if json {
        out(&format!("{}\n", done.json))
    } else {
        out(&done.words)
    }
    ExitCode::SUCCESS
}

pub(crate) fn failure(failure: &Failure, json: bool) -> ExitCode {
    let (code, message) = (failure.error.code(), failure.error.to_string());
    if json {
        let mut object = json!({"code": code, "message": message});
        if let (Value::Object(object), Some(Value::Object(more))) = (&mut object, &failure.more) {
            object.extend(more.clone());
        }
        err(&object.to_string());
    } else {
        err(&format!("observer: {message} ({code})"));
    }
    ExitCode::FAILURE
}

/// A reader that went away is no error of ours.
fn out(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

pub(crate) fn err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
