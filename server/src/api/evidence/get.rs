//! `GET /v1/evidence/{sha256}`: a complete file, as an attachment from which
//! nothing can execute.

use std::ops::Range;

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{StatusCode, header},
    web,
};
use protocol::{codes::Code, ids::FileHash};

use super::{file, reader};
use crate::{
    api::{error::ApiError, work},
    app::App,
    auth::{Caller, Subject},
    domain::evidence,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::EvidenceUnknown,
    Code::EvidenceWaits,
    Code::EvidenceIncomplete,
    Code::RangeNotSatisfiable,
    Code::EvidenceUnavailable,
];

/// Media types that are passed on, with an ending for a name: none of them can
/// hold a script that a browser runs. Everything else is bytes.
const HARMLESS: [(&str, &str); 21] = [
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/webp", "webp"),
    ("image/gif", "gif"),
    ("image/heic", "heic"),
    ("image/heif", "heif"),
    ("image/avif", "avif"),
    ("video/mp4", "mp4"),
    ("video/x-m4v", "m4v"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
    ("video/3gpp", "3gp"),
    ("audio/mpeg", "mp3"),
    ("audio/mp4", "m4a"),
    ("audio/m4a", "m4a"),
    ("audio/ogg", "ogg"),
    ("audio/aac", "aac"),
    ("audio/amr", "amr"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("application/pdf", "pdf"),
];
/// Everything else.
const BYTES: (&str, &str) = ("application/octet-stream", "bin");

/// Read a complete file.
///
/// For people who read the mission's reports, and for a device of an accreditation
/// that has sent the file in full: announcing it is not enough. One range of bytes
/// may be asked for. The name and the type are the server's
/// own: what a phone says of a file cannot make a browser run it. Which people were given
/// it, and when first, is kept.
#[utoipa::path(get, path = "/v1/evidence/{sha256}", tag = "evidence",
    params(("sha256" = String, Path, description = "SHA-256 of the file, base64url"),
           ("Range" = Option<String>, Header, description = "`bytes=0-1023`; one range")),
    responses((status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
              (status = 206, description = "The range asked for", body = Vec<u8>, content_type = "application/octet-stream"),
              (status = 304, description = "`If-None-Match` names the file")))]
pub(in crate::api) async fn read_evidence(
    app: web::Data<App>,
    caller: Caller,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let file = file(&req)?;
    let (mission, reader) = reader(&caller)?;
    let found = work::read(&app, move |_, conn| {
        evidence::find_to_read(conn, mission, reader, &file)
    })
    .await?;
    let incomplete = || ApiError::new(Code::EvidenceIncomplete, "");
    if found.complete.is_none() {
        return Err(incomplete());
    }
    let etag = format!("\"{file}\"");
    if header_text(&req, header::IF_NONE_MATCH).is_some_and(|known| names(known, &etag)) {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, etag))
            .finish());
    }
    let (range, status) = match wanted(&req, &etag, found.size)? {
        None => (0..found.size, StatusCode::OK),
        Some(range) => (range, StatusCode::PARTIAL_CONTENT),
    };
    let content = app
        .evidence
        .objects()
        .read(mission.id.0, &file, range.clone())
        .await?;
    let Some(content) = content else {
        app.evidence.forget(mission, file).await?;
        return Err(incomplete());
    };
    if let Subject::User(person) = caller.subject {
        app.evidence.given_to(mission, file, person).await?;
    }
    let (media_type, ending) = harmless(&found.media_type);
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CONTENT_DISPOSITION, attachment(&file, ending)))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'",
        ))
        .insert_header((header::CACHE_CONTROL, "private"))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, etag));
    if status == StatusCode::PARTIAL_CONTENT {
        let (first, last) = (range.start, range.end - 1);
        response.insert_header((
            header::CONTENT_RANGE,
            format!("bytes {first}-{last}/{}", found.size),
        ));
    }
    Ok(response.body(SizedStream::new(range.end - range.start, content)))
}

/// A name that says nothing but which file it is.
fn attachment(file: &FileHash, ending: &str) -> String {
    // Long enough to tell files apart, and it cannot begin with a dash.
    let name: String = file.to_string().chars().take(12).collect();
    format!("attachment; filename=\"evidence-{name}.{ending}\"")
}

fn harmless(media_type: &str) -> (&'static str, &'static str) {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    HARMLESS
        .into_iter()
        .find(|(known, _)| essence.eq_ignore_ascii_case(known))
        .unwrap_or(BYTES)
}

pub(in crate::api) fn header_text(req: &HttpRequest, name: header::HeaderName) -> Option<&str> {
    req.headers().get(name)?.to_str().ok()
}

/// Whether a list of entity tags (RFC 9110 §8.8.3) names this one.
pub(in crate::api) fn names(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag)
}

/// The range that is asked for; `None` for the whole.
pub(in crate::api) fn wanted(
    req: &HttpRequest,
    etag: &str,
    size: u64,
) -> Result<Option<Range<u64>>, ApiError> {
    if header_text(req, header::IF_RANGE).is_some_and(|known| known != etag) {
        return Ok(None);
    }
    let Some(asked) = header_text(req, header::RANGE) else {
        return Ok(None);
    };
    match range(asked, size) {
        Asked::Whole => Ok(None),
        Asked::Part(range) => Ok(Some(range)),
        Asked::Beyond => Err(ApiError::new(
            Code::RangeNotSatisfiable,
            format!("the file has {size} bytes"),
        )
        .header(
            header::CONTENT_RANGE,
            header::HeaderValue::try_from(format!("bytes */{size}"))
                .map_err(|error| ApiError::internal(error.to_string()))?,
        )),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<u64>),
    Beyond,
}

/// Reads a `Range` (RFC 9110 §14.2). What cannot be read, and several ranges at
/// once, are answered with the whole file, as that allows.
fn range(text: &str, size: u64) -> Asked {
    let digits = |text: &str| {
        let only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number beyond all files is still a number.
        only.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let Some((first, last)) = text
        .trim()
        .strip_prefix("bytes=")
        .filter(|ranges| !ranges.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Asked::Whole;
    };
    let (start, end) = match (digits(first), digits(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1)),
        (Some(first), None) if last.is_empty() => (first, u64::MAX),
        (None, Some(suffix)) if first.is_empty() => (size.saturating_sub(suffix), u64::MAX),
        _ => return Asked::Whole,
    };
    let end = end.min(size);
    if start < end {
        Asked::Part(start..end)
    } else {
        Asked::Beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let part = |start, end| Asked::Part(start..end);
        for (text, asked) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-5", part(2, 6)),
            ("bytes=2-", part(2, 10)),
            ("bytes=2-99999999999999999999999", part(2, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-30", part(0, 10)),
            ("bytes=-0", Asked::Beyond),
            ("bytes=10-", Asked::Beyond),
            ("bytes=18446744073709551615-", Asked::Beyond),
            ("bytes=5-2", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("items=0-1", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(range(text, 10), asked, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), Asked::Beyond);
    }

    #[test]
    fn only_harmless_types_are_passed_on() {
        assert_eq!(harmless("IMAGE/JPEG; charset=x").0, "image/jpeg");
        for hostile in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "application/javascript",
            "image/jpeg\r\nX-Evil: 1",
            "",
        ] {
            assert_eq!(harmless(hostile), BYTES, "{hostile}");
        }
    }

    #[test]
    fn names_hold_nothing_of_a_phone() {
        let name = attachment(&FileHash([0xff; 32]), "jpg");
        assert_eq!(name, "attachment; filename=\"evidence-____________.jpg\"");
    }
}
