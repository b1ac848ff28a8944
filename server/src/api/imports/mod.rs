//! Imports of registers: what a file would change, and changing it.
//!
//! Both take the file whole, so that no server has to keep it: what is applied is known
//! by the hashes of the preview.

pub(super) mod apply;
pub(super) mod preview;

use actix_web::{HttpRequest, http::header, web};
use futures_util::StreamExt as _;
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, error::ApiError, query};
use crate::domain::{
    import::{Decimal, Options, Register, RowError, Seen, Window},
    reports::malformed,
};

/// Bytes of a file over the network. At the command line it may be larger.
pub(super) const FILE_BYTES: usize = 64 * 1024 * 1024;
/// Rows of each list in an answer.
const ROWS: usize = 50;
/// Characters of a message: it may name a cell, and a cell may be a whole file.
const MESSAGE_CHARS: usize = 300;

pub(super) const ERRORS: &[Code] = &[
    Code::MalformedQuery,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::NotFound,
    Code::Usage,
    Code::Overloaded,
];

/// One thing that is wrong with a file.
#[derive(Serialize, ToSchema)]
pub(super) struct ImportError {
    /// The line of the file on which the row begins, from 1.
    line: u64,
    /// The column, as the header names it.
    column: Option<String>,
    /// The stable code.
    code: &'static str,
    /// For a person, in English.
    message: String,
}

impl From<&RowError> for ImportError {
    fn from(error: &RowError) -> Self {
        Self {
            line: error.line,
            column: error.column.as_deref().map(cut),
            code: error.code.name(),
            message: cut(&error.message),
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A window of what is wrong with a file.
fn errors_of(errors: &[RowError], window: Window) -> Vec<ImportError> {
    let shown = errors.iter().skip(window.from).take(window.len);
    shown.map(Into::into).collect()
}

/// What the query says.
struct Asked {
    register: Register,
    options: Options,
    window: Window,
    /// What was seen in the preview.
    seen: Option<Seen>,
}

fn asked(req: &HttpRequest) -> Result<Asked, ApiError> {
    let register = Register::from_name(req.match_info().query("register"));
    let mut options = Options::default();
    let mut decimal = None;
    let (mut from, mut sha256, mut state) = (None, None, None);
    query::all(req, |name, value| {
        let once = |known: bool| {
            if known {
                Err(malformed(name, "stands twice"))
            } else {
                Ok(())
            }
        };
        match name {
            "decimal" => {
                once(decimal.is_some())?;
                decimal = Some(match value {
                    "point" => Decimal::Point,
                    "comma" => Decimal::Comma,
                    _ => return Err(malformed(name, "is `point` or `comma`")),
                });
            }
            "delimiter" => {
                once(options.delimiter.is_some())?;
                options.delimiter = Some(match value {
                    "comma" => b',',
                    "semicolon" => b';',
                    "tab" => b'\t',
                    _ => return Err(malformed(name, "is `comma`, `semicolon` or `tab`")),
                });
            }
            "map" => {
                let (field, column) = value
                    .split_once('=')
                    .ok_or_else(|| malformed(name, "is `field=column`"))?;
                let before = options.map.insert(field.to_owned(), column.to_owned());
                once(before.is_some())?;
            }
            "from" => {
                once(from.is_some())?;
                let read: Option<u32> = value.parse().ok();
                from = Some(read.ok_or_else(|| malformed(name, "is a whole number"))?);
            }
            "sha256" => {
                once(sha256.is_some())?;
                sha256 = Some(value.to_owned());
            }
            "state" => {
                once(state.is_some())?;
                state = Some(value.to_owned());
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    options.decimal = decimal.unwrap_or_default();
    Ok(Asked {
        register: register.ok_or_else(ApiError::not_found)?,
        options,
        window: Window {
            from: usize::try_from(from.unwrap_or(0)).unwrap_or(usize::MAX),
            len: ROWS,
        },
        seen: sha256
            .zip(state)
            .map(|(sha256, register)| Seen { sha256, register }),
    })
}

/// Reads the file: its bytes are held once, and bounded.
async fn file(req: &HttpRequest, mut payload: web::Payload) -> Result<Vec<u8>, ApiError> {
    let announced = |name: header::HeaderName| {
        let value = req.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let media_type = announced(header::CONTENT_TYPE).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or("").trim();
    let plain = announced(header::CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
    if !essence.eq_ignore_ascii_case("text/csv") || !plain {
        let why = "send `Content-Type: text/csv`, not compressed";
        return Err(ApiError::new(Code::UnsupportedMediaType, why));
    }
    let too_large = || {
        let most = FILE_BYTES / 1024 / 1024;
        let why = format!("a file has at most {most} MiB here; use the command line");
        ApiError::new(Code::BodyTooLarge, why)
    };
    let length = announced(header::CONTENT_LENGTH).and_then(|text| text.parse::<usize>().ok());
    if length.is_some_and(|length| length > FILE_BYTES) {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(length.unwrap_or(0));
    while let Some(chunk) = payload.next().await {
        let ended = |_| ApiError::new(Code::RowMalformed, "the file ended early");
        let chunk = chunk.map_err(ended)?;
        if bytes.len() + chunk.len() > FILE_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A turn: each holds a file in memory.
fn turn(api: &Api) -> Result<tokio::sync::OwnedSemaphorePermit, ApiError> {
    api.imports()
        .try_acquire_owned()
        .map_err(|_| ApiError::new(Code::Overloaded, "other files are being read").retry_after(10))
}
