//! The invariants. Each is a small function; its name stands in what it finds.

mod messages;

use protocol::{
    entry::SdJwt,
    exchange::Response,
    ids::{EntryHash, FileHash},
    receipt::Receipt,
};
use scrutineer::{
    domain::{flags, status},
    store::{bulk, evidence, ledger},
};
use sha2::{Digest as _, Sha256};
use sync_core::{
    client::{FileStatus, Report},
    evidence::shelf,
    journal::delivery::Standing,
    transport::{Answer, Call},
};
use uuid::Uuid;

use super::{
    bytes,
    oracle::{Broken, broken},
    world::{CANARY, World},
};

/// I1: an entry is on the phone that called it safe, when it does.
pub(super) fn kept(world: &World, phone: usize, hash: &EntryHash) -> Result<(), Broken> {
    if world.phones[phone].holds(hash) {
        return Ok(());
    }
    broken(
        "I1 no loss",
        format!("phone {phone} called {hash} safe and does not hold it"),
    )
}

/// I1: whatever a phone called safe is on it, or in the ledger.
pub(super) fn nothing_lost(world: &World) -> Result<(), Broken> {
    for (hash, promise) in &world.oracle.promised {
        if !world.phones[promise.phone].holds(hash) && !world.oracle.holds(hash) {
            return broken(
                "I1 no loss",
                format!("{hash}, filed on phone {}, is nowhere", promise.phone),
            );
        }
    }
    Ok(())
}

/// I13 and I3: a receipt says no more than the ledger holds; a fork is noted.
/// Tells the journals that forked.
pub(super) fn answer(world: &mut World, answer: &Answer) -> Result<Vec<Uuid>, Broken> {
    let Ok(response) = serde_json::from_slice::<Response>(&answer.body) else {
        return broken("I17 no failure", "an answer of another form");
    };
    for outcome in response.outcomes.iter().filter(|outcome| outcome.fork) {
        world.oracle.forked.insert(outcome.hash);
    }
    world.oracle.read_ledger(&world.servers)?;
    let journal = |hash: &EntryHash| {
        let row = world.oracle.rows.iter().rfind(|row| row.hash == *hash)?;
        Some(row.place?.0)
    };
    let forks = response
        .outcomes
        .iter()
        .filter(|outcome| outcome.fork)
        .filter_map(|outcome| journal(&outcome.hash))
        .collect();
    let Some(compact) = &response.receipt else {
        return Ok(forks);
    };
    let receipt = Receipt::verify(compact, &world.servers.receipt_key).map_err(|error| Broken {
        rule: "I13 receipts",
        what: error.to_string(),
    })?;
    for held in &receipt.entries {
        let at = usize::try_from(held.number).unwrap_or(0);
        let row = at.checked_sub(1).and_then(|at| world.oracle.rows.get(at));
        if row.is_none_or(|row| row.hash != held.hash) {
            return broken(
                "I4 honest acknowledgement",
                format!("a receipt names {} and the database lacks it", held.hash),
            );
        }
    }
    Ok(forks)
}

/// I12: in one request, what is critical goes first.
pub(super) fn critical_first(world: &World, phone: usize, call: &Call) -> Result<(), Broken> {
    if world.oracle.disordered || !bytes::is_exchange(call) {
        return Ok(());
    }
    let entries = bytes::entries(call);
    let filed = entries
        .iter()
        .filter(|(_, payload)| payload["kind"] == "file");
    let urgent: Vec<bool> = filed
        .map(|(_, payload)| payload["body"]["severity"] == "critical")
        .collect();
    if urgent.is_sorted_by(|a, b| a >= b) {
        return Ok(());
    }
    broken(
        "I12 lanes",
        format!("phone {phone} sends a critical report behind others"),
    )
}

/// I3: who was told that somebody else writes into a journal writes there no more.
fn forks_end(world: &World) -> Result<(), Broken> {
    for row in &world.oracle.rows {
        let (Some(promise), Some((journal, _))) = (world.oracle.promised.get(&row.hash), row.place)
        else {
            continue;
        };
        let told = world.forks.get(&(promise.phone, journal));
        if told.is_some_and(|told| *told < promise.at) {
            return broken(
                "I3 forks end",
                format!("phone {} wrote on in a forked journal", promise.phone),
            );
        }
    }
    Ok(())
}

/// I7: what the server cannot take stands in nobody's way.
pub(super) fn only_poison_waits(world: &mut World) -> Result<(), Broken> {
    let bad: Vec<_> = world.poison.keys().copied().collect();
    let waits = |hash: &EntryHash| !world.oracle.holds(hash) && !bad.contains(hash);
    let Some(hash) = world.oracle.promised.keys().copied().find(waits) else {
        return Ok(());
    };
    let how = standing(world, &hash);
    broken(
        "I7 isolation",
        format!("{hash} waits because of another that the server cannot take; it is {how}"),
    )
}

/// How an entry stands, as the phone that filed it sees it.
fn standing(world: &mut World, hash: &EntryHash) -> String {
    let phone = world
        .oracle
        .promised
        .get(hash)
        .map_or(0, |promise| promise.phone);
    let steps = view(world, phone)
        .unwrap_or_default()
        .into_iter()
        .flat_map(|report| report.entries);
    let step = steps.into_iter().find(|step| step.entry == *hash);
    step.map_or("nowhere".into(), |step| {
        format!("a `{}`, {:?}, {:?}", step.kind, step.delivery, step.code)
    })
}

/// When an act counts: with the last thing that it was made on, and behind it. One
/// that came before its base waited for that.
fn effect(rows: &[ledger::EntryRow], act: &ledger::EntryRow) -> (i64, usize) {
    let base = |row: &&ledger::EntryRow| {
        let base = row.base.as_ref()?;
        rows.iter().find(|other| other.hash == *base)
    };
    let back = || std::iter::successors(Some(act), base);
    let last = back().map(|row| row.number).max();
    (last.unwrap_or(0), back().count())
}

/// I9: a report's status is what coordinators decided last; an amendment of a
/// decided report reopens it, and nothing else an observer does changes it.
fn statuses(world: &World) -> Result<(), Broken> {
    let mission = world.servers.mission.no;
    for report in world.oracle.reports() {
        let id = report.0.as_bytes().to_vec();
        let (rows, now) = world
            .servers
            .store()
            .read(|conn| {
                let rows = ledger::of_subject(conn, mission, &id)?;
                Ok((
                    rows,
                    bulk::reports_by_id(conn, mission, std::slice::from_ref(&id))?.pop(),
                ))
            })
            .expect("reads");
        let Some(now) = now else { continue };
        // What was let in later than it came is another story.
        let simple = rows.iter().all(|row| row.standing == "applied");
        let decisions = rows.iter().filter(|row| row.kind == "decide");
        let last = decisions.max_by_key(|row| effect(&rows, row));
        let decided = last.and_then(|row| {
            let compact = std::str::from_utf8(&row.sd_jwt).ok()?;
            let read = SdJwt::parse(compact).ok()?.read().ok()?;
            Some(read.body.get("to")?.as_str()?.to_owned())
        });
        let was = decided.as_deref().unwrap_or("received");
        let reopened = status::is_decided(was) && now.status == status::REOPENED;
        if simple && now.status != was && !reopened {
            return broken(
                "I9 whose status",
                format!("a report is `{}`; coordinators left it `{was}`", now.status),
            );
        }
    }
    Ok(())
}

/// I16: a decision that a phone has, the server has.
fn decisions_kept(world: &World, id: usize, view: &[Report]) -> Result<(), Broken> {
    let decisions = view.iter().flat_map(|report| &report.decisions);
    match decisions
        .into_iter()
        .find(|one| !world.oracle.holds(&one.hash))
    {
        None => Ok(()),
        Some(one) => broken(
            "I5 recovery",
            format!(
                "phone {id} has the decision {} that the server lost",
                one.hash
            ),
        ),
    }
}

/// I4: what a phone calls delivered is, or was, durable in the ledger.
pub(super) fn honest(world: &World, phone: usize, view: &[Report]) -> Result<(), Broken> {
    for report in view {
        for step in &report.entries {
            let delivered = matches!(
                step.delivery,
                Some(Standing::Delivered | Standing::Held | Standing::Quarantined)
            );
            if delivered && !world.oracle.ever.contains(&step.entry) {
                return broken(
                    "I4 honest acknowledgement",
                    format!(
                        "phone {phone} calls {} delivered; no ledger ever held it",
                        step.entry
                    ),
                );
            }
        }
        for file in &report.files {
            let whole = matches!(file.status, FileStatus::Delivered | FileStatus::Durable);
            if whole && !world.put_back && !complete(world, &file.file.sha256) {
                return broken(
                    "I4 honest acknowledgement",
                    format!("phone {phone} calls a file delivered that is not complete"),
                );
            }
        }
        for decision in &report.decisions {
            if !world.oracle.ever.contains(&decision.hash) {
                return broken(
                    "I8 news",
                    format!("phone {phone} has a decision that nobody took"),
                );
            }
        }
    }
    Ok(())
}

/// I11: a phone lets go of a file only once the server has it durably.
pub(super) fn removed(world: &World, phone: usize, name: &str) -> Result<(), Broken> {
    let data = world.phones[phone].pocket.data();
    let file = world
        .oracle
        .files
        .keys()
        .find(|file| shelf::name(&data, file) == name);
    let Some(file) = file else { return Ok(()) };
    let row = world
        .servers
        .store()
        .read(|conn| evidence::file(conn, world.servers.mission.no, &file.0))
        .expect("reads");
    if row.is_none_or(|row| row.durable_at.is_none()) {
        return broken(
            "I11 evidence",
            format!("phone {phone} let go of {file}, which is not durable"),
        );
    }
    whole(world, file)
}

fn complete(world: &World, file: &FileHash) -> bool {
    let mission = world.servers.mission.no;
    let row = world
        .servers
        .store()
        .read(|conn| evidence::file(conn, mission, &file.0));
    row.expect("reads").is_some()
}

fn whole(world: &World, file: &FileHash) -> Result<(), Broken> {
    let bytes = std::fs::read(world.servers.file(file)).unwrap_or_default();
    if Sha256::digest(&bytes)[..] == file.0 {
        return Ok(());
    }
    broken(
        "I11 evidence",
        format!("{file} is called complete; the bytes there are not it"),
    )
}

/// What holds at any moment.
pub(super) fn always(world: &mut World) -> Result<(), Broken> {
    world.oracle.read_ledger(&world.servers)?;
    nothing_lost(world)?;
    no_plain_words(world)?;
    let mut announced = world.oracle.files.keys();
    announced.try_for_each(|file| {
        if complete(world, file) {
            whole(world, file)
        } else {
            Ok(())
        }
    })
}

/// I14: no word of a report, and no byte of a file, stands on a phone in the clear.
fn no_plain_words(world: &World) -> Result<(), Broken> {
    for phone in &world.phones {
        if phone.disk.shows(CANARY.as_bytes()) || phone.files.shows(CANARY.as_bytes()) {
            return broken(
                "I14 sealed",
                format!("phone {} shows plain words", phone.id),
            );
        }
    }
    Ok(())
}

/// What holds once everything came to rest.
pub(super) fn at_rest(world: &mut World) -> Result<(), Broken> {
    world.oracle.read_ledger(&world.servers)?;
    all_arrived(world)?;
    nothing_held(world)?;
    forks_end(world)?;
    statuses(world)?;
    for id in 0..world.phones.len() {
        let Some(view) = view(world, id) else {
            return broken("I16 convergence", format!("phone {id} does not come up"));
        };
        nothing_waits(world, id, &view)?;
        news_arrived(world, id, &view)?;
        messages::arrived(world, id)?;
        if !world.revoked.contains(&world.phones[id].observer) {
            decisions_kept(world, id, &view)?;
        }
        views_agree(world, id, &view)?;
        files_arrived(world, id, &view)?;
    }
    brought_arrived(world)?;
    rebuilds(world)
}

/// How a phone sees its reports.
fn view(world: &mut World, id: usize) -> Option<Vec<Report>> {
    let client = world.phones[id].client.clone()?;
    at_once(client.list())?.ok()
}

/// What comes of something that needs nobody else, if it does.
pub(super) fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    use std::{pin::pin, task};
    let mut context = task::Context::from_waker(task::Waker::noop());
    match pin!(work).as_mut().poll(&mut context) {
        task::Poll::Ready(done) => Some(done),
        task::Poll::Pending => None,
    }
}

/// I1: every promise is in the ledger as it is now.
fn all_arrived(world: &World) -> Result<(), Broken> {
    let missing = world
        .oracle
        .promised
        .iter()
        .find(|(hash, _)| !world.oracle.holds(hash));
    match missing {
        None => Ok(()),
        Some((hash, promise)) => broken(
            "I16 convergence",
            format!(
                "{hash}, filed on phone {} at {}, is not in the ledger",
                promise.phone,
                super::clock::shown(promise.at)
            ),
        ),
    }
}

/// The whole ledger.
fn rows(world: &World) -> Vec<ledger::EntryRow> {
    let mission = world.servers.mission.no;
    let store = world.servers.store();
    let read = store.read(|conn| ledger::after(conn, mission, 0, 1_000_000));
    read.expect("reads")
}

/// I6: no entry waits for one that is there.
fn nothing_held(world: &World) -> Result<(), Broken> {
    let rows = rows(world);
    for row in rows.iter().filter(|row| row.standing == "held") {
        let applied = rows
            .iter()
            .any(|other| Some(&other.hash) == row.base.as_ref() && other.standing == "applied");
        if applied {
            return broken(
                "I6 held",
                format!("number {} waits for what is there", row.number),
            );
        }
    }
    Ok(())
}

/// I7 and I16: nothing waits on a phone.
fn nothing_waits(world: &World, id: usize, view: &[Report]) -> Result<(), Broken> {
    for report in view {
        for step in &report.entries {
            let delivered = matches!(
                step.delivery,
                Some(Standing::Delivered | Standing::Held | Standing::Quarantined)
            );
            if !delivered {
                return broken(
                    "I7 isolation",
                    format!(
                        "phone {id} still has {} ({:?}, {:?}) to deliver",
                        step.entry, step.delivery, step.code
                    ),
                );
            }
            if !world.oracle.holds(&step.entry) {
                return broken(
                    "I4 honest acknowledgement",
                    format!(
                        "phone {id} calls {} delivered; the ledger lacks it",
                        step.entry
                    ),
                );
            }
        }
    }
    Ok(())
}

/// I8: a phone has every decision on its reports that counts, and no other.
fn news_arrived(world: &World, id: usize, view: &[Report]) -> Result<(), Broken> {
    if world.revoked.contains(&world.phones[id].observer) {
        return Ok(());
    }
    let mission = world.servers.mission.no;
    for report in view {
        let rows = world
            .servers
            .store()
            .read(|conn| ledger::of_subject(conn, mission, report.report.0.as_bytes()))
            .expect("reads");
        for row in rows
            .iter()
            .filter(|row| row.kind == "decide" && row.standing == "applied")
        {
            let known = |hash: &EntryHash| hash.0[..] == row.hash[..];
            if !report.decisions.iter().any(|one| known(&one.hash)) {
                return broken(
                    "I8 news",
                    format!("phone {id} lacks the decision of number {}", row.number),
                );
            }
        }
    }
    Ok(())
}

/// I16: phone and server see a report alike.
fn views_agree(world: &World, id: usize, view: &[Report]) -> Result<(), Broken> {
    let observer = world.phones[id].observer;
    if world.revoked.contains(&observer) || world.cloned.contains(&observer) {
        return Ok(());
    }
    let mission = world.servers.mission.no;
    for report in view {
        let wanted = vec![report.report.0.as_bytes().to_vec()];
        let row = world
            .servers
            .store()
            .read(|conn| bulk::reports_by_id(conn, mission, &wanted))
            .expect("reads")
            .pop();
        let Some(row) = row else { continue };
        let theirs = match row.status.as_str() {
            _ if row.withdrawn => "withdrawn",
            "received" | "reopened" => "delivered",
            other => other,
        };
        let ours = report.status.code();
        let quarantined = report
            .entries
            .iter()
            .any(|step| step.delivery == Some(Standing::Quarantined));
        // Who answered a question sees that it is looked at.
        let answered = theirs == "needs_info" && row.flags & flags::ANSWERED != 0;
        let ours = if answered && ours == "in_review" {
            theirs
        } else {
            ours
        };
        if theirs != ours && !quarantined {
            return broken(
                "I16 convergence",
                format!("phone {id} shows `{ours}` where the server has `{theirs}`"),
            );
        }
        if row.text != report.text && !quarantined {
            return broken(
                "I16 convergence",
                format!("phone {id} and the server read other words"),
            );
        }
    }
    Ok(())
}

/// I11: every file is with the server, whole.
fn files_arrived(world: &World, id: usize, view: &[Report]) -> Result<(), Broken> {
    if world.revoked.contains(&world.phones[id].observer) {
        return Ok(());
    }
    for file in view.iter().flat_map(|report| &report.files) {
        if !matches!(file.status, FileStatus::Delivered | FileStatus::Durable) {
            return broken(
                "I11 evidence",
                format!(
                    "{} of phone {id} is {:?} ({:?}, {})",
                    file.file.sha256,
                    file.status,
                    file.code,
                    if file.here { "here" } else { "not here" }
                ),
            );
        }
        whole(world, &file.file.sha256)?;
    }
    Ok(())
}

/// I11: the files of phones that lost their keys are with the server, whole.
fn brought_arrived(world: &World) -> Result<(), Broken> {
    for (file, observer) in &world.brought {
        if world.revoked.contains(observer) {
            continue;
        }
        if !complete(world, file) {
            return broken(
                "I11 evidence",
                format!("{file} was not brought in a bundle"),
            );
        }
        whole(world, file)?;
    }
    Ok(())
}

/// I2 and I9: the tables are what the ledger makes of itself.
fn rebuilds(world: &World) -> Result<(), Broken> {
    let mission = world.servers.mission.no;
    let ids: Vec<_> = world
        .oracle
        .reports()
        .iter()
        .map(|report| report.0.as_bytes().to_vec())
        .collect();
    let rows = || {
        let mut rows = world
            .servers
            .store()
            .read(|conn| bulk::reports_by_id(conn, mission, &ids))
            .expect("reads");
        rows.sort_by_key(|row| row.first_number);
        rows.iter()
            .map(|row| format!("{row:?}"))
            .collect::<Vec<_>>()
    };
    let before = rows();
    world
        .servers
        .store()
        .write(|conn| scrutineer::domain::rebuild::run(conn, &mut |_| {}))
        .expect("rebuilds");
    let after = rows();
    if before == after {
        return Ok(());
    }
    let differing = before.iter().zip(&after).find(|(a, b)| a != b);
    broken("I2 rebuild", format!("{differing:?}"))
}
