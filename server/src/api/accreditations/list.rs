//! `GET /v1/accreditations`: who may file.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    auth::Role,
    domain::{accreditations, reports::malformed},
    store::devices::{self, AccreditationFilter},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// Values of one filter.
const VALUES: usize = 100;
/// Characters of a part that is looked for.
const LIKE_CHARS: usize = 100;

/// An accreditation.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Accreditation {
    /// Its number.
    number: String,
    /// The observer's pseudonym in reports and exports.
    observer: String,
    /// The observer's name: for leads alone, absent for everybody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Kind, as imported: domestic, international, …
    kind: String,
    /// Institution; may be empty.
    institution: String,
    /// Country; may be empty.
    country: String,
    /// Codes of the stations it is for; none means all.
    stations: Vec<String>,
    /// It, and so each of its devices, may file no more.
    revoked: bool,
    /// Ledger number of the revocation.
    revoked_number: Option<i64>,
}

/// One page of accreditations.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct AccreditationPage {
    /// In the order of their numbers.
    accreditations: Vec<Accreditation>,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

/// List accreditations. Names are for leads alone.
#[utoipa::path(get, path = "/v1/accreditations", tag = "devices",
    params(("number" = Option<String>, Query, description = "Any of these numbers; repeat it"),
           ("observer" = Option<String>, Query, description = "Any of these pseudonyms; repeat it"),
           ("institution" = Option<String>, Query, description = "Any of these institutions; repeat it. Case does not matter"),
           ("country" = Option<String>, Query, description = "Any of these countries; repeat it. Case does not matter"),
           ("kind" = Option<String>, Query, description = "Any of these kinds; repeat it"),
           ("like" = Option<String>, Query, description = "Number or pseudonym contains this; for leads also the name. Case does not matter"),
           ("revoked" = Option<bool>, Query, description = "`true`: only revoked ones; `false`: only the others"),
           ("enrolled" = Option<bool>, Query, description = "`true`: only those with a phone that was not revoked; `false`: only the others"),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = AccreditationPage)))]
pub(in crate::api) async fn list_accreditations(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut filter = AccreditationFilter::default();
    let page = query::page(&req, |name, value| {
        if value.contains('\0') {
            return Err(malformed(name, "cannot be read"));
        }
        let list = match name {
            "number" => &mut filter.number,
            "observer" => &mut filter.observer,
            "institution" => &mut filter.institution,
            "kind" => &mut filter.kind,
            "country" => &mut filter.country,
            "like" if filter.like.is_none() && value.chars().count() <= LIKE_CHARS => {
                filter.like = Some(value.to_owned());
                return Ok(true);
            }
            "like" => return Err(malformed(name, "stands twice, or is too long")),
            "revoked" => return once(&mut filter.revoked, name, value),
            "enrolled" => return once(&mut filter.enrolled, name, value),
            _ => return Ok(false),
        };
        list.push(value.to_owned());
        if list.len() > VALUES {
            Err(malformed(name, "has too many values"))
        } else {
            Ok(true)
        }
    })?;
    let mission = person.mission;
    let mark = query::fingerprint("accreditations", mission.id, &filter);
    let after: Option<String> = query::decode(page.cursor.as_deref(), &mark)?;
    if after.as_ref().is_some_and(|number| number.contains('\0')) {
        return Err(ApiError::new(Code::InvalidCursor, ""));
    }
    let names = person.is(Role::Lead);
    let (accreditations, next) = work::read(&app, move |_, conn| {
        let (after, most) = (after.as_deref(), page.limit + 1);
        let Some(filter) = accreditations::spelled(conn, mission.no, filter)? else {
            return Ok((vec![], None));
        };
        let mut rows = match &filter.like {
            Some(like) => {
                accreditations::like(conn, mission.no, &filter, (like, names), after, most)?
            }
            None => devices::accreditations(conn, mission.no, &filter, after, most)?,
        };
        let next = query::cut(&mut rows, page.limit, &mark, |row| row.number.clone());
        let ids: Vec<Vec<u8>> = rows.iter().map(|row| row.id.clone()).collect();
        let gone = devices::revocations(conn, mission.no, &ids)?;
        let accreditations: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let revoked_number = gone
                    .iter()
                    .find(|(id, _)| *id == row.id)
                    .map(|(_, number)| *number);
                Accreditation {
                    number: row.number,
                    observer: row.pseudonym,
                    name: names.then_some(row.name),
                    kind: row.kind,
                    institution: row.institution,
                    country: row.country,
                    stations: serde_json::from_str(&row.stations).unwrap_or_default(),
                    revoked: revoked_number.is_some(),
                    revoked_number,
                }
            })
            .collect();
        Ok((accreditations, next))
    })
    .await?;
    Ok(HttpResponse::Ok().json(AccreditationPage {
        accreditations,
        next,
    }))
}

/// Reads `true` or `false`, which stands once.
fn once(into: &mut Option<bool>, name: &str, value: &str) -> crate::error::Result<bool> {
    let read = value.parse().ok().filter(|_| into.is_none());
    *into = Some(read.ok_or_else(|| malformed(name, "is `true` or `false`, once"))?);
    Ok(true)
}
