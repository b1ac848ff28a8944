//! The program as its users start it: what it prints where, with which exit
//! status, and how it stops.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrutineer"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SCRUTINEER_") {
            command.env_remove(name);
        }
    }
    command.env("SCRUTINEER_DATA", data);
    command
}

fn run(data: &Path, args: &[&str]) -> Output {
    program(data)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs with `--json`, which must succeed; answers the one value printed.
fn json(data: &Path, args: &[&str]) -> Value {
    let output = run(data, &[args, &["--json"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    assert_eq!(errors, "", "{args:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs with `--json`, which must fail; answers exit status and error.
fn refused(data: &Path, args: &[&str]) -> (i32, Value) {
    let output = run(data, &[args, &["--json"]].concat());
    let error: Value = serde_json::from_slice(&output.stderr)
        .unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)));
    assert!(error["message"].is_string(), "{error}");
    (output.status.code().unwrap(), error["code"].clone())
}

fn mission(data: &Path) -> String {
    let made = json(
        data,
        &[
            "mission",
            "create",
            "--name",
            "N",
            "--election",
            "E",
            "--timezone",
            "Asia/Baku",
        ],
    );
    made["mission"].as_str().unwrap().to_owned()
}

/// A new data folder with nothing in it.
fn initialised() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), &["init"]);
    folder
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut child = program(data)
            .args(["serve", "--listen", "127.0.0.1:0", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        let address = value["listening"]
            .as_str()
            .unwrap()
            .trim_start_matches("http://")
            .to_owned();
        Self { child, address }
    }

    fn get(&self, path: &str) -> String {
        use std::io::Read as _;
        let mut socket = std::net::TcpStream::connect(&self.address).unwrap();
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&mut self, name: &str) -> std::process::ExitStatus {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn init_makes_a_private_folder_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new");
    json(&data, &["init"]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("keys/receipt.json")), 0o600);
    assert_eq!(refused(&data, &["init"]), (1, "already_exists".into()));
    // Somebody's folder is not touched.
    std::fs::write(folder.path().join("thesis.odt"), "").unwrap();
    assert_eq!(
        refused(folder.path(), &["init"]),
        (1, "data_folder_invalid".into())
    );
    let elsewhere = folder.path().join("nothing");
    assert_eq!(
        refused(&elsewhere, &["mission", "list"]),
        (1, "data_folder_invalid".into())
    );
    assert!(!elsewhere.exists());
}

#[test]
fn refusals_are_one_and_wrong_usage_is_two() {
    let data = initialised();
    let data = data.path();
    let create = [
        "mission",
        "create",
        "--name",
        "N",
        "--election",
        "E",
        "--timezone",
        "X",
    ];
    for (args, status, code) in [
        (&["fly"][..], 2, "usage"),
        (&["export", "--format", "xlsx", "-o", "f"], 2, "usage"),
        (&create, 1, "invalid_value"),
        (&["report", "list"], 1, "mission_unknown"),
        (
            &["report", "list", "--database-url", "mysql://x"],
            1,
            "configuration_invalid",
        ),
        (
            &["serve", "--listen", "0.0.0.0:0"],
            1,
            "configuration_invalid",
        ),
    ] {
        assert_eq!(refused(data, args), (status, code.into()), "{args:?}");
    }
    mission(data);
    assert_eq!(
        refused(data, &["report", "list", "--status", "open"]),
        (2, "usage".into())
    );
    mission(data);
    assert_eq!(
        refused(data, &["report", "list"]),
        (1, "mission_choice_needed".into())
    );
}

#[test]
fn a_file_with_errors_is_told_and_refused() {
    let data = initialised();
    let id = mission(data.path());
    let file = data.path().join("stations.csv");
    std::fs::write(&file, "code,name,constituency_no,lat,lon\n1-1,,1,91,0\n").unwrap();
    let args = [
        "import",
        "stations",
        file.to_str().unwrap(),
        "--mission",
        &id,
        "--json",
    ];
    let output = run(data.path(), &args);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<_> = report["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["code"])
        .collect();
    assert_eq!(codes, ["value_missing", "coordinate_invalid"]);
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["code"], "import_rejected");
    let words = run(data.path(), &args[..5]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.contains(&format!("{}:2: name:", file.display())),
        "{words}"
    );
}

#[test]
fn a_day_at_the_office() {
    let data = initialised();
    let data = data.path();
    let id = mission(data);
    let file = |name: &str, text: &str| {
        let path = data.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let accreditations = file("a.csv", "number,name,kind\nN1,Ann,domestic\n");
    let read = json(
        data,
        &[
            "import",
            "accreditations",
            &accreditations,
            "--mission",
            &id,
        ],
    );
    assert_eq!((&read["read"], &read["created"]), (&1.into(), &1.into()));

    let issued = json(
        data,
        &[
            "enrolment",
            "issue",
            "--mission",
            &id,
            "--accreditation",
            "N1",
        ],
    );
    let url = issued["url"].as_str().unwrap();
    let invitation = protocol::enrolment::Invitation::from_url(url).unwrap();
    assert_eq!(invitation.code, issued["code"].as_str().unwrap());
    assert_eq!(invitation.origin, "http://localhost:8080");
    let unknown = ["enrolment", "issue", "--accreditation", "N2"];
    assert_eq!(refused(data, &unknown), (1, "accreditation_unknown".into()));

    let mut add = program(data)
        .args(["user", "add", "--mission", &id, "--role", "coordinator"])
        .args(["--email", "C@example.org", "--password-stdin", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    add.stdin
        .take()
        .unwrap()
        .write_all(b"seven quiet lanterns drift\n")
        .unwrap();
    let added = add.wait_with_output().unwrap();
    assert!(added.status.success());
    assert!(!String::from_utf8_lossy(&added.stdout).contains("lanterns"));

    let report = "00000000-0000-4000-8000-000000000000";
    let decide = |who: &str| {
        refused(
            data,
            &["report", "decide", report, "--as", who, "--to", "in_review"],
        )
        .1
    };
    assert_eq!(decide("c@example.org"), "report_unknown");
    assert_eq!(decide("nobody@example.org"), "user_unknown");
    let revoke = [
        "accreditation",
        "revoke",
        "N1",
        "--as",
        "c@example.org",
        "--reason",
        "r",
    ];
    assert_eq!(refused(data, &revoke), (1, "forbidden".into()));

    for format in ["csv", "geojson", "jsonl"] {
        let out = data.join(format!("reports.{format}"));
        let out = out.to_str().unwrap();
        let done = json(
            data,
            &["export", "--mission", &id, "--format", format, "-o", out],
        );
        assert_eq!(done["reports"], 0);
        assert!(Path::new(out).exists());
    }
    assert_eq!(
        json(data, &["report", "list"])["reports"],
        Value::Array(vec![])
    );
    assert_eq!(json(data, &["quarantine", "list"]), Value::Array(vec![]));
    assert_eq!(json(data, &["rebuild"])["entries"], 0);
}

#[test]
fn a_server_tells_where_it_listens_and_keeps_rebuilds_out() {
    let data = initialised();
    let id = mission(data.path());
    let file = data.path().join("a.csv");
    std::fs::write(&file, "number,name,kind\nN1,Ann,domestic\n").unwrap();
    let mut server = Server::start(data.path());
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(server.get("/v1/reports").starts_with("HTTP/1.1 401"));
    // Commands work meanwhile, and links lead to where it listens.
    json(
        data.path(),
        &[
            "import",
            "accreditations",
            file.to_str().unwrap(),
            "--mission",
            &id,
        ],
    );
    let issued = json(
        data.path(),
        &["enrolment", "issue", "--accreditation", "N1"],
    );
    let port = server.address.rsplit(':').next().unwrap();
    assert!(
        issued["url"]
            .as_str()
            .unwrap()
            .starts_with(&format!("http://localhost:{port}/"))
    );
    assert_eq!(
        refused(data.path(), &["rebuild"]),
        (1, "server_running".into())
    );
    assert_eq!(server.signal("-TERM").code(), Some(0));
    json(data.path(), &["rebuild"]);
    // A killed server leaves no lock.
    let mut server = Server::start(data.path());
    assert_eq!(
        refused(data.path(), &["rebuild"]),
        (1, "server_running".into())
    );
    assert_eq!(server.signal("-KILL").code(), None);
    json(data.path(), &["rebuild"]);
}

#[test]
fn a_stopping_server_drops_idle_connections_and_ends() {
    let data = initialised();
    let mut server = Server::start(data.path());
    let idle = std::net::TcpStream::connect(&server.address).unwrap();
    let mut kept = std::net::TcpStream::connect(&server.address).unwrap();
    write!(kept, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(&kept).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"));
    // Must end by itself, long before the 30 seconds of `shutdown_seconds`;
    // the runner's own limit tells.
    assert_eq!(server.signal("-INT").code(), Some(0));
    drop(idle);
}
