//! Evidence out of a backup, into the server's store. A file counts as complete
//! once its bytes are there and were found right, and as durable if the backup
//! holds it. What is there already is not copied again, so this may be cut short
//! and begun again, and may run beside a server.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use protocol::{
    codes::Code,
    ids::{FileHash, MissionId},
};
use serde::Serialize;
use serde_json::Value;

use super::{
    EVIDENCE, LIST, Opened, Progress, Step,
    collect::{Losses, listed, row_of, wanted},
    files::Files,
    invalid,
    section::read,
    shelf::{FOLDER, Kept, Wanted, check_stored},
    table_section,
};
use crate::{
    clock::{Host, Micros},
    error::{Error, Result},
    store::{
        Store, archive,
        evidence::{self as store, AnnouncedRow, FileRow},
        missions,
    },
};

/// Files noted in one transaction.
const BATCH: usize = 200;

/// What a restore did with evidence.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Brought {
    /// Files that were copied.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Files that were in the server's store already.
    pub there: u64,
    /// Files that the server knew to be complete and lacks now: phones that still
    /// have them send them again.
    pub lost: Losses,
}

/// Where evidence goes.
#[derive(Debug)]
pub struct Target<'a> {
    /// The database, filled.
    pub store: &'a Store,
    /// The server's files.
    pub files: &'a Files,
    /// Time.
    pub host: &'a Host,
    /// Whether files are durable by lying there.
    pub durable_there: bool,
    /// Whether to copy; otherwise only what lies there already is noted.
    pub copy: bool,
}

impl Opened {
    /// Whether it holds evidence.
    #[must_use]
    pub fn has_evidence(&self) -> bool {
        self.manifest.evidence.is_some()
    }

    /// Says where its evidence lies, if not beside it.
    pub fn set_shelf(&mut self, folder: PathBuf) {
        self.shelf = Some(folder);
    }

    /// Where its evidence lies.
    pub(super) fn shelf(&self) -> PathBuf {
        match &self.shelf {
            Some(folder) => folder.clone(),
            None => self.folder.join("..").join(FOLDER),
        }
    }

    /// Refuses a backup whose evidence is not at hand, before anything is done.
    ///
    /// # Errors
    /// `backup_invalid`.
    pub fn check_shelf(&self) -> Result<()> {
        let shelf = self.shelf();
        let empty = self.manifest.evidence.is_none_or(|held| held.files == 0);
        if empty || shelf.is_dir() {
            return Ok(());
        }
        let why = "is not beside the backup; name it with --evidence-store FOLDER, or go without \
                   its files (--without-evidence)";
        Err(invalid(FOLDER, why))
    }

    /// Checks every copy of evidence; what is in it, where it can be read.
    ///
    /// # Errors
    /// `backup_invalid`, naming the first that is not right.
    pub fn check_evidence(&self, progress: Progress<'_>) -> Result<()> {
        let Some(held) = self.manifest.evidence else {
            return Ok(());
        };
        self.check_shelf()?;
        let shelf = self.shelf();
        let list = listed(&self.folder, &self.manifest)?;
        if list.len() as u64 != held.files {
            return Err(invalid(LIST, "names other files than the manifest counts"));
        }
        if !self.is_open() {
            for (done, (path, stored)) in list.iter().enumerate() {
                check_stored(&shelf, path, stored)?;
                progress(Step::Rows(EVIDENCE, done as u64 + 1));
            }
            return Ok(());
        }
        let list: HashMap<String, String> = list.into_iter().collect();
        let mut done = 0;
        self.kept(&mut |kept| {
            if list.get(&kept.path) != Some(&kept.stored) {
                return Err(invalid(
                    EVIDENCE,
                    format!("{} is not in the list", kept.path),
                ));
            }
            kept.check(&shelf, &self.unsealer)?;
            done += kept.size;
            progress(Step::Bytes(done, held.bytes));
            Ok(())
        })
    }

    /// Hands out what it says of each copy.
    fn kept(&self, sink: &mut dyn FnMut(Kept) -> Result<()>) -> Result<()> {
        let Some(section) = self.manifest.section(EVIDENCE) else {
            return Ok(());
        };
        read(&self.folder, section, &self.unsealer, &mut |line| {
            let kept: Kept = serde_json::from_value(Value::Object(line))
                .map_err(|error| invalid(&section.file, error))?;
            if super::shelf::is_below(&kept.path) {
                sink(kept)
            } else {
                Err(invalid(&section.file, format!("names {}", kept.path)))
            }
        })
    }

    /// Brings evidence back into the server's store, and notes what is there.
    ///
    /// # Errors
    /// A store's, or a section that cannot be read. What was done until then
    /// stays done.
    pub fn bring(&self, target: &Target<'_>, progress: Progress<'_>) -> Result<Brought> {
        let mut bringing = Bringing {
            target,
            missions: HashMap::new(),
            waiting: Vec::new(),
            spoilt: HashMap::new(),
            brought: Brought::default(),
        };
        let total = self.manifest.evidence.map_or(0, |held| held.bytes);
        let shelf = self.shelf();
        if target.copy {
            let mut done = 0;
            self.kept(&mut |kept| {
                done += kept.size;
                bringing.one(&shelf, &kept, self)?;
                progress(Step::Bytes(done, total));
                Ok(())
            })?;
            bringing.note()?;
        }
        self.rest(&mut bringing, progress)?;
        bringing.note()?;
        Ok(bringing.brought)
    }

    /// What the register of the backup calls complete, and is not noted yet: it
    /// may lie in the server's store all the same, such as a bucket that outlived
    /// the server.
    fn rest(&self, bringing: &mut Bringing<'_>, progress: Progress<'_>) -> Result<()> {
        const TABLE: &str = "evidence_files";
        let (Some(section), Some(table)) = (
            self.manifest.section(&table_section(TABLE)),
            archive::table(TABLE),
        ) else {
            return Ok(());
        };
        let ids = self.mission_ids()?;
        let mut rows = 0;
        read(&self.folder, section, &self.unsealer, &mut |line| {
            rows += 1;
            progress(Step::Rows(table.name, rows));
            let row = row_of(&section.file, &line)?;
            let id = ids.get(&row.mission);
            let id = id.ok_or_else(|| invalid(&section.file, "a row of no mission"))?;
            bringing.left_over(wanted(*id, &row)?)
        })
    }

    /// The missions by their short keys in the backup.
    fn mission_ids(&self) -> Result<HashMap<i32, MissionId>> {
        let name = table_section("missions");
        let section = self.manifest.section(&name);
        let section = section.ok_or_else(|| invalid(&name, "is missing"))?;
        let mut ids = HashMap::new();
        read(&self.folder, section, &self.unsealer, &mut |line| {
            let (no, id) = super::audit::mission_of(&line)?;
            let no = i32::try_from(no).map_err(|_| invalid(&name, "a row cannot be read"))?;
            ids.insert(no, id);
            Ok(())
        })?;
        Ok(ids)
    }
}

struct Bringing<'a> {
    target: &'a Target<'a>,
    /// Short keys in the database that is filled; `None`: there is no such mission.
    missions: HashMap<MissionId, Option<i32>>,
    waiting: Vec<FileRow>,
    /// Copies that are not right, and why.
    spoilt: HashMap<(MissionId, FileHash), String>,
    brought: Brought,
}

impl Bringing<'_> {
    fn one(&mut self, shelf: &Path, kept: &Kept, backup: &Opened) -> Result<()> {
        let Some(wanted) = self.find(kept.mission, kept.file, kept.size, kept.completed_at)? else {
            return Ok(());
        };
        if self.target.files.has(&wanted)? {
            self.brought.there += 1;
        } else {
            let put = kept
                .open(shelf, &backup.unsealer)
                .and_then(|from| self.target.files.put(&wanted, from));
            match put {
                Ok(true) => {
                    self.brought.copied += 1;
                    self.brought.copied_bytes += wanted.size;
                }
                Ok(false) => {
                    let why = "its copy is damaged".to_owned();
                    self.spoilt.insert((wanted.mission, wanted.file), why);
                    return Ok(());
                }
                // One copy that cannot be read is no reason to leave the others.
                Err(Error::Refused {
                    code: Code::BackupInvalid,
                    detail,
                    ..
                }) => {
                    self.spoilt.insert((wanted.mission, wanted.file), detail);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.add(&wanted, true)
    }

    fn left_over(&mut self, known: Wanted) -> Result<()> {
        let Some(wanted) = self.find(known.mission, known.file, known.size, known.completed_at)?
        else {
            return Ok(());
        };
        let noted = self
            .target
            .store
            .read(|conn| store::file(conn, wanted.no, &wanted.file.0))?;
        if noted.is_some() {
            return Ok(());
        }
        if self.target.files.has(&wanted)? {
            self.brought.there += 1;
            return self.add(&wanted, false);
        }
        let spoilt = self.spoilt.remove(&(wanted.mission, wanted.file));
        let why = spoilt.unwrap_or_else(|| "no copy of it was brought back".into());
        self.brought.lost.add(&wanted, why);
        Ok(())
    }

    /// The file as the database knows it; `None` if no entry that counts announces
    /// it: it was erased.
    fn find(
        &mut self,
        mission: MissionId,
        file: FileHash,
        size: u64,
        completed_at: i64,
    ) -> Result<Option<Wanted>> {
        let store = self.target.store;
        let no = match self.missions.get(&mission) {
            Some(known) => *known,
            None => {
                let found = store.read(|conn| missions::find(conn, mission))?;
                let no = found.map(|found| found.reference.no);
                self.missions.insert(mission, no);
                no
            }
        };
        let Some(no) = no else { return Ok(None) };
        let rows = store.read(|conn| store::announcements(conn, no, &file.0))?;
        Ok(rows
            .iter()
            .any(AnnouncedRow::is_accepted)
            .then_some(Wanted {
                no,
                mission,
                file,
                size,
                completed_at,
            }))
    }

    fn add(&mut self, wanted: &Wanted, held: bool) -> Result<()> {
        let durable = held || self.target.durable_there;
        self.waiting.push(FileRow {
            mission: wanted.no,
            sha256: wanted.file.0.to_vec(),
            size: i64::try_from(wanted.size).unwrap_or(i64::MAX),
            completed_at: wanted.completed_at,
            durable_at: durable.then_some(self.target.host.now().0),
        });
        if self.waiting.len() >= BATCH {
            self.note()?;
        }
        Ok(())
    }

    fn note(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        self.target.store.write(|conn| {
            for row in &rows {
                store::complete(conn, row)?;
                if let Some(at) = row.durable_at {
                    // It may have been noted before as one that no backup holds.
                    let file = std::slice::from_ref(&row.sha256);
                    store::set_durable(conn, row.mission, file, Micros(at))?;
                }
            }
            Ok(())
        })
    }
}
