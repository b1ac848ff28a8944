//! `GET /v1/messages`: what observers were told.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::{codes::Code, entry::Audience};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::messages::{self, Listed},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// A message.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct MessageItem {
    /// Its id.
    message: Uuid,
    /// Its ledger number.
    number: i64,
    /// The entry's hash, base64url.
    entry: String,
    /// When it was sent.
    sent_at: String,
    /// By which account.
    sent_by: Uuid,
    /// To whom.
    audience: Audience,
    /// To how many accreditations.
    recipients: usize,
    /// To be seen at once.
    urgent: bool,
    /// A line above the text.
    title: Option<String>,
    /// The words; `null` once they are erased.
    text: Option<String>,
}

/// One page of messages.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct MessagePage {
    /// Newest first.
    messages: Vec<MessageItem>,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

impl From<Listed> for MessageItem {
    fn from(listed: Listed) -> Self {
        Self {
            message: listed.sent.id,
            number: listed.sent.number,
            entry: listed.sent.entry.to_string(),
            sent_at: listed.sent_at.rfc3339(),
            sent_by: listed.sent_by.0,
            audience: listed.message.audience,
            recipients: listed.sent.recipients,
            urgent: listed.message.urgent,
            title: listed.message.title,
            text: listed.message.text,
        }
    }
}

/// List messages to observers.
#[utoipa::path(get, path = "/v1/messages", tag = "messages",
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = MessagePage)))]
pub(in crate::api) async fn list_messages(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = query::page(&req, |_, _| Ok(false))?;
    let mark = query::fingerprint("messages", person.mission.id, &());
    let before: Option<i64> = query::decode(page.cursor.as_deref(), &mark)?;
    let (messages, next) = work::read(&app, move |_, conn| {
        let mut found = messages::list(conn, person.mission, before, page.limit + 1)?;
        let next = query::cut(&mut found, page.limit, &mark, |one| one.sent.number);
        Ok((found.into_iter().map(Into::into).collect(), next))
    })
    .await?;
    Ok(HttpResponse::Ok().json(MessagePage { messages, next }))
}
