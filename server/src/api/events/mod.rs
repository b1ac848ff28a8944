//! `GET /v1/events`: what is new, as server-sent events (HTML, 9.2).

mod feed;

use std::{collections::VecDeque, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    rt,
    web::{self, Bytes},
};
use futures_util::stream;
use protocol::codes::Code;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

pub(super) use self::feed::Feeds;
use self::feed::{Event, News};
use super::{
    Api,
    error::ApiError,
    guard::{self, Person},
    query, work,
};
use crate::{
    app::App,
    domain::{acts::MissionRef, live},
    store::ledger,
};

pub(super) const ERRORS: &[Code] = &[Code::MalformedQuery];

/// Without news this often something is sent, so that proxies keep the line, and it is
/// seen whether the reader still may read.
const BEAT: Duration = Duration::from_secs(15);
/// Milliseconds after which a browser comes back.
const RETRY: u32 = 2_000;

/// Watch what is new.
///
/// Events: `changes` with the reports that changed; `reset` when so much changed that
/// lists are to be read anew; `attention` with `people`, everybody who has a report open;
/// `ended` when the reader may read no more. The id is the cursor to come back with, as
/// browsers do by themselves.
#[utoipa::path(get, path = "/v1/events", tag = "reports",
    params(("cursor" = Option<i64>, Query, description = "The ledger number behind which to begin; the ledger's end if not given"),
           ("Last-Event-ID" = Option<i64>, Header, description = "The same, as browsers send it")),
    responses((status = 200, description = "Server-sent events, each `changes` with", body = live::Changes, content_type = "text/event-stream")))]
pub(super) async fn watch_events(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut cursor = None;
    query::all(&req, |name, value| {
        let known = name == "cursor" && cursor.is_none();
        cursor = value.parse().ok();
        Ok(known && cursor.is_some())
    })?;
    let last = req.headers().get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()?.parse::<i64>().ok());
    let mission = person.mission;
    let news = api.feeds().listen(&app, mission);
    let from = match last.or(cursor) {
        Some(cursor) => cursor,
        None => {
            work::read(&app, move |_, conn| {
                Ok(ledger::head(conn, mission.no)?.number)
            })
            .await?
        }
    };
    let attention = feed::told(&feed::look(&app, mission).await?)?;
    let hello =
        format!("retry: {RETRY}\nid: {from}\nevent: hello\ndata: {{\"cursor\":{from}}}\n\n");
    let reader = Reader {
        app: app.as_ref().clone(),
        req,
        mission,
        news,
        ending: api.feeds().ending(),
        cursor: from,
        behind: true,
        ready: VecDeque::from([Bytes::from(hello), attention]),
        over: false,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would hold events back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream::unfold(reader, Reader::next)))
}

/// One desk's line.
struct Reader {
    app: App,
    req: HttpRequest,
    mission: MissionRef,
    news: broadcast::Receiver<News>,
    ending: watch::Receiver<bool>,
    cursor: i64,
    /// Whether the database has to be asked for what lies between.
    behind: bool,
    ready: VecDeque<Bytes>,
    over: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, ApiError>, Self)> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some((Ok(bytes), self));
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.fill().await {
                tracing::info!(code = %error.code(), "a desk's line ends");
                return None;
            }
        }
    }

    /// Waits for the next thing to send.
    async fn fill(&mut self) -> Result<(), ApiError> {
        if self.behind {
            return self.catch_up().await;
        }
        let news = tokio::select! {
            _ = self.ending.wait_for(|ending| *ending) => {
                self.over = true;
                return Ok(());
            }
            news = rt::time::timeout(BEAT, self.news.recv()) => news,
        };
        match news {
            Ok(Ok(News::Attention(bytes))) => self.ready.push_back(bytes),
            Ok(Ok(News::Ledger(event))) if event.from > self.cursor => self.behind = true,
            Ok(Ok(News::Ledger(event))) if event.cursor > self.cursor => {
                self.cursor = event.cursor;
                self.ready.push_back(event.bytes);
            }
            Ok(Ok(News::Ledger(_))) => {}
            Ok(Err(RecvError::Lagged(_))) => self.behind = true,
            Ok(Err(RecvError::Closed)) => self.over = true,
            Err(_) => self.beat().await?,
        }
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<(), ApiError> {
        let (mission, from) = (self.mission, self.cursor);
        let since = work::read(&self.app, move |_, conn| live::since(conn, mission, from)).await?;
        match Event::read(from, since)? {
            Some(event) => {
                self.cursor = event.cursor;
                self.ready.push_back(event.bytes);
            }
            None => self.behind = false,
        }
        Ok(())
    }

    /// Says that the line is there, or that the reader may read no more.
    async fn beat(&mut self) -> Result<(), ApiError> {
        match guard::caller(&self.app, &self.req).await {
            Ok(Some(_)) => self
                .ready
                .push_back(Bytes::from_static(b": still here\n\n")),
            Ok(None) => self.over = true,
            Err(error) => {
                let code = error.code().name();
                let text = format!("event: ended\ndata: {{\"code\":\"{code}\"}}\n\n");
                self.ready.push_back(text.into());
                self.over = true;
            }
        }
        Ok(())
    }
}
