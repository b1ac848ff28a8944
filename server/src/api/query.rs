//! Query parameters and cursors.

use actix_web::HttpRequest;
use protocol::{
    codes::Code,
    encoding::{b64, unb64},
    ids::{EntryHash, MissionId},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::error::ApiError;
use crate::domain::reports::malformed;

/// Items of a page when nothing is asked for.
const DEFAULT_LIMIT: i64 = 50;
/// Items of a page, at most.
const MAX_LIMIT: i64 = 200;
/// Bytes of a cursor.
const CURSOR_BYTES: usize = 2048;

/// Which page.
#[derive(Debug)]
pub(super) struct Page {
    /// Items, at most.
    pub(super) limit: i64,
    /// Where the last page ended.
    pub(super) cursor: Option<String>,
}

/// Reads the query of a list: `limit`, `cursor`, and what `take` knows.
///
/// # Errors
/// `malformed_query` for anything else, twice or out of bounds.
pub(super) fn page(
    req: &HttpRequest,
    take: impl FnMut(&str, &str) -> crate::error::Result<bool>,
) -> Result<Page, ApiError> {
    let mut limit: Option<i64> = None;
    let mut cursor: Option<String> = None;
    each(req, take, |name, value| {
        match name {
            "limit" if limit.is_none() => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MAX_LIMIT).contains(limit));
                if limit.is_none() {
                    return Err(malformed(name, "lies between 1 and 200").into());
                }
            }
            "cursor" if cursor.is_none() => cursor = Some(value.to_owned()),
            "limit" | "cursor" => return Err(malformed(name, "stands twice").into()),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Page {
        limit: limit.unwrap_or(DEFAULT_LIMIT),
        cursor,
    })
}

/// Reads a query of which `take` knows every parameter.
///
/// # Errors
/// `malformed_query`.
pub(super) fn all(
    req: &HttpRequest,
    take: impl FnMut(&str, &str) -> crate::error::Result<bool>,
) -> Result<(), ApiError> {
    each(req, take, |_, _| Ok(false))
}

fn each(
    req: &HttpRequest,
    mut take: impl FnMut(&str, &str) -> crate::error::Result<bool>,
    mut own: impl FnMut(&str, &str) -> Result<bool, ApiError>,
) -> Result<(), ApiError> {
    for (name, value) in url::form_urlencoded::parse(req.query_string().as_bytes()) {
        if !own(&name, &value)? && !take(&name, &value)? {
            let name: String = name.chars().take(40).collect();
            return Err(malformed(&name, "is not a parameter of this address").into());
        }
    }
    Ok(())
}

/// Binds a cursor to a list, a mission and a filter.
pub(super) fn fingerprint(list: &str, mission: MissionId, filter: &impl Serialize) -> [u8; 12] {
    let filter = serde_json::to_string(filter).unwrap_or_default();
    let hash: [u8; 32] = Sha256::new()
        .chain_update(list)
        .chain_update(mission.0.as_bytes())
        .chain_update(filter)
        .finalize()
        .into();
    let mut out = [0; 12];
    out.copy_from_slice(&hash[..12]);
    out
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor<K> {
    /// Where the page ended.
    k: K,
    /// The list's fingerprint.
    f: String,
}

/// Makes a cursor.
pub(super) fn encode<K: Serialize>(key: K, fingerprint: &[u8; 12]) -> String {
    b64(serde_json::to_vec(&Cursor {
        k: key,
        f: b64(fingerprint),
    })
    .unwrap_or_default())
}

/// Reads a cursor that [`encode`] made for the same list.
///
/// # Errors
/// `invalid_cursor`.
pub(super) fn decode<K: DeserializeOwned>(
    cursor: Option<&str>,
    fingerprint: &[u8; 12],
) -> Result<Option<K>, ApiError> {
    let Some(text) = cursor else { return Ok(None) };
    let read = || {
        let bytes = unb64(text).filter(|bytes| bytes.len() <= CURSOR_BYTES)?;
        let cursor: Cursor<K> = serde_json::from_slice(&bytes).ok()?;
        (cursor.f == b64(fingerprint)).then_some(cursor.k)
    };
    read()
        .map(Some)
        .ok_or_else(|| ApiError::new(Code::InvalidCursor, "begin again without a cursor"))
}

/// Cuts a page that was read with one row too many, and makes its cursor.
pub(super) fn cut<T, K: Serialize>(
    rows: &mut Vec<T>,
    limit: i64,
    fingerprint: &[u8; 12],
    key: impl FnOnce(&T) -> K,
) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last().map(|last| encode(key(last), fingerprint))
}

/// A UUID in the path. A malformed one is simply not there.
///
/// # Errors
/// `not_found`.
pub(super) fn id(req: &HttpRequest, name: &str) -> Result<Uuid, ApiError> {
    let text = req.match_info().query(name);
    if text.len() != 36 {
        return Err(ApiError::not_found());
    }
    Uuid::parse_str(text).map_err(|_| ApiError::not_found())
}

/// An entry's hash in the path.
///
/// # Errors
/// `not_found`.
pub(super) fn hash(req: &HttpRequest, name: &str) -> Result<EntryHash, ApiError> {
    req.match_info()
        .query(name)
        .parse()
        .map_err(|_| ApiError::not_found())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn read(query: &str) -> Result<Page, ApiError> {
        let req = TestRequest::with_uri(&format!("/x?{query}")).to_http_request();
        page(&req, |name, _| Ok(name == "known"))
    }

    #[test]
    fn pages_are_bounded_and_nothing_is_ignored() {
        assert_eq!(read("").unwrap().limit, 50);
        assert_eq!(read("limit=200&known=1").unwrap().limit, 200);
        for query in [
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=9223372036854775808",
            "limit=",
            "limit=1&limit=1",
            "offset=3",
            "cursor=a&cursor=b",
        ] {
            assert_eq!(
                read(query).unwrap_err().code(),
                Code::MalformedQuery,
                "{query}"
            );
        }
    }

    #[test]
    fn cursors_serve_their_own_list_alone() {
        let mission = MissionId(Uuid::nil());
        let mine = fingerprint("reports", mission, &"a");
        let cursor = encode(42_i64, &mine);
        assert_eq!(decode::<i64>(Some(&cursor), &mine).unwrap(), Some(42));
        assert_eq!(decode::<i64>(None, &mine).unwrap(), None);
        for other in [
            fingerprint("reports", mission, &"b"),
            fingerprint("devices", mission, &"a"),
            fingerprint("reports", MissionId(Uuid::max()), &"a"),
        ] {
            assert_eq!(
                decode::<i64>(Some(&cursor), &other).unwrap_err().code(),
                Code::InvalidCursor
            );
        }
        for text in [
            "",
            "x",
            "%%%",
            &b64("{}"),
            &b64("[".repeat(5000)),
            &cursor[1..],
        ] {
            assert_eq!(
                decode::<i64>(Some(text), &mine).unwrap_err().code(),
                Code::InvalidCursor,
                "{text:.20}"
            );
        }
        assert!(decode::<String>(Some(&cursor), &mine).is_err());
    }

    #[test]
    fn a_full_page_tells_where_it_ended() {
        let mark = [0; 12];
        let mut rows = vec![1_i64, 2, 3];
        let next = cut(&mut rows, 2, &mark, |row| *row);
        assert_eq!(rows, [1, 2]);
        assert_eq!(decode::<i64>(next.as_deref(), &mark).unwrap(), Some(2));
        assert_eq!(cut(&mut rows, 2, &mark, |row| *row), None);
    }
}
