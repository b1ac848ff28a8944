//! A file from an observer's folder to a coordinator's screen: real programs, over
//! a link that keeps breaking off.

use std::net::SocketAddr;

use serde_json::json;
use tests::{
    chance::Chance,
    database::Kind,
    link::{Link, Shape},
    observer::Observer,
    on_both_databases,
    site::Site,
};

/// Bytes of the file.
const SIZE: u32 = 4 << 20;
/// Connections that break off under way.
const CUTS: u32 = 6;
/// What the system's buffers may hold of a connection that dies: sent, not received.
const IN_BUFFERS: u64 = 256 << 10;

on_both_databases!(a_file_arrives_whole_over_a_link_that_breaks_off);

fn a_file_arrives_whole_over_a_link_that_breaks_off(kind: Kind) {
    let chance = Chance::new();
    eprintln!("SCRUTINEER_SEED={}", chance.seed);
    let mut site = Site::new(kind);
    let mission = site.small_mission("Attach");
    let address: SocketAddr = site.origin()["http://".len()..]
        .parse()
        .expect("an address");
    let link = Link::to(address, chance.clone());
    site.set("public_url", &link.origin());
    let server = site.start();
    let observer = Observer::new();
    observer.enrol(&site.invite(mission, "D-1"));
    let filed = observer.file(&["--category", "voting", "--text", "On the video."]);
    let report = filed["report"].as_str().expect("an id").to_owned();
    // Parts differ, so that none can be exchanged unseen.
    let bytes: Vec<u8> = (0..SIZE / 4).flat_map(u32::to_le_bytes).collect();
    let path = site.file("evidence.bin", &bytes);
    let path = path.to_str().expect("a path");
    let attached = observer.run(&["attach", &report, path]).json();
    let sha256 = attached["attached"][0]["file"]["sha256"].clone();
    assert!(sha256.is_string(), "{attached}");

    link.shape(Shape {
        cut_after: Some(100_000..500_000),
        cuts: CUTS,
        ..Shape::default()
    });
    let before = link.sent();
    for _ in 0..CUTS * 4 {
        let ended = observer.run(&["sync"]);
        if ended.status != Some(0) {
            assert_eq!(ended.error()["code"], "network_failed", "{ended:?}");
        } else if ended.json()["files_pending"] == 0 {
            break;
        }
    }
    assert_eq!(
        link.cuts(),
        CUTS,
        "every connection that was to break off did"
    );
    let sent = link.sent() - before;
    let most = u64::from(SIZE) + u64::from(CUTS) * IN_BUFFERS + 100_000;
    assert!(sent <= most, "{sent} bytes for a file of {SIZE}");

    let lead = site.console(mission, "lead");
    let shown = lead.get(&format!("/v1/reports/{report}")).ok();
    let evidence = &shown["evidence"][0]["file"];
    assert_eq!(evidence["sha256"], sha256, "{shown}");
    assert_eq!(evidence["size"], json!(SIZE));
    let name = sha256.as_str().expect("a hash");
    let read = lead.get(&format!("/v1/evidence/{name}"));
    assert!(read.body == bytes, "the file is what was attached");
    drop(server);
}
