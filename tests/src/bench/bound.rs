//! The bound: strict verification and group-committed inserts of the same
//! rows, by the fastest settings that keep the promise, without HTTP, lookups or
//! projections. Verifying is what RFC 9901 §7.1 says: the signature, and that
//! every disclosure fits a signed digest. Verifying and writing overlap, as in
//! the server.

use std::{sync::mpsc, time::Instant};

use protocol::{
    entry::{SdJwt, WireEntry},
    exchange::Request,
    jose::{PublicKey, Signer as _},
};
use scrutineer::{
    domain::{ingest, ledger::append},
    store::{
        bulk,
        ledger::{self, EntryRow},
        projections::ReportRow,
    },
};

use super::{
    Error,
    data::{PER_EXCHANGE, World},
};

/// Rows of one commit of the pipeline in one thread.
const COMMIT: usize = 1_000;

/// What the bound is measured with: rows as the server's own pipeline made them.
pub(super) struct Source {
    requests: Vec<Request>,
    keys: Vec<PublicKey>,
    rows: Vec<EntryRow>,
    reports: Vec<ReportRow>,
}

/// The pipeline without HTTP, and verifying alone on one core: reports a second.
pub(super) struct Alone {
    pub(super) pipeline: f64,
    pub(super) verify: f64,
}

impl Source {
    pub(super) fn create(database_url: &str, reports: usize) -> Result<(Self, Alone), Error> {
        let folder = tempfile::tempdir()?;
        let world = World::create(&folder.path().join("source"), database_url)?;
        let requests = world.exchanges(reports)?;
        let pipeline = pipeline_rate(&world, &requests)?;
        let (rows, found) = world.app.store.read(|conn| {
            let mut rows = Vec::new();
            let mut after = 0;
            loop {
                let chunk = ledger::after(conn, world.mission.no, after, 10_000)?;
                let Some(last) = chunk.last() else { break };
                after = last.number;
                rows.extend(chunk.into_iter().filter(|row| row.kind == "file"));
            }
            let ids: Vec<Vec<u8>> = rows.iter().filter_map(|row| row.subject.clone()).collect();
            let mut found = bulk::reports_by_id(conn, world.mission.no, &ids)?;
            found.sort_by_key(|row| row.first_number);
            Ok((rows, found))
        })?;
        if rows.len() != found.len() || rows.len() < reports {
            return Err(format!("{} rows of {reports} reports", rows.len()).into());
        }
        let source = Self {
            requests,
            keys: world.public_keys(),
            rows,
            reports: found,
        };
        let sample = source.entries();
        let sample = &sample[..sample.len().min(5_000)];
        let start = Instant::now();
        check(&source.keys, sample);
        let verify = sample.len() as f64 / start.elapsed().as_secs_f64();
        Ok((source, Alone { pipeline, verify }))
    }

    /// Every entry with the number of its phone's key.
    fn entries(&self) -> Vec<(usize, &WireEntry)> {
        self.requests
            .iter()
            .enumerate()
            .flat_map(|(turn, request)| {
                let key = turn % self.keys.len();
                request.entries.iter().map(move |wire| (key, wire))
            })
            .collect()
    }

    /// The bound in reports a second, with so many rows a commit, and so many
    /// verified commits `ahead` of the one being written. With none ahead, two
    /// commits' rows are on their way at any moment: one being verified, one being
    /// written.
    pub(super) fn bound(
        &self,
        database_url: &str,
        commit: usize,
        ahead: usize,
    ) -> Result<f64, Error> {
        let folder = tempfile::tempdir()?;
        let world = World::create(&folder.path().join("bound"), database_url)?;
        let store = &world.app.store;
        let entries = self.entries();
        let (chunks, queue) = mpsc::sync_channel::<(usize, usize)>(ahead);
        let start = Instant::now();
        std::thread::scope(|scope| -> Result<(), Error> {
            let (keys, entries) = (&self.keys, &entries);
            scope.spawn(move || {
                for from in (0..entries.len()).step_by(commit) {
                    let to = (from + commit).min(entries.len());
                    let middle = usize::midpoint(from, to);
                    std::thread::scope(|halves| {
                        halves.spawn(|| check(keys, &entries[from..middle]));
                        check(keys, &entries[middle..to]);
                    });
                    if chunks.send((from, to)).is_err() {
                        return;
                    }
                }
            });
            while let Ok((from, to)) = queue.recv() {
                store.write(|conn| {
                    bulk::insert_entries(conn, &self.rows[from..to])?;
                    let reports: Vec<_> = self.reports[from..to].iter().collect();
                    bulk::insert_reports(conn, &reports)
                })?;
            }
            Ok(())
        })?;
        Ok(entries.len() as f64 / start.elapsed().as_secs_f64())
    }
}

/// The server's own pipeline in this process, one thread: what verifying,
/// looking up, chaining and projecting cost without HTTP.
fn pipeline_rate(world: &World, requests: &[Request]) -> Result<f64, Error> {
    let app = &world.app;
    let start = Instant::now();
    let mut registers = None;
    let mut done = 0;
    for group in requests.chunks(COMMIT / PER_EXCHANGE) {
        let mut entries = Vec::new();
        let mut contacts = Vec::new();
        for request in group {
            let prepared = ingest::prepare(
                &app.device_keys,
                &app.store,
                request,
                Vec::new(),
                app.host.now(),
            )?;
            let (_, batch, ..) = prepared.into_parts();
            entries.extend(batch.entries);
            contacts.extend(batch.contacts);
        }
        let now = app.host.now();
        let outcome = app.store.write(|conn| {
            append(
                conn,
                &mut registers,
                world.mission,
                &entries,
                &contacts,
                app.config.evidence_quota,
                now,
            )
        })?;
        done += outcome.appended.len();
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

fn check(keys: &[PublicKey], entries: &[(usize, &WireEntry)]) {
    for (phone, wire) in entries {
        let verified = SdJwt::from_wire(wire).and_then(|entry| {
            entry.verify(&keys[*phone], protocol::entry::DEVICE_TYP)?;
            entry.read()
        });
        assert!(verified.is_ok(), "a report does not verify");
    }
}

impl World {
    fn public_keys(&self) -> Vec<PublicKey> {
        self.signers().iter().map(|key| key.public()).collect()
    }
}
