//! Files that are taken away.
//!
//! A file is written to the disk first, from one snapshot: a slow reader
//! would otherwise hold the snapshot, and with it the database's old pages, for
//! as long as it likes.

use std::{
    fs::File,
    io::{BufWriter, Seek as _, Write},
};

use actix_web::{HttpResponse, body::SizedStream, http::header, web::Bytes};
use futures_util::stream;
use tokio::io::AsyncReadExt as _;

use super::{error::ApiError, work};
use crate::{
    app::App,
    error::{Error, Result},
    store::Conn,
};

/// Bytes read from the file at once.
const CHUNK: usize = 64 * 1024;

/// Has a file written, and answers it.
///
/// # Errors
/// What `write` returns, or the disk's.
pub(super) async fn send(
    app: &App,
    name: &str,
    media_type: &str,
    write: impl FnOnce(&App, &mut Conn, &mut dyn Write) -> Result<()> + Send + 'static,
) -> std::result::Result<HttpResponse, ApiError> {
    let (file, bytes) = work::read(app, move |app, conn| written(app, conn, write)).await?;
    let content = stream::try_unfold(tokio::fs::File::from_std(file), |mut file| async move {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(chunk), file)))
    });
    let name = format!("attachment; filename=\"{name}\"");
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((header::CONTENT_DISPOSITION, name))
        .body(SizedStream::new(bytes, content)))
}

/// Beside the database, where there is room; without a name, so that a crash leaves
/// nothing behind.
fn written(
    app: &App,
    conn: &mut Conn,
    write: impl FnOnce(&App, &mut Conn, &mut dyn Write) -> Result<()>,
) -> Result<(File, u64)> {
    let failed = || Error::io(&app.config.data);
    let mut out = BufWriter::with_capacity(
        CHUNK,
        tempfile::tempfile_in(&app.config.data).map_err(failed())?,
    );
    write(app, conn, &mut out)?;
    out.flush().map_err(failed())?;
    let mut file = out
        .into_inner()
        .map_err(|error| failed()(error.into_error()))?;
    file.rewind().map_err(failed())?;
    let bytes = file.metadata().map_err(failed())?.len();
    Ok((file, bytes))
}
