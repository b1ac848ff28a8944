//! Request bodies: bounded, of one type, read strictly.

use actix_web::{FromRequest, HttpRequest, dev::Payload, error::PayloadError, http::header};
use futures_util::{StreamExt as _, future::LocalBoxFuture};
use protocol::{codes::Code, limits};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A JSON body of at most [`limits::REQUEST_BYTES`].
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

/// A form-encoded body (OAuth's) of at most [`limits::REQUEST_BYTES`].
#[derive(Debug)]
pub(super) struct Form(pub(super) Vec<(String, String)>);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let checked = check(req, "application/json");
        let payload = payload.take();
        Box::pin(async move {
            checked?;
            parse(&collect(payload).await?).map(Self)
        })
    }
}

impl FromRequest for Form {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let checked = check(req, "application/x-www-form-urlencoded");
        let payload = payload.take();
        Box::pin(async move {
            checked?;
            let bytes = collect(payload).await?;
            Ok(Self(
                url::form_urlencoded::parse(&bytes).into_owned().collect(),
            ))
        })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::new(Code::MalformedJson, error.to_string()))
}

/// Type, encoding and announced length, before a byte is read.
fn check(req: &HttpRequest, expected: &str) -> Result<(), ApiError> {
    let refused = |detail: String| Err(ApiError::new(Code::UnsupportedMediaType, detail));
    let content_type = req
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let mut parts = content_type.split(';').map(str::trim);
    if !parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case(expected))
    {
        return refused(format!("send `Content-Type: {expected}`"));
    }
    let foreign = |parameter: &str| {
        let parameter = parameter.to_ascii_lowercase();
        parameter
            .strip_prefix("charset=")
            .is_some_and(|charset| charset.trim_matches('"') != "utf-8")
    };
    if parts.any(foreign) {
        return refused("only UTF-8 is read".into());
    }
    if req
        .headers()
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| value != "identity")
    {
        return refused("compressed bodies are taken by /v1/exchange alone".into());
    }
    let announced = req
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits::REQUEST_BYTES as u64) {
        return Err(too_large());
    }
    Ok(())
}

async fn collect(mut payload: Payload) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| match error {
            PayloadError::Overflow => too_large(),
            _ => ApiError::new(Code::MalformedJson, "the body ended early"),
        })?;
        if bytes.len() + chunk.len() > limits::REQUEST_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large() -> ApiError {
    ApiError::new(
        Code::BodyTooLarge,
        format!("a body has at most {} bytes here", limits::REQUEST_BYTES),
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only read")]
        number: f64,
    }

    #[test]
    fn odd_json_is_refused() {
        parse::<Sample>(br#"{"number": 1}"#).unwrap();
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "null",
            "[]",
            r#"{"number": "1"}"#,
            r#"{"number": 1} x"#,
            r#"{"number": NaN}"#,
            r#"{"number": 1e999}"#,
            r#"{"number": 1, "number": 2}"#,
            r#"{"number": 1, "role": "lead"}"#,
            &deep,
        ] {
            let error = parse::<Sample>(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), Code::MalformedJson, "{text:.40}");
        }
        assert!(parse::<Sample>(b"{\"number\": 1, \"\xff\": 2}").is_err());
        assert!(parse::<String>(br#""\ud800""#).is_err());
    }
}
