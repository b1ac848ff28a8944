//! `scrutineer export`: a file that appears whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use protocol::codes::Code;
use serde_json::json;

use super::{Desk, args::Export, out::Out};
use crate::{
    domain::{
        audit::{Act, By, Deed},
        export::{self, Options},
    },
    error::{Error, Result},
};

pub(super) fn run(desk: &Desk, command: &Export, out: Out) -> Result<()> {
    let mission = desk.mission(command.mission)?;
    let options = Options {
        format: command.format,
        filter: command.which.filter()?,
        names: command.names,
        language: command.language.to_lowercase(),
    };
    let told = options.told()?;
    desk.store.write(|conn| {
        Deed::new(&desk.host, By::CommandLine, Act::Export, told).note(conn, mission.reference.no)
    })?;
    let reports = write_whole(&command.output, |file| {
        desk.store
            .read(|conn| export::write(conn, desk.office(), &mission, &options, file))
    })?;
    out.answer(
        &json!({"file": command.output, "format": command.format.name(), "reports": reports}),
        &format!("{reports} reports in {}", command.output.display()),
    )
}

/// Writes to `FILE.partial`, makes it durable, then gives it its name.
fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn std::io::Write) -> Result<T>,
) -> Result<T> {
    let name = path.file_name().ok_or_else(|| {
        Error::refused(
            Code::Usage,
            format!("{} does not name a file", path.display()),
        )
    })?;
    let mut partial_name = OsString::from(name);
    partial_name.push(".partial");
    let partial: PathBuf = path.with_file_name(partial_name);
    let written = write_partial(&partial, write).and_then(|value| {
        fs::rename(&partial, path).map_err(Error::io(path))?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(Error::io(folder))?;
        Ok(value)
    });
    if written.is_err() {
        // Half an export must not be taken for one.
        fs::remove_file(&partial).ok();
    }
    written
}

fn write_partial<T>(
    partial: &Path,
    write: impl FnOnce(&mut dyn std::io::Write) -> Result<T>,
) -> Result<T> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // Reports are nobody else's business on this machine.
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(partial)
        .map_err(|error| {
            let detail = format!("{} cannot be written: {error}", partial.display());
            Error::refused(Code::InvalidValue, detail)
        })?;
    let mut writer = BufWriter::with_capacity(256 * 1024, file);
    let value = write(&mut writer)?;
    writer.flush().map_err(Error::io(partial))?;
    writer.get_ref().sync_all().map_err(Error::io(partial))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reports.csv");
        write_whole(&path, |out| out.write_all(b"old").map_err(Error::io("x"))).unwrap();
        let failed: Result<()> = write_whole(&path, |out| {
            out.write_all(b"half").map_err(Error::io("x"))?;
            Err(Error::Internal("power cut".into()))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_whole(&path, |out| out.write_all(b"new").map_err(Error::io("x"))).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_whole(Path::new("/"), |_| Ok(())).is_err());
    }
}
