//! Finding an accreditation by part of what it is called.

use crate::{
    domain::text::fold,
    error::Result,
    store::{
        Conn,
        devices::{self, AccreditationFilter, AccreditationRow},
    },
};

/// Rows looked at in one go.
const CHUNK: i64 = 2_000;

/// Accreditations that fit the filter and whose number or pseudonym contains a text, in
/// the order of their numbers, those after `after`; with `names`, also by name. Letters
/// that writers of one word write differently are one, so the text is looked for here,
/// not in the database.
///
/// # Errors
/// The database's.
pub fn like(
    conn: &mut Conn,
    mission: i32,
    filter: &AccreditationFilter,
    (text, names): (&str, bool),
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<AccreditationRow>> {
    let text = fold(text.trim());
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut after = after.map(str::to_owned);
    let mut found = Vec::new();
    loop {
        let rows = devices::accreditations(conn, mission, filter, after.as_deref(), CHUNK)?;
        let Some(last) = rows.last() else {
            return Ok(found);
        };
        after = Some(last.number.clone());
        let fits = |row: &AccreditationRow| {
            [
                Some(&row.number),
                Some(&row.pseudonym),
                names.then_some(&row.name),
            ]
            .into_iter()
            .flatten()
            .any(|called| fold(called).contains(&text))
        };
        found.extend(rows.into_iter().filter(fits));
        if found.len() >= most {
            found.truncate(most);
            return Ok(found);
        }
    }
}
