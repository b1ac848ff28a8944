//! `POST /v1/imports/{register}/preview`: what a file would change.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use super::{ImportError, asked, errors_of, file, turn};
use crate::{
    api::{Api, error::ApiError, guard::Person},
    app::App,
    domain::{
        audit::By,
        import::{self, Changed, New, Task},
        missions,
    },
};

pub(in crate::api) const ERRORS: &[Code] = super::ERRORS;

/// What an import would change. Of each list one window of fifty; `from` asks for others.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ImportPreview {
    /// The file's SHA-256, base64url: goes back with the import.
    sha256: String,
    /// Names what the register holds now: goes back with the import.
    state: String,
    /// Rows read, the bad ones too.
    read: u64,
    /// Rows that are new.
    created: u64,
    /// Rows that say something new.
    updated: u64,
    /// Rows that say what is known.
    unchanged: u64,
    /// Known, and not in the file; they are kept.
    missing: u64,
    /// What is wrong with the file. If anything is, nothing can be imported.
    errors: u64,
    /// Where the window begins.
    from: usize,
    /// New rows.
    created_rows: Vec<New>,
    /// Changed rows.
    updated_rows: Vec<Changed>,
    /// Codes or numbers that the file lacks.
    missing_keys: Vec<String>,
    /// Errors, by line.
    error_rows: Vec<ImportError>,
}

/// See what an import would change; nothing is written.
///
/// The body is the CSV file (`docs/imports.md`), at most 64 MiB.
#[utoipa::path(post, path = "/v1/imports/{register}/preview", tag = "registers",
    request_body(content = String, content_type = "text/csv"),
    params(("register" = String, Path, description = "`stations`, `accreditations` or `categories`"),
           ("decimal" = Option<String>, Query, description = "`point` or `comma`: how decimal numbers are written; `point` if not given"),
           ("delimiter" = Option<String>, Query, description = "`comma`, `semicolon` or `tab`; found from the header if not given"),
           ("map" = Option<String>, Query, description = "`field=column`: which column holds a field, where they are not called alike; repeat it"),
           ("from" = Option<u32>, Query, description = "Where the windows begin; 0 if not given")),
    responses((status = 200, description = "What would change", body = ImportPreview)))]
pub(in crate::api) async fn preview_import(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let asked = asked(&req)?;
    let turn = turn(&api)?;
    let bytes = file(&req, payload).await?;
    let outcome = web::block(move || {
        let _turn = turn;
        let mission = app
            .store
            .read(|conn| missions::get(conn, person.mission.id))?;
        let desk = import::Desk {
            store: &app.store,
            keys: &app.keys,
            host: &app.host,
            by: By::Person(person.user),
        };
        let task = Task::Preview(asked.window);
        let silent = &mut |_| {};
        import::perform(
            desk,
            &mission,
            asked.register,
            &bytes,
            &asked.options,
            task,
            silent,
        )
    })
    .await??;
    let report = outcome.report;
    Ok(HttpResponse::Ok().json(ImportPreview {
        sha256: outcome.seen.sha256,
        state: outcome.seen.register,
        read: report.read,
        created: report.created,
        updated: report.updated,
        unchanged: report.unchanged,
        missing: report.missing_count,
        errors: u64::try_from(report.errors.len()).unwrap_or(u64::MAX),
        from: asked.window.from,
        created_rows: outcome.changes.created,
        updated_rows: outcome.changes.updated,
        missing_keys: outcome.changes.missing,
        error_rows: errors_of(&report.errors, asked.window),
    }))
}
