//! Missions: making them, finding them, and the name of the server's history.

use protocol::{
    codes::Code,
    ids::{EpochId, MissionId},
    limits,
};
use serde::Serialize;

use crate::{
    clock::{Host, Micros},
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{Conn, missions as store},
};

pub use crate::store::missions::Mission;

/// What a person says of a new mission.
#[derive(Clone, Debug, Serialize)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// The election.
    pub election: String,
    /// IANA time zone.
    pub timezone: String,
    /// Levels of the location tree, from the largest to the station.
    pub levels: Vec<String>,
}

/// Characters of a name.
const NAME_CHARS: usize = 200;
/// Levels of a location tree.
const MAX_LEVELS: usize = 8;

impl Wish {
    /// Checks what can be checked without a database, and trims.
    ///
    /// # Errors
    /// `value_missing`, `too_long`, `invalid_value`, naming the member.
    pub fn check(mut self) -> Result<Self> {
        for (what, text) in [("name", &mut self.name), ("election", &mut self.election)] {
            *text = text.trim().to_owned();
            if text.is_empty() {
                return Err(Error::refused(
                    Code::ValueMissing,
                    format!("the {what} is empty"),
                ));
            }
            if text.chars().count() > NAME_CHARS {
                return Err(Error::refused(
                    Code::TooLong,
                    format!("the {what} is longer than {NAME_CHARS} characters"),
                ));
            }
            if text.chars().any(char::is_control) {
                return Err(Error::refused(
                    Code::InvalidValue,
                    format!("the {what} holds a control character"),
                ));
            }
        }
        if self.timezone.parse::<chrono_tz::Tz>().is_err() {
            return Err(Error::refused(
                Code::InvalidValue,
                format!(
                    "`{}` is not an IANA time zone such as Asia/Baku",
                    self.timezone
                ),
            ));
        }
        self.check_levels()?;
        Ok(self)
    }

    fn check_levels(&self) -> Result<()> {
        let invalid = |what: String| Err(Error::refused(Code::InvalidValue, what));
        if self.levels.is_empty() || self.levels.len() > MAX_LEVELS {
            return invalid(format!("a mission has 1 to {MAX_LEVELS} levels"));
        }
        for (index, level) in self.levels.iter().enumerate() {
            let plain = level.starts_with(|first: char| first.is_ascii_lowercase())
                && level.len() <= limits::CODE_BYTES.min(40)
                && level
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !plain {
                return invalid(format!(
                    "`{level}` is not a level: use small letters, digits and _"
                ));
            }
            if self.levels[..index].contains(level) {
                return invalid(format!("the level `{level}` stands twice"));
            }
        }
        Ok(())
    }
}

/// Makes a mission. Runs inside `Store::write`.
///
/// # Errors
/// The database's.
pub fn create(
    conn: &mut Conn,
    now: Micros,
    id: MissionId,
    wish: &Wish,
    sealing_key: &str,
) -> Result<MissionRef> {
    let new = store::NewMission {
        id,
        name: &wish.name,
        election: &wish.election,
        timezone: &wish.timezone,
        levels: &wish.levels,
        sealing_key,
        created_at: now,
    };
    Ok(MissionRef {
        no: store::insert(conn, &new)?,
        id,
    })
}

/// One mission, or `mission_unknown`.
///
/// # Errors
/// `mission_unknown`, or the database's.
pub fn get(conn: &mut Conn, id: MissionId) -> Result<Mission> {
    store::find(conn, id)?
        .ok_or_else(|| Error::refused(Code::MissionUnknown, format!("there is no mission {id}")))
}

/// The name of the server's history, made on first use. Runs inside
/// `Store::write`.
///
/// # Errors
/// The database's.
pub fn ensure_epoch(conn: &mut Conn, host: &Host) -> Result<EpochId> {
    match store::epoch(conn)? {
        Some(epoch) => Ok(epoch),
        None => store::start_epoch(conn, EpochId(host.uuid())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish {
            name: " Coalition ".into(),
            election: "Parliamentary".into(),
            timezone: "Asia/Baku".into(),
            levels: vec!["constituency".into(), "station".into()],
        }
    }

    #[test]
    fn a_sound_wish_passes_trimmed() {
        assert_eq!(wish().check().unwrap().name, "Coalition");
    }

    #[test]
    fn unsound_wishes_are_refused() {
        let with = |change: fn(&mut Wish)| {
            let mut wish = wish();
            change(&mut wish);
            wish.check().unwrap_err().code()
        };
        assert_eq!(with(|w| w.name = " ".into()), Code::ValueMissing);
        assert_eq!(with(|w| w.election = "x".repeat(201)), Code::TooLong);
        assert_eq!(with(|w| w.name = "a\u{0}b".into()), Code::InvalidValue);
        assert_eq!(with(|w| w.timezone = "Baku".into()), Code::InvalidValue);
        assert_eq!(with(|w| w.levels.clear()), Code::InvalidValue);
        assert_eq!(
            with(|w| w.levels = vec!["Region".into()]),
            Code::InvalidValue
        );
        assert_eq!(
            with(|w| w.levels = vec!["a".into(), "a".into()]),
            Code::InvalidValue
        );
        assert_eq!(with(|w| w.levels = vec![String::new()]), Code::InvalidValue);
    }
}
