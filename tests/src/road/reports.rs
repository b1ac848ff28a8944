//! Ten reports over a slow line: Scrutineer beside ODK's way.

use std::{net::SocketAddr, time::Duration};

use super::{Error, Options, odk};
use crate::{
    chance::Chance,
    database::Kind,
    demo_data::{Act, Election},
    link::{Link, Shape},
    observer::Observer,
    site::Site,
    wait::Stopwatch,
};

/// What a report says, in both worlds.
pub(super) struct Said {
    pub(super) category: String,
    pub(super) station: String,
    pub(super) text: String,
}

struct Cost {
    up: u64,
    down: u64,
    seconds: f64,
    connections: u32,
    cuts: u32,
}

pub(super) fn measure(options: &Options) -> Result<(), Error> {
    let reports: Vec<Said> = Election::Parliamentary
        .acts()
        .into_iter()
        .filter_map(|act| match act {
            Act::File(filing) => Some(Said {
                category: filing.category,
                station: "8-1".into(),
                text: filing.text,
            }),
            _ => None,
        })
        .take(options.reports)
        .collect();
    println!(
        "{} reports over {} kbit/s, {} ms a round trip",
        reports.len(),
        options.bits / 1_000,
        options.round_trip
    );
    for cuts in [0, options.cuts] {
        let shape = Shape {
            bits_per_second: Some(options.bits),
            delay: Duration::from_millis(options.round_trip / 2),
            cut_after: Some(1_000..4_000),
            cuts,
            ..Shape::default()
        };
        for first in [false, true] {
            let name = if first { "first sync" } else { "Scrutineer" };
            print(name, &scrutineer(&shape, options.seed, &reports, first)?);
        }
        print("ODK", &odk(&shape, options.seed, &reports)?);
    }
    Ok(())
}

fn print(name: &str, cost: &Cost) {
    println!(
        "{name:<11} {:>3} cuts: {:>6.1} s, {:>6} bytes up, {:>6} down, {} connections",
        cost.cuts, cost.seconds, cost.up, cost.down, cost.connections
    );
}

/// `first`: the phone has not synchronised before, so stations and categories come too.
fn scrutineer(shape: &Shape, seed: u64, reports: &[Said], first: bool) -> Result<Cost, Error> {
    let mut site = Site::new(Kind::Sqlite);
    let mission = site.small_mission("Road");
    let server: SocketAddr = site.origin().trim_start_matches("http://").parse()?;
    let link = Link::to(server, Chance::seeded(seed));
    site.set("public_url", &link.origin());
    let running = site.start();
    // The phone was enrolled on a good line.
    let observer = Observer::new();
    observer.enrol(&site.invite(mission, "D-1"));
    if !first {
        let _ = observer.sync();
    }
    for said in reports {
        let _ = observer.file(&[
            "--category",
            &said.category,
            "--severity",
            "high",
            "--station",
            &said.station,
            "--lat",
            "40.4093",
            "--lon",
            "49.8671",
            "--accuracy",
            "12",
            "--text",
            &said.text,
        ]);
    }
    link.shape(shape.clone());
    let cost = cost_of(&link, || {
        loop {
            let ended = observer.run(&["sync"]);
            if ended.status == Some(0) {
                return Ok(());
            }
            if ended.error()["code"] != "network_failed" {
                return Err(format!("{ended:?}").into());
            }
        }
    })?;
    let held = site.database.count("SELECT count(*) FROM reports");
    drop(running);
    if usize::try_from(held)? == reports.len() {
        Ok(cost)
    } else {
        Err(format!("{held} of {} reports arrived", reports.len()).into())
    }
}

fn odk(shape: &Shape, seed: u64, reports: &[Said]) -> Result<Cost, Error> {
    let link = Link::to(odk::server()?, Chance::seeded(seed));
    link.shape(shape.clone());
    cost_of(&link, || odk::send(link.address(), reports))
}

fn cost_of(link: &Link, work: impl FnOnce() -> Result<(), Error>) -> Result<Cost, Error> {
    let before = (link.sent(), link.received(), link.connections());
    let watch = Stopwatch::start();
    work()?;
    Ok(Cost {
        up: link.sent() - before.0,
        down: link.received() - before.1,
        seconds: watch.elapsed().as_secs_f64(),
        connections: link.connections() - before.2,
        cuts: link.cuts(),
    })
}
