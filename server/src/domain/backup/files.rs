//! The server's files of evidence, for a command: one call at a time, each
//! waited for.

use std::{io::Read, ops::Range};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::runtime::Runtime;

use super::shelf::Wanted;
use crate::{
    error::{Error, Result},
    store::objects::{Objects, RANGE_BYTES},
};

/// Bytes that are handed on at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Files {
    objects: Objects,
    runtime: Runtime,
}

impl Files {
    /// Files that lie there.
    ///
    /// # Errors
    /// The system's.
    pub fn new(objects: Objects) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("a thread's runtime"))?;
        Ok(Self { objects, runtime })
    }

    /// Whether they lie in a folder: then one that cannot be read says nothing of
    /// the others.
    pub(super) fn is_folder(&self) -> bool {
        self.objects.is_folder()
    }

    /// Whether a file is there, as long as it must be.
    pub(super) fn has(&self, wanted: &Wanted) -> Result<bool> {
        let size = self.objects.size_of(wanted.mission.0, &wanted.file);
        Ok(self.runtime.block_on(size)? == Some(wanted.size))
    }

    /// Reads a file; `None` if it is not there.
    pub(super) fn read(&self, wanted: &Wanted) -> Result<Option<Reading<'_>>> {
        let mut reading = Reading {
            files: self,
            wanted: *wanted,
            left: 0..wanted.size,
            range: None,
        };
        Ok(reading.ask()?.then_some(reading))
    }

    /// Stores a file; `false` if what comes is another, and then nothing is left.
    pub(super) fn put(&self, wanted: &Wanted, mut from: impl Read) -> Result<bool> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut next = || {
            let read = from
                .read(&mut buffer)
                .map_err(|error| super::invalid("a copy", error))?;
            Ok((read > 0).then(|| Bytes::copy_from_slice(&buffer[..read])))
        };
        let put = self
            .objects
            .put_file(wanted.mission.0, &wanted.file, &mut next);
        self.runtime.block_on(put)
    }
}

/// A file that is being read, range after range.
pub(super) struct Reading<'a> {
    files: &'a Files,
    wanted: Wanted,
    left: Range<u64>,
    range: Option<BoxStream<'static, object_store::Result<Bytes>>>,
}

impl Reading<'_> {
    /// The next bytes; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(range) = &mut self.range {
                match self.files.runtime.block_on(range.next()) {
                    Some(chunk) => return Ok(Some(chunk?)),
                    None => self.range = None,
                }
            }
            // One that went meanwhile ends early, and is then not the file.
            if self.left.is_empty() || !self.ask()? {
                return Ok(None);
            }
        }
    }

    /// Asks for the next range; answers whether the file is there.
    fn ask(&mut self) -> Result<bool> {
        let end = (self.left.start + RANGE_BYTES).min(self.left.end);
        let range = self.left.start..end;
        let (mission, file) = (self.wanted.mission.0, self.wanted.file);
        let asked = self.files.objects.read(mission, &file, range);
        let found = self.files.runtime.block_on(asked)?;
        self.left.start = end;
        let there = found.is_some();
        self.range = found;
        Ok(there)
    }
}
