//! `GET /openapi.json`: the interface, for machines.
//!
//! Handlers describe what they take and give; who may call them and what they
//! refuse comes from the route table, so that neither can be forgotten.

use std::{collections::BTreeMap, sync::LazyLock};

use actix_web::{HttpResponse, http::header};
use protocol::{
    codes::Code,
    problem::{MEDIA_TYPE, Problem},
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::{
    accounts, accreditations, attention, audit, bundles, cases, console, devices, docs, enrolments,
    erasures, events, evidence, exchange, exports, health, imports, jwks, login, map, me, messages,
    metrics, missions, quarantine, reference, registers, reports, room,
    routes::{Policy, ROUTES, Route},
    second_factor, session, token,
};
use crate::domain::{attention::Attention, flags, reports::PARAMETERS};

pub(super) const ERRORS: &[Code] = &[];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Scrutineer",
        description = "Offline-first incident reporting for election observers. Errors are RFC 9457 problems: program against `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        exchange::exchange, enrolments::redeem::redeem_enrolment,
        session::begin::begin_session, session::show::show_session, session::end::end_session,
        session::renew::renew_session, second_factor::offer::offer_second_factor,
        second_factor::confirm::confirm_second_factor,
        login::login, token::token, jwks::jwks, me::me,
        reports::list::list_reports, reports::show::show_report, reports::decide::decide_report,
        reports::assign::assign_report, reports::prioritise::prioritise_report, reports::note::note_report,
        cases::show::show_case, cases::join::join_case, cases::apart::keep_apart, cases::list::list_cases,
        attention::put_attention, events::watch_events, exports::export_reports,
        console::console_page, console::console_icon, console::console_asset,
        room::show::show_room, room::silent::list_silent,
        map::show::show_map, map::stations::map_stations, map::reports::map_reports,
        evidence::options::describe_uploads, evidence::head::probe_evidence,
        evidence::patch::send_evidence, evidence::get::read_evidence,
        reference::read_reference,
        registers::categories::list_categories, registers::stations::list_stations,
        registers::colleagues::list_colleagues,
        messages::send::send_message, messages::list::list_messages,
        bundles::ask::ask_bundle, bundles::send::send_bundle, bundles::list::list_bundles,
        quarantine::list::list_quarantine, quarantine::admit::admit_entry,
        accreditations::list::list_accreditations, accreditations::revoke::revoke_accreditation,
        enrolments::issue::issue_enrolment_code, devices::list::list_devices, devices::revoke::revoke_device,
        reports::erase::request_erasure, erasures::list::list_erasures, erasures::approve::approve_erasure,
        accounts::list::list_accounts, accounts::add::add_account, accounts::roles::set_roles,
        accounts::standing::set_standing, accounts::second_factor::reset_second_factor,
        accounts::password::reset_password,
        registers::save::take_register, registers::rows::list_station_rows,
        imports::preview::preview_import, imports::apply::apply_import,
        audit::list::list_audit, audit::csv::take_audit,
        missions::list_missions, health::healthz, health::readyz, metrics::metrics_text,
        openapi_json, docs::docs_page, docs::enrol_page,
    ),
    components(schemas(Problem, Attention)),
    tags(
        (name = "sign-in", description = "Getting a token"),
        (name = "reports", description = "Reading reports, deciding on them, taking them away"),
        (name = "room", description = "Figures for the room's wall, stations and reports for a map"),
        (name = "evidence", description = "Files: sent by phones with tus 1.0.0, read by both sides"),
        (name = "reference", description = "Stations and categories for phones, as snapshots that never change"),
        (name = "messages", description = "What coordinators tell observers"),
        (name = "quarantine", description = "Entries that wait for a decision"),
        (name = "devices", description = "Who may file"),
        (name = "erasure", description = "A legal duty, done by two people"),
        (name = "accounts", description = "Who works in the mission"),
        (name = "registers", description = "Stations, accreditations, categories: read, taken away, imported"),
        (name = "audit", description = "Who did what, when"),
        (name = "phones", description = "What sync-core speaks; see docs/protocol.md"),
        (name = "operation", description = "Running the server"),
        (name = "documents", description = "This interface"),
    ),
)]
struct Handlers;

static DOCUMENT: LazyLock<Value> = LazyLock::new(build);
static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());

/// The whole document.
#[must_use]
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// This interface as an OpenAPI 3.1 document.
#[utoipa::path(get, path = "/openapi.json", tag = "documents",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub(super) async fn openapi_json() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(TEXT.as_str())
}

fn build() -> Value {
    let mut document = serde_json::to_value(Handlers::openapi()).unwrap_or_default();
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "From POST /v1/login (people) or POST /v1/token (phones).",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-scrutineer",
            "description": "From POST /v1/session, for pages of this server's own.",
        }
    });
    for route in ROUTES {
        let operation =
            &mut document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
        if let Some(operation) = operation.as_object_mut() {
            complete(route, operation);
        }
    }
    document
}

/// Adds to an operation what the route table knows.
fn complete(route: &Route, operation: &mut Map<String, Value>) {
    match route.policy {
        // The exchange takes a token and does not need one; its handler says so.
        Policy::Public if route.path == "/v1/exchange" => {}
        Policy::Public => drop(operation.insert("security".into(), json!([]))),
        Policy::Roles(roles) => {
            operation.insert("security".into(), json!([{"bearer": []}, {"session": []}]));
            operation.insert("x-roles".into(), json!(roles));
        }
        Policy::Session => drop(operation.insert("security".into(), json!([{"session": []}]))),
        Policy::LocalOr(roles) => {
            operation.insert(
                "security".into(),
                json!([{}, {"bearer": []}, {"session": []}]),
            );
            operation.insert("x-roles".into(), json!(roles));
        }
    }
    if matches!(
        route.path,
        "/v1/reports" | "/v1/exports/{format}" | "/v1/map/reports"
    ) {
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        if let Some(parameters) = parameters.as_array_mut() {
            parameters.extend(
                PARAMETERS
                    .iter()
                    .map(|(name, meaning)| filter(name, meaning)),
            );
        }
    }
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in route.codes() {
        by_status.entry(code.status()).or_default().push(code);
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let Some(responses) = responses.as_object_mut() else {
        return;
    };
    for (status, codes) in by_status {
        let lines: Vec<String> = codes
            .iter()
            .map(|code| format!("`{code}`: {}", code.title()))
            .collect();
        let mut answer = json!({
            "description": lines.join("\n\n"),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            "x-codes": codes,
        });
        if matches!(status, 429 | 503) {
            answer["headers"] =
                json!({"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}});
        }
        responses.insert(status.to_string(), answer);
    }
}

fn filter(name: &str, meaning: &str) -> Value {
    let mut description = meaning.to_owned();
    if name == "flag" {
        let names: Vec<String> = flags::ALL
            .iter()
            .map(|(_, name)| format!("`{name}`"))
            .collect();
        description = format!("{meaning} Known: {}.", names.join(", "));
    }
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": {"type": "string"}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_openapi_3_1() {
        assert!(document()["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut document = document().clone();
        document["info"]["version"] = json!("[version]");
        insta::assert_json_snapshot!("openapi", document);
    }

    #[test]
    fn every_route_is_documented_and_nothing_else() {
        let mut documented: Vec<(String, String)> = Vec::new();
        for (path, methods) in document()["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                documented.push((method.to_uppercase(), path.clone()));
            }
        }
        documented.sort();
        let mut table: Vec<(String, String)> = ROUTES
            .iter()
            .map(|route| (route.method.to_string(), route.path.to_owned()))
            .collect();
        table.sort();
        assert_eq!(documented, table);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = document().to_string();
        for reference in text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            assert!(document().pointer(reference).is_some(), "{reference}");
        }
    }

    /// Two types of one name would share one schema.
    #[test]
    fn schemas_of_both_protocols_are_there() {
        let schemas = &document()["components"]["schemas"];
        for (name, member) in [
            ("ExchangeRequest", "entries"),
            ("ExchangeResponse", "outcomes"),
            ("EnrolmentRequest", "proof"),
            ("EnrolmentResponse", "sealing_key"),
        ] {
            assert!(schemas[name]["properties"][member].is_object(), "{name}");
        }
    }

    #[test]
    fn every_operation_says_who_may_and_what_it_refuses() {
        for route in ROUTES {
            let operation = &document()["paths"][route.path][route.method.as_str().to_lowercase()];
            assert!(operation["security"].is_array(), "{}", route.path);
            assert!(operation["summary"].is_string(), "{}", route.path);
            for code in route.codes() {
                let codes = &operation["responses"][code.status().to_string()]["x-codes"];
                assert!(
                    codes.as_array().unwrap().contains(&json!(code)),
                    "{} {code}",
                    route.path
                );
            }
        }
    }
}
