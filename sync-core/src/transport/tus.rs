//! Files over the wire: the core of tus 1.0.0
//! (<https://tus.io/protocols/resumable-upload>), see [`protocol::evidence`].
//! An answer without `Tus-Resumable: 1.0.0` is somebody else's, unless it is one
//! of this server's problems.

use protocol::{
    codes::Code,
    evidence::{self, TUS_VERSION},
    ids::FileHash,
};

use super::{
    Answer, Call, Method, Unreachable,
    wire::{problem_of, retry_after, stranger, unreachable},
};
use crate::engine::{ChunkAnswer, Failure, UploadState};

fn call(method: Method, origin: &str, file: &FileHash, token: &str) -> Call {
    Call {
        method,
        url: format!("{origin}{}", evidence::path(file)),
        headers: vec![
            ("authorization", format!("Bearer {token}")),
            ("tus-resumable", TUS_VERSION.to_owned()),
        ],
        body: Vec::new(),
    }
}

/// `HEAD /v1/evidence/{file}`.
#[must_use]
pub fn ask_offset(origin: &str, file: &FileHash, token: &str) -> Call {
    call(Method::Head, origin, file, token)
}

/// `PATCH /v1/evidence/{file}` with the bytes from an offset on.
#[must_use]
pub fn send_chunk(origin: &str, file: &FileHash, offset: u64, part: Vec<u8>, token: &str) -> Call {
    let mut call = call(Method::Patch, origin, file, token);
    call.headers.push(("upload-offset", offset.to_string()));
    call.headers
        .push(("content-type", evidence::MEDIA_TYPE.to_owned()));
    call.body = part;
    call
}

/// Reads the answer to [`ask_offset`].
///
/// # Errors
/// [`Failure`].
pub fn read_offset(answer: Result<Answer, Unreachable>) -> Result<UploadState, Failure> {
    let answer = ours(answer)?;
    match answer.status {
        200 => state(&answer),
        // An answer to HEAD has no body, so a header or the status must do.
        status => Err(refusal(status, &answer)),
    }
}

/// Reads the answer to [`send_chunk`].
///
/// # Errors
/// [`Failure`].
pub fn read_chunk(answer: Result<Answer, Unreachable>) -> Result<ChunkAnswer, Failure> {
    let answer = ours(answer)?;
    match (answer.status, number(&answer.upload_offset)) {
        (204, _) => state(&answer).map(ChunkAnswer::Taken),
        (409, Some(offset)) => Ok(ChunkAnswer::GoesOnAt(offset)),
        (460, _) => Ok(ChunkAnswer::BeginAgain),
        (status, _) => Err(refusal(status, &answer)),
    }
}

/// The answer, if it is this server's.
fn ours(answer: Result<Answer, Unreachable>) -> Result<Answer, Failure> {
    let answer = answer.map_err(unreachable)?;
    if answer.tus_resumable.trim() == TUS_VERSION {
        return Ok(answer);
    }
    Err(problem_of(&answer).unwrap_or_else(|| stranger(answer.status)))
}

fn state(answer: &Answer) -> Result<UploadState, Failure> {
    let offset = number(&answer.upload_offset).ok_or_else(|| stranger(answer.status))?;
    Ok(UploadState {
        offset,
        length: number(&answer.upload_length),
        durable: answer.evidence_durable.trim() == "true",
    })
}

fn refusal(status: u16, answer: &Answer) -> Failure {
    if status < 400 {
        return stranger(status);
    }
    problem_of(answer).unwrap_or_else(|| Failure::Problem {
        status,
        code: Code::from_name(answer.code.trim()).unwrap_or_else(|| code_of(status)),
        detail: String::new(),
        retry_after: retry_after(answer),
    })
}

fn code_of(status: u16) -> Code {
    match status {
        401 => Code::TokenInvalid,
        403 => Code::EvidenceWaits,
        404 => Code::EvidenceUnknown,
        409 => Code::OffsetMismatch,
        412 => Code::TusVersion,
        413 => Code::BodyTooLarge,
        415 => Code::UnsupportedMediaType,
        429 => Code::TooManyAttempts,
        503 => Code::Overloaded,
        400..=499 => Code::InvalidValue,
        _ => Code::Internal,
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, offset: &str, durable: &str) -> Answer {
        Answer {
            status,
            tus_resumable: TUS_VERSION.into(),
            upload_offset: offset.into(),
            evidence_durable: durable.into(),
            ..Answer::default()
        }
    }

    fn taken(offset: u64, durable: bool) -> ChunkAnswer {
        ChunkAnswer::Taken(UploadState {
            offset,
            length: None,
            durable,
        })
    }

    #[test]
    fn each_answer_to_a_part_is_read() {
        let read = |answer| read_chunk(Ok(answer));
        assert_eq!(read(answer(204, "7", "false")), Ok(taken(7, false)));
        assert_eq!(read(answer(204, "7", "true")), Ok(taken(7, true)));
        assert_eq!(read(answer(204, "7", "")), Ok(taken(7, false)));
        assert_eq!(read(answer(409, "3", "")), Ok(ChunkAnswer::GoesOnAt(3)));
        assert_eq!(read(answer(460, "", "")), Ok(ChunkAnswer::BeginAgain));
        for (status, expected) in [
            (401, Code::TokenInvalid),
            (403, Code::EvidenceWaits),
            (404, Code::EvidenceUnknown),
            (409, Code::OffsetMismatch),
            (413, Code::BodyTooLarge),
            (429, Code::TooManyAttempts),
            (500, Code::Internal),
            (503, Code::Overloaded),
        ] {
            let failure = read(answer(status, "", "")).expect_err("no good answer");
            let Failure::Problem { code, .. } = failure else {
                panic!("{status}: {failure:?}")
            };
            assert_eq!(code, expected, "{status}");
        }
    }

    #[test]
    fn only_the_server_s_own_answers_are_believed() {
        for status in [200, 204, 302, 401, 404, 409, 413, 460, 502, 503, 520] {
            let mut foreign = answer(status, "5", "true");
            foreign.tus_resumable.clear();
            foreign.content_type = "text/html".into();
            for failure in [
                read_offset(Ok(foreign.clone())).expect_err("foreign"),
                read_chunk(Ok(foreign)).expect_err("foreign"),
            ] {
                let Failure::Network { status: told, .. } = failure else {
                    panic!("{status}: {failure:?}")
                };
                assert_eq!(told, Some(status));
            }
        }
        // Its own status, but no number, or one of another kind of answer.
        for odd in [
            answer(204, "", ""),
            answer(204, "-1", ""),
            answer(200, "5", ""),
            answer(302, "5", ""),
        ] {
            assert!(matches!(read_chunk(Ok(odd)), Err(Failure::Network { .. })));
        }
        // A problem is this server's, whoever forgot the header: load shedding, such as.
        let mut shed = crate::testing::problem(503, Code::Overloaded);
        shed.retry_after = "9".into();
        assert!(matches!(
            read_chunk(Ok(shed)),
            Err(Failure::Problem {
                status: 503,
                retry_after: Some(9),
                ..
            })
        ));
    }

    #[test]
    fn an_answer_without_a_body_says_its_code_in_a_header() {
        let refused = |status, code: &str, resumable: &str| {
            let answer = Answer {
                content_type: protocol::problem::MEDIA_TYPE.into(),
                code: code.into(),
                tus_resumable: resumable.into(),
                ..answer(status, "", "")
            };
            match read_offset(Ok(answer)).expect_err("no good answer") {
                Failure::Problem { code, .. } => Some(code),
                Failure::Network { .. } => None,
            }
        };
        for (status, said, meant) in [
            (403, "forbidden", Code::Forbidden),
            (403, "evidence_waits", Code::EvidenceWaits),
            (401, "token_revoked", Code::TokenRevoked),
            (503, "evidence_unavailable", Code::EvidenceUnavailable),
            // A server before this header, or one with codes of its own.
            (403, "", Code::EvidenceWaits),
            (404, "of_a_later_server", Code::EvidenceUnknown),
        ] {
            assert_eq!(refused(status, said, TUS_VERSION), Some(meant), "{said}");
        }
        // Turned away before anything of tus was looked at.
        assert_eq!(refused(503, "overloaded", ""), Some(Code::Overloaded));
        assert_eq!(refused(503, "", ""), None);
        assert_eq!(refused(503, "<html>", ""), None);
    }

    #[test]
    fn the_calls_are_those_of_tus() {
        let file = FileHash([1; 32]);
        let asked = ask_offset("https://host", &file, "T");
        assert_eq!(asked.url, format!("https://host/v1/evidence/{file}"));
        assert_eq!((asked.method, asked.body.len()), (Method::Head, 0));
        let sent = send_chunk("https://host", &file, 5, b"abc".to_vec(), "T");
        assert_eq!(sent.method, Method::Patch);
        for header in [
            ("authorization", "Bearer T"),
            ("tus-resumable", "1.0.0"),
            ("upload-offset", "5"),
            ("content-type", "application/offset+octet-stream"),
        ] {
            assert!(
                sent.headers.contains(&(header.0, header.1.into())),
                "{header:?}"
            );
        }
        assert!(asked.headers.contains(&("tus-resumable", "1.0.0".into())));
    }
}
