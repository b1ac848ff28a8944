//! Exports, as foreign programs read them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use protocol::{
    entry::{Patch, Place, ReportFields},
    ids::MissionId,
};
use serde_json::json;
use tests::{
    database::Kind,
    http, on_both_databases,
    phone::{self, Phone, report},
    programs,
    site::Site,
};

on_both_databases!(foreign_readers_take_them, over_http_for_those_who_may);

/// A mission with every kind of thing that an export has to show.
fn filled(kind: Kind) -> (Site, MissionId) {
    let site = Site::new(kind);
    let mission = site.small_mission("Exports");
    let server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let texts = [
        "plain",
        "=1+1",
        "+994 12",
        "-x",
        "@you",
        "\t=1",
        "\r=1",
        "two\nlines, \"quoted\"; and;semicolons",
        "İndi söz: «qutu»",
        "a\0b",
        "",
        "'; DROP TABLE reports; --",
    ];
    let mut entries = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let lat = 40.46 - f64::from(u32::try_from(at).expect("small")) / 1000.0;
        let fields = ReportFields {
            place: if at % 3 == 0 {
                Patch::Keep
            } else {
                Patch::Set(Place {
                    lat,
                    lon: -49.82,
                    accuracy: Some(7.5),
                })
            },
            station: if at % 2 == 0 {
                Patch::Set("8-1".into())
            } else {
                Patch::Keep
            },
            observed_at: Patch::Set("2024-09-01T08:15:00+04:00".into()),
            ..report(text)
        };
        entries.push(phone.file(&fields));
    }
    let amended = phone.amend(&entries[0], entries[0].hash(), "plain, and amended");
    let withdrawn = phone.withdraw(&entries[1], entries[1].hash(), "not so sure");
    let outside = phone.file(&ReportFields {
        place: Patch::Set(Place {
            lat: 91.0,
            lon: 0.0,
            accuracy: None,
        }),
        ..report("nowhere")
    });
    entries.extend([amended, withdrawn, outside]);
    let _ = phone.send(&entries.iter().collect::<Vec<_>>());
    let coordinator = site.console(mission, "coordinator");
    let id = phone::subject(&entries[2]);
    let version = coordinator.get(&format!("/v1/reports/{id}")).ok()["report"]["version"].clone();
    coordinator
        .post(
            &format!("/v1/reports/{id}/decisions"),
            &json!({ "to": "in_review", "version": version }),
        )
        .ok();
    server.stop();
    (site, mission)
}

fn export(site: &Site, mission: MissionId, format: &str) -> PathBuf {
    let file = site.scratch().join("reports").with_extension(format);
    let path = file.display().to_string();
    site.run(&[
        "export",
        "--mission",
        &mission.to_string(),
        "--format",
        format,
        "-o",
        &path,
    ])
    .json();
    file
}

fn foreign_readers_take_them(kind: Kind) {
    let (site, mission) = filled(kind);
    let [csv, geojson, jsonl] =
        ["csv", "geojson", "jsonl"].map(|format| export(&site, mission, format));
    python(&csv, &geojson, &jsonl);
    let output = Command::new("ogrinfo")
        .args(["-ro", "-al", "-so"])
        .arg(&geojson)
        .output()
        .expect("GDAL's ogrinfo is missing: scripts/setup.sh test installs it");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for line in [
        "using driver `GeoJSON' successful",
        "Feature Count: 13",
        "Geometry: Point",
        "status: String",
        "received_at: DateTime",
    ] {
        assert!(said.contains(line), "`{line}` is not in:\n{said}");
    }
    // The same bytes for the same data.
    let before = [&csv, &geojson, &jsonl].map(|file| std::fs::read(file).expect("the file"));
    let again = ["csv", "geojson", "jsonl"]
        .map(|format| std::fs::read(export(&site, mission, format)).expect("the file"));
    assert!(before == again, "an export is the same bytes each time");
}

fn python(csv: &Path, geojson: &Path, jsonl: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/verify_export.py");
    let output = programs::python()
        .arg(script)
        .args([csv, geojson, jsonl])
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // a script that checked nothing has not passed
    assert_eq!(said.trim(), "verified 13 reports, 16 entries, 8 places");
}

fn over_http_for_those_who_may(kind: Kind) {
    let (site, mission) = filled(kind);
    let server = site.start();
    let analyst = site.console(mission, "analyst");
    let lead = site.console(mission, "lead");
    for format in ["csv", "geojson", "jsonl"] {
        let file = std::fs::read(export(&site, mission, format)).expect("the file");
        let answer = analyst.get(&format!("/v1/exports/{format}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.body == file,
            "over HTTP it is the same file ({format})"
        );
        assert!(answer.header("content-disposition").contains("attachment"));
        assert!(!answer.text().contains("Aygün"), "nobody's name is in it");
        analyst
            .get(&format!("/v1/exports/{format}?names=true"))
            .refuses(403, "forbidden");
        assert!(
            lead.get(&format!("/v1/exports/{format}?names=true"))
                .text()
                .contains("Aygün")
        );
    }
    let filtered = analyst.get("/v1/exports/csv?status=in_review");
    assert_eq!(filtered.text().lines().count(), 2, "{}", filtered.text());
    analyst.get("/v1/exports/xml").refuses(404, "not_found");
    analyst
        .get("/v1/exports/csv?unknown=1")
        .refuses(400, "malformed_query");
    assert_eq!(http::faults(), Vec::<String>::new());
    server.stop();
}
