//! Finding accreditations as people write what they look for.

use std::collections::BTreeSet;

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

/// The filter with institutions and countries as the register spells them, whatever way
/// they were asked for; `None` if the register has none of them, so that nothing fits.
///
/// # Errors
/// The database's.
pub fn spelled(
    conn: &mut Conn,
    mission: i32,
    mut filter: AccreditationFilter,
) -> Result<Option<AccreditationFilter>> {
    if filter.institution.is_empty() && filter.country.is_empty() {
        return Ok(Some(filter));
    }
    let known = devices::origins(conn, mission)?;
    let institutions = known.iter().map(|(institution, _)| institution);
    let countries = known.iter().map(|(_, country)| country);
    let fits =
        spell(&mut filter.institution, institutions) && spell(&mut filter.country, countries);
    Ok(fits.then_some(filter))
}

/// Puts the register's spellings for what was asked; `false` if it has none.
fn spell<'a>(asked: &mut Vec<String>, known: impl Iterator<Item = &'a String>) -> bool {
    if asked.is_empty() {
        return true;
    }
    let folded: BTreeSet<String> = asked.iter().map(|one| fold(one.trim())).collect();
    let spellings: BTreeSet<&String> = known
        .filter(|one| folded.contains(&fold(one.trim())))
        .collect();
    *asked = spellings.into_iter().cloned().collect();
    !asked.is_empty()
}

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
