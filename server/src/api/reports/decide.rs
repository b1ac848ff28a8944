//! `POST /v1/reports/{id}/decisions`: a coordinator moves a report.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::{body::Body, error::ApiError, guard::Person, query, work},
    app::App,
    domain::{
        acts::{self, Decision},
        status, words,
    },
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::TooLong,
    Code::ReasonNeeded,
    Code::NotFound,
    Code::StaleDecision,
    Code::TransitionNotAllowed,
    Code::AlreadyDone,
];

/// Where the report shall go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct DecisionRequest {
    /// The status: `in_review`, `needs_info`, `verified`, `not_verified` or `dismissed`.
    to: String,
    /// `version` of the report that was read.
    version: i64,
    /// Why; some moves need it. The observer does not see it.
    #[serde(default)]
    reason: Option<String>,
    /// What the observer is asked (`needs_info`).
    #[serde(default)]
    question: Option<String>,
}

/// What the decision left.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct DecisionResponse {
    /// Ledger number of the decision.
    number: i64,
    /// Its hash, base64url.
    entry: String,
    /// The report's status now.
    status: String,
    /// The report's version now.
    version: i64,
}

/// Decide on a report.
///
/// If the report has changed since `version`, nothing happens and the answer is
/// 409 `stale_decision` with `changed`: read it again and decide anew.
#[utoipa::path(post, path = "/v1/reports/{id}/decisions", tag = "reports", request_body = DecisionRequest,
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 201, description = "Decided", body = DecisionResponse)))]
pub(in crate::api) async fn decide_report(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<DecisionRequest>,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let DecisionRequest {
        to,
        version,
        reason,
        question,
    } = body.0;
    if !status::ALL.contains(&to.as_str()) {
        return Err(ApiError::new(Code::InvalidValue, "`to` is not a status"));
    }
    let decision = Decision {
        to,
        version,
        reason: words::optional(reason.as_deref())?,
        question: words::optional(question.as_deref())?,
    };
    let decided = work::write(&app, move |app, conn| {
        acts::decide(
            conn,
            app.office(),
            person.mission,
            person.user,
            id,
            decision,
        )
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(DecisionResponse {
        number: decided.number,
        entry: decided.entry.to_string(),
        status: decided.status,
        version: decided.version,
    }))
}
