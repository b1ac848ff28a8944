//! Bundles that couriers brought.

use std::{
    fs::File,
    io::{Read, Seek as _},
    path::{Path, PathBuf},
};

use protocol::{codes::Code, ids::FileHash};
use serde_json::{Value, json};

use super::{
    Desk,
    args::{Bundles, ImportBundle},
    out::{Out, table},
};
use crate::{
    clock::Micros,
    domain::{
        bundles::{self, Holders, Imported, Importer, Source},
        evidence::Evidence,
        ingest::{Batcher, DeviceKeys},
    },
    error::{Error, Result},
    store::bundles as store,
};

/// A file on this machine.
struct OnDisk(PathBuf, File);

impl OnDisk {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        if !file.metadata().is_ok_and(|known| known.is_file()) {
            let why = format!("{} is not a file", path.display());
            return Err(Error::refused(Code::FileUnreadable, why));
        }
        Ok(Self(path.to_owned(), file))
    }
}

impl Source for OnDisk {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        // The same file each time, whatever is put under its name meanwhile.
        let mut file = self.1.try_clone().map_err(Error::io(&self.0))?;
        file.rewind().map_err(Error::io(&self.0))?;
        Ok(Box::new(file))
    }
}

/// The keys that are named, or those that were left on the server.
fn holders(desk: &Desk, named: &[PathBuf]) -> Result<Holders> {
    let holders = if named.is_empty() {
        Holders::left_in(&desk.config.keys_folder())?
    } else {
        Holders::read(named)?
    };
    if holders.is_empty() {
        return Err(Error::refused(
            Code::BundleWrongKey,
            "no mission's key is on this server; name the file that holds it: --identity FILE",
        ));
    }
    Ok(holders)
}

fn importer(desk: &Desk) -> Result<Importer> {
    let (store, host) = (desk.store.clone(), desk.host.clone());
    Ok(Importer {
        device_keys: DeviceKeys::default(),
        server_key: desk.keys.receipt_public.clone(),
        batcher: Batcher::new(store.clone(), host.clone(), desk.config.evidence_quota),
        evidence: Evidence::open(&desk.config, store.clone(), host.clone())?,
        store,
        host,
    })
}

/// Runs what needs a runtime beside it.
fn beside_a_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Io("a runtime".into(), error))?;
    runtime
        .block_on(runtime.spawn_blocking(work))
        .map_err(|error| Error::Internal(error.to_string()))?
}

pub(super) fn import_file(desk: &Desk, wish: &ImportBundle, out: Out) -> Result<()> {
    let source = OnDisk::open(&wish.file)?;
    let (holders, importer) = (holders(desk, &wish.identity)?, importer(desk)?);
    let imported = beside_a_runtime(move || {
        let imported = importer.import(&source, &holders);
        importer.batcher.stop();
        imported
    })?;
    told(&imported, out)
}

pub(super) fn waiting(desk: &Desk, command: Bundles, out: Out) -> Result<()> {
    match command {
        Bundles::List => list(desk, out),
        Bundles::Import { sha256, identity } => {
            let (holders, importer) = (holders(desk, &identity)?, importer(desk)?);
            let objects = importer.evidence.objects().clone();
            let imported = beside_a_runtime(move || {
                let imported =
                    bundles::receive::import_waiting(&importer, &objects, sha256, &holders);
                importer.batcher.stop();
                imported
            })?;
            told(&imported, out)
        }
        Bundles::Discard { sha256, yes } => {
            if !yes {
                return Err(Error::refused(
                    Code::NotConfirmed,
                    "what is in it is lost unless its courier still has it; say --yes",
                ));
            }
            let importer = importer(desk)?;
            beside_a_runtime(move || {
                let objects = importer.evidence.objects();
                bundles::receive::discard(&importer.store, objects, sha256)
            })?;
            out.answer(
                &json!({"bundle": sha256, "discarded": true}),
                &format!("{sha256} is discarded."),
            )
        }
    }
}

fn list(desk: &Desk, out: Out) -> Result<()> {
    let rows = desk.store.read(store::waiting)?;
    let value: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "bundle": name(&row.sha256),
                "size": row.size,
                "received_at": Micros(row.received_at).rfc3339(),
            })
        })
        .collect();
    if rows.is_empty() {
        return out.answer(&json!(value), "No bundle waits.");
    }
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            vec![
                name(&row.sha256),
                row.size.to_string(),
                Micros(row.received_at).rfc3339(),
            ]
        })
        .collect();
    let words = table(&["bundle", "bytes", "received"], &lines);
    out.answer(
        &json!(value),
        &format!("{words}\nImport them with the mission's key: scrutineer bundles import BUNDLE --identity FILE"),
    )
}

fn name(sha256: &[u8]) -> String {
    sha256
        .try_into()
        .map_or_else(|_| String::new(), |bytes| FileHash(bytes).to_string())
}

fn told(imported: &Imported, out: Out) -> Result<()> {
    let value = serde_json::to_value(imported).map_err(|e| Error::Internal(e.to_string()))?;
    let mut words = format!(
        "{} entries: {} new, {} there before, {} wait for an earlier part, {} in quarantine, {} refused.\n\
         {} files: {} new, {} there before, {} refused.",
        imported.read,
        imported.stored,
        imported.already_stored,
        imported.held,
        imported.quarantined,
        imported.refused,
        imported.files_read,
        imported.files_stored,
        imported.files_already,
        imported.files_refused,
    );
    for reason in &imported.reasons {
        let what = match (reason.entry, reason.file) {
            (Some(entry), _) => format!("entry {entry}"),
            (_, Some(file)) => format!("file {file}"),
            _ => "a file".to_owned(),
        };
        words += &format!("\n{what}: {} ({})", reason.code.title(), reason.code);
    }
    out.answer(&value, &words)
}
