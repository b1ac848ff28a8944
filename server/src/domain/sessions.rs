//! Sessions of people at the console. A browser holds a random token in a cookie that
//! no script can read; the database holds its hash.
//!
//! A session ends when nobody has touched the desk for a while, and in any case after
//! a shift.

use protocol::ids::UserId;
use sha2::{Digest as _, Sha256};

use crate::{
    clock::{Host, Micros},
    config::Config,
    error::Result,
    store::{
        Conn,
        sessions::{self, SessionRow},
    },
};

/// Bytes of a token.
const TOKEN_BYTES: usize = 32;

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Seconds without a touch.
    pub idle: i64,
    /// Seconds in all.
    pub whole: i64,
}

impl Limits {
    /// What the configuration says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            idle: config.session_minutes * 60,
            whole: config.session_hours * 3600,
        }
    }

    /// When a session ends that is touched now.
    fn end(self, began_at: Micros, now: Micros) -> Micros {
        now.plus_seconds(self.idle).min(self.last(began_at))
    }

    /// When it ends in any case.
    #[must_use]
    pub fn last(self, began_at: Micros) -> Micros {
        began_at.plus_seconds(self.whole)
    }
}

/// A session's name in the database.
#[must_use]
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

/// Signs an account in. Answers the token for its cookie. Runs inside `Store::write`.
///
/// # Errors
/// The database's.
pub fn begin(
    conn: &mut Conn,
    host: &Host,
    limits: Limits,
    user: UserId,
    mission: i32,
    proven: bool,
) -> Result<(String, SessionRow)> {
    let token = protocol::encoding::b64(host.bytes::<TOKEN_BYTES>());
    let now = host.now();
    let row = SessionRow {
        token_hash: hash(&token),
        user_id: user.0.as_bytes().to_vec(),
        mission,
        proven,
        began_at: now.0,
        ends_at: limits.end(now, now).0,
    };
    sessions::begin(conn, &row)?;
    Ok((token, row))
}

/// Keeps a session that somebody uses; answers its new end. Runs inside
/// `Store::write`.
///
/// # Errors
/// The database's.
pub fn touch(conn: &mut Conn, now: Micros, limits: Limits, row: &SessionRow) -> Result<Micros> {
    let end = limits.end(Micros(row.began_at), now);
    sessions::set_end(conn, &row.token_hash, end)?;
    Ok(end)
}
