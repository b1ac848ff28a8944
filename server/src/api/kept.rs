//! Answers that many desks ask for at once, and that cost something to make: each is
//! made once and kept for a moment. Who comes while it is being made waits for it.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, Bytes},
};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use tokio::sync::Mutex as Turn;

use super::{console, error::ApiError};
use crate::{app::App, clock::Micros, domain::acts::MissionRef};

/// How long an answer is kept at least.
const LEAST: i64 = 2_000_000;
/// How many times longer than it took it is kept: making answers never takes more than
/// a tenth of one core.
const TIMES: i64 = 10;
/// Answers kept at once: filters are many.
const MOST: usize = 64;

/// What was asked for. Roles do not matter to any of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(&'static str, i32, Vec<u8>);

impl Key {
    /// Which answer, of which mission, with which filter.
    pub(super) fn new(which: &'static str, mission: MissionRef, filter: Vec<u8>) -> Self {
        Self(which, mission.no, filter)
    }
}

/// An answer as it goes out.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    plain: Bytes,
    gzip: Bytes,
    /// The ledger's number up to which it tells.
    number: i64,
    from: Micros,
    until: Micros,
}

impl Answer {
    fn make(value: &impl Serialize) -> Result<(Bytes, Bytes), ApiError> {
        let failed = |error: &dyn std::fmt::Display| ApiError::internal(error.to_string());
        let plain = serde_json::to_vec(value).map_err(|error| failed(&error))?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain).map_err(|error| failed(&error))?;
        let gzip = encoder.finish().map_err(|error| failed(&error))?;
        Ok((plain.into(), gzip.into()))
    }

    /// A clock that was put back ends it too.
    fn holds(&self, now: Micros) -> bool {
        self.from.0 <= now.0 && now.0 < self.until.0
    }

    /// Whether it will do for somebody who was told of the ledger up to a number.
    fn serves(&self, now: Micros, least: i64) -> bool {
        self.holds(now) && self.number >= least
    }

    pub(super) fn send(&self, req: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response
            .content_type("application/json")
            .insert_header((header::VARY, "accept-encoding"));
        if console::takes_gzip(req.headers().get(header::ACCEPT_ENCODING)) {
            return response
                .insert_header((header::CONTENT_ENCODING, "gzip"))
                .body(self.gzip.clone());
        }
        response.body(self.plain.clone())
    }
}

type Slot = Arc<Turn<Option<Answer>>>;

/// The answers of one server.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<Key, Slot>>);

impl Kept {
    /// The kept answer, or another. Who was told of the ledger up to a number gets none
    /// that is older; what is made tells how far in the ledger it goes.
    pub(super) async fn get<T, W>(
        &self,
        app: &App,
        key: Key,
        least: i64,
        make: impl FnOnce() -> W,
    ) -> Result<Answer, ApiError>
    where
        T: Serialize + Send + 'static,
        W: Future<Output = Result<(i64, T), ApiError>>,
    {
        let slot = self.slot(key, app.host.now());
        let mut slot = slot.lock().await;
        let now = app.host.now();
        if let Some(answer) = slot.as_ref().filter(|answer| answer.serves(now, least)) {
            return Ok(answer.clone());
        }
        let began = app.host.now();
        let (number, value) = make().await?;
        let (plain, gzip) = web::block(move || Answer::make(&value)).await??;
        let now = app.host.now();
        let keep = TIMES
            .saturating_mul(now.0.saturating_sub(began.0))
            .max(LEAST);
        let answer = Answer {
            plain,
            gzip,
            number,
            from: now,
            until: Micros(now.0.saturating_add(keep)),
        };
        *slot = Some(answer.clone());
        Ok(answer)
    }

    /// The place of an answer; those that are over make room.
    fn slot(&self, key: Key, now: Micros) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            // One that is being made stays: its makers hold it.
            slots.retain(|_, slot| {
                slot.try_lock()
                    .map_or(true, |kept| kept.as_ref().is_some_and(|one| one.holds(now)))
            });
        }
        if slots.len() >= MOST && !slots.contains_key(&key) {
            // All are fresh: this one is made for its asker alone.
            return Slot::default();
        }
        slots.entry(key).or_default().clone()
    }
}
