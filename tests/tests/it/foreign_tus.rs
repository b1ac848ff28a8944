//! Clients of tus that are not ours send evidence: the address exists already, the
//! link breaks off, and the client itself is killed and started anew.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tests::{
    chance::Chance,
    database::Kind,
    link::{Link, Shape},
    on_both_databases,
    phone::Phone,
    programs, reaper,
    site::{Ended, Site},
    upload::{Sample, Way, announced, hash_of},
    wait,
};

on_both_databases!(tus_js_client_goes_on, tuspy_goes_on);

/// Bytes of the file.
const SIZE: usize = 3 << 20;
/// Bytes after which the client is killed.
const KILLED_AFTER: u64 = 700_000;
/// Connections that break off under its successor.
const CUTS: u32 = 4;

fn tus_js_client_goes_on(kind: Kind) {
    goes_on(kind, || programs::node("upload.mjs"));
}

fn tuspy_goes_on(kind: Kind) {
    goes_on(kind, || programs::python_script("upload.py"));
}

fn goes_on(kind: Kind, client: impl Fn() -> Command) {
    let chance = Chance::new();
    eprintln!("SCRUTINEER_SEED={}", chance.seed);
    let mut site = Site::new(kind);
    let mission = site.small_mission("Foreign");
    let address: SocketAddr = site.origin()["http://".len()..]
        .parse()
        .expect("an address");
    let link = Link::to(address, chance);
    site.set("public_url", &link.origin());
    let _server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let sample = Sample::of(SIZE);
    announced(&mut phone, &sample.file);
    let file = site.file("evidence.jpg", &sample.bytes);
    let way = Way::of(&phone, &sample.file);

    // Slow enough to be killed in the middle.
    link.shape(Shape {
        bits_per_second: Some(8_000_000),
        ..Shape::default()
    });
    let before = link.sent();
    let mut first = start(client(), &way, &file);
    wait::until("some of the file to be sent", || {
        (link.sent() - before > KILLED_AFTER).then_some(())
    });
    first.kill().expect("it runs still");
    end(first);

    link.shape(Shape {
        cut_after: Some(100_000..500_000),
        cuts: CUTS,
        ..Shape::default()
    });
    let cut_before = link.cuts();
    let ended = end(start(client(), &way, &file));
    let said: Value = ended.json();
    let began = said["began"].as_u64().expect("an offset");
    assert!(
        (1..SIZE as u64).contains(&began),
        "it went on where the first was killed: {said}"
    );
    assert_eq!(said["ended"], SIZE, "{said}");
    let cuts = u64::from(link.cuts() - cut_before);
    assert!(cuts >= 1, "the link broke off: {said}");
    assert!(said["retries"].as_u64() >= Some(1), "{said}");

    assert_eq!(way.offset(), SIZE as u64);
    let lead = site.console(mission, "lead");
    let read = Way::with_token(&link.origin(), &lead.token, &sample.file.sha256).get(&[]);
    assert_eq!(hash_of(&read.body), sample.file.sha256);
    let stored = site
        .database
        .rows("SELECT sha256, size FROM evidence_files");
    let hash: String = sample
        .file
        .sha256
        .0
        .map(|byte| format!("{byte:02x}"))
        .concat();
    assert_eq!(stored, [[hash, SIZE.to_string()]]);
}

fn start(mut client: Command, way: &Way, file: &Path) -> Child {
    let child = client
        .arg(file)
        // 512 KiB a request: several for the file, and cuts fall into them.
        .arg((512 << 10).to_string())
        .env("UPLOAD_URL", way.url())
        .env("UPLOAD_TOKEN", way.token())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    reaper::kill_later(child.id());
    child
}

fn end(child: Child) -> Ended {
    let pid = child.id();
    let output = child.wait_with_output().expect("it ends");
    reaper::ended(pid);
    Ended::of(&output)
}
