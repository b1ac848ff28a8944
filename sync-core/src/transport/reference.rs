//! Reference data over the wire: `GET` with one `Range`, so that a bad line costs a
//! part and not the whole. See [`protocol::reference`].

use protocol::{
    exchange::{self, Lane},
    problem, reference,
};

use super::{
    Answer, Call, Method, Unreachable,
    wire::{media_type, problem_of, stranger, unreachable},
};
use crate::engine::{Failure, Fetch, ReferencePart};

/// `GET /v1/reference/{register}/{sha256}`.
#[must_use]
pub fn fetch(origin: &str, fetch: &Fetch, token: &str) -> Call {
    let from = fetch
        .from
        .map(|from| format!("?from={from}"))
        .unwrap_or_default();
    let last = fetch.offset + fetch.length.saturating_sub(1);
    let mut headers = vec![
        ("authorization", format!("Bearer {token}")),
        ("accept-encoding", "gzip".to_owned()),
        (
            "accept",
            format!(
                "{}, {}, {}",
                reference::MEDIA_TYPE,
                exchange::MEDIA_TYPE,
                problem::MEDIA_TYPE
            ),
        ),
        (Lane::HEADER, Lane::News.name().to_owned()),
        ("range", format!("bytes={}-{last}", fetch.offset)),
    ];
    if !fetch.etag.is_empty() {
        headers.push(("if-range", fetch.etag.clone()));
    }
    Call {
        method: Method::Get,
        url: format!(
            "{origin}{}{from}",
            reference::path(fetch.register, &fetch.sha256)
        ),
        headers,
        body: Vec::new(),
    }
}

/// Reads the answer to [`fetch`]. One that does not name the snapshot in its `ETag`
/// is somebody else's, unless it is one of this server's problems.
///
/// # Errors
/// [`Failure`].
pub fn read_part(
    asked: &Fetch,
    answer: Result<Answer, Unreachable>,
) -> Result<ReferencePart, Failure> {
    let answer = answer.map_err(unreachable)?;
    let media_type = media_type(&answer);
    let expected = if asked.from.is_some() {
        exchange::MEDIA_TYPE
    } else {
        reference::MEDIA_TYPE
    };
    let ours = media_type.eq_ignore_ascii_case(expected)
        && answer.etag.starts_with(&format!("\"{}", asked.sha256));
    let strange = || stranger(answer.status);
    if !ours {
        return Err(problem_of(&answer).unwrap_or_else(strange));
    }
    let gzip = match answer.content_encoding.trim() {
        "" | "identity" => false,
        "gzip" => true,
        _ => return Err(strange()),
    };
    let (offset, total) = match answer.status {
        200 => (0, answer.body.len() as u64),
        206 => content_range(&answer).ok_or_else(strange)?,
        _ => return Err(strange()),
    };
    Ok(ReferencePart {
        offset,
        total,
        etag: answer.etag,
        gzip,
        bytes: answer.body,
    })
}

/// Where a part begins, and the bytes in all; `None` unless it says what came.
fn content_range(answer: &Answer) -> Option<(u64, u64)> {
    let range = answer.content_range.trim().strip_prefix("bytes ")?;
    let (range, total) = range.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total: u64 = total.parse().ok()?;
    let length = last.checked_sub(first)?.checked_add(1)?;
    (length == answer.body.len() as u64 && last < total).then_some((first, total))
}

#[cfg(test)]
mod tests {
    use protocol::{codes::Code, ids::ReferenceHash, reference::Register};

    use super::*;

    fn asked() -> Fetch {
        Fetch {
            register: Register::Stations,
            sha256: ReferenceHash([1; 32]),
            from: None,
            offset: 4,
            length: 4,
            etag: "\"x\"".into(),
        }
    }

    fn answer() -> Answer {
        Answer {
            status: 206,
            content_type: reference::MEDIA_TYPE.into(),
            content_encoding: "gzip".into(),
            content_range: "bytes 4-6/7".into(),
            etag: format!("\"{}.z\"", ReferenceHash([1; 32])),
            body: b"abc".to_vec(),
            ..Answer::default()
        }
    }

    #[test]
    fn a_part_is_asked_for() {
        let call = fetch("https://host", &asked(), "T");
        let hash = ReferenceHash([1; 32]);
        assert_eq!(
            call.url,
            format!("https://host/v1/reference/stations/{hash}")
        );
        for header in [
            ("range", "bytes=4-7"),
            ("if-range", "\"x\""),
            (Lane::HEADER, "news"),
        ] {
            assert!(call.headers.contains(&(header.0, header.1.into())));
        }
        let from = Fetch {
            from: Some(ReferenceHash([2; 32])),
            ..asked()
        };
        let url = fetch("https://host", &from, "T").url;
        assert!(url.ends_with(&format!("?from={}", ReferenceHash([2; 32]))));
    }

    #[test]
    fn parts_are_read() {
        let part = read_part(&asked(), Ok(answer())).expect("reads");
        assert_eq!((part.offset, part.total, part.gzip), (4, 7, true));
        let whole = Answer {
            status: 200,
            content_range: String::new(),
            ..answer()
        };
        let part = read_part(&asked(), Ok(whole)).expect("reads");
        assert_eq!((part.offset, part.total), (0, 3));
    }

    #[test]
    fn what_is_not_this_snapshot_is_a_network_failure() {
        type Spoil = fn(&mut Answer);
        let spoils: [Spoil; 9] = [
            |answer| answer.etag.clear(),
            |answer| answer.etag = "\"other\"".into(),
            |answer| answer.content_type = "text/html".into(),
            |answer| answer.content_encoding = "br".into(),
            |answer| answer.content_range = "bytes 4-7/8".into(),
            |answer| answer.content_range = "bytes 4-6/*".into(),
            |answer| answer.content_range = "bytes 6-4/7".into(),
            |answer| answer.content_range = "bytes 4-6/6".into(),
            |answer| answer.status = 302,
        ];
        for spoil in spoils {
            let mut answer = answer();
            spoil(&mut answer);
            let shown = format!("{answer:?}");
            assert!(
                matches!(
                    read_part(&asked(), Ok(answer)),
                    Err(Failure::Network { .. })
                ),
                "{shown}"
            );
        }
    }

    #[test]
    fn the_server_s_refusals_are_heard() {
        let refused = crate::testing::problem(404, Code::NotFound);
        assert!(matches!(
            read_part(&asked(), Ok(refused)),
            Err(Failure::Problem { status: 404, .. })
        ));
    }
}
