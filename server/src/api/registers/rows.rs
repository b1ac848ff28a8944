//! `GET /v1/registers/stations/rows`: the stations a page at a time, found by words.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::{import, missions, reports::malformed, text::fold},
    store::{registers, reports_query},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// Characters of what is looked for.
const TEXT_CHARS: usize = 200;

/// What a station lies in.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct LocationStep {
    /// Which level.
    level: String,
    /// Its code in the level.
    code: String,
    /// Its name.
    name: String,
}

/// A station as the register has it.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct StationRow {
    /// Unique in the mission.
    code: String,
    /// Its name.
    name: String,
    /// What it lies in, from the top.
    path: Vec<LocationStep>,
    /// Degrees, where known.
    lat: Option<f64>,
    /// Degrees, where known.
    lon: Option<f64>,
    /// Where known.
    registered_voters: Option<i64>,
    /// Made up for a demonstration, not from a real register.
    generated: bool,
    /// How many reports name it.
    reports: i64,
}

/// One page of stations.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct StationPage {
    /// By code.
    stations: Vec<StationRow>,
    /// How many fit in all.
    count: usize,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

/// List stations that hold every word, in code, name or what they lie in.
#[utoipa::path(get, path = "/v1/registers/stations/rows", tag = "registers",
    params(("text" = Option<String>, Query, description = "Words, at most 200 characters"),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = StationPage)))]
pub(in crate::api) async fn list_station_rows(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut text: Option<String> = None;
    let page = query::page(&req, |name, value| match name {
        "text" if text.is_none() && value.chars().count() <= TEXT_CHARS => {
            text = Some(value.to_owned());
            Ok(true)
        }
        "text" => Err(malformed(name, "is too long, or stands twice")),
        _ => Ok(false),
    })?;
    let mission = person.mission;
    let mark = query::fingerprint("station rows", mission.id, &text);
    let after: Option<String> = query::decode(page.cursor.as_deref(), &mark)?;
    let words: Vec<String> = fold(text.as_deref().unwrap_or_default())
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let answer = work::read(&app, move |_, conn| {
        let mission = missions::get(conn, mission.id)?;
        let no = mission.reference.no;
        let above = registers::locations(conn, no)?;
        let mut rows: Vec<_> = registers::stations(conn, no)?.into_values().collect();
        rows.retain(|row| {
            let mut said = format!("{} {}", row.code, row.name);
            for (_, code, name) in import::path(&mission, &above, row) {
                said.push_str(&format!(" {code} {name}"));
            }
            let said = fold(&said);
            words.iter().all(|word| said.contains(word.as_str()))
        });
        let count = rows.len();
        rows.sort_by(|a, b| a.code.cmp(&b.code));
        if let Some(after) = &after {
            rows.retain(|row| row.code > *after);
        }
        rows.truncate(usize::try_from(page.limit + 1).unwrap_or(usize::MAX));
        let next = query::cut(&mut rows, page.limit, &mark, |row| row.code.clone());
        let codes: Vec<String> = rows.iter().map(|row| row.code.clone()).collect();
        let reports: HashMap<String, i64> = reports_query::by_station(conn, no, &codes)?;
        let stations = rows
            .into_iter()
            .map(|row| StationRow {
                path: import::path(&mission, &above, &row)
                    .into_iter()
                    .map(|(level, code, name)| LocationStep {
                        level: level.to_owned(),
                        code: code.to_owned(),
                        name: name.to_owned(),
                    })
                    .collect(),
                reports: reports.get(&row.code).copied().unwrap_or(0),
                code: row.code,
                name: row.name,
                lat: row.lat,
                lon: row.lon,
                registered_voters: row.registered_voters,
                generated: row.generated,
            })
            .collect();
        Ok(StationPage {
            stations,
            count,
            next,
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}
