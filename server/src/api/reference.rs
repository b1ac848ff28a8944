//! `GET /v1/reference/{register}/{sha256}`: a snapshot of a register, or the way to
//! it from another one. Immutable, so it may be kept and fetched in parts.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use protocol::{
    codes::Code,
    exchange,
    ids::ReferenceHash,
    reference::{self as form, Register},
};

use super::{
    error::ApiError,
    evidence::get::{header_text, names, wanted},
    query, work,
};
use crate::{
    app::App,
    auth::Caller,
    domain::{reference::Built, reports::malformed},
};

pub(super) const ERRORS: &[Code] = &[
    Code::MalformedQuery,
    Code::NotFound,
    Code::RangeNotSatisfiable,
];

/// Read a snapshot of stations or categories.
///
/// It never changes, so it may be kept for ever. One range of bytes may be asked
/// for, of the bytes as they are sent: with `Accept-Encoding: gzip` of the gzip
/// file. `If-Range` with the `ETag` tells whether the parts are of one file.
#[utoipa::path(get, path = "/v1/reference/{register}/{sha256}", tag = "reference",
    params(("register" = String, Path, description = "`stations` or `categories`"),
           ("sha256" = String, Path, description = "The snapshot's name"),
           ("from" = Option<String>, Query, description = "Another snapshot: only what leads from it to this one"),
           ("Range" = Option<String>, Header, description = "`bytes=0-1023`; one range")),
    responses((status = 200, description = "The snapshot, or with `from` the difference as JSON", content(
                  (String = "application/x-ndjson"), (form::Delta = "application/json"))),
              (status = 206, description = "The range asked for", body = String, content_type = "application/x-ndjson"),
              (status = 304, description = "`If-None-Match` names it")))]
pub(super) async fn read_reference(
    app: web::Data<App>,
    caller: Caller,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mission = caller
        .scope
        .ok_or_else(|| ApiError::new(Code::Forbidden, ""))?;
    let path = req.match_info();
    let register = Register::from_name(path.query("register"));
    let register = register.ok_or_else(ApiError::not_found)?;
    let to: ReferenceHash = path
        .query("sha256")
        .parse()
        .map_err(|_| ApiError::not_found())?;
    let from = from(&req)?;
    let built = work::read(&app, move |app, conn| {
        app.reference
            .build(conn, mission, register, &to, from.as_ref())
    })
    .await?
    .ok_or_else(ApiError::not_found)?;
    answer(&req, &built, &to, from.is_some())
}

fn from(req: &HttpRequest) -> Result<Option<ReferenceHash>, ApiError> {
    let mut from = None;
    query::all(req, |name, value| {
        match name {
            "from" if from.is_none() => {
                let hash = value.parse();
                from = Some(hash.map_err(|_| malformed(name, "is not a snapshot's name"))?);
            }
            "from" => return Err(malformed(name, "stands twice")),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(from)
}

fn answer(
    req: &HttpRequest,
    built: &Arc<Built>,
    to: &ReferenceHash,
    is_delta: bool,
) -> Result<HttpResponse, ApiError> {
    let gzip = takes_gzip(req);
    let (bytes, etag) = if gzip {
        (built.packed().to_vec(), built.etag().to_owned())
    } else {
        let kind = if is_delta { "delta" } else { "text" };
        (built.plain()?, format!("\"{to}.{kind}\""))
    };
    if header_text(req, header::IF_NONE_MATCH).is_some_and(|known| names(known, &etag)) {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, etag))
            .finish());
    }
    let size = bytes.len();
    let range = wanted(req, &etag, size as u64)?;
    let status = match range {
        None => StatusCode::OK,
        Some(_) => StatusCode::PARTIAL_CONTENT,
    };
    let mut response = HttpResponse::build(status);
    response
        .insert_header((
            header::CONTENT_TYPE,
            if is_delta {
                exchange::MEDIA_TYPE
            } else {
                form::MEDIA_TYPE
            },
        ))
        // Whoever else may read it asks for it with a token of their own.
        .insert_header((
            header::CACHE_CONTROL,
            "private, max-age=31536000, immutable",
        ))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, etag));
    if gzip {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    let Some(range) = range else {
        return Ok(response.body(bytes));
    };
    response.insert_header((
        header::CONTENT_RANGE,
        format!("bytes {}-{}/{size}", range.start, range.end - 1),
    ));
    let at = |end: u64| usize::try_from(end).unwrap_or(size).min(size);
    Ok(response.body(bytes[at(range.start)..at(range.end)].to_vec()))
}

/// Whether the caller takes gzip (RFC 9110 §12.5.3); one that says nothing gets the
/// text as it is.
fn takes_gzip(req: &HttpRequest) -> bool {
    let list = header_text(req, header::ACCEPT_ENCODING).unwrap_or_default();
    list.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0))
        });
        name.eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_goes_to_those_who_take_it() {
        for (value, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, br", false),
            ("identity", false),
            ("", false),
        ] {
            let req = TestRequest::default()
                .insert_header((header::ACCEPT_ENCODING, value))
                .to_http_request();
            assert_eq!(takes_gzip(&req), takes, "{value}");
        }
    }
}
