//! One feed a mission: whatever is new in its ledger is read once, put into words
//! once, and handed to every desk that is open.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{rt, web::Bytes};
use tokio::sync::{broadcast, watch};

use crate::{
    api::{error::ApiError, work},
    app::App,
    domain::{
        acts::MissionRef,
        attention::{self, Attention},
        live::{self, Since},
    },
};

/// Events that a slow desk may be behind by; then it reads from the database again.
const BACKLOG: usize = 256;
/// Between two looks at the ledger, so that what comes in a burst is told together.
const PAUSE: Duration = Duration::from_millis(100);
/// After which the ledger is looked at though nobody here wrote: another server may have.
const LOOK: Duration = Duration::from_secs(1);

/// An event on its way.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Behind which number it begins.
    pub(super) from: i64,
    /// How far the ledger is told with it.
    pub(super) cursor: i64,
    /// As it goes out.
    pub(super) bytes: Bytes,
}

impl Event {
    /// Where the ledger ended when the feed began: who stands before that asks the
    /// database for the rest.
    fn begin(head: i64) -> Self {
        Self {
            from: head,
            cursor: head,
            bytes: Bytes::new(),
        }
    }

    /// What is behind a number; `None` for nothing.
    pub(super) fn read(from: i64, since: Since) -> Result<Option<Self>, ApiError> {
        let (cursor, name, data) = match since {
            Since::Nothing => return Ok(None),
            Since::Changes(changes) => {
                let data = serde_json::to_string(&changes)
                    .map_err(|error| ApiError::internal(error.to_string()))?;
                (changes.cursor, "changes", data)
            }
            Since::TooMuch(head) => (head, "reset", format!("{{\"cursor\":{head}}}")),
        };
        let text = format!("id: {cursor}\nevent: {name}\ndata: {data}\n\n");
        Ok(Some(Self {
            from,
            cursor,
            bytes: text.into(),
        }))
    }
}

/// What a feed hands to desks.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// The ledger went on.
    Ledger(Event),
    /// Somebody looks at something else.
    Attention(Bytes),
}

/// Who looks at what, as it goes out. It has no number: nobody comes back for it.
pub(super) fn told(all: &[Attention]) -> Result<Bytes, ApiError> {
    let data = serde_json::to_string(&serde_json::json!({ "people": all }))
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(format!("event: attention\ndata: {data}\n\n").into())
}

/// The feeds of one server.
#[derive(Debug, Default)]
pub(in crate::api) struct Feeds {
    missions: Mutex<HashMap<i32, broadcast::Sender<News>>>,
    /// Whether the server ends: desks come back to its successor.
    over: watch::Sender<bool>,
}

impl Feeds {
    /// What is new in a mission from now on. The feed runs while somebody listens.
    pub(super) fn listen(
        self: &Arc<Self>,
        app: &App,
        mission: MissionRef,
    ) -> broadcast::Receiver<News> {
        let mut feeds = self.missions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds.get(&mission.no) {
            return feed.subscribe();
        }
        let (sender, receiver) = broadcast::channel(BACKLOG);
        feeds.insert(mission.no, sender.clone());
        let (feeds, app) = (self.clone(), app.clone());
        rt::spawn(async move { feeds.run(&app, mission, &sender).await });
        receiver
    }

    /// Ends every desk's line.
    pub(in crate::api) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Turns to `true` when lines are to end.
    pub(super) fn ending(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    async fn run(&self, app: &App, mission: MissionRef, sender: &broadcast::Sender<News>) {
        let mut commits = app.store.commits();
        let mut cursor = None;
        let mut looked = Vec::new();
        loop {
            match next(app, mission, cursor).await {
                Ok((at, event)) => {
                    cursor = Some(at);
                    // Without a listener it is lost, and nobody misses it.
                    event.map(|event| sender.send(News::Ledger(event)).ok());
                }
                Err(error) => tracing::warn!(code = %error.code(), "desks wait for what is new"),
            }
            match look(app, mission).await {
                Ok(now) if now == looked => {}
                Ok(now) => {
                    let news = told(&now).map(|bytes| sender.send(News::Attention(bytes)));
                    if news.is_ok() {
                        looked = now;
                    }
                }
                Err(error) => tracing::warn!(code = %error.code(), "desks do not see each other"),
            }
            if self.close(mission, sender) {
                return;
            }
            rt::time::sleep(PAUSE).await;
            let _ = rt::time::timeout(LOOK, commits.changed()).await;
        }
    }

    /// Ends a feed that nobody listens to.
    fn close(&self, mission: MissionRef, sender: &broadcast::Sender<News>) -> bool {
        let mut feeds = self.missions.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = sender.receiver_count() == 0;
        if idle {
            feeds.remove(&mission.no);
        }
        idle
    }
}

/// Who looks at what now.
pub(super) async fn look(app: &App, mission: MissionRef) -> Result<Vec<Attention>, ApiError> {
    work::read(app, move |app, conn| {
        attention::now(conn, mission, app.host.now())
    })
    .await
}

/// What came behind a number, and where that leads; the first look finds out where
/// the ledger ends.
async fn next(
    app: &App,
    mission: MissionRef,
    cursor: Option<i64>,
) -> Result<(i64, Option<Event>), ApiError> {
    let Some(from) = cursor else {
        let head = work::read(app, move |_, conn| {
            Ok(crate::store::ledger::head(conn, mission.no)?.number)
        });
        let head = head.await?;
        return Ok((head, Some(Event::begin(head))));
    };
    let since = work::read(app, move |_, conn| live::since(conn, mission, from)).await?;
    let event = Event::read(from, since)?;
    Ok((event.as_ref().map_or(from, |event| event.cursor), event))
}
