//! Messages to observers.

use serde_json::{Value, json};

use super::{
    COORDINATORS, Desk, actor,
    args::Message,
    out::{Out, shorten, table},
};
use crate::{
    domain::messages::{self, Listed, Wish},
    error::Result,
};

pub(super) fn message(desk: &Desk, command: Message, out: Out) -> Result<()> {
    match command {
        Message::Send {
            mission,
            actor: by,
            text,
            subject,
            constituency,
            institution,
            station,
            accreditation,
            urgent,
        } => {
            let mission = desk.mission(mission)?;
            let wish = Wish {
                id: None,
                title: subject,
                text,
                urgent,
                constituencies: constituency,
                stations: station,
                institutions: institution,
                accreditations: accreditation,
            };
            let sent = desk.store.write(|conn| {
                let user = actor(conn, &mission, &by, COORDINATORS)?;
                messages::send(conn, desk.office(), mission.reference, user, wish)
            })?;
            out.answer(
                &json!({
                    "message": sent.id,
                    "number": sent.number,
                    "entry": sent.entry,
                    "recipients": sent.recipients,
                }),
                &format!(
                    "message {} goes to {} accreditations with their next exchange",
                    sent.id, sent.recipients
                ),
            )
        }
        Message::List {
            mission,
            limit,
            before,
        } => {
            let mission = desk.mission(mission)?;
            let found = desk
                .store
                .read(|conn| messages::list(conn, mission.reference, before, limit))?;
            let value: Vec<Value> = found.iter().map(object).collect();
            let rows: Vec<Vec<String>> = found.iter().map(row).collect();
            let header = ["number", "sent", "to", "title", "text"];
            out.answer(&json!(value), &table(&header, &rows))
        }
    }
}

fn object(one: &Listed) -> Value {
    json!({
        "message": one.sent.id,
        "number": one.sent.number,
        "entry": one.sent.entry,
        "sent_at": one.sent_at.rfc3339(),
        "sent_by": one.sent_by,
        "audience": one.message.audience,
        "recipients": one.sent.recipients,
        "urgent": one.message.urgent,
        "title": one.message.title,
        "text": one.message.text,
    })
}

fn row(one: &Listed) -> Vec<String> {
    let message = &one.message;
    vec![
        one.sent.number.to_string(),
        one.sent_at.rfc3339(),
        one.sent.recipients.to_string(),
        shorten(message.title.as_deref().unwrap_or_default()),
        shorten(message.text.as_deref().unwrap_or_default()),
    ]
}
