//! Bundles that couriers bring. Nobody needs a token to hand one in: what is in it
//! is signed, and sealed to its mission. Bounds: see [`crate::domain::bundles`].

pub(super) mod ask;
pub(super) mod list;
pub(super) mod send;

use actix_web::{HttpMessage as _, HttpRequest};
use protocol::codes::Code;

use super::{Api, error::ApiError};
use crate::serve::Peer;

/// One more request from where this one comes. The address is hashed in memory, and
/// kept nowhere.
fn limit(api: &Api, req: &HttpRequest) -> Result<(), ApiError> {
    let peer = req.extensions().get::<Peer>().map(|peer| peer.0);
    let peer = peer.or_else(|| req.peer_addr().map(|peer| peer.ip()));
    let peer = peer.map_or_else(String::new, |peer| peer.to_string());
    api.couriers().attempt(&peer).map_err(|seconds| {
        ApiError::new(Code::TooManyAttempts, format!("wait {seconds} s")).retry_after(seconds)
    })
}
