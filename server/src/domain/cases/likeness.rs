//! How much two reports look like accounts of one event: a sum of what can be explained in
//! a sentence, not a verdict. People join; ADR 0083 says why the weights are what they are.

use std::collections::HashSet;

use serde::Serialize;

use crate::{clock::Micros, domain::flags, store::projections::ReportRow};

/// Below this two reports are not suggested to anybody.
pub(super) const ENOUGH: f64 = 0.5;
/// Hours between two reports beyond which time speaks against them.
const HOURS: f64 = 6.0;
/// Metres within which two places are one.
pub(super) const NEAR: f64 = 300.0;
/// What two texts of one language share that tell of different things (measured on the
/// sample data).
const CHANCE: f64 = 0.2;

/// Why two reports look alike.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Likeness {
    /// From 0 to 1.
    pub score: f64,
    /// Both name this station.
    pub same_station: bool,
    /// Metres between their places, where both are known: the phone's, else the station's.
    pub metres: Option<f64>,
    /// Minutes between them: when they were observed, else when they were filed, else
    /// when they came.
    pub minutes: i64,
    /// Both have this category.
    pub same_category: bool,
    /// How much their words agree beyond chance, from 0 to 1.
    pub words: f64,
}

/// What of a report is compared.
#[derive(Clone, Debug)]
pub(super) struct Traits<'a> {
    row: &'a ReportRow,
    point: Option<(f64, f64)>,
    stage: Option<&'a str>,
    grams: HashSet<[char; 3]>,
}

impl<'a> Traits<'a> {
    /// `station` is the point of the station that it names, `stage` its category's.
    pub(super) fn of(
        row: &'a ReportRow,
        station: Option<(f64, f64)>,
        stage: Option<&'a str>,
    ) -> Self {
        Self {
            row,
            point: row.lat.zip(row.lon).or(station),
            stage,
            grams: grams(row.folded.as_deref().unwrap_or_default()),
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Likeness {
        let (one, two) = (self.row, other.row);
        let same_station = one.station.is_some() && one.station == two.station;
        let metres = self
            .point
            .zip(other.point)
            .map(|((lat, lon), (lat2, lon2))| flags::metres(lat, lon, lat2, lon2).round());
        let apart = Micros(when(one)).0.abs_diff(when(two));
        let minutes = i64::try_from(apart / 60_000_000).unwrap_or(i64::MAX);
        let same_category = one.category == two.category;
        let words = shared(&self.grams, &other.grams);
        let place = match metres {
            _ if same_station => 1.0,
            Some(metres) if metres <= NEAR => 0.9,
            Some(metres) if metres <= 1_000.0 => 0.5,
            Some(_) => 0.0,
            None if one.constituency.is_some() && one.constituency == two.constituency => 0.3,
            None => 0.2,
        };
        #[expect(clippy::cast_precision_loss, reason = "minutes of a day")]
        let time = (1.0 - minutes as f64 / (HOURS * 60.0)).max(0.0);
        let category = if same_category {
            1.0
        } else if self.stage.is_some() && self.stage == other.stage {
            0.4
        } else {
            0.0
        };
        let score = 0.4 * place + 0.2 * time + 0.15 * category + 0.25 * words;
        Likeness {
            score: (score * 100.0).round() / 100.0,
            same_station,
            metres,
            minutes,
            same_category,
            words: (words * 100.0).round() / 100.0,
        }
    }
}

/// When it happened, as well as that is known.
fn when(row: &ReportRow) -> i64 {
    row.observed_at
        .or(row.filed_at)
        .unwrap_or(row.received_at)
        // A broken clock may claim any year; what came cannot have happened later.
        .min(row.received_at)
}

/// Each three letters of a word that follow one another: endings differ, stems agree.
fn grams(folded: &str) -> HashSet<[char; 3]> {
    let mut found = HashSet::new();
    for word in folded.split(|char: char| !char.is_alphanumeric()) {
        let letters: Vec<char> = word.chars().collect();
        found.extend(
            letters
                .windows(3)
                .map(|three| [three[0], three[1], three[2]]),
        );
    }
    found
}

/// Dice's coefficient of two sets, beyond what chance gives.
fn shared(one: &HashSet<[char; 3]>, two: &HashSet<[char; 3]>) -> f64 {
    if one.is_empty() || two.is_empty() {
        return 0.0;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a text has some thousand letters"
    )]
    let dice = 2.0 * one.intersection(two).count() as f64 / (one.len() + two.len()) as f64;
    ((dice - CHANCE) / (1.0 - CHANCE)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text;

    const HOUR: i64 = 3_600_000_000;
    const BINAGADI: (f64, f64) = (40.46, 49.82);
    const NEXT_DOOR: (f64, f64) = (40.461, 49.821);
    const GANJA: (f64, f64) = (40.68, 46.36);

    struct Told {
        station: Option<&'static str>,
        place: Option<(f64, f64)>,
        hours: f64,
        category: &'static str,
        text: &'static str,
    }

    #[expect(clippy::cast_possible_truncation, reason = "hours of a day")]
    fn row(told: &Told) -> ReportRow {
        let at = 100 * HOUR + (told.hours * 3_600_000_000.0) as i64;
        ReportRow {
            mission: 1,
            first_number: 1,
            id: vec![],
            version: 1,
            head: vec![],
            revisions: 0,
            accreditation: None,
            device: None,
            entered_by: None,
            merged_into: None,
            category: told.category.into(),
            severity: None,
            own_severity: false,
            text: Some(told.text.into()),
            folded: Some(text::fold(told.text)),
            station: told.station.map(Into::into),
            constituency: told.station.map(|code| code[..1].into()),
            lat: told.place.map(|place| place.0),
            lon: told.place.map(|place| place.1),
            accuracy: None,
            observed_at: Some(at),
            filed_at: None,
            received_at: at + HOUR,
            updated_at: at + HOUR,
            status: "received".into(),
            withdrawn: false,
            erased: false,
            flags: 0,
        }
    }

    fn likeness(one: &Told, two: &Told) -> Likeness {
        let point = |told: &Told| match told.station {
            Some("8-1") => Some(BINAGADI),
            Some("8-2") => Some(NEXT_DOOR),
            Some("3-1") => Some(GANJA),
            _ => None,
        };
        let stage = |told: &Told| {
            Some(match told.category {
                "protocol_altered" | "counting_irregularity" => "counting",
                _ => "voting",
            })
        };
        let (row1, row2) = (row(one), row(two));
        Traits::of(&row1, point(one), stage(one)).compare(&Traits::of(
            &row2,
            point(two),
            stage(two),
        ))
    }

    const STUFFING: Told = Told {
        station: Some("8-1"),
        place: None,
        hours: 12.0,
        category: "ballot_stuffing",
        text: "A man put a bundle of about twenty ballots into the box",
    };

    #[test]
    fn likely_pairs_are_suggested_and_unlikely_ones_are_not() {
        let table: [(&str, Told, bool); 10] = [
            (
                "the same, an hour later, in other words",
                Told {
                    hours: 13.0,
                    text: "Someone stuffed a pack of papers",
                    ..STUFFING
                },
                true,
            ),
            (
                "the other side of it, filed as something else",
                Told {
                    category: "positive_no_issue",
                    text: "No violation was seen here",
                    ..STUFFING
                },
                true,
            ),
            (
                "in another language",
                Told {
                    hours: 12.2,
                    text: "Bir kişi qutuya bir dəstə bülleten atdı",
                    ..STUFFING
                },
                true,
            ),
            (
                "from the phone beside the station, none named",
                Told {
                    station: None,
                    place: Some(NEXT_DOOR),
                    hours: 12.5,
                    ..STUFFING
                },
                true,
            ),
            (
                "no station and no place, but the same words",
                Told {
                    station: None,
                    hours: 12.5,
                    text: "A man put a bundle of some twenty ballots in the ballot box",
                    ..STUFFING
                },
                true,
            ),
            (
                "another category of the same day's stage, at the same hour",
                Told {
                    category: "observer_pressure",
                    text: "They told me to leave",
                    ..STUFFING
                },
                true,
            ),
            (
                "the evening's count",
                Told {
                    hours: 20.0,
                    category: "protocol_altered",
                    text: "The protocol has other numbers",
                    ..STUFFING
                },
                false,
            ),
            (
                "the same offence in another town",
                Told {
                    station: Some("3-1"),
                    text: "Ballots were thrown in by the chair",
                    ..STUFFING
                },
                false,
            ),
            (
                "nothing known of where, other words",
                Told {
                    station: None,
                    text: "Stuffing seen on the webcam",
                    ..STUFFING
                },
                false,
            ),
            (
                "the same words from another town",
                Told {
                    station: Some("3-1"),
                    ..STUFFING
                },
                true,
            ),
        ];
        for (name, told, suggested) in table {
            let found = likeness(&STUFFING, &told);
            assert_eq!(found.score >= ENOUGH, suggested, "{name}: {found:?}");
            assert_eq!(
                found,
                likeness(&told, &STUFFING),
                "{name}: from the other side"
            );
        }
    }

    #[test]
    fn the_reasons_are_told() {
        let other = Told {
            hours: 12.5,
            text: "",
            ..STUFFING
        };
        let found = likeness(&STUFFING, &other);
        assert!(found.same_station && found.same_category);
        assert_eq!(
            (found.metres, found.minutes, found.words),
            (Some(0.0), 30, 0.0)
        );
        let near = Told {
            station: Some("8-2"),
            ..STUFFING
        };
        assert_eq!(likeness(&STUFFING, &near).metres, Some(140.0));
    }

    #[test]
    fn a_broken_clock_does_not_tear_accounts_apart() {
        let (mut one, two) = (row(&STUFFING), row(&STUFFING));
        one.observed_at = Some(i64::MAX);
        let traits = |row| Traits::of(row, Some(BINAGADI), None);
        assert_eq!(traits(&one).compare(&traits(&two)).minutes, 60);
    }
}
