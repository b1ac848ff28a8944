//! `GET /v1/session`: who is signed in.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;

use super::Session;
use crate::{
    api::{error::ApiError, guard::Desk, work},
    app::App,
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// Who is signed in, and until when? Asking does not keep the session.
#[utoipa::path(get, path = "/v1/session", tag = "sign-in",
    responses((status = 200, description = "You", body = Session)))]
pub(in crate::api) async fn show_session(
    app: web::Data<App>,
    desk: Desk,
) -> Result<HttpResponse, ApiError> {
    let session = work::read(&app, move |app, conn| {
        Session::describe(app, conn, &desk.session)
    })
    .await?;
    Ok(HttpResponse::Ok().json(session))
}
