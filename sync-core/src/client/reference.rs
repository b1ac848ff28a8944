//! Stations and categories on this device, read without a network.

use std::collections::BTreeMap;

use protocol::{
    ids::ReferenceHash,
    reference::{Category, Register, Snapshot, Station},
};
use serde::Serialize;

use super::Client;
use crate::{
    error::Error,
    journal::reference::{Kept, References, Wanted},
    store::Space,
};

/// A register on this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReferenceOverview {
    /// Which.
    pub register: Register,
    /// Counts its versions on the server.
    pub version: u64,
    /// Its name.
    pub sha256: ReferenceHash,
    /// How many stations or categories it holds.
    pub lines: u64,
}

/// What is known of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: this device holds no such register.
    Unsaid,
    /// It is in the register.
    Listed,
    /// It is not; these are like it.
    Unlisted(Vec<String>),
}

/// Codes suggested for one that is not listed.
const SUGGESTED: usize = 3;

/// The key of what is fetched of a register.
pub(super) fn part_key(register: Register) -> Vec<u8> {
    format!("{register}.part").into_bytes()
}

impl Client {
    /// What the store holds of the registers. What cannot be read counts as absent,
    /// and comes again.
    pub(crate) async fn references(&self) -> Result<References, Error> {
        let mut references = References::default();
        for register in Register::ALL {
            if let Some(kept) = self.kept(register).await? {
                references.kept.insert(register, kept);
            }
            let key = part_key(register);
            let part = self.store.record(Space::Reference, &key).await?;
            let wanted = part.and_then(|record| self.unseal::<Option<Wanted>>(&record));
            if let Some(wanted) = wanted.flatten() {
                references.wanted.insert(register, wanted);
            }
        }
        Ok(references)
    }

    async fn kept(&self, register: Register) -> Result<Option<Kept>, Error> {
        let key = register.name().as_bytes();
        let record = self.store.record(Space::Reference, key).await?;
        Ok(record.and_then(|record| self.unseal(&record)))
    }

    async fn reference_snapshot(&self, register: Register) -> Result<Option<Snapshot>, Error> {
        let kept = self.kept(register).await?;
        Ok(kept.and_then(|kept| kept.snapshot()))
    }

    /// The stations on this device, by code; `None` if none have come yet.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn stations(&self) -> Result<Option<Vec<Station>>, Error> {
        let snapshot = self.reference_snapshot(Register::Stations).await?;
        Ok(snapshot.map(|snapshot| snapshot.stations().collect()))
    }

    /// The categories on this device, by code; `None` if none have come yet.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn categories(&self) -> Result<Option<Vec<Category>>, Error> {
        let snapshot = self.reference_snapshot(Register::Categories).await?;
        Ok(snapshot.map(|snapshot| snapshot.categories().collect()))
    }

    /// Whether a code is in a register. Never a reason not to file: registers are
    /// old or wrong where observers stand.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn is_listed(&self, register: Register, code: &str) -> Result<Known, Error> {
        let Some(snapshot) = self.reference_snapshot(register).await? else {
            return Ok(Known::Unsaid);
        };
        if snapshot.lines().contains_key(code) {
            return Ok(Known::Listed);
        }
        let mut near: Vec<(usize, &String)> = snapshot
            .lines()
            .keys()
            .map(|known| (distance(code, known), known))
            .filter(|(distance, known)| *distance <= 1 + known.chars().count() / 3)
            .collect();
        near.sort();
        let near = near.into_iter().take(SUGGESTED);
        Ok(Known::Unlisted(
            near.map(|(_, code)| code.clone()).collect(),
        ))
    }

    /// The registers on this device.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn reference(&self) -> Result<Vec<ReferenceOverview>, Error> {
        let kept = self.references().await?.kept;
        Ok(kept.into_values().map(overview).collect())
    }

    /// The names of the registers on this device that a report is written against:
    /// those of which it names something.
    pub(super) async fn reference_names(
        &self,
        category: bool,
        station: bool,
    ) -> Result<BTreeMap<Register, ReferenceHash>, Error> {
        let mut names = BTreeMap::new();
        for (register, named) in [
            (Register::Categories, category),
            (Register::Stations, station),
        ] {
            if named && let Some(kept) = self.kept(register).await? {
                names.insert(register, kept.sha256);
            }
        }
        Ok(names)
    }
}

fn overview(kept: Kept) -> ReferenceOverview {
    ReferenceOverview {
        register: kept.register,
        version: kept.version,
        sha256: kept.sha256,
        lines: kept.lines,
    }
}

/// How many letters to change, add or leave out to get from one to the other, case
/// and separators apart.
fn distance(one: &str, other: &str) -> usize {
    let fold = |text: &str| -> Vec<char> {
        let letters = text.chars().filter(|letter| letter.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let (one, other) = (fold(one), fold(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (to, known) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != known);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn likeness_is_counted_in_letters() {
        for (one, other, expected) in [
            ("voting", "voting", 0),
            ("Ballot-Stuffing", "ballot_stuffing", 0),
            ("balot_stufing", "ballot_stuffing", 2),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
