//! `POST /v1/second-factor`: a secret for an app.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Desk, qr, work},
    app::App,
    domain::second_factor,
    store::users,
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// A secret that counts once a code of it has come back.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SecondFactorOffer {
    /// For typing it into an app, base32.
    secret: String,
    /// For an app on the same device: `otpauth://…`.
    uri: String,
    /// The same as a QR code: its rows, `1` for dark, without a margin.
    qr: Vec<String>,
    /// Goes back with the first code, within 15 minutes.
    setup: String,
}

/// Begin to set up a second factor.
///
/// Codes follow RFC 6238 with SHA-1, six digits and 30 seconds.
#[utoipa::path(post, path = "/v1/second-factor", tag = "sign-in",
    responses((status = 200, description = "A secret", body = SecondFactorOffer)))]
pub(in crate::api) async fn offer_second_factor(
    app: web::Data<App>,
    desk: Desk,
) -> Result<HttpResponse, ApiError> {
    let user = desk.session.user()?;
    let account = work::read(&app, move |_, conn| users::by_id(conn, user)).await?;
    let email = account
        .ok_or_else(|| ApiError::internal("a session without its account"))?
        .email;
    let offer = second_factor::offer(&app.keys, &app.host, user, &email)?;
    Ok(HttpResponse::Ok().json(SecondFactorOffer {
        qr: qr::rows(&offer.uri)?,
        secret: offer.secret,
        uri: offer.uri,
        setup: offer.setup,
    }))
}
