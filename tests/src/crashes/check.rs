//! What was acknowledged, beside what the ledger and the stored files hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Tally, world::World};
use crate::{ledger, upload::hash_of};

impl World {
    /// Compares everything; each finding is named in the tally.
    pub(super) fn compare(&mut self, tally: &mut Tally) {
        // Numbers without holes, every hash once, the chain, every signature.
        let entries = ledger::audit(&self.site, self.mission);
        let mut held = BTreeSet::new();
        let mut said: BTreeMap<(String, String), u32> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.row.device.is_some()) {
            if !held.insert(entry.hash.to_string()) {
                tally.doubles.push(format!("entry {}", entry.hash));
            }
            if entry.row.standing != "applied" {
                tally
                    .faults
                    .push(format!("{} stands as {}", entry.hash, entry.row.standing));
            }
            let body = entry.read.as_ref().map(|read| &read.body);
            let own = match entry.kind() {
                "attach" => body.and_then(|body| body["file"]["sha256"].as_str()),
                _ => body.and_then(|body| body["text"].as_str()),
            };
            let own = own.unwrap_or_default().to_owned();
            *said.entry((entry.kind().to_owned(), own)).or_default() += 1;
        }
        // Each command said something that no other said.
        for ((kind, what), times) in said {
            if times > 1 {
                tally.doubles.push(format!("{kind} `{what}` {times} times"));
            }
        }
        tally.in_ledger = held.len() as u64;
        tally.acknowledged = 0;
        let mut on_phones = BTreeSet::new();
        for phone in &self.phones {
            let (here, delivered) = phone.entries();
            let acknowledged: BTreeSet<_> = phone.confirmed.union(&delivered).collect();
            tally.acknowledged += acknowledged.len() as u64;
            for hash in acknowledged {
                if !held.contains(hash) {
                    tally
                        .losses
                        .push(format!("entry {hash}, not in the ledger"));
                }
                if !here.contains(hash) {
                    tally.losses.push(format!("entry {hash}, not on its phone"));
                }
            }
            on_phones.extend(here);
        }
        for hash in held.difference(&on_phones) {
            tally.faults.push(format!("{hash} is on no phone"));
        }
        self.compare_files(tally);
        self.compare_reports(tally);
    }

    /// Reads each acknowledged file back, once.
    fn compare_files(&mut self, tally: &mut Tally) {
        for (hash, size) in self.phones.iter().flat_map(|phone| &phone.files) {
            if self.compared.contains(hash) {
                continue;
            }
            let path = protocol::evidence::path(hash);
            let answer = self.lead.get(&path);
            if answer.status == 200
                && hash_of(&answer.body) == *hash
                && answer.body.len() as u64 == *size
            {
                self.compared.insert(*hash);
            } else {
                let what = format!("file {hash}: {}", answer.status);
                tally.losses.push(what);
            }
        }
        tally.files = self.compared.len() as u64;
    }

    /// What coordinators see: a report for each `file` entry, no more and no less.
    fn compare_reports(&self, tally: &mut Tally) {
        let reports: Vec<Value> = self.lead.all("/v1/reports", "reports");
        let filed = self
            .site
            .database
            .count("SELECT count(*) FROM entries WHERE kind = 'file' AND device IS NOT NULL");
        if i64::try_from(reports.len()) != Ok(filed) {
            let found = format!("{} reports for {filed} filed", reports.len());
            tally.doubles.push(found);
        }
    }
}
