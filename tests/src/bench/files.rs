//! Imports and exports at full size.

use std::{io::Write as _, path::Path};

use protocol::exchange::Request;
use scrutineer::domain::{ingest, ledger::append};

use super::{Error, data::World, process};

/// Observers of the real election: 112,749 domestic and 598 international,
/// rounded.
const ACCREDITATIONS: usize = 113_000;

pub(super) fn measure(database_url: &str, reports: usize) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let world = World::create(&data, database_url)?;
    let mission = world.mission.id.to_string();
    let observers = folder.path().join("accreditations.csv");
    write_accreditations(&observers)?;
    let stations = concat!(env!("CARGO_MANIFEST_DIR"), "/data/demo/stations.csv");
    // The stations are there already, so this is the import again.
    for (what, file) in [
        ("stations", stations),
        ("accreditations", &observers.to_string_lossy()),
    ] {
        let import = ["import", what, file, "--mission", &mission, "--json"];
        let (seconds, peak) = process::timed(&data, database_url, &import)?;
        println!("import of {what}: {seconds:.2} s, {peak:.0} MB at peak");
    }
    file(&world, &world.exchanges(reports)?)?;
    for format in ["csv", "geojson", "jsonl"] {
        let out = folder.path().join(format!("out.{format}"));
        let path = out.to_string_lossy();
        let export = [
            "export",
            "--mission",
            &mission,
            "--format",
            format,
            "-o",
            &path,
            "--json",
        ];
        let (seconds, peak) = process::timed(&data, database_url, &export)?;
        let size = std::fs::metadata(&out)?.len();
        println!(
            "export of {reports} reports as {format}: {seconds:.2} s, {:.0} MB, {peak:.0} MB of memory at peak",
            size as f64 / 1e6
        );
    }
    Ok(())
}

fn write_accreditations(path: &Path) -> Result<(), Error> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    writeln!(out, "number,name,kind,institution,country,stations")?;
    for number in 1..=ACCREDITATIONS {
        writeln!(
            out,
            "AZ-{number:06},Sample Observer {number},domestic,Sample Institution {},AZ,",
            number % 300
        )?;
    }
    Ok(out.flush()?)
}

fn file(world: &World, requests: &[Request]) -> Result<(), Error> {
    let app = &world.app;
    let mut registers = None;
    for group in requests.chunks(100) {
        let mut entries = Vec::new();
        for request in group {
            let prepared = ingest::prepare(
                &app.device_keys,
                &app.store,
                request,
                Vec::new(),
                app.host.now(),
            )?;
            entries.extend(prepared.into_parts().1.entries);
        }
        let now = app.host.now();
        app.store.write(|conn| {
            let quota = app.config.evidence_quota;
            append(
                conn,
                &mut registers,
                world.mission,
                &entries,
                &[],
                quota,
                now,
            )
        })?;
    }
    Ok(())
}
