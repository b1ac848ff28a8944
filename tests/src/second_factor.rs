//! Sets somebody's second factor up as a browser and an authenticator app do together.

use serde_json::{Value, json};

use crate::http;

/// Signs in, sets the second factor up, signs out. Answers the recovery codes, each of which
/// lets the person in once without an app.
///
/// # Errors
/// What the server said.
///
/// # Panics
/// When the server cannot be reached.
pub fn set_up(origin: &str, email: &str, password: &str) -> Result<Vec<String>, String> {
    let mut cookie = String::new();
    let mut post = |path: &str, body: Value| -> Result<Value, String> {
        let headers = [
            ("content-type", "application/json"),
            ("sec-fetch-site", "same-origin"),
            ("cookie", &cookie.clone()),
        ];
        let url = format!("{origin}{path}");
        let answer = http::send("POST", &url, &headers, Some(body.to_string().into_bytes()));
        if !(200..300).contains(&answer.status) {
            return Err(format!("{path}: {}", answer.text()));
        }
        let set = answer.header("set-cookie");
        if !set.is_empty() {
            cookie = set.split(';').next().unwrap_or_default().to_owned();
        }
        Ok(answer.json())
    };
    post(
        "/v1/session",
        json!({ "email": email, "password": password }),
    )?;
    let offer = post("/v1/second-factor", json!({}))?;
    let secret = offer["secret"].as_str().unwrap_or_default();
    let body = json!({ "setup": offer["setup"], "code": code(secret)? });
    let kept = post("/v1/second-factor/confirmation", body)?;
    serde_json::from_value(kept["recovery_codes"].clone()).map_err(|error| error.to_string())
}

/// What an authenticator app shows now.
fn code(secret: &str) -> Result<String, String> {
    let secret = totp_rs::Secret::try_from_base32(secret).map_err(|error| error.to_string())?;
    let totp = totp_rs::Builder::new()
        .with_algorithm(totp_rs::Algorithm::SHA1)
        .with_secret(secret)
        .build()
        .map_err(|error| error.to_string())?;
    let now = scrutineer::clock::Host::system().now().seconds();
    let now = u64::try_from(now).map_err(|error| error.to_string())?;
    Ok(totp.generate(now).to_string())
}
