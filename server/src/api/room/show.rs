//! `GET /v1/room`: the figures on the room's wall.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use crate::{
    api::{Api, error::ApiError, guard::Person, kept, work},
    app::App,
    domain::room::{self, Room},
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// Read the room's figures.
///
/// Every desk gets the same answer for two seconds, or for ten times as long as it took
/// to make if that is longer; `at` says how old it is.
#[utoipa::path(get, path = "/v1/room", tag = "room",
    responses((status = 200, description = "The figures", body = Room)))]
pub(in crate::api) async fn show_room(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mission = person.mission;
    let key = kept::Key::new("room", mission, Vec::new());
    let answer = api
        .kept()
        .get(&app, key, 0, || {
            work::read_settled(&app, move |app, conn| {
                Ok((0, room::figures(conn, mission, app.host.now())?))
            })
        })
        .await?;
    Ok(answer.send(&req))
}
