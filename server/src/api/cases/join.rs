//! `POST /v1/reports/{id}/case`: a report is counted to the case of another, or to none.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::{body::Body, error::ApiError, guard::Person, query, reports::Touched, work},
    app::App,
    domain::cases::{self, Wish},
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::NotFound,
    Code::JoinedOtherwise,
    Code::CaseFull,
    Code::AlreadyDone,
];

/// Where the report belongs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct CaseRequest {
    /// A report of the case, or one that is in none: then a case of the two begins. `null`
    /// takes the report out of its case.
    with: Option<Uuid>,
    /// The case that the report was in when it was read; `null` for none.
    #[serde(default)]
    was: Option<Uuid>,
    /// `agrees` or `contradicts`: how its account stands to the case's first one.
    #[serde(default = "agrees")]
    stance: String,
    /// Whether the others of its case come along, so that two cases become one.
    #[serde(default)]
    whole: bool,
}

fn agrees() -> String {
    "agrees".into()
}

/// Count a report to a case.
///
/// If its case is another than `was` by now, nothing happens and the answer is 409
/// `joined_otherwise` with `case`.
#[utoipa::path(post, path = "/v1/reports/{id}/case", tag = "reports", request_body = CaseRequest,
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 201, description = "Done", body = Touched)))]
pub(in crate::api) async fn join_case(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<CaseRequest>,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let CaseRequest {
        with,
        was,
        stance,
        whole,
    } = body.0;
    let number = work::write(&app, move |app, conn| {
        let (office, mission, actor) = (app.office(), person.mission, person.user);
        match with {
            None => cases::part(conn, office, mission, actor, id, was),
            Some(with) => {
                let wish = Wish {
                    with,
                    was,
                    stance,
                    whole,
                };
                cases::join(conn, office, mission, actor, id, &wish)
            }
        }
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(Touched { number }))
}
