//! A person who has signed in over HTTP.

use serde_json::{Value, json};

use crate::http::{self, Answer};

/// See the module.
#[derive(Clone, Debug)]
pub struct Console {
    origin: String,
    /// The token; tests may put another one in its place.
    pub token: String,
}

impl Console {
    /// Signs in with e-mail address and password.
    #[track_caller]
    #[must_use]
    pub fn login(origin: &str, email: &str, password: &str) -> Self {
        let answer = Self::try_login(origin, &json!({ "email": email, "password": password })).ok();
        Self::with_token(origin, answer["access_token"].as_str().unwrap_or_default())
    }

    /// The answer to a sign-in.
    #[track_caller]
    #[must_use]
    pub fn try_login(origin: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        http::send(
            "POST",
            &format!("{origin}/v1/login"),
            &headers,
            Some(body.to_string().into_bytes()),
        )
    }

    /// Somebody who has a token already.
    #[must_use]
    pub fn with_token(origin: &str, token: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Where the server is.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The same person at another server.
    #[must_use]
    pub fn at(&self, origin: &str) -> Self {
        Self::with_token(origin, &self.token)
    }

    /// Any request.
    #[track_caller]
    #[must_use]
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map(|body| body.to_string().into_bytes());
        http::send(method, &format!("{}{path}", self.origin), &headers, body)
    }

    /// Reads.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    /// Writes.
    #[track_caller]
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body))
    }

    /// Puts.
    #[track_caller]
    #[must_use]
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some(body))
    }

    /// Every page of a list, one after the other.
    ///
    /// # Panics
    /// When the pages do not end.
    #[track_caller]
    #[must_use]
    pub fn all(&self, path: &str, member: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..1000 {
            let separator = if path.contains('?') { '&' } else { '?' };
            let next = cursor.as_ref().map_or(String::new(), |cursor| {
                format!("{separator}cursor={cursor}")
            });
            let page = self.get(&format!("{path}{next}")).ok();
            found.extend(
                page[member]
                    .as_array()
                    .unwrap_or_else(|| panic!("no `{member}` in {page}"))
                    .iter()
                    .cloned(),
            );
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return found,
            }
        }
        panic!("the pages of {path} do not end");
    }
}
