//! Every route of the server, on one screen: what it is, who may use it, what
//! it may refuse. Registration, the OpenAPI document, `docs/api.md` and the
//! test of all roles read this table.

use actix_web::{
    guard,
    http::Method,
    middleware::from_fn,
    web::{self, ServiceConfig},
};
use protocol::codes::Code;

use super::{
    accounts, accreditations, attention, audit, bundles, cases, console, devices, docs, enrolments,
    erasures, events, evidence, exchange, exports, guard as gate, health, imports, jwks, login,
    map, me, messages, metrics, missions, openapi, quarantine, reference, registers, reports, room,
    second_factor, session, token,
};
use crate::auth::Role::{self, Analyst, Auditor, Coordinator, Lead, Observer, Operator};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Anybody. Where a route of this kind acts on a mission's data, something
    /// else lets the caller in: an entry's signature, a one-time code.
    Public,
    /// These roles, in the mission that the token opens.
    Roles(&'static [Role]),
    /// Somebody on the same machine, or these roles.
    LocalOr(&'static [Role]),
    /// Whoever is signed in at the console, with a second factor or yet without.
    Session,
}

/// One method of one address.
#[derive(Debug)]
pub struct Route {
    /// `GET` also answers `HEAD`.
    pub method: Method,
    /// With `{names}` for the parts that vary.
    pub path: &'static str,
    /// Who may.
    pub policy: Policy,
    /// What it refuses by itself; [`Route::codes`] adds what its policy and the
    /// server refuse.
    pub errors: &'static [Code],
    register: fn(actix_web::Route) -> actix_web::Route,
}

const ANYONE: Policy = Policy::Public;
const SIGNED_IN: Policy = Policy::Roles(&Role::ALL);
const READERS: Policy = Policy::Roles(&[Coordinator, Lead, Analyst, Auditor]);
const WITNESSES: Policy = Policy::Roles(&[Observer]);
const READERS_AND_WITNESSES: Policy =
    Policy::Roles(&[Observer, Coordinator, Lead, Analyst, Auditor]);
const REVIEWERS: Policy = Policy::Roles(&[Coordinator, Lead]);
const OVERSEERS: Policy = Policy::Roles(&[Coordinator, Lead, Auditor]);
const EXPORTERS: Policy = Policy::Roles(&[Analyst, Lead, Auditor]);
const LEADS: Policy = Policy::Roles(&[Lead]);
const LEADS_AND_AUDITORS: Policy = Policy::Roles(&[Lead, Auditor]);
const OPERATORS: Policy = Policy::Roles(&[Operator]);
const MACHINE: Policy = Policy::LocalOr(&[Operator]);
const DESK: Policy = Policy::Session;

const EXCHANGE_ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::UnsupportedProtocol,
    Code::TooManyEntries,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidCursor,
    Code::InvalidValue,
];

macro_rules! routes {
    ($($method:ident $path:literal $policy:ident $errors:expr => $handler:expr;)*) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            policy: $policy,
            errors: $errors,
            register: |route| route.to($handler),
        },)*]
    };
}

/// The table.
pub static ROUTES: &[Route] = routes! {
    // phones
    POST "/v1/exchange" ANYONE EXCHANGE_ERRORS => exchange::exchange;
    POST "/v1/enrolments" ANYONE enrolments::redeem::ERRORS => enrolments::redeem::redeem_enrolment;
    // signing in
    POST "/v1/login" ANYONE login::ERRORS => login::login;
    POST "/v1/token" ANYONE token::ERRORS => token::token;
    GET "/.well-known/jwks.json" ANYONE jwks::ERRORS => jwks::jwks;
    POST "/v1/session" ANYONE session::begin::ERRORS => session::begin::begin_session;
    GET "/v1/session" DESK session::show::ERRORS => session::show::show_session;
    DELETE "/v1/session" DESK session::end::ERRORS => session::end::end_session;
    POST "/v1/session/renewal" DESK session::renew::ERRORS => session::renew::renew_session;
    POST "/v1/second-factor" DESK second_factor::offer::ERRORS => second_factor::offer::offer_second_factor;
    POST "/v1/second-factor/confirmation" DESK second_factor::confirm::ERRORS => second_factor::confirm::confirm_second_factor;
    GET "/v1/me" SIGNED_IN me::ERRORS => me::me;
    // reports
    GET "/v1/reports" READERS reports::list::ERRORS => reports::list::list_reports;
    GET "/v1/reports/{id}" READERS reports::show::ERRORS => reports::show::show_report;
    POST "/v1/reports/{id}/decisions" REVIEWERS reports::decide::ERRORS => reports::decide::decide_report;
    POST "/v1/reports/{id}/assignment" REVIEWERS reports::assign::ERRORS => reports::assign::assign_report;
    POST "/v1/reports/{id}/priority" REVIEWERS reports::prioritise::ERRORS => reports::prioritise::prioritise_report;
    POST "/v1/reports/{id}/notes" REVIEWERS reports::note::ERRORS => reports::note::note_report;
    GET "/v1/reports/{id}/case" READERS cases::show::ERRORS => cases::show::show_case;
    POST "/v1/reports/{id}/case" REVIEWERS cases::join::ERRORS => cases::join::join_case;
    POST "/v1/reports/{id}/apart" REVIEWERS cases::apart::ERRORS => cases::apart::keep_apart;
    GET "/v1/cases" READERS cases::list::ERRORS => cases::list::list_cases;
    PUT "/v1/attention" READERS attention::ERRORS => attention::put_attention;
    GET "/v1/events" READERS events::ERRORS => events::watch_events;
    GET "/v1/exports/{format}" EXPORTERS exports::ERRORS => exports::export_reports;
    // the room's wall, and the map
    GET "/v1/room" READERS room::show::ERRORS => room::show::show_room;
    GET "/v1/room/silent" OVERSEERS room::silent::ERRORS => room::silent::list_silent;
    GET "/v1/map" READERS map::show::ERRORS => map::show::show_map;
    GET "/v1/map/stations" READERS map::stations::ERRORS => map::stations::map_stations;
    GET "/v1/map/reports" READERS map::reports::ERRORS => map::reports::map_reports;
    // files; HEAD stands before GET, which would answer it too
    OPTIONS "/v1/evidence/{sha256}" ANYONE evidence::options::ERRORS => evidence::options::describe_uploads;
    HEAD "/v1/evidence/{sha256}" READERS_AND_WITNESSES evidence::head::ERRORS => evidence::head::probe_evidence;
    PATCH "/v1/evidence/{sha256}" WITNESSES evidence::patch::ERRORS => evidence::patch::send_evidence;
    GET "/v1/evidence/{sha256}" READERS_AND_WITNESSES evidence::get::ERRORS => evidence::get::read_evidence;
    // what phones need to know offline
    GET "/v1/reference/{register}/{sha256}" READERS_AND_WITNESSES reference::ERRORS => reference::read_reference;
    // what desks put codes into words with
    GET "/v1/categories" READERS registers::categories::ERRORS => registers::categories::list_categories;
    GET "/v1/stations" READERS registers::stations::ERRORS => registers::stations::list_stations;
    GET "/v1/colleagues" READERS registers::colleagues::ERRORS => registers::colleagues::list_colleagues;
    // what observers are told
    POST "/v1/messages" REVIEWERS messages::send::ERRORS => messages::send::send_message;
    GET "/v1/messages" OVERSEERS messages::list::ERRORS => messages::list::list_messages;
    // couriers' bundles
    POST "/v1/bundles" ANYONE bundles::ask::ERRORS => bundles::ask::ask_bundle;
    PATCH "/v1/bundles/{sha256}" ANYONE bundles::send::ERRORS => bundles::send::send_bundle;
    GET "/v1/bundles" OPERATORS bundles::list::ERRORS => bundles::list::list_bundles;
    // what waits
    GET "/v1/quarantine" OVERSEERS quarantine::list::ERRORS => quarantine::list::list_quarantine;
    POST "/v1/quarantine/{hash}/admission" REVIEWERS quarantine::admit::ERRORS => quarantine::admit::admit_entry;
    // who may file
    GET "/v1/accreditations" OVERSEERS accreditations::list::ERRORS => accreditations::list::list_accreditations;
    POST "/v1/accreditations/{number}/revocation" LEADS accreditations::revoke::ERRORS => accreditations::revoke::revoke_accreditation;
    POST "/v1/enrolment-codes" REVIEWERS enrolments::issue::ERRORS => enrolments::issue::issue_enrolment_code;
    GET "/v1/devices" OVERSEERS devices::list::ERRORS => devices::list::list_devices;
    POST "/v1/devices/{id}/revocation" LEADS devices::revoke::ERRORS => devices::revoke::revoke_device;
    // erasure, by two people
    POST "/v1/reports/{id}/erasure" LEADS reports::erase::ERRORS => reports::erase::request_erasure;
    GET "/v1/erasures" LEADS_AND_AUDITORS erasures::list::ERRORS => erasures::list::list_erasures;
    POST "/v1/erasures/{id}/approval" LEADS erasures::approve::ERRORS => erasures::approve::approve_erasure;
    // who works in the mission
    GET "/v1/accounts" LEADS_AND_AUDITORS accounts::list::ERRORS => accounts::list::list_accounts;
    POST "/v1/accounts" LEADS accounts::add::ERRORS => accounts::add::add_account;
    PUT "/v1/accounts/{id}/roles" LEADS accounts::roles::ERRORS => accounts::roles::set_roles;
    PUT "/v1/accounts/{id}/standing" LEADS accounts::standing::ERRORS => accounts::standing::set_standing;
    POST "/v1/accounts/{id}/second-factor-reset" LEADS accounts::second_factor::ERRORS => accounts::second_factor::reset_second_factor;
    POST "/v1/accounts/{id}/password-reset" LEADS accounts::password::ERRORS => accounts::password::reset_password;
    // what the mission works with
    GET "/v1/registers/{register}" OVERSEERS registers::save::ERRORS => registers::save::take_register;
    GET "/v1/registers/stations/rows" READERS registers::rows::ERRORS => registers::rows::list_station_rows;
    POST "/v1/imports/{register}/preview" LEADS imports::preview::ERRORS => imports::preview::preview_import;
    POST "/v1/imports/{register}" LEADS imports::apply::ERRORS => imports::apply::apply_import;
    // who did what
    GET "/v1/audit" LEADS_AND_AUDITORS audit::list::ERRORS => audit::list::list_audit;
    GET "/v1/audit.csv" LEADS_AND_AUDITORS audit::csv::ERRORS => audit::csv::take_audit;
    // running the server
    GET "/v1/missions" OPERATORS missions::ERRORS => missions::list_missions;
    GET "/healthz" ANYONE health::HEALTH_ERRORS => health::healthz;
    GET "/readyz" ANYONE health::READY_ERRORS => health::readyz;
    GET "/metrics" MACHINE metrics::ERRORS => metrics::metrics_text;
    // for integrators
    GET "/openapi.json" ANYONE openapi::ERRORS => openapi::openapi_json;
    GET "/docs" ANYONE docs::ERRORS => docs::docs_page;
    GET "/enrol" ANYONE docs::ERRORS => docs::enrol_page;
    // for people
    GET "/" ANYONE console::ERRORS => console::console_page;
    GET "/icon.svg" ANYONE console::ERRORS => console::console_icon;
    GET "/assets/{file}" ANYONE console::ERRORS => console::console_asset;
};

impl Route {
    /// Every code that an answer of this route may carry, in the table's order.
    #[must_use]
    pub fn codes(&self) -> Vec<Code> {
        let mut codes = self.errors.to_vec();
        if !matches!(self.policy, Policy::Public) {
            codes.extend([
                Code::TokenMissing,
                Code::TokenInvalid,
                Code::TokenExpired,
                Code::TokenRevoked,
                Code::SessionEnded,
                Code::SecondFactorMissing,
                Code::CrossSite,
                Code::Forbidden,
                Code::DatabaseUnavailable,
            ]);
        }
        if self.path.starts_with("/v1/") {
            codes.extend([Code::Overloaded, Code::DatabaseUnavailable, Code::Internal]);
        }
        Code::ALL
            .iter()
            .copied()
            .filter(|code| codes.contains(code))
            .collect()
    }

    /// One that stands in no table.
    #[cfg(test)]
    pub(super) const fn for_test(
        path: &'static str,
        register: fn(actix_web::Route) -> actix_web::Route,
    ) -> Self {
        Self {
            method: Method::GET,
            path,
            policy: Policy::Public,
            errors: &[],
            register,
        }
    }

    /// Handler, method and policy as actix wants them.
    pub(super) fn build(&'static self) -> actix_web::Route {
        let own = if self.method == Method::GET {
            web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            web::route().method(self.method.clone())
        };
        (self.register)(own).wrap(from_fn(move |req, next| gate::pass(self, req, next)))
    }

    /// The roles that may use it; `None` for anybody.
    #[must_use]
    pub fn roles(&self) -> Option<&'static [Role]> {
        match self.policy {
            Policy::Public | Policy::Session => None,
            Policy::Roles(roles) | Policy::LocalOr(roles) => Some(roles),
        }
    }
}

/// Registers the whole table.
pub(super) fn register(config: &mut ServiceConfig) {
    let mut done: Vec<&str> = Vec::new();
    for path in ROUTES.iter().map(|route| route.path) {
        if done.contains(&path) {
            continue;
        }
        done.push(path);
        let mut resource = web::resource(path);
        let mut allowed = Vec::new();
        let own_head = ROUTES
            .iter()
            .any(|route| route.path == path && route.method == Method::HEAD);
        for route in ROUTES.iter().filter(|route| route.path == path) {
            allowed.push(if route.method == Method::GET && !own_head {
                "GET, HEAD"
            } else {
                route.method.as_str()
            });
            resource = resource.route(route.build());
        }
        let allowed = allowed.join(", ");
        resource =
            resource.default_service(web::to(move || super::method_not_allowed(allowed.clone())));
        config.service(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test for both parts: they stand in one file.
    #[test]
    fn the_manual_says_what_the_tables_say() {
        let columns = [
            Coordinator,
            Lead,
            Analyst,
            Auditor,
            Operator,
            Role::Observer,
        ];
        let mut table = String::from("| request | anybody");
        for role in columns {
            table += &format!(" | {}", role.name());
        }
        table += &format!(" |\n|---{}|\n", "|:-:".repeat(columns.len() + 1));
        for route in ROUTES {
            let open = match route.policy {
                Policy::Public => "✓",
                Policy::LocalOr(_) => "on the same machine",
                Policy::Session => "with a session",
                Policy::Roles(_) => "",
            };
            table += &format!("| `{} {}` | {open}", route.method, route.path);
            for role in columns {
                let may = route.roles().is_some_and(|roles| roles.contains(&role));
                table += if may { " | ✓" } else { " | " };
            }
            table += " |\n";
        }
        crate::cli::manual::check("api.md", "routes", &table);
        let mut table = String::from("| parameter | which reports |\n|---|---|\n");
        for (name, meaning) in crate::domain::reports::PARAMETERS {
            table += &format!("| `{name}` | {meaning} |\n");
        }
        let names: Vec<String> = crate::domain::flags::ALL
            .iter()
            .map(|(_, name)| format!("`{name}`"))
            .collect();
        table += &format!("\nFlags: {}.\n", names.join(", "));
        crate::cli::manual::check("api.md", "filters", &table);
    }

    #[test]
    fn no_route_stands_twice() {
        for (at, route) in ROUTES.iter().enumerate() {
            let twice = ROUTES[..at]
                .iter()
                .any(|other| other.path == route.path && other.method == route.method);
            assert!(!twice, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn what_acts_on_a_mission_has_a_policy() {
        const OPEN: [&str; 14] = [
            "/v1/exchange",
            "/v1/enrolments",
            "/v1/login",
            "/v1/token",
            "/.well-known/jwks.json",
            "/healthz",
            "/readyz",
            "/openapi.json",
            "/docs",
            "/enrol",
            "/metrics",
            "/",
            "/icon.svg",
            "/assets/{file}",
        ];
        for route in ROUTES {
            // OPTIONS says what is spoken, and nothing of any file.
            // A bundle is sealed, and what is in it is signed.
            let bundle = route.path.starts_with("/v1/bundles") && route.method != Method::GET;
            let sign_in = route.path == "/v1/session" && route.method == Method::POST;
            let open =
                OPEN.contains(&route.path) || route.method == Method::OPTIONS || bundle || sign_in;
            assert_eq!(
                !matches!(route.policy, Policy::Roles(_) | Policy::Session),
                open,
                "{} {}",
                route.method,
                route.path
            );
            assert!(route.roles().is_none_or(|roles| !roles.is_empty()));
        }
    }
}
