//! `GET /v1/registers/{register}`: a register as the file that an import reads.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde_json::json;

use crate::{
    api::{Api, download, error::ApiError, guard::Person, query, work},
    app::App,
    auth::Role,
    domain::{
        audit::{Act, By, Deed},
        import::{self, Register},
        missions,
    },
};

pub(in crate::api) const ERRORS: &[Code] =
    &[Code::MalformedQuery, Code::NotFound, Code::Overloaded];

/// Take a register away as CSV, to edit it and import it again.
///
/// Accreditations carry names, so they are for leads alone.
#[utoipa::path(get, path = "/v1/registers/{register}", tag = "registers",
    params(("register" = String, Path, description = "`stations`, `accreditations` or `categories`")),
    responses((status = 200, description = "The file", content((String = "text/csv")))))]
pub(in crate::api) async fn take_register(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    query::all(&req, |_, _| Ok(false))?;
    let register = Register::from_name(req.match_info().query("register"));
    let register = register.ok_or_else(ApiError::not_found)?;
    if register == Register::Accreditations && !person.is(Role::Lead) {
        return Err(ApiError::new(Code::Forbidden, "names are for leads alone"));
    }
    let turn = api.turn_to_export()?;
    let told = json!({ "register": register.name() });
    work::write(&app, move |app, conn| {
        Deed::new(&app.host, By::Person(person.user), Act::RegisterTaken, told)
            .note(conn, person.mission.no)
    })
    .await?;
    let name = format!("{}.csv", register.name());
    download::send(
        &app,
        &name,
        "text/csv; charset=utf-8",
        move |_, conn, out| {
            let _turn = turn;
            let mission = missions::get(conn, person.mission.id)?;
            import::save(conn, &mission, register, out).map(drop)
        },
    )
    .await
}
