//! The command lines: exit statuses, JSON, imports.

use std::fs;

use serde_json::{Value, json};
use tests::{
    database::Kind,
    observer::Observer,
    on_both_databases, programs,
    site::{Ended, Site},
};

on_both_databases!(imports);

fn program(name: &str, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().expect("a folder");
    let output = programs::command(name)
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    Ended::of(&output)
}

#[test]
fn wrong_usage_is_2_and_a_refusal_1() {
    for arguments in [
        &["--json"][..],
        &["frobnicate", "--json"],
        &["init", "--nonsense", "--json"],
        &["mission", "create", "--name", "x", "--json"],
        &["export", "--format", "xml", "-o", "x", "--json"],
        &[
            "user",
            "add",
            "--role",
            "king",
            "--email",
            "x@example.org",
            "--password-stdin",
            "--json",
        ],
        &["serve", "--listen", "nowhere", "--json"],
        &["import", "stations", "--json"],
    ] {
        let ended = program("scrutineer", arguments);
        assert_eq!(
            (ended.status, &ended.error()["code"]),
            (Some(2), &json!("usage")),
            "{arguments:?}: {ended:?}"
        );
        assert_eq!(ended.output, "", "{arguments:?}");
    }
    for arguments in [
        &["frobnicate", "--json"][..],
        &["file", "--json"],
        &[
            "file",
            "--category",
            "c",
            "--text",
            "t",
            "--severity",
            "grave",
            "--json",
        ],
        &["enrol", "--json"],
        &["sync", "--nonsense", "--json"],
    ] {
        let ended = program("observer", &[&["--home", "home"], arguments].concat());
        assert_eq!(
            (ended.status, &ended.error()["code"]),
            (Some(2), &json!("usage")),
            "{arguments:?}: {ended:?}"
        );
        assert_eq!(ended.output, "", "{arguments:?}");
    }
    for name in ["scrutineer", "observer"] {
        for flag in ["--help", "--version"] {
            assert_eq!(program(name, &[flag]).status, Some(0), "{name} {flag}");
        }
    }
    let site = Site::bare(Kind::Sqlite);
    site.run(&["mission", "list"])
        .refuses("data_folder_invalid");
    assert!(!site.data.exists(), "a refusal leaves nothing behind");
    site.run(&["init"]).json();
    site.run(&["init"]).refuses("already_exists");
    site.run(&["export", "--format", "csv", "-o", "/dev/null"])
        .refuses("mission_unknown");
    let nobody = "0b9a3f4e-1111-4222-8333-444455556666";
    site.run(&["report", "show", nobody, "--mission", nobody])
        .refuses("mission_unknown");
    let mission = site.small_mission("Refusals").to_string();
    site.run(&["report", "show", nobody, "--mission", &mission])
        .refuses("report_unknown");
    site.run(&[
        "enrolment",
        "issue",
        "--mission",
        &mission,
        "--accreditation",
        "X",
    ])
    .refuses("accreditation_unknown");
    site.run(&[
        "mission",
        "create",
        "--name",
        "",
        "--election",
        "E",
        "--timezone",
        "Asia/Baku",
    ])
    .refuses("value_missing");
    site.run(&[
        "mission",
        "create",
        "--name",
        "N",
        "--election",
        "E",
        "--timezone",
        "Baku",
    ])
    .refuses("invalid_value");
    let observer = Observer::new();
    observer
        .run(&["file", "--category", "c", "--text", "t"])
        .refuses("not_enrolled");
    observer.run(&["sync"]).refuses("not_enrolled");
    observer
        .run(&["enrol", "https://example.org/nothing"])
        .refuses("link_invalid");
    assert_eq!(observer.run(&["list"]).json(), json!([]));
    assert!(observer.run(&["status"]).json().is_object());
}

fn imports(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.create_mission("Imports").to_string();
    let import = |register: &str, content: &[u8], more: &[&str]| -> Ended {
        let file = site.file("import.csv", content).display().to_string();
        site.run(&[&["import", register, &file, "--mission", &mission], more].concat())
    };
    let counts = |report: &Value| {
        ["read", "created", "updated", "unchanged"].map(|name| report[name].as_u64().unwrap_or(99))
    };
    let header = "code,name,constituency_no,constituency_name,lat,lon,registered_voters\n";
    let good = format!("{header}1-1,One,1,First,40.1,49.1,100\n1-2,Two,1,First,,,\n");
    assert_eq!(
        counts(&import("stations", good.as_bytes(), &[]).json()),
        [2, 2, 0, 0]
    );
    assert_eq!(
        counts(&import("stations", good.as_bytes(), &[]).json()),
        [2, 0, 0, 2],
        "again, nothing is new"
    );
    // Bad rows: each is told with its place, and nothing at all is imported.
    let table: Vec<(&str, String, u64, &str)> = vec![
        (
            "a field too many",
            "1-3,Three,1,First,40,49,1,9\n".into(),
            3,
            "row_malformed",
        ),
        (
            "no code",
            ",Three,1,First,40,49,1\n".into(),
            3,
            "value_missing",
        ),
        (
            "twice",
            "1-0,Again,1,First,40,49,1\n".into(),
            3,
            "value_duplicate",
        ),
        (
            "no number",
            "1-3,Three,1,First,40,49,many\n".into(),
            3,
            "number_invalid",
        ),
        (
            "off the globe",
            "1-3,Three,1,First,91,49,1\n".into(),
            3,
            "coordinate_invalid",
        ),
        (
            "half a place",
            "1-3,Three,1,First,40,,1\n".into(),
            3,
            "coordinate_invalid",
        ),
        (
            "NaN",
            "1-3,Three,1,First,NaN,49,1\n".into(),
            3,
            "number_invalid",
        ),
        (
            "too long",
            format!("{},Three,1,First,40,49,1\n", "9".repeat(300)),
            3,
            "too_long",
        ),
    ];
    for (name, row, line, code) in table {
        let ended = import(
            "stations",
            format!("{header}1-0,Zero,1,First,40,49,1\n{row}").as_bytes(),
            &[],
        );
        ended.refuses("import_rejected");
        let report: Value = serde_json::from_str(&ended.output)
            .unwrap_or_else(|error| panic!("{name}: {error}: {ended:?}"));
        let error = &report["errors"][0];
        assert_eq!(
            (&error["line"], &error["code"]),
            (&json!(line), &json!(code)),
            "{name}: {report}"
        );
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{name}"
        );
        assert_eq!(
            counts(&report)[1..3],
            [0, 0],
            "{name}: nothing is written: {report}"
        );
    }
    assert_eq!(
        site.database.count("SELECT count(*) FROM stations"),
        2,
        "all or nothing"
    );
    let missing = import("stations", b"name,lat\nx,1\n", &[]);
    let report: Value = serde_json::from_str(&missing.output).expect("JSON");
    assert_eq!(report["errors"][0]["code"], "column_missing", "{report}");
    let latin1 = import(
        "stations",
        &[header.as_bytes(), b"1-9,Caf\xe9,1,First,,,\n"].concat(),
        &[],
    );
    latin1.refuses("import_rejected");
    // Other spellings of the same: BOM, CRLF, semicolons, decimal commas, other names.
    let odd = "\u{feff}KOD;AD;DAIRE;DAIRE_ADI;EN;UZUN;SECICI\r\n1-1;\"One; \"\"quoted\"\"\";1;First;40,1;49,1;100\r\n1-3;Üç;1;First;;;\r\n";
    let map = [
        "--map",
        "code=KOD",
        "--map",
        "name=AD",
        "--map",
        "constituency_no=DAIRE",
        "--map",
        "constituency_name=DAIRE_ADI",
        "--map",
        "lat=EN",
        "--map",
        "lon=UZUN",
        "--map",
        "registered_voters=SECICI",
        "--decimal",
        "comma",
    ];
    let report = import("stations", odd.as_bytes(), &map).json();
    assert_eq!(counts(&report), [2, 1, 1, 0], "{report}");
    assert_eq!(
        (&report["missing"], &report["missing_count"]),
        (&json!(["1-2"]), &json!(1)),
        "what is gone from the file is told and kept"
    );
    assert_eq!(site.database.count("SELECT count(*) FROM stations"), 3);
    assert_eq!(
        site.database
            .rows("SELECT name FROM stations WHERE code = '1-1'"),
        [["One; \"quoted\""]]
    );
    // The other registers.
    let report = import(
        "accreditations",
        b"number,name,kind,institution,country,stations\nA,N,domestic,I,AZ,1-1;1-2\n",
        &[],
    )
    .json();
    assert_eq!(counts(&report), [1, 1, 0, 0]);
    let report = import(
        "categories",
        b"stage,code,definition,severity,label_az\nvoting,c,Words,high,Soz\nvoting,d,Words,,\n",
        &[],
    )
    .json();
    assert_eq!(counts(&report), [2, 2, 0, 0]);
    import(
        "categories",
        b"stage,code,definition,severity\nvoting,c,Words,grave\n",
        &[],
    )
    .refuses("import_rejected");
    let nowhere = site.run(&["import", "stations", "/nowhere.csv", "--mission", &mission]);
    assert!(
        nowhere.status == Some(1)
            && nowhere.error()["message"]
                .as_str()
                .is_some_and(|text| text.contains("/nowhere.csv"))
    );
    let file = site.file("unmapped.csv", "a,b\n1,2\n");
    let ended = site.run(&[
        "import",
        "stations",
        &file.display().to_string(),
        "--mission",
        &mission,
        "--map",
        "nonsense=a",
    ]);
    assert_eq!(
        (ended.status, &ended.error()["code"]),
        (Some(2), &json!("usage")),
        "{ended:?}"
    );
    fs::remove_file(file).ok();
}
