//! `DELETE /v1/session`: a person signs out.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;

use crate::{
    api::{cookie, error::ApiError, guard::Desk, work},
    app::App,
    store::sessions,
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// Sign out.
#[utoipa::path(delete, path = "/v1/session", tag = "sign-in",
    responses((status = 204, description = "Signed out")))]
pub(in crate::api) async fn end_session(
    app: web::Data<App>,
    desk: Desk,
) -> Result<HttpResponse, ApiError> {
    work::write(&app, move |_, conn| {
        sessions::end(conn, &desk.session.token_hash)
    })
    .await?;
    Ok(HttpResponse::NoContent().cookie(cookie::removal()).finish())
}
