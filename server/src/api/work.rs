//! From an async handler to the blocking store and back.

use actix_web::web;

use super::error::ApiError;
use crate::{app::App, error::Result, store::Conn};

/// Reads one snapshot, off the async threads.
///
/// # Errors
/// What `work` returns.
pub(super) async fn read<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&App, &mut Conn) -> Result<T> + Send + 'static,
) -> std::result::Result<T, ApiError> {
    let app = app.clone();
    Ok(web::block(move || app.store.read(|conn| work(&app, conn))).await??)
}

/// As [`read`], with what was heard of phones until now written down before.
///
/// # Errors
/// What `work` returns.
pub(super) async fn read_settled<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&App, &mut Conn) -> Result<T> + Send + 'static,
) -> std::result::Result<T, ApiError> {
    let app = app.clone();
    Ok(web::block(move || {
        app.heard.settle(&app.store)?;
        app.store.read(|conn| work(&app, conn))
    })
    .await??)
}

/// Writes in one transaction, off the async threads. Once it has begun it runs
/// to its end, also when the caller hangs up.
///
/// # Errors
/// What `work` returns.
pub(super) async fn write<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&App, &mut Conn) -> Result<T> + Send + 'static,
) -> std::result::Result<T, ApiError> {
    let app = app.clone();
    Ok(web::block(move || app.store.write(|conn| work(&app, conn))).await??)
}
