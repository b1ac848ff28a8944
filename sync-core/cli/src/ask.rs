//! Asking the person at the terminal.

use std::{
    io::{BufRead as _, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use protocol::codes::Code;
use sync_core::{
    Error,
    client::lock::{PASSPHRASE_BYTES, Unlock},
};
use zeroize::Zeroizing;

use crate::{
    output,
    run::{Failure, refused},
    secret_service,
};

/// Opens locked keys: by the file that was named, or by asking.
pub(crate) struct Asker {
    file: Option<PathBuf>,
}

impl Asker {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    /// A new passphrase: from a file, or asked for twice.
    pub(crate) fn new_passphrase(&self, file: Option<&Path>) -> Result<Zeroizing<String>, Error> {
        if let Some(file) = file {
            return first_line(file);
        }
        let first = prompt("New passphrase: ")?;
        let second = prompt("The same once more: ")?;
        if *first == *second {
            Ok(first)
        } else {
            Err(Error::Refused {
                code: Code::NotConfirmed,
                message: "the two are not the same; nothing was changed".into(),
            })
        }
    }

    /// The file that was named.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl Unlock for Asker {
    fn passphrase(&self) -> Result<Zeroizing<String>, Error> {
        match &self.file {
            Some(file) => first_line(file),
            None => prompt("Passphrase: "),
        }
    }

    fn secret_service_key(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
        secret_service::look_up(name)
    }
}

/// Asks on the terminal without showing what is typed.
fn prompt(question: &str) -> Result<Zeroizing<String>, Error> {
    let nobody = || {
        Error::Refused {
        code: Code::PassphraseNeeded,
        message: "a passphrase is needed: run this on a terminal, or name a file that holds it (--passphrase-file)".into(),
    }
    };
    if !std::io::stderr().is_terminal() {
        return Err(nobody());
    }
    rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|_| nobody())
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, Error> {
    let unreadable = |reason: &dyn std::fmt::Display| Error::Refused {
        code: Code::PassphraseNeeded,
        message: format!(
            "the passphrase cannot be read from {}: {reason}",
            path.display()
        ),
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    // Within bounds from the start: a string that grows leaves copies behind.
    let most = PASSPHRASE_BYTES + 2;
    let mut text = Zeroizing::new(String::with_capacity(most + 1));
    std::io::BufReader::with_capacity(most, file)
        .take(most as u64 + 1)
        .read_line(&mut text)
        .map_err(|error| unreadable(&error))?;
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(text)
}

/// Asks to type a word; anything else changes nothing.
pub(crate) fn confirm(word: &str, what: &str) -> Result<(), Failure> {
    output::err(&format!("{what}\nType {word} to go on:"));
    let mut line = String::new();
    let read = std::io::stdin().lock().take(1024).read_line(&mut line);
    if read.is_ok() && line.trim() == word {
        return Ok(());
    }
    Err(refused(
        Code::NotConfirmed,
        "it was not confirmed; nothing was changed",
    ))
}
