//! Messages come with the decisions, once, and are handed back like them.

use crate::testing::{World, block_on};

fn texts(world: &World) -> Vec<(String, bool)> {
    block_on(world.client.messages())
        .expect("reads")
        .into_iter()
        .map(|message| (message.text.unwrap_or_default(), message.read))
        .collect()
}

#[test]
fn messages_come_once_and_stay_read() {
    let world = World::enrolled(1);
    let filed = world.file("words");
    world.sync();
    world.server.tell("first");
    world.server.decide(filed.report, "verified", None);
    world.server.tell("second");
    world.paths();
    let report = world.sync();
    assert_eq!((report.messages, report.items), (2, 1));
    assert_eq!(world.paths(), ["/v1/exchange"]);
    let unread = |text: &str| (text.to_owned(), false);
    assert_eq!(texts(&world), [unread("first"), unread("second")]);
    // No report is touched by them.
    assert_eq!(world.status(filed.report), "verified");
    assert_eq!(block_on(world.client.list()).expect("reads").len(), 1);
    let first = block_on(world.client.messages()).expect("reads")[0].entry;
    block_on(world.client.mark_read(&[first])).expect("writes");
    assert_eq!(texts(&world), [("first".into(), true), unread("second")]);
    let status = block_on(world.client.status()).expect("reads");
    assert_eq!((status.messages, status.messages_unread), (2, 1));
    assert_eq!(world.sync().messages, 0);
}

#[test]
fn a_restored_server_gets_messages_back_and_none_comes_twice() {
    let world = World::enrolled(2);
    world.file("words");
    world.sync();
    let message = world.server.tell("stay inside");
    world.sync();
    block_on(world.client.mark_read(&[message])).expect("writes");
    world.server.restore_backup(0, 9);
    let report = world.sync();
    assert!(report.new_epoch);
    assert_eq!((report.returned, report.messages), (1, 0));
    assert_eq!(world.server.holds(&message), 1);
    world.sync();
    assert_eq!(texts(&world), [("stay inside".to_owned(), true)]);
}
