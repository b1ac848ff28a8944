//! Stations and categories on this device: listed, and looked up when a report is
//! filed. They help; they never stand in a report's way.

use std::fmt::Write as _;

use protocol::{
    codes::Code,
    reference::{Category, Register, Station},
};
use serde_json::{Value, json};
use sync_core::{Client, client::Known};

use crate::{
    run::{Done, Failure, refused},
    tell::printable,
};

/// Rows printed for people; programs get all.
const SHOWN: usize = 50;
/// What people read before any have come.
const NONE_YET: &str =
    "None are on this device yet; `observer sync` fetches them. You can file all the same.\n";

pub(crate) async fn stations(client: &Client, search: Option<&str>) -> Result<Done, Failure> {
    let Some(mut stations) = client.stations().await? else {
        return none_yet();
    };
    if let Some(search) = search {
        stations.retain(|station| holds(&texts_of(station), search));
    }
    let mut words = String::new();
    for station in stations.iter().take(SHOWN) {
        let above = station.constituency_name.as_ref();
        let above = above.or(station.constituency.as_ref());
        let above = above.map(|name| format!(" ({name})")).unwrap_or_default();
        let _ = writeln!(
            words,
            "{:<10}  {}{}",
            printable(&station.code),
            printable(&station.name),
            printable(&above)
        );
    }
    note_rest(&mut words, stations.len());
    Ok(Done {
        json: json!(stations),
        words,
    })
}

pub(crate) async fn categories(client: &Client, language: &str) -> Result<Done, Failure> {
    let Some(categories) = client.categories().await? else {
        return none_yet();
    };
    let label = |category: &Category| {
        let labels = &category.labels;
        let label = labels.get(language).or_else(|| labels.get("en"));
        label.unwrap_or(&category.definition).clone()
    };
    let mut words = String::new();
    for category in &categories {
        let _ = writeln!(
            words,
            "{:<28}  {:<10}  {}",
            printable(&category.code),
            printable(&category.stage),
            printable(&label(category))
        );
    }
    if categories.is_empty() {
        words.push_str("The mission has no categories.\n");
    }
    let value: Vec<Value> = categories
        .iter()
        .map(|category| {
            let mut value = json!(category);
            value["label"] = json!(label(category));
            value
        })
        .collect();
    Ok(Done {
        json: json!(value),
        words,
    })
}

/// What a report's codes are told to the observer: an error for a category that is
/// not listed, unless it is to be filed all the same, and notes.
pub(crate) async fn check(
    client: &Client,
    category: Option<&str>,
    unlisted: bool,
    station: Option<&str>,
) -> Result<Vec<Value>, Failure> {
    let mut notes = Vec::new();
    if let Some(category) = category
        && let Known::Unlisted(near) = client.is_listed(Register::Categories, category).await?
    {
        if !unlisted {
            let message = format!(
                "`{}` is not in the mission's list of categories{}; `observer categories` shows \
                 it, and --unlisted-category files the report all the same",
                printable(category),
                meant(&near)
            );
            return Err(refused(Code::CategoryUnknown, message));
        }
        notes.push(note(
            "category_unlisted",
            "the category is not in the list",
            &near,
        ));
    }
    if let Some(station) = station
        && let Known::Unlisted(near) = client.is_listed(Register::Stations, station).await?
    {
        notes.push(note(
            "station_unlisted",
            "the station is not in the list",
            &near,
        ));
    }
    Ok(notes)
}

/// Adds the notes to what was filed.
pub(crate) fn noted(mut done: Done, notes: &[Value]) -> Done {
    for note in notes {
        let message = note["message"].as_str().unwrap_or_default();
        let _ = writeln!(done.words, "Note: {message}.");
    }
    done.json["notes"] = json!(notes);
    done
}

fn note(code: &str, message: &str, near: &[String]) -> Value {
    json!({
        "code": code,
        "message": format!("{message}{}", meant(near)),
        "suggestions": near,
    })
}

fn meant(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let near: Vec<String> = near
        .iter()
        .map(|code| format!("`{}`", printable(code)))
        .collect();
    format!("; did you mean {}?", near.join(" or "))
}

fn none_yet() -> Result<Done, Failure> {
    Ok(Done {
        json: Value::Null,
        words: NONE_YET.to_owned(),
    })
}

fn note_rest(words: &mut String, found: usize) {
    if found == 0 {
        words.push_str("No station is like that.\n");
    } else if found > SHOWN {
        let _ = writeln!(words, "… and {} more; use --search.", found - SHOWN);
    }
}

fn texts_of(station: &Station) -> [&str; 3] {
    let above = station.constituency_name.as_deref();
    [&station.code, &station.name, above.unwrap_or_default()]
}

/// Whether every word of a search stands in one of the texts, case apart.
fn holds(texts: &[&str], search: &str) -> bool {
    let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
    search
        .to_lowercase()
        .split_whitespace()
        .all(|word| texts.iter().any(|text| text.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_search_finds_every_word_somewhere() {
        let texts = ["8-12", "Məktəb 7", "Binəqədi"];
        for search in ["8-12", "məktəb", "BINƏQƏDI 7", ""] {
            assert!(holds(&texts, search), "{search}");
        }
        for search in ["8-13", "məktəb 9"] {
            assert!(!holds(&texts, search), "{search}");
        }
    }
}
