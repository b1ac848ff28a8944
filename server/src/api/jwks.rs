//! `GET /.well-known/jwks.json`: the server's public keys.

use actix_web::{HttpResponse, http::header, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

pub(super) const ERRORS: &[Code] = &[];

/// A JWK set (RFC 7517 §5).
#[derive(Serialize, ToSchema)]
pub(super) struct JwkSet {
    keys: Vec<SigningJwk>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Serialize, ToSchema)]
pub(super) struct SigningJwk {
    kty: String,
    crv: String,
    x: String,
    /// RFC 7638 thumbprint.
    kid: String,
    /// Always `EdDSA`.
    alg: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
}

/// The keys that access tokens, receipts and decisions are signed with.
///
/// `typ` tells the uses apart: `at+jwt`, `scrutineer-receipt+jwt`,
/// `scrutineer-decision+sd-jwt`.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "sign-in",
    responses((status = 200, description = "Public keys", body = JwkSet)))]
pub(super) async fn jwks(app: web::Data<App>) -> HttpResponse {
    let keys = app.keys.jwks().into_iter().map(|(kid, jwk)| SigningJwk {
        kty: jwk.kty,
        crv: jwk.crv,
        x: jwk.x,
        kid,
        alg: "EdDSA",
        usage: "sig",
    });
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .json(JwkSet {
            keys: keys.collect(),
        })
}
