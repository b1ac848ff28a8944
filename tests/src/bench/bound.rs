//! The bound: strict verification and group-committed inserts of the same
//! rows, by the fastest settings that keep the promise, without HTTP, JSON,
//! lookups or projections. Verifying and writing overlap, as in the server.

use std::{sync::mpsc, time::Instant};

use protocol::{
    entry::SdJwt,
    exchange::Request,
    jose::{PublicKey, Signer as _},
};
use scrutineer::{
    domain::{ingest, ledger::append},
    store::{ledger, projections},
};

use super::{
    Error,
    data::{PER_EXCHANGE, World},
    median,
};

/// Rows of one commit.
const COMMIT: usize = 1_000;

/// Reports a second, and the two halves alone.
pub(super) struct Bound {
    rate: f64,
    verify: f64,
    insert: f64,
    pipeline: f64,
}

pub(super) fn measure(
    source_url: &str,
    database_url: &str,
    reports: usize,
) -> Result<Bound, Error> {
    // The rows are what the server's own pipeline makes of these entries.
    let folder = tempfile::tempdir()?;
    let source = World::create(&folder.path().join("source"), source_url)?;
    let requests = source.exchanges(reports)?;
    let pipeline = pipeline_rate(&source, &requests)?;
    let (rows, reports_rows) = source.app.store.read(|conn| {
        let mut rows = Vec::new();
        let mut after = 0;
        loop {
            let chunk = ledger::after(conn, source.mission.no, after, 10_000)?;
            let Some(last) = chunk.last() else { break };
            after = last.number;
            rows.extend(chunk.into_iter().filter(|row| row.kind == "file"));
        }
        let ids: Vec<Vec<u8>> = rows.iter().filter_map(|row| row.subject.clone()).collect();
        let mut found = projections::reports_by_id(conn, source.mission.no, &ids)?;
        found.sort_by_key(|row| row.first_number);
        Ok((rows, found))
    })?;
    if rows.len() != reports_rows.len() || rows.len() < reports {
        return Err(format!("{} rows of {reports} reports", rows.len()).into());
    }
    let world = World::create(&folder.path().join("bound"), database_url)?;
    let store = &world.app.store;
    let keys = source.public_keys();
    let mut entries = Vec::with_capacity(rows.len());
    for (turn, request) in requests.iter().enumerate() {
        for wire in &request.entries {
            entries.push((turn % keys.len(), SdJwt::from_wire(wire)?));
        }
    }

    let verify = verify_rate(&keys, &entries);
    let (chunks, queue) = mpsc::sync_channel::<(usize, usize)>(4);
    let start = Instant::now();
    let mut insert_seconds = 0.0;
    std::thread::scope(|scope| -> Result<(), Error> {
        let (keys, entries) = (&keys, &entries);
        scope.spawn(move || {
            for from in (0..entries.len()).step_by(COMMIT) {
                let to = (from + COMMIT).min(entries.len());
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
            let started = Instant::now();
            store.write(|conn| {
                ledger::insert(conn, &rows[from..to])?;
                let reports: Vec<_> = reports_rows[from..to].iter().collect();
                projections::insert_reports(conn, &reports)
            })?;
            insert_seconds += started.elapsed().as_secs_f64();
        }
        Ok(())
    })?;
    let count = entries.len() as f64;
    Ok(Bound {
        rate: count / start.elapsed().as_secs_f64(),
        verify,
        insert: count / insert_seconds,
        pipeline,
    })
}

/// The server's own pipeline in this process, one thread: what verifying,
/// looking up, chaining and projecting cost without HTTP.
fn pipeline_rate(world: &World, requests: &[Request]) -> Result<f64, Error> {
    let app = &world.app;
    let start = Instant::now();
    let mut done = 0;
    for group in requests.chunks(COMMIT / PER_EXCHANGE) {
        let mut entries = Vec::new();
        let mut contacts = Vec::new();
        for request in group {
            let prepared = ingest::prepare(&app.device_keys, &app.store, request, app.host.now())?;
            let (_, batch, _) = prepared.into_parts();
            entries.extend(batch.entries);
            contacts.extend(batch.contacts);
        }
        let now = app.host.now();
        let outcome = app
            .store
            .write(|conn| append(conn, world.mission, &entries, &contacts, now))?;
        done += outcome.appended.len();
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

fn verify_rate(keys: &[PublicKey], entries: &[(usize, SdJwt)]) -> f64 {
    let sample = &entries[..entries.len().min(5_000)];
    let start = Instant::now();
    check(keys, sample);
    sample.len() as f64 / start.elapsed().as_secs_f64()
}

fn check(keys: &[PublicKey], entries: &[(usize, SdJwt)]) {
    for (phone, entry) in entries {
        assert!(
            entry
                .verify(&keys[*phone], protocol::entry::DEVICE_TYP)
                .is_ok(),
            "a report does not verify"
        );
    }
}

impl World {
    fn public_keys(&self) -> Vec<PublicKey> {
        self.signers().iter().map(|key| key.public()).collect()
    }
}

pub(super) fn print(bounds: &mut [Bound]) -> f64 {
    let rate = median(&mut bounds.iter().map(|bound| bound.rate).collect::<Vec<_>>());
    let verify = median(&mut bounds.iter().map(|bound| bound.verify).collect::<Vec<_>>());
    let insert = median(&mut bounds.iter().map(|bound| bound.insert).collect::<Vec<_>>());
    println!(
        "bound (verify strictly + insert the same rows, {COMMIT} a commit): {rate:.0} reports/s"
    );
    let pipeline = median(
        &mut bounds
            .iter()
            .map(|bound| bound.pipeline)
            .collect::<Vec<_>>(),
    );
    println!("  the server's pipeline in one thread, without HTTP: {pipeline:.0} reports/s");
    println!("  verifying alone on one core {verify:.0}/s, inserting alone {insert:.0}/s");
    rate
}
