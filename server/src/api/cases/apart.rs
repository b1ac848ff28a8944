//! `POST /v1/reports/{id}/apart`: two reports are of two events.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::{body::Body, error::ApiError, guard::Person, query, reports::Touched, work},
    app::App,
    domain::cases,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::NotFound,
    Code::JoinedOtherwise,
    Code::AlreadyDone,
];

/// A pair.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ApartRequest {
    /// The other report.
    other: Uuid,
    /// `true` keeps the two apart; `false` lets them be suggested again.
    apart: bool,
}

/// Keep two reports apart: they are not suggested to each other any more.
#[utoipa::path(post, path = "/v1/reports/{id}/apart", tag = "reports", request_body = ApartRequest,
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 201, description = "Done", body = Touched)))]
pub(in crate::api) async fn keep_apart(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<ApartRequest>,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let ApartRequest { other, apart } = body.0;
    let number = work::write(&app, move |app, conn| {
        let (mission, actor) = (person.mission, person.user);
        cases::keep_apart(conn, app.office(), mission, actor, (id, other), apart)
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(Touched { number }))
}
