//! `POST /v1/messages`: tells observers something.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::{body::Body, error::ApiError, guard::Person, work},
    app::App,
    domain::messages::{self, Wish},
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::ValueMissing,
    Code::InvalidValue,
    Code::TooLong,
    Code::StationUnknown,
    Code::AccreditationUnknown,
    Code::AlreadyDone,
];

/// What to say, and to whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct MessageRequest {
    /// An id of the caller's own (UUID): sent again with it, the message is sent once.
    #[serde(default)]
    id: Option<Uuid>,
    /// A line above the text.
    #[serde(default)]
    title: Option<String>,
    /// The words, up to 10,000 characters.
    text: String,
    /// To be seen at once.
    #[serde(default)]
    urgent: bool,
    /// Codes of the locations just above stations.
    #[serde(default)]
    constituencies: Vec<String>,
    /// Codes of stations.
    #[serde(default)]
    stations: Vec<String>,
    /// Names of institutions.
    #[serde(default)]
    institutions: Vec<String>,
    /// Numbers of accreditations.
    #[serde(default)]
    accreditations: Vec<String>,
}

/// What was sent.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct MessageResponse {
    /// The message's id.
    message: Uuid,
    /// Its ledger number.
    number: i64,
    /// The entry's hash, base64url.
    entry: String,
    /// To how many accreditations.
    recipients: usize,
}

/// Send a message to observers.
///
/// It reaches the accreditations that match as they are registered now: at one of
/// `stations` or in one of `constituencies` (if either is given), and of one of
/// `institutions` (if given); `accreditations` are added to those. Without any of
/// these it goes to everybody.
#[utoipa::path(post, path = "/v1/messages", tag = "messages", request_body = MessageRequest,
    responses((status = 201, description = "Sent", body = MessageResponse)))]
pub(in crate::api) async fn send_message(
    app: web::Data<App>,
    person: Person,
    body: Body<MessageRequest>,
) -> Result<HttpResponse, ApiError> {
    let body = body.0;
    let wish = Wish {
        id: body.id,
        title: body.title,
        text: body.text,
        urgent: body.urgent,
        constituencies: body.constituencies,
        stations: body.stations,
        institutions: body.institutions,
        accreditations: body.accreditations,
    };
    let sent = work::write(&app, move |app, conn| {
        messages::send(conn, app.office(), person.mission, person.user, wish)
    })
    .await?;
    Ok(HttpResponse::Created().json(MessageResponse {
        message: sent.id,
        number: sent.number,
        entry: sent.entry.to_string(),
        recipients: sent.recipients,
    }))
}
