//! The order of what is handed back: server and phone go by the same one.

use std::collections::{HashMap, HashSet};

use crate::ids::EntryHash;

/// Puts the entries of one exchange in the order in which they are appended:
/// each decision right behind what it was made on, as it stood in the history
/// that ended; one that was made on something else goes first.
#[must_use]
pub fn arrange<T>(
    entries: Vec<(EntryHash, T)>,
    returned: Vec<(EntryHash, Option<EntryHash>, T)>,
) -> Vec<(EntryHash, T)> {
    let here: HashSet<EntryHash> = entries
        .iter()
        .map(|(hash, _)| *hash)
        .chain(returned.iter().map(|(hash, ..)| *hash))
        .collect();
    let mut first = Vec::new();
    let mut behind: HashMap<EntryHash, Vec<(EntryHash, T)>> = HashMap::new();
    for (hash, base, item) in returned {
        match base.filter(|base| here.contains(base)) {
            Some(base) => behind.entry(base).or_default().push((hash, item)),
            None => first.push((hash, item)),
        }
    }
    let mut arranged = Vec::new();
    for (hash, item) in first.into_iter().chain(entries) {
        // Depth first, without recursion: a phone chooses how long this gets.
        let mut next = vec![(hash, item)];
        while let Some((hash, item)) = next.pop() {
            let followers = behind.remove(&hash).unwrap_or_default();
            next.extend(followers.into_iter().rev());
            arranged.push((hash, item));
        }
    }
    arranged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> EntryHash {
        EntryHash([byte; 32])
    }

    #[test]
    fn decisions_stand_behind_what_they_were_made_on() {
        let entries = vec![(hash(1), "file"), (hash(2), "amend")];
        let returned = vec![
            (hash(12), Some(hash(11)), "second decision"),
            (hash(13), Some(hash(2)), "on the amendment"),
            (hash(11), Some(hash(1)), "first decision"),
            (hash(14), Some(hash(99)), "on what is not here"),
            (hash(10), None, "enrolment"),
        ];
        let arranged: Vec<_> = arrange(entries, returned)
            .into_iter()
            .map(|one| one.1)
            .collect();
        assert_eq!(
            arranged,
            [
                "on what is not here",
                "enrolment",
                "file",
                "first decision",
                "second decision",
                "amend",
                "on the amendment",
            ]
        );
    }
}
