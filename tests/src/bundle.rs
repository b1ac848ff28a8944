//! Bundles of couriers: packed by the real `observer`, or made by a test from any
//! entries and files, good or bad.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use protocol::{entry::SdJwt, ids::MissionId};
use sealed::{
    age::{Recipient, Secrets, Writer as AgeWriter},
    bundle::{Head, Writer},
};
use serde_json::Value;

use crate::{chance::Chance, observer::Observer, site::Site, upload::Sample};

/// The mission's sealing key, `age1…`.
///
/// # Panics
/// When there is none.
#[track_caller]
#[must_use]
pub fn recipient(site: &Site, mission: MissionId) -> Recipient {
    let missions = site.run(&["mission", "list"]).json();
    let missions = missions.as_array().expect("a list");
    let named = missions
        .iter()
        .find(|one| one["mission"] == mission.to_string());
    let text = named
        .and_then(|one| one["sealing_key"].as_str())
        .expect("a key");
    Recipient::parse(text).expect("a recipient")
}

/// The secret half of a mission's sealing key, on the server.
#[must_use]
pub fn identity(site: &Site, mission: MissionId) -> PathBuf {
    site.data
        .join("keys/missions")
        .join(format!("{mission}.age"))
}

/// Takes the secret half off the server, as an operator should.
///
/// # Panics
/// When it cannot be moved.
#[must_use]
pub fn take_off(site: &Site, mission: MissionId) -> PathBuf {
    let kept = site.scratch().join(format!("{mission}.age"));
    std::fs::rename(identity(site, mission), &kept).expect("moves");
    kept
}

fn secrets() -> Secrets {
    let mut chance = Chance::new();
    Secrets::fresh(|bytes| {
        for byte in bytes {
            *byte = chance.bytes::<1>()[0];
        }
    })
}

/// A bundle with these entries and files.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn of(
    to: &Recipient,
    mission: Option<MissionId>,
    entries: &[&SdJwt],
    files: &[&Sample],
) -> Vec<u8> {
    let head = Head {
        v: 1,
        mission,
        app: "test/1".into(),
    };
    let mut writer = Writer::new(Vec::new(), to, &secrets(), &head).expect("begins");
    for entry in entries {
        writer.entry(entry.to_wire()).expect("writes");
    }
    for sample in files {
        writer
            .file(sample.file.sha256, sample.file.size)
            .expect("writes");
        writer.part(&sample.bytes).expect("writes");
    }
    writer.finish().expect("ends")
}

/// Something else, sealed in the same way.
///
/// # Panics
/// When it cannot be sealed.
#[must_use]
pub fn sealed(to: &Recipient, inside: &[u8]) -> Vec<u8> {
    let mut writer = AgeWriter::new(Vec::new(), to, &secrets()).expect("begins");
    writer.write_all(inside).expect("writes");
    writer.finish().expect("ends")
}

/// Packs what waits on a phone.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn pack(observer: &Observer, path: &Path, more: &[&str]) -> Value {
    let path = path.to_str().expect("a path");
    observer.run(&[&["pack", "-o", path], more].concat()).json()
}

/// Imports a bundle on the server's machine.
///
/// # Panics
/// When it cannot.
#[track_caller]
#[must_use]
pub fn import(site: &Site, path: &Path) -> Value {
    let path = path.to_str().expect("a path");
    site.run(&["import-bundle", path]).json()
}
