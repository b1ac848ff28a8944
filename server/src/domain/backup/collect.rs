//! Evidence into a backup: what the shelf lacks is copied while servers run, first
//! all that is there, then what came until the snapshot was taken.

use std::{collections::HashSet, fs, io::BufRead as _, path::Path};

use protocol::{
    codes::Code,
    encoding::unb64,
    ids::{FileHash, MissionId},
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    EVIDENCE, LIST, Manifest, Progress, Recipients, Section, Step,
    files::Files,
    hex, invalid,
    section::Writer,
    shelf::{FOLDER, Kept, Shelf, Wanted, is_below},
};
use crate::{
    error::{Error, Result},
    keys::write_private,
    store::{
        Store,
        archive::Line,
        evidence::{self as store, FileRow},
        missions,
    },
};

/// Rows read at once.
const PAGE: i64 = 1_000;
/// Files that an answer names at most; all are counted.
const NAMED: usize = 100;

/// A file that a backup should hold, or bring back, and cannot.
#[derive(Clone, Debug, Serialize)]
pub struct Lost {
    /// Its mission.
    pub mission: MissionId,
    /// The file.
    pub file: FileHash,
    /// What is the matter, for a person.
    pub why: String,
}

/// Files that could not be had: how many, and the first of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Losses {
    /// How many.
    pub count: u64,
    /// The first hundred.
    pub first: Vec<Lost>,
}

impl Losses {
    pub(super) fn add(&mut self, wanted: &Wanted, why: impl Into<String>) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(Lost {
                mission: wanted.mission,
                file: wanted.file,
                why: why.into(),
            });
        }
    }
}

/// What became of evidence.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Collected {
    /// Files that the backup holds.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that were copied now.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Files that the server should have and that could not be read.
    pub lost: Losses,
}

/// Copies files to the shelf.
pub(super) struct Collector<'a> {
    store: &'a Store,
    files: &'a Files,
    shelf: &'a Shelf,
    collected: Collected,
}

/// What a backup says of evidence, written.
pub(super) struct Written {
    pub(super) collected: Collected,
    pub(super) sections: Vec<Section>,
    /// The files that it holds.
    pub(super) held: Vec<Wanted>,
}

enum Found {
    Kept(Kept),
    /// It cannot be read.
    Lost(String),
    /// It was erased meanwhile.
    Erased,
}

impl<'a> Collector<'a> {
    pub(super) fn new(store: &'a Store, files: &'a Files, shelf: &'a Shelf) -> Self {
        Self {
            store,
            files,
            shelf,
            collected: Collected::default(),
        }
    }

    /// Copies every file that is complete now, so that little is left to do once
    /// the snapshot is taken.
    ///
    /// # Errors
    /// A store's, or the file system's.
    pub(super) fn ahead(&mut self, progress: Progress<'_>) -> Result<()> {
        let all = self.complete()?;
        self.each(&all, progress, &mut |_, _| Ok(()))?;
        self.collected.lost = Losses::default();
        Ok(())
    }

    /// Copies what is left of these, and writes down where all of them are.
    ///
    /// # Errors
    /// A store's, or the file system's.
    pub(super) fn write_down(
        mut self,
        folder: &Path,
        recipients: &Recipients,
        all: &[Wanted],
        progress: Progress<'_>,
    ) -> Result<Written> {
        let mut index = Writer::create(folder, EVIDENCE, recipients)?;
        let (mut list, mut held) = (Vec::new(), Vec::new());
        self.each(all, progress, &mut |wanted, kept| {
            held.push(*wanted);
            list.push(format!("{}  ../{FOLDER}/{}\n", kept.stored, kept.path));
            match serde_json::to_value(&kept) {
                Ok(Value::Object(line)) => index.line(line),
                _ => Err(Error::Internal("a file's copy is no object".into())),
            }
        })?;
        // Not in the order of the files' hashes: that would tell of them.
        list.sort_unstable();
        let rows = list.len() as u64;
        let text = list.concat();
        write_private(&folder.join(LIST), text.as_bytes())?;
        let list = Section {
            file: LIST.into(),
            size: text.len() as u64,
            sha256: hex(&Sha256::digest(&text)),
            rows: Some(rows),
        };
        self.collected.files = rows;
        self.collected.bytes = held.iter().map(|one: &Wanted| one.size).sum();
        Ok(Written {
            collected: self.collected,
            sections: vec![index.finish()?, list],
            held,
        })
    }

    fn each(
        &mut self,
        all: &[Wanted],
        progress: Progress<'_>,
        sink: &mut dyn FnMut(&Wanted, Kept) -> Result<()>,
    ) -> Result<()> {
        let total = all.iter().map(|wanted| wanted.size).sum();
        let mut done = 0;
        for wanted in all {
            let found = self.ensure(wanted, &mut |bytes| {
                progress(Step::Bytes(done + bytes, total));
            })?;
            done += wanted.size;
            progress(Step::Bytes(done, total));
            match found {
                Found::Kept(kept) => sink(wanted, kept)?,
                Found::Lost(why) => self.collected.lost.add(wanted, why),
                Found::Erased => {}
            }
        }
        Ok(())
    }

    fn ensure(&mut self, wanted: &Wanted, progress: &mut dyn FnMut(u64)) -> Result<Found> {
        if let Some(kept) = self.shelf.find(wanted)? {
            return Ok(Found::Kept(kept));
        }
        let copied = match self.files.read(wanted) {
            Ok(None) => return self.absent(wanted, "is not in the store"),
            Ok(Some(mut reading)) => {
                let mut bytes = 0;
                self.shelf.put(wanted, &mut || {
                    let chunk = reading.next()?;
                    bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                    progress(bytes);
                    Ok(chunk)
                })
            }
            Err(error) => Err(error),
        };
        match copied {
            Ok(Some(kept)) => {
                self.collected.copied += 1;
                self.collected.copied_bytes += kept.size;
                Ok(Found::Kept(kept))
            }
            Ok(None) => self.absent(wanted, "is damaged: its SHA-256 is another"),
            // A disk that fails here may still hold the others.
            Err(Error::Objects(error)) if self.files.is_folder() => {
                self.absent(wanted, &format!("cannot be read: {error}"))
            }
            Err(error) => Err(error),
        }
    }

    /// One that cannot be had, unless it was erased meanwhile.
    fn absent(&self, wanted: &Wanted, why: &str) -> Result<Found> {
        let known = self
            .store
            .read(|conn| store::file(conn, wanted.no, &wanted.file.0))?;
        Ok(match known {
            Some(_) => Found::Lost(why.to_owned()),
            None => Found::Erased,
        })
    }

    fn complete(&self) -> Result<Vec<Wanted>> {
        let mut all = Vec::new();
        for mission in self.store.read(missions::list)? {
            let mission = mission.reference;
            let mut after = Vec::new();
            loop {
                let page = self
                    .store
                    .read(|conn| store::page(conn, mission.no, &after, PAGE))?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.sha256);
                for row in page {
                    all.push(wanted(mission.id, &row)?);
                }
            }
        }
        Ok(all)
    }
}

/// A row of the register, as a file to copy.
pub(super) fn wanted(mission: MissionId, row: &FileRow) -> Result<Wanted> {
    let file = row.sha256.as_slice().try_into().map(FileHash);
    Ok(Wanted {
        no: row.mission,
        mission,
        file: file.map_err(|_| Error::Internal("a file's hash is not 32 bytes".into()))?,
        size: u64::try_from(row.size).unwrap_or(0),
        completed_at: row.completed_at,
    })
}

/// A line of a backup's register of files.
///
/// # Errors
/// `backup_invalid`.
pub(super) fn row_of(name: &str, line: &Line) -> Result<FileRow> {
    let number = |column: &str| line.get(column).and_then(Value::as_i64);
    let read = || {
        Some(FileRow {
            mission: number("mission")?.try_into().ok()?,
            sha256: unb64(line.get("sha256")?.as_str()?)?,
            size: number("size")?,
            completed_at: number("completed_at")?,
            durable_at: number("durable_at"),
        })
    };
    read().ok_or_else(|| invalid(name, "a row cannot be read"))
}

/// The copies that a backup's list names: where each lies on the shelf, and the
/// SHA-256 of its bytes there.
///
/// # Errors
/// `backup_invalid`.
pub(super) fn listed(folder: &Path, manifest: &Manifest) -> Result<Vec<(String, String)>> {
    let Some(section) = manifest.sections.iter().find(|one| one.file == LIST) else {
        return Ok(Vec::new());
    };
    super::section::check_bytes(folder, section)?;
    let path = folder.join(LIST);
    let file = fs::File::open(&path).map_err(Error::io(&path))?;
    let prefix = format!("../{FOLDER}/");
    std::io::BufReader::new(file)
        .lines()
        .map(|line| {
            let line = line.map_err(Error::io(&path))?;
            line.split_once("  ")
                .and_then(|(stored, place)| Some((place.strip_prefix(&prefix)?, stored)))
                .filter(|(place, _)| is_below(place))
                .map(|(place, stored)| (place.to_owned(), stored.to_owned()))
                .ok_or_else(|| invalid(LIST, "a line cannot be read"))
        })
        .collect()
}

/// Removes from the shelf what none of the backups beside it names. Answers how
/// many copies went, and their bytes.
///
/// # Errors
/// `backup_invalid` if a backup cannot be read: then nothing is removed.
pub(super) fn prune(beside: &Path, shelf: &Shelf) -> Result<(u64, u64)> {
    let mut named = HashSet::new();
    for entry in fs::read_dir(beside).map_err(Error::io(beside))? {
        let folder = entry.map_err(Error::io(beside))?.path();
        if folder.join(super::MANIFEST).exists() && !super::write::is_partial(&folder) {
            let names = super::read_manifest(&folder)
                .and_then(|(manifest, _)| listed(&folder, &manifest))
                .map_err(|error| {
                    let why = format!("nothing was removed: {}: {error}", folder.display());
                    Error::refused(Code::BackupInvalid, why)
                })?;
            named.extend(names.into_iter().map(|(path, _)| path));
        }
    }
    shelf.keep_only(&named)
}
