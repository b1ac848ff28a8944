//! The audit trail: as pages, and as a file.

pub(super) mod csv;
pub(super) mod list;

use protocol::ids::UserId;

use crate::{clock::Micros, domain::reports::malformed, error::Result, store::audit::AuditFilter};

/// Values of `act`.
const ACTS: usize = 50;
/// Characters of an act's name.
const ACT_CHARS: usize = 40;

/// Takes one parameter of the filter; `false` if it is none.
fn set(filter: &mut AuditFilter, name: &str, value: &str) -> Result<bool> {
    match name {
        "person" if filter.person.is_none() => {
            let id: Option<UserId> = value.parse().ok();
            let id = id.ok_or_else(|| malformed(name, "is an account's id"))?;
            filter.person = Some(id.0.as_bytes().to_vec());
        }
        "act" => {
            let plain = value
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if !plain || value.len() > ACT_CHARS || filter.acts.len() == ACTS {
                return Err(malformed(name, "is no act, or stands too often"));
            }
            filter.acts.push(value.to_owned());
        }
        "since" if filter.since.is_none() => filter.since = Some(time(name, value)?),
        "until" if filter.until.is_none() => filter.until = Some(time(name, value)?),
        "person" | "since" | "until" => return Err(malformed(name, "stands twice")),
        _ => return Ok(false),
    }
    Ok(true)
}

fn time(name: &str, value: &str) -> Result<i64> {
    let time = Micros::parse(value).ok_or_else(|| malformed(name, "is a time (RFC 3339)"))?;
    Ok(time.0)
}
