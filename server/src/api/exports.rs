//! `GET /v1/exports/{format}`: reports as a file.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use super::{Api, download, error::ApiError, guard::Person, query, work};
use crate::{
    app::App,
    auth::Role,
    domain::{
        audit::{Act, By, Deed},
        export::{self, Format, Options},
        missions,
        reports::malformed,
    },
};

pub(super) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::NotFound, Code::Overloaded];

/// Export reports, with the filters of the list.
///
/// `csv` is safe to open in a spreadsheet, `geojson` holds the reports that
/// have a place (RFC 7946), `jsonl` has each report with its whole history and
/// the signed entries. The order is that of the ledger. Observers stand under
/// their pseudonyms; `names=true` adds names, for leads alone.
#[utoipa::path(get, path = "/v1/exports/{format}", tag = "reports",
    params(("format" = String, Path, description = "`csv`, `geojson` or `jsonl`"),
           ("names" = Option<bool>, Query, description = "`true`: with names and accreditation numbers; leads alone"),
           ("language" = Option<String>, Query, description = "Language of category labels, such as `az`; English if not given")),
    responses((status = 200, description = "The file", content(
        (String = "text/csv"), (String = "application/geo+json"), (String = "application/jsonl")))))]
pub(super) async fn export_reports(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let format: Format = req
        .match_info()
        .query("format")
        .parse()
        .map_err(|_| ApiError::not_found())?;
    let mut options = Options::new(format);
    let (mut names, mut language) = (None, None);
    query::all(&req, |name, value| {
        match name {
            "names" if names.is_none() => {
                names = Some(
                    value
                        .parse()
                        .map_err(|_| malformed(name, "is `true` or `false`"))?,
                );
            }
            "language" if language.is_none() && is_language(value) => {
                language = Some(value.to_owned())
            }
            "names" | "language" => return Err(malformed(name, "cannot be read, or stands twice")),
            _ => return options.filter.set(name, value),
        }
        Ok(true)
    })?;
    options.names = names.unwrap_or(false);
    if options.names && !person.is(Role::Lead) {
        return Err(ApiError::new(Code::Forbidden, "names are for leads alone"));
    }
    if let Some(language) = language {
        options.language = language;
    }
    let turn = api.turn_to_export()?;
    let told = options.told()?;
    work::write(&app, move |app, conn| {
        Deed::new(&app.host, By::Person(person.user), Act::Export, told)
            .note(conn, person.mission.no)
    })
    .await?;
    let name = format!("reports.{}", format.name());
    download::send(&app, &name, format.media_type(), move |app, conn, out| {
        let _turn = turn;
        let mission = missions::get(conn, person.mission.id)?;
        export::write(conn, app.office(), &mission, &options, out).map(drop)
    })
    .await
}

/// A language tag, as far as the labels use them.
fn is_language(text: &str) -> bool {
    (2..=8).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}
