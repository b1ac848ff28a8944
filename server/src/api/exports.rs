//! `GET /v1/exports/{format}`: reports as a file.
//!
//! The file is written to the disk first, from one snapshot: a slow reader
//! would otherwise hold the snapshot, and with it the database's old pages, for
//! as long as it likes.

use std::io::{BufWriter, Seek as _, Write as _};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::header,
    web::{self, Bytes},
};
use futures_util::stream;
use protocol::codes::Code;
use tokio::io::AsyncReadExt as _;

use super::{Api, error::ApiError, guard::Person, query, work};
use crate::{
    app::App,
    auth::Role,
    domain::{
        export::{self, Format, Options},
        missions,
        reports::malformed,
    },
    error::Error,
};

pub(super) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::NotFound, Code::Overloaded];

/// Bytes read from the file at once.
const CHUNK: usize = 64 * 1024;

/// Export reports, with the filters of the list.
///
/// `csv` is safe to open in a spreadsheet, `geojson` holds the reports that
/// have a place (RFC 7946), `jsonl` has each report with its whole history and
/// the signed entries. The order is that of the ledger. Observers stand under
/// their pseudonyms; `names=true` adds names, for leads alone.
#[utoipa::path(get, path = "/v1/exports/{format}", tag = "reports",
    params(("format" = String, Path, description = "`csv`, `geojson` or `jsonl`"),
           ("names" = Option<bool>, Query, description = "`true`: with names and accreditation numbers; leads alone"),
           ("language" = Option<String>, Query, description = "Language of category labels, such as `az`; English if not given")),
    responses((status = 200, description = "The file", content(
        (String = "text/csv"), (String = "application/geo+json"), (String = "application/jsonl")))))]
pub(super) async fn export_reports(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let format: Format = req
        .match_info()
        .query("format")
        .parse()
        .map_err(|_| ApiError::not_found())?;
    let mut options = Options::new(format);
    let (mut names, mut language) = (None, None);
    query::all(&req, |name, value| {
        match name {
            "names" if names.is_none() => {
                names = Some(
                    value
                        .parse()
                        .map_err(|_| malformed(name, "is `true` or `false`"))?,
                );
            }
            "language" if language.is_none() && is_language(value) => {
                language = Some(value.to_owned())
            }
            "names" | "language" => return Err(malformed(name, "cannot be read, or stands twice")),
            _ => return options.filter.set(name, value),
        }
        Ok(true)
    })?;
    options.names = names.unwrap_or(false);
    if options.names && !person.is(Role::Lead) {
        return Err(ApiError::new(Code::Forbidden, "names are for leads alone"));
    }
    if let Some(language) = language {
        options.language = language;
    }
    let turn = api.exports().try_acquire_owned().map_err(|_| {
        ApiError::new(Code::Overloaded, "other exports are being written").retry_after(10)
    })?;
    let file = work::read(&app, move |app, conn| {
        let _turn = turn;
        let mission = missions::get(conn, person.mission.id)?;
        // Beside the database, where there is room; without a name, so that a
        // crash leaves nothing behind.
        let failed = || Error::io(&app.config.data);
        let mut out = BufWriter::with_capacity(
            CHUNK,
            tempfile::tempfile_in(&app.config.data).map_err(failed())?,
        );
        export::write(conn, app.office(), &mission, &options, &mut out)?;
        out.flush().map_err(failed())?;
        let mut file = out
            .into_inner()
            .map_err(|error| failed()(error.into_error()))?;
        file.rewind().map_err(failed())?;
        let bytes = file.metadata().map_err(failed())?.len();
        Ok((file, bytes))
    })
    .await?;
    let (file, bytes) = file;
    let content = stream::try_unfold(tokio::fs::File::from_std(file), |mut file| async move {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(chunk), file)))
    });
    let name = format!("attachment; filename=\"reports.{}\"", format.name());
    Ok(HttpResponse::Ok()
        .content_type(format.media_type())
        .insert_header((header::CONTENT_DISPOSITION, name))
        .body(SizedStream::new(bytes, content)))
}

/// A language tag, as far as the labels use them.
fn is_language(text: &str) -> bool {
    (2..=8).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}
