//! `POST /v1/session/renewal`: somebody still works here.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;

use super::Session;
use crate::{
    api::{error::ApiError, guard::Desk, work},
    app::App,
    domain::sessions::{self, Limits},
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// Keep the session for another while.
#[utoipa::path(post, path = "/v1/session/renewal", tag = "sign-in",
    responses((status = 200, description = "Kept", body = Session)))]
pub(in crate::api) async fn renew_session(
    app: web::Data<App>,
    desk: Desk,
) -> Result<HttpResponse, ApiError> {
    let session = work::write(&app, move |app, conn| {
        let limits = Limits::of(&app.config);
        let mut row = desk.session;
        row.ends_at = sessions::touch(conn, app.host.now(), limits, &row)?.0;
        Session::describe(app, conn, &row)
    })
    .await?;
    Ok(HttpResponse::Ok().json(session))
}
