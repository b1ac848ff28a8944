//! The harness itself.

use std::process::{Command, Stdio};

use tests::{database::Kind, on_both_databases, reaper, site::Site, wait};

fn a_site_starts_stops_and_starts_again(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Harness");
    let server = site.start();
    server.get("/healthz").ok();
    server.get("/readyz").ok();
    server.kill();
    let server = site.start();
    let lead = site.console(mission, "lead");
    assert_eq!(
        lead.get("/v1/me").ok()["mission"]["id"],
        mission.to_string()
    );
    let (status, log) = server.stop();
    assert_eq!(status, Some(0), "{log}");
}

#[test]
fn what_a_dead_process_leaves_is_ended() {
    // This process is the dead one's stand-in: the reaper is told of a child and of its end.
    let mut child = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::null())
        .spawn()
        .expect("sleep runs");
    reaper::kill_later(child.id());
    assert!(matches!(child.try_wait(), Ok(None)));
    reaper::signal(child.id(), "KILL");
    wait::until("the child's end", || child.try_wait().ok().flatten());
    reaper::ended(child.id());
}

on_both_databases!(a_site_starts_stops_and_starts_again);
