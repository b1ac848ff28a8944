//! Keys that the desktop's secret service keeps: against a real GNOME Keyring on a
//! bus of its own.

use std::process::Command;

use serde_json::Value;
use tests::{observer::Observer, programs, site::Ended};

/// A session with an unlocked keyring. Each line that it prints is one answer.
const SESSION: &str = r#"
set -eu
printf 'a login password' | gnome-keyring-daemon --unlock --components=secrets --daemonize >/dev/null
name() { sed -n 's/.*"name":"\([^"]*\)".*/\1/p' "$HOME/home/keys.json"; }
kept() { secret-tool lookup scrutineer-observer "$1" | wc -c; }
observer() { "$OBSERVER" --home "$HOME/home" --json "$@"; }
observer passphrase secret-service
first=$(name)
kept "$first"
observer list
observer status
observer passphrase secret-service
second=$(name)
[ "$first" != "$second" ]
kept "$first"
kept "$second"
observer passphrase remove
kept "$second"
observer list
observer passphrase secret-service
third=$(name)
observer wipe --yes
kept "$third"
observer list
"#;

#[test]
fn the_desktop_s_secret_service_keeps_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let observer = Observer::at(&folder.path().join("home"));
    let key = "A".repeat(43);
    let link = format!(
        "http://127.0.0.1:9/enrol#code=X&mission=11111111-1111-4111-8111-111111111111&key={key}"
    );
    assert_eq!(observer.enrol(&link)["enrolled"], false);
    let filed = observer.file(&["--category", "voting", "--text", "Locked away."]);

    let mut session = Command::new("dbus-run-session");
    session
        .args(["--", "bash", "-c", SESSION])
        .env("HOME", folder.path())
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("OBSERVER", programs::path("observer"))
        .env_remove("DBUS_SESSION_BUS_ADDRESS");
    let output = session.output();
    let ended = Ended::of(&output.expect("dbus-run-session runs; `make test` installs it"));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let told: Vec<Value> = ended
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}: {ended:?}")))
        .collect();
    let locked = serde_json::json!({"locked_by": "secret_service"});
    assert_eq!(told.len(), 14, "{told:?}");
    assert_eq!(told[0], locked);
    assert_eq!(told[1], 43, "a key is kept");
    assert_eq!(told[2][0]["report"], filed["report"]);
    assert_eq!(told[3]["locked_by"], "secret_service");
    // Another key takes the first one's place, which is forgotten.
    assert_eq!(
        (&told[4], &told[5], &told[6]),
        (&locked, &0.into(), &43.into())
    );
    assert_eq!(told[7]["locked_by"], "nothing");
    assert_eq!(told[8], 0, "forgotten once it opens nothing");
    assert_eq!(told[9][0]["report"], filed["report"]);
    assert_eq!(told[10], locked);
    assert_eq!(told[11]["wiped"], true);
    assert_eq!(told[12], 0, "a wipe forgets it too");
    assert_eq!(told[13], serde_json::json!([]));
}

/// Away from the desktop nothing is changed, and what is to do is told.
#[test]
fn without_the_service_nothing_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let observer = Observer::at(&folder.path().join("home"));
    let key = "A".repeat(43);
    let link = format!(
        "http://127.0.0.1:9/enrol#code=X&mission=11111111-1111-4111-8111-111111111111&key={key}"
    );
    observer.enrol(&link);
    let nobody = |arguments: &[&str]| {
        let mut command = observer.command(arguments);
        command
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
            .env("XDG_RUNTIME_DIR", folder.path());
        Ended::of(&command.output().expect("observer runs"))
    };
    nobody(&["passphrase", "secret-service"]).refuses("secret_service_failed");
    assert_eq!(observer.run(&["list"]).json(), serde_json::json!([]));
}
