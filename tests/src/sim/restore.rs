//! A restore as operators do it: a backup is written into a folder, and an empty
//! database is filled from that, with the server's own code.

use std::path::Path;

use scrutineer::{
    clock::Host,
    config::{Config, Durability},
    domain::backup::{self, Files, Opened, Recipients, Source, Target, Unsealer, Wish},
    error::Error,
    keys::Keys,
    store::{DatabaseUrl, Store, objects::Objects},
};

fn open(database: &Path) -> Result<Store, Error> {
    Store::open(&DatabaseUrl::Sqlite(database.to_owned()), 2)
}

/// Writes a backup of a database, with evidence, and reads it back.
pub(super) fn back_up(
    database: &Path,
    folder: &Path,
    config: &Config,
    keys: &Keys,
    host: &Host,
) -> Result<(), Error> {
    let store = open(database)?;
    let files = Files::new(Objects::open(&config.evidence()?)?)?;
    let source = Source {
        store: &store,
        keys,
        host,
        files: Some(&files),
    };
    let wish = Wish {
        output: folder.to_owned(),
        recipients: Recipients::default(),
        prune: false,
    };
    backup::write(&source, &wish, &mut |_| {}).map(drop)
}

/// Fills an empty database from a backup, brings its evidence back, and begins a
/// new history.
pub(super) fn restore(
    folder: &Path,
    database: &Path,
    config: &Config,
    keys: &Keys,
    host: &Host,
) -> Result<(), Error> {
    let opened = Opened::open(folder, Unsealer::default())?;
    opened.check_signature(&keys.receipt_public)?;
    let store = open(database)?;
    store.write(|conn| opened.load(conn, host, &mut |_| {}))?;
    let target = Target {
        store: &store,
        files: &Files::new(Objects::open(&config.evidence()?)?)?,
        host,
        durable_there: config.evidence_durable == Durability::Stored,
        copy: true,
    };
    opened.bring(&target, &mut |_| {})?;
    store.scrub()
}
