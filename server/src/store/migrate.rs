//! Migrations of both databases, built in and applied at start under a lock.

use diesel::{connection::SimpleConnection as _, prelude::*};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use super::conn::{Conn, DatabaseUrl};
use crate::error::{Error, Result};

/// SQLite's.
pub const SQLITE: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");
/// PostgreSQL's.
pub const POSTGRES: EmbeddedMigrations = embed_migrations!("../migrations/postgres");

/// Names the lock that keeps two starting servers apart (PostgreSQL).
const LOCK: i64 = 0x5343_5255_5449;

pub(super) fn run(url: &DatabaseUrl) -> Result<()> {
    let mut conn = url
        .connect()
        .map_err(|error| Error::Connection(error.to_string()))?;
    match &mut conn {
        Conn::Sqlite(inner) => {
            // One process migrates, the others wait. A file lock, because each
            // migration is a transaction of its own.
            let DatabaseUrl::Sqlite(path) = url else {
                return Ok(());
            };
            let lock_path = path.with_extension("migrate.lock");
            let lock = std::fs::File::create(&lock_path).map_err(Error::io(&lock_path))?;
            lock.lock().map_err(Error::io(&lock_path))?;
            inner.run_pending_migrations(SQLITE).map_err(failed)?;
        }
        Conn::Postgres(inner) => {
            diesel::sql_query("SELECT pg_advisory_lock($1)")
                .bind::<diesel::sql_types::BigInt, _>(LOCK)
                .execute(inner)?;
            inner.run_pending_migrations(POSTGRES).map_err(failed)?;
            inner.batch_execute("SELECT pg_advisory_unlock_all()")?;
        }
    }
    Ok(())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Internal(format!("a migration failed and was rolled back: {error}"))
}
