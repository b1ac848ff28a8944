//! Reference data of the server in memory.

use std::collections::BTreeMap;

use protocol::{
    codes::Code,
    exchange,
    ids::ReferenceHash,
    reference::{self, Delta, Offer, Register, Snapshot},
};

use super::{
    problem,
    server::{FakeServer, Fault},
};
use crate::{
    pack::pack,
    transport::{Answer, Call},
};

/// A line of a station.
pub(crate) fn station(at: usize, name: &str) -> (String, String) {
    let code = format!("8-{at}");
    let line = serde_json::json!({"code": code, "name": format!("{name} {at}")});
    (code, line.to_string())
}

/// As many stations, of which the first few have another name.
pub(crate) fn stations(count: usize, renamed: usize) -> Snapshot {
    let name = |at: usize| {
        // Not to be packed too well, so that it takes some parts.
        let noise = protocol::encoding::b64(Snapshot::name(&at.to_string()).0);
        let kind = if at < renamed { "renamed" } else { "school" };
        format!("{kind} {noise}")
    };
    let lines: BTreeMap<String, String> = (0..count).map(|at| station(at, &name(at))).collect();
    Snapshot::of(Register::Stations, lines)
}

impl FakeServer {
    /// The register has this version now.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.reference.borrow_mut().push(snapshot);
    }

    fn version(&self, register: Register, name: &ReferenceHash) -> Option<Snapshot> {
        let versions = self.reference.borrow();
        let mut of = versions
            .iter()
            .filter(|version| version.register() == register);
        of.find(|version| Snapshot::name(&version.text()) == *name)
            .cloned()
    }

    pub(super) fn offers(&self, request: &exchange::Request, token: bool) -> Vec<Offer> {
        let mut offers = Vec::new();
        for holding in request.reference.iter().filter(|_| token) {
            let register = Register::from_name(&holding.register).expect("a register");
            let versions = self.reference.borrow();
            let mut of = versions
                .iter()
                .enumerate()
                .filter(|(_, version)| version.register() == register);
            let Some((at, newest)) = of.next_back() else {
                continue;
            };
            let text = newest.text();
            let known = holding
                .sha256
                .and_then(|name| self.version(register, &name));
            let from = known.as_ref().and(holding.sha256);
            let mut delta = newest.since(&known.unwrap_or_else(|| Snapshot::empty(register)), from);
            if self.false_deltas.get() {
                delta.put.pop();
            }
            let short = delta.bytes() <= self.inline.get();
            let newer = holding.sha256 != Some(Snapshot::name(&text));
            offers.push(Offer {
                register,
                version: at as u64 + 1,
                sha256: Snapshot::name(&text),
                bytes: text.len() as u64,
                delta: (short && newer).then_some(delta),
                from: from.filter(|_| newer && !short),
            });
        }
        offers
    }

    /// `GET /v1/reference/…`, with a `Range`.
    pub(super) fn read_reference(&self, path: &str, call: &Call, fault: Option<Fault>) -> Answer {
        let (path, from) = match path.split_once("?from=") {
            None => (path, None),
            Some((path, from)) => (path, Some(from.parse().expect("a name"))),
        };
        let (register, name) = path.split_once('/').expect("a register and a name");
        let register = Register::from_name(register).expect("a register");
        let name: ReferenceHash = name.parse().expect("a name");
        let Some(snapshot) = self.version(register, &name) else {
            return problem(404, Code::NotFound);
        };
        let (text, content_type) = match from {
            None => (snapshot.text(), reference::MEDIA_TYPE),
            Some(from) => {
                let old = self.version(register, &from).expect("known");
                let delta: Delta = snapshot.since(&old, Some(from));
                (serde_json::json!(delta).to_string(), "application/json")
            }
        };
        let mut bytes = pack(text.as_bytes()).expect("packs");
        if fault == Some(Fault::Damaged) || self.damages.get() {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let etag = format!("\"{name}.{}\"", self.packing.get());
        let header = |name: &str| {
            let found = call.headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        let same = header("if-range").is_none_or(|known| known == etag);
        let range = header("range").filter(|_| same);
        let mut answer = Answer {
            status: 200,
            content_type: content_type.into(),
            content_encoding: "gzip".into(),
            etag,
            ..Answer::default()
        };
        if let Some(range) = range {
            let (first, last) = range
                .strip_prefix("bytes=")
                .and_then(|range| range.split_once('-'))
                .expect("a range");
            let (first, last): (usize, usize) = (
                first.parse().expect("a number"),
                last.parse().expect("a number"),
            );
            if first >= bytes.len() {
                return problem(416, Code::RangeNotSatisfiable);
            }
            let end = (last + 1).min(bytes.len());
            answer.status = 206;
            answer.content_range = format!("bytes {first}-{}/{}", end - 1, bytes.len());
            bytes = bytes[first..end].to_vec();
        }
        answer.body = bytes;
        answer
    }
}
