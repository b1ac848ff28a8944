//! `PUT /v1/attention`: which report somebody has open.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{body::Body, error::ApiError, guard::Person, work};
use crate::{app::App, domain::attention};

pub(super) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
];

/// What somebody looks at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AttentionRequest {
    /// The report's id; `null` for none.
    report: Option<Uuid>,
    /// Whether a decision on it is being written.
    #[serde(default)]
    deciding: bool,
}

/// Say what you look at.
///
/// Colleagues get it as the event `attention`. It counts for a minute, so a desk says it
/// again meanwhile. It locks nothing.
#[utoipa::path(put, path = "/v1/attention", tag = "reports", request_body = AttentionRequest,
    responses((status = 204, description = "Noted")))]
pub(super) async fn put_attention(
    app: web::Data<App>,
    person: Person,
    body: Body<AttentionRequest>,
) -> Result<HttpResponse, ApiError> {
    let AttentionRequest { report, deciding } = body.0;
    work::write(&app, move |app, conn| {
        let (mission, user, now) = (person.mission, person.user, app.host.now());
        attention::look(conn, mission, user, now, report, deciding)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
