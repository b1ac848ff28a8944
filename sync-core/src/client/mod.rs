//! The façade: what an app calls.
//!
//! Filing is durable when it returns and never waits for the network; reading
//! needs none. While [`Client::sync`] waits for the server, the other calls go
//! on. Several processes may use one home: each entry still gets its own place.

mod attach;
mod driver;
mod earlier;
mod enrol;
pub mod home;
mod messages;
mod pack;
mod reference;
mod settings;
mod types;
mod vault;

use std::{cell::RefCell, rc::Rc};

pub use attach::{Attached, NewFile};
pub use driver::{FileProgress, SyncOptions};
pub use pack::{PackOptions, Packed};
use protocol::{
    codes::Code,
    entry::{Kind, ReportFields},
    ids::{JournalId, SubjectId},
    jose::Signer,
    planted::{Fault, is as planted},
};
pub use reference::{Known, ReferenceOverview};
pub use settings::{KeepEvidence, SendFiles, Settings};
pub use types::{Enrolment, Filed, FilesOverview, Overview, SyncError};
pub use vault::{Vault, file::KeyFile, lock, rescue};

pub use crate::{
    engine::SyncReport,
    journal::{
        files::{FileStatus, ReportFile},
        message::Message,
        report::{Decision, Question, Report, Step},
        status::Status,
        write::{NewCheckIn, NewReport},
    },
};
use crate::{
    engine::{Change, Ended, Event, keys},
    error::Error,
    evidence::Files,
    host::{self, Environment},
    journal::{
        Book,
        delivery::Deliveries,
        files::critical_subjects,
        report::open_question,
        write::{Act, Pen},
    },
    seal::DataKey,
    store::{Batch, CURRENT_JOURNAL, Space, Store, StoreError},
    transport::Transport,
};

/// What a host hands in.
pub struct Parts {
    /// Where the journal lives.
    pub store: Box<dyn Store>,
    /// Where sealed files live.
    pub files: Box<dyn Files>,
    /// The way to the server.
    pub transport: Box<dyn Transport>,
    /// The secrets.
    pub vault: Box<dyn Vault>,
    /// Clocks and randomness.
    pub environment: Rc<dyn Environment>,
    /// Name and version of the program, told to the server.
    pub app: String,
}

/// See the module.
pub struct Client {
    store: Box<dyn Store>,
    files: Box<dyn Files>,
    transport: Box<dyn Transport>,
    vault: Box<dyn Vault>,
    environment: Rc<dyn Environment>,
    signer: Rc<dyn Signer>,
    data_key: DataKey,
    app: String,
    book: RefCell<Book>,
}

/// Times a filing tries again when another process took its place.
const CONFLICTS: usize = 100;

impl Client {
    /// Opens a device's data.
    ///
    /// # Errors
    /// Secrets or a store that cannot be used, or that do not belong together.
    pub async fn open(parts: Parts) -> Result<Self, Error> {
        let Parts {
            store,
            files,
            transport,
            vault,
            environment,
            app,
        } = parts;
        let (signer, data_key) = (vault.device_key()?, vault.data_key()?);
        let book = RefCell::new(Book::default());
        let client = Self {
            store,
            files,
            transport,
            vault,
            environment,
            signer,
            data_key,
            app,
            book,
        };
        client.refresh().await?;
        if let Some(identity) = client.identity().await? {
            // Killed between the two, the copy may be old.
            if client.read_anchor()?.as_ref() != Some(&identity) {
                client.keep_anchor(&identity)?;
            }
            // A home of an earlier version has none. It must open all the same when there
            // is no room for it: `status` tells, and the next start tries again.
            let _ = client.keep_for_mission(&identity);
        } else {
            let sealed = client.store.record(Space::State, keys::IDENTITY).await?;
            if let Some(identity) = client.read_anchor()? {
                client.apply(vec![Change::Identity(identity)]).await?;
            } else if sealed.is_some() || client.book.borrow().unreadable() > 0 {
                return Err(Error::device(
                    Code::DataFolderInvalid,
                    "the journal was sealed with other keys; put the right ones back, everything is kept",
                ));
            }
        }
        client.tidy_files().await?;
        Ok(client)
    }

    /// Files a report.
    ///
    /// # Errors
    /// [`Code::NotEnrolled`], a value outside its limits, [`Code::StoreFailed`].
    pub async fn file(&self, new: NewReport) -> Result<Filed, Error> {
        let report = SubjectId(host::uuid(self.environment.as_ref()));
        let names = self.reference_names(true, new.station.is_some()).await?;
        let mut act = Act::file(new, report)?;
        act.written_against(&names);
        self.append(|_| Ok(act.clone())).await
    }

    /// Corrects or completes a report.
    ///
    /// # Errors
    /// Those of [`Self::file`]; [`Code::ReportUnknown`], or
    /// [`Code::TransitionNotAllowed`] if it was withdrawn.
    pub async fn amend(&self, report: SubjectId, fields: ReportFields) -> Result<Filed, Error> {
        let (category, station) = (fields.category.is_some(), fields.station.set().is_some());
        let names = self.reference_names(category, station).await?;
        self.append(|book| {
            let mut act = Act::amend(book, report, &fields)?;
            act.written_against(&names);
            Ok(act)
        })
        .await
    }

    /// Takes a report back.
    ///
    /// # Errors
    /// Those of [`Self::amend`].
    pub async fn withdraw(&self, report: SubjectId, reason: &str) -> Result<Filed, Error> {
        self.append(|book| Act::withdraw(book, report, reason))
            .await
    }

    /// Answers the open question on a report.
    ///
    /// # Errors
    /// Those of [`Self::amend`], and [`Code::QuestionNone`].
    pub async fn answer(&self, report: SubjectId, text: &str) -> Result<Filed, Error> {
        let decisions = self.decisions().await?;
        self.append(|book| Act::answer(book, report, open_question(book, &decisions, report), text))
            .await
    }

    /// Says that the observer arrived at or left a station.
    ///
    /// # Errors
    /// Those of [`Self::file`].
    pub async fn check_in(&self, new: NewCheckIn) -> Result<Filed, Error> {
        let act = Act::check_in(new, SubjectId(host::uuid(self.environment.as_ref())))?;
        self.append(|_| Ok(act.clone())).await
    }

    /// All reports, in order of filing.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn list(&self) -> Result<Vec<Report>, Error> {
        self.refresh().await?;
        let (deliveries, decisions) = (self.deliveries().await?, self.decisions().await?);
        let files = self.files_now().await?;
        let book = self.book.borrow();
        let filed = book
            .entries()
            .iter()
            .filter(|entry| *entry.kind() == Kind::File);
        Ok(filed
            .filter_map(|entry| {
                Report::read(&book, &deliveries, &decisions, &files, entry.subject())
            })
            .collect())
    }

    /// One report; `None` if none of this id was filed here.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn report(&self, report: SubjectId) -> Result<Option<Report>, Error> {
        self.refresh().await?;
        let (deliveries, decisions) = (self.deliveries().await?, self.decisions().await?);
        let files = self.files_now().await?;
        Ok(Report::read(
            &self.book.borrow(),
            &deliveries,
            &decisions,
            &files,
            report,
        ))
    }

    /// How the device stands.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn status(&self) -> Result<Overview, Error> {
        let mut reports = std::collections::BTreeMap::new();
        let mut files = FilesOverview::default();
        for report in self.list().await? {
            *reports.entry(report.status.code()).or_insert(0) += 1;
            report.files.iter().for_each(|file| files.count(file));
        }
        let settings = self.settings().await?;
        let (deliveries, sync) = (self.deliveries().await?, self.sync_state().await?);
        let enrolment = self.enrolment().await?;
        let reference = self.reference().await?;
        let messages = self.messages().await?;
        let unread = messages.iter().filter(|message| !message.read).count();
        let book = self.book.borrow();
        Ok(Overview {
            enrolment,
            reports,
            files,
            messages: messages.len(),
            messages_unread: unread,
            reference,
            settings,
            entries: book.entries().len() + book.unreadable(),
            pending: book
                .entries()
                .iter()
                .filter(|entry| !deliveries.is_delivered(&entry.hash))
                .count(),
            unreadable: book.unreadable(),
            last_contact: sync.last_contact.clone(),
            wait_ms: sync.wait_left(self.environment.now(), self.critical_waits(&deliveries)),
        })
    }

    /// Sends what waits and reads what is new, now, whatever wait is on.
    ///
    /// # Errors
    /// [`SyncError`]: what was done before it ended, and why. Everything not
    /// delivered stays on the device.
    pub async fn sync(&self) -> Result<SyncReport, SyncError> {
        self.sync_with(&SyncOptions::default()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn sync_with(&self, options: &SyncOptions<'_>) -> Result<SyncReport, SyncError> {
        let identity = self.identity().await?.ok_or_else(not_enrolled)?;
        let run = self.drive(identity, Some(Event::SyncRequested), options);
        finished(run.await?)
    }

    /// The same in the background: only if something waits to be sent, and no
    /// wait is on. `None`: nothing was due.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn sync_if_due(&self) -> Result<Option<SyncReport>, SyncError> {
        let identity = self.identity().await?.ok_or_else(not_enrolled)?;
        match self.drive(identity, None, &SyncOptions::default()).await? {
            None => Ok(None),
            report => finished(report).map(Some),
        }
    }

    /// Whether an entry of a critical report was never answered.
    fn critical_waits(&self, deliveries: &Deliveries) -> bool {
        let book = self.book.borrow();
        let entries = book.entries().iter().map(AsRef::as_ref);
        let critical = critical_subjects(entries.clone());
        entries
            .filter(|entry| deliveries.of(&entry.hash).is_none())
            .any(|entry| critical.contains(&entry.subject()))
    }

    /// Takes in the rows that were added since, by whomever.
    async fn refresh(&self) -> Result<(), Error> {
        let after = self.book.borrow().position();
        let rows = self.store.rows(after).await?;
        let mut book = self.book.borrow_mut();
        for row in rows
            .iter()
            .filter(|row| row.position > book.position())
            .collect::<Vec<_>>()
        {
            book.absorb(row, &self.data_key);
        }
        Ok(())
    }

    /// Signs what `act` says of the journal as it is now, and appends it. If
    /// somebody else wrote in between, once more on what they wrote.
    async fn append(&self, act: impl Fn(&Book) -> Result<Act, Error>) -> Result<Filed, Error> {
        let identity = self.identity().await?.ok_or_else(not_enrolled)?;
        let mission = identity.mission().ok_or_else(not_enrolled)?;
        for _ in 0..CONFLICTS {
            self.refresh().await?;
            let seen = self.sync_state().await?.seen;
            let env = self.environment.as_ref();
            let mut batch = Batch::default();
            let journal = match self.current_journal().await? {
                Some(journal) => journal,
                None => {
                    let journal = JournalId(host::uuid(env));
                    batch
                        .put
                        .push(self.record(Space::State, CURRENT_JOURNAL, &journal)?);
                    journal
                }
            };
            let (filed, row) = {
                let book = self.book.borrow();
                let act = act(&book)?;
                let pen = Pen {
                    mission,
                    journal,
                    signer: self.signer.as_ref(),
                    key: &self.data_key,
                    seen,
                    env,
                };
                let report = act.subject();
                let (entry, row) = act.into_row(&book, &pen)?;
                (Filed { report, entry }, row)
            };
            batch.append.push(row);
            match self.store.apply(batch).await {
                Ok(()) => {
                    self.refresh().await?;
                    return Ok(filed);
                }
                Err(StoreError::Conflict) if planted(Fault::ConflictIgnored) => return Ok(filed),
                Err(StoreError::Failed(_)) if planted(Fault::StoreErrorIgnored) => {
                    return Ok(filed);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

fn finished(report: Option<SyncReport>) -> Result<SyncReport, SyncError> {
    let report = report.unwrap_or_default();
    match report.ended.clone() {
        None => Ok(report),
        Some(ended) => Err(SyncError {
            report: Box::new(report),
            error: server_error(ended),
        }),
    }
}

fn not_enrolled() -> Error {
    Error::refused(
        Code::NotEnrolled,
        "this device is not enrolled yet; use an enrolment link first",
    )
}

fn server_error(ended: Ended) -> Error {
    let Ended { code, message } = ended;
    match code {
        Code::NetworkFailed => Error::Network { message },
        Code::ServerKeyMismatch | Code::ReceiptInvalid | Code::LinkInvalid => {
            Error::Refused { code, message }
        }
        Code::StoreFailed | Code::StoreDamaged => Error::Device { code, message },
        _ => Error::Server { code, message },
    }
}
