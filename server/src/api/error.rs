//! The only way an error leaves over HTTP: RFC 9457 problem details.
//!
//! What a caller can act on carries its code and a sentence. What is the
//! server's own fault carries nothing but an incident number, under which the
//! cause stands in the log.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    error::BlockingError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use protocol::{
    codes::Code,
    problem::{CODE_HEADER, MEDIA_TYPE, Problem},
};
use serde_json::Value;

use crate::error::Error;

/// Members that every problem has (RFC 9457 §3.1), and `code`.
const OWN: [&str; 6] = ["type", "title", "status", "detail", "instance", "code"];
/// Seconds after which to try again when the server is busy.
const RETRY_AFTER: u32 = 5;

/// An error answer.
#[derive(Debug)]
pub struct ApiError {
    problem: Box<Problem>,
    /// For the log only.
    cause: Option<String>,
    retry_after: Option<u32>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// A problem that the caller can act on.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let busy = matches!(code.status(), 429 | 503);
        Self {
            problem: Box::new(Problem::new(code, detail)),
            cause: None,
            retry_after: busy.then_some(RETRY_AFTER),
            headers: Vec::new(),
        }
    }

    /// A fault of the server's own.
    #[must_use]
    pub fn internal(cause: impl Into<String>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(Code::Internal, "")
        }
    }

    /// The one answer for everything that is not there, or not the caller's.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "")
    }

    /// Makes every "no such …" the same: for what a path names, so that nobody
    /// learns whether another mission has it.
    #[must_use]
    pub fn hide_unknown(self) -> Self {
        if self.problem.status == 404 {
            Self::not_found()
        } else {
            self
        }
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.problem.extra.insert(name.to_owned(), value.into());
        self
    }

    /// Says when to try again, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a header.
    #[must_use]
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A member that was added.
    #[must_use]
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.problem.extra.get(name)
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.problem.code
    }

    /// What the log shall say, if it is the server's fault.
    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The same answer with the incident's number.
    pub(super) fn response(&self, incident: Option<&str>) -> HttpResponse {
        let mut problem = (*self.problem).clone();
        if let Some(incident) = incident {
            problem.extra.insert("incident".into(), incident.into());
        }
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(MEDIA_TYPE);
        response.insert_header((CODE_HEADER, problem.code.name()));
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if problem.status == 401 {
            let challenge = match problem.code {
                Code::TokenInvalid | Code::TokenExpired | Code::TokenRevoked => {
                    r#"Bearer realm="scrutineer", error="invalid_token""#
                }
                _ => r#"Bearer realm="scrutineer""#,
            };
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        response.body(serde_json::to_string(&problem).unwrap_or_default())
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused {
                code,
                detail,
                extra,
            } if code != Code::Internal && code.status() >= 400 => {
                let mut out = Self::new(code, detail);
                // A member that a problem has of its own would stand twice.
                out.problem.extra = extra
                    .into_iter()
                    .map(|(name, value)| {
                        if OWN.contains(&name.as_str()) {
                            (format!("current_{name}"), value)
                        } else {
                            (name, value)
                        }
                    })
                    .collect();
                out
            }
            Error::Refused { code, detail, .. } => Self::internal(format!("{code}: {detail}")),
            other => Self {
                cause: Some(other.to_string()),
                ..Self::new(other.code(), "")
            },
        }
    }
}

impl From<BlockingError> for ApiError {
    fn from(_: BlockingError) -> Self {
        Self::internal("a blocking task panicked or was cancelled")
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem.code)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.response(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_the_server_say_nothing() {
        for error in [
            Error::Internal("password=hunter2".into()),
            Error::Connection("host=10.0.0.7".into()),
            Error::refused(Code::Internal, "stub"),
            Error::refused(Code::BadSignature, "never a problem"),
        ] {
            let error = ApiError::from(error);
            assert!(error.status_code().is_server_error());
            assert!(error.cause().is_some());
            assert!(error.problem.detail.is_empty() && error.problem.extra.is_empty());
        }
    }

    #[test]
    fn unknown_things_look_alike() {
        let body = |error: ApiError| serde_json::to_value(&*error.problem).unwrap();
        let unknown = ApiError::new(Code::ReportUnknown, "no report 7")
            .with("id", 7)
            .hide_unknown();
        assert_eq!(body(unknown), body(ApiError::not_found()));
        assert_eq!(
            ApiError::new(Code::StaleDecision, "x")
                .hide_unknown()
                .code(),
            Code::StaleDecision
        );
    }

    #[test]
    fn no_member_stands_twice() {
        let error =
            ApiError::from(Error::refused(Code::StaleDecision, "x").with("status", "verified"));
        assert_eq!(error.problem.extra["current_status"], "verified");
        assert!(!error.problem.extra.contains_key("status"));
    }

    #[test]
    fn busy_answers_say_when_to_come_back() {
        let response = ApiError::new(Code::Overloaded, "").error_response();
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "5");
        let response = ApiError::new(Code::TooManyAttempts, "")
            .retry_after(42)
            .error_response();
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "42");
    }
}
