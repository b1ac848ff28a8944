//! The console, in a real browser against the real server. Each story is a script of
//! `tests/node/console`.

use tests::{
    browser::{Registers, play, play_in},
    database::Kind,
    on_both_databases,
};

on_both_databases!(
    a_session_and_its_end,
    a_shift_of_two,
    two_at_one_report,
    evidence_and_who_opened_it,
    keyboard_alone,
    the_missions_pages,
    sheets_for_many,
    filters_and_palette,
    words_are_found,
    one_event_told_by_several,
    the_demos_claims,
    the_map,
    the_room,
    accounts_and_their_roles,
    registers_from_files,
    erasures_and_the_audit_trail,
    a_report_by_telephone,
    looks,
    hostile_words_and_files,
    hostile_pages
);

fn a_session_and_its_end(kind: Kind) {
    play(kind, "session");
}

fn a_shift_of_two(kind: Kind) {
    play(kind, "shift");
}

fn two_at_one_report(kind: Kind) {
    play(kind, "together");
}

fn evidence_and_who_opened_it(kind: Kind) {
    play(kind, "evidence");
}

fn keyboard_alone(kind: Kind) {
    play(kind, "keyboard");
}

fn the_missions_pages(kind: Kind) {
    play(kind, "mission");
}

fn sheets_for_many(kind: Kind) {
    play(kind, "sheets");
}

fn filters_and_palette(kind: Kind) {
    play(kind, "filters");
}

fn words_are_found(kind: Kind) {
    play(kind, "search");
}

fn one_event_told_by_several(kind: Kind) {
    play(kind, "cases");
}

fn the_demos_claims(kind: Kind) {
    play_in(kind, "claims", Registers::Demo);
}

fn the_map(kind: Kind) {
    play(kind, "map");
}

fn the_room(kind: Kind) {
    play(kind, "room");
}

fn accounts_and_their_roles(kind: Kind) {
    play(kind, "accounts");
}

fn registers_from_files(kind: Kind) {
    play(kind, "registers");
}

fn erasures_and_the_audit_trail(kind: Kind) {
    play(kind, "audit");
}

fn a_report_by_telephone(kind: Kind) {
    play(kind, "telephone");
}

fn looks(kind: Kind) {
    play(kind, "looks");
}

fn hostile_words_and_files(kind: Kind) {
    play(kind, "hostile");
}

fn hostile_pages(kind: Kind) {
    play(kind, "hostile-pages");
}
