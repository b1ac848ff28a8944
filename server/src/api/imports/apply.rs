//! `POST /v1/imports/{register}`: a file becomes the register, as it was previewed.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{asked, errors_of, file, turn};
use crate::{
    api::{Api, error::ApiError, guard::Person},
    app::App,
    domain::{
        audit::By,
        import::{self, Task, Window},
        missions,
        reports::malformed,
    },
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedQuery,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::NotFound,
    Code::Usage,
    Code::Overloaded,
    Code::PreviewStale,
    Code::ImportRejected,
];

/// What an import did.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Imported {
    /// Rows read.
    read: u64,
    /// Rows that were new.
    created: u64,
    /// Rows that said something new.
    updated: u64,
    /// Rows that said what was known.
    unchanged: u64,
    /// Known, and not in the file; they were kept.
    missing: u64,
}

/// Import a register: all of the file, or nothing.
///
/// The body is the file of the preview, and the query repeats what the preview was asked
/// and what it answered. If file or register are not those any more: `preview_stale`.
#[utoipa::path(post, path = "/v1/imports/{register}", tag = "registers",
    request_body(content = String, content_type = "text/csv"),
    params(("register" = String, Path, description = "`stations`, `accreditations` or `categories`"),
           ("sha256" = String, Query, description = "As the preview answered"),
           ("state" = String, Query, description = "As the preview answered; may be empty"),
           ("decimal" = Option<String>, Query, description = "As in the preview"),
           ("delimiter" = Option<String>, Query, description = "As in the preview"),
           ("map" = Option<String>, Query, description = "As in the preview; repeat it")),
    responses((status = 200, description = "Imported", body = Imported)))]
pub(in crate::api) async fn apply_import(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let asked = asked(&req)?;
    let Some(seen) = asked.seen else {
        return Err(malformed("sha256", "and `state` come from the preview").into());
    };
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
        let task = Task::Apply { seen: Some(&seen) };
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
    if !report.errors.is_empty() {
        let first = errors_of(
            &report.errors,
            Window {
                from: 0,
                len: super::ROWS,
            },
        );
        return Err(ApiError::new(Code::ImportRejected, "").with("errors", json!(first)));
    }
    Ok(HttpResponse::Ok().json(Imported {
        read: report.read,
        created: report.created,
        updated: report.updated,
        unchanged: report.unchanged,
        missing: report.missing_count,
    }))
}
