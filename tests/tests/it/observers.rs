//! Accreditations as a coordinator looks for them: by institution and country, and by
//! whether somebody has a phone.

use serde_json::{Value, json};
use tests::{console::Console, database::Kind, on_both_databases, phone::Phone, site::Site};

on_both_databases!(filters, pages_belong_to_their_filter);

/// The numbers of those that fit.
fn found(who: &Console, query: &str) -> Vec<String> {
    let number = |one: &Value| one["number"].as_str().expect("a number").to_owned();
    who.all(&format!("/v1/accreditations?{query}"), "accreditations")
        .iter()
        .map(number)
        .collect()
}

fn filters(kind: Kind) {
    let site = Site::new(kind);
    let (mission, other) = (site.small_mission("Here"), site.small_mission("Elsewhere"));
    let server = site.start();
    let lead = site.console(mission, "lead");
    let _one = Phone::enrolled(&site, mission, "D-1");
    let lost = Phone::enrolled(&site, mission, "D-3");
    let _two = Phone::enrolled(&site, mission, "D-3");
    let _gone = Phone::enrolled(&site, mission, "D-5");
    let _theirs = Phone::enrolled(&site, other, "D-2");

    // However it is written, but all of it.
    assert_eq!(
        found(&lead, "institution=SAMPLE%20ALLIANCE%20(%C4%B0nvented)"),
        ["D-1", "D-2"]
    );
    assert_eq!(
        found(
            &lead,
            "institution=Sample%20Party%20(invented)&institution=sample%20mission%20(invented)"
        ),
        ["D-3", "D-4", "D-5"]
    );
    assert!(found(&lead, "institution=Sample").is_empty());
    assert!(found(&lead, "institution=").is_empty());
    assert_eq!(found(&lead, "country=se"), ["D-5"]);
    assert!(
        found(
            &lead,
            "country=az&institution=sample%20mission%20(invented)"
        )
        .is_empty()
    );

    // A phone that is left counts, one that was lost does not.
    assert_eq!(found(&lead, "enrolled=true"), ["D-1", "D-3", "D-5"]);
    assert_eq!(found(&lead, "enrolled=false"), ["D-2", "D-4"]);
    for device in lead.all("/v1/devices", "devices") {
        if device["kid"] == lost.kid() || device["accreditation"] == "D-5" {
            let id = device["id"].as_str().expect("an id");
            lead.post(
                &format!("/v1/devices/{id}/revocation"),
                &json!({ "reason": "lost" }),
            )
            .ok();
        }
    }
    assert_eq!(found(&lead, "enrolled=true"), ["D-1", "D-3"]);
    assert_eq!(found(&lead, "enrolled=false"), ["D-2", "D-4", "D-5"]);
    lead.post(
        "/v1/accreditations/D-4/revocation",
        &json!({ "reason": "left" }),
    )
    .ok();
    assert_eq!(found(&lead, "enrolled=false&revoked=false"), ["D-2", "D-5"]);
    assert_eq!(
        found(&lead, "enrolled=false&revoked=false&country=AZ&like=d-"),
        ["D-2"]
    );
    for query in [
        "enrolled=yes",
        "enrolled=",
        "enrolled=true&enrolled=true",
        "country=%00",
        "phone=true",
    ] {
        lead.get(&format!("/v1/accreditations?{query}"))
            .refuses(400, "malformed_query");
    }
    server.stop();
}

fn pages_belong_to_their_filter(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Pages");
    let server = site.start();
    let coordinator = site.console(mission, "coordinator");
    let _one = Phone::enrolled(&site, mission, "D-2");
    let page = |query: &str| coordinator.get(&format!("/v1/accreditations?limit=2&{query}"));
    let first = page("enrolled=false&country=az").ok();
    let next = first["next"].as_str().expect("another page");
    let second = page(&format!("enrolled=false&country=az&cursor={next}")).ok();
    assert_eq!(second["accreditations"][0]["number"], "D-4");
    assert_eq!(second["next"], Value::Null);
    for other in ["enrolled=true&country=az", "enrolled=false", "country=az"] {
        page(&format!("{other}&cursor={next}")).refuses(400, "invalid_cursor");
    }
    server.stop();
}
