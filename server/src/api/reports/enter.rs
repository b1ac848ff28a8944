//! `POST /v1/reports`: a coordinator enters what somebody says on the telephone.

use actix_web::{HttpResponse, web};
use protocol::{
    codes::Code,
    entry::{Place, Severity},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::{body::Body, error::ApiError, guard::Person, work},
    app::App,
    domain::telephone::{self, From, Stands, Telling, Wish},
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::ValueMissing,
    Code::InvalidValue,
    Code::TooLong,
    Code::AccreditationUnknown,
    Code::AccreditationRevoked,
    Code::ReportIdTaken,
];

/// Who calls.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::api) enum CallerRequest {
    /// An observer of the mission.
    Observer {
        /// The accreditation's number.
        accreditation: String,
    },
    /// Anybody else.
    Citizen {},
}

/// What the caller says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct TellingRequest {
    /// Category code.
    category: String,
    /// The category's, if not given; in a correction: as it was.
    #[serde(default)]
    severity: Option<Severity>,
    /// The words.
    text: String,
    /// Station code, as the caller gives it.
    #[serde(default)]
    station: Option<String>,
    /// Where.
    #[serde(default)]
    place: Option<Place>,
    /// When it happened (RFC 3339).
    #[serde(default)]
    observed_at: Option<String>,
    /// Who a citizen is, in their own words, and how to reach them. Reviewers alone read it;
    /// exports without names do not hold it.
    #[serde(default)]
    contact: Option<String>,
}

impl TellingRequest {
    pub(super) fn into_telling(self) -> Telling {
        Telling {
            category: self.category,
            severity: self.severity,
            text: self.text,
            station: self.station,
            place: self.place,
            observed_at: self.observed_at,
            contact: self.contact,
        }
    }
}

/// A report by telephone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct EnterRequest {
    /// The report's id, made by the caller of this address (UUID version 4): sent again
    /// with it, the report is entered once.
    id: Uuid,
    /// Who calls.
    caller: CallerRequest,
    /// What they say.
    telling: TellingRequest,
}

/// How a report by telephone stands now.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct TelephoneResponse {
    /// The report's id.
    report: Uuid,
    /// Ledger number of its first entry.
    number: i64,
    /// Its version now.
    version: i64,
}

impl TelephoneResponse {
    /// 201 for what was done, 200 for what had been done already.
    pub(super) fn answer(stands: Stands) -> HttpResponse {
        let mut answer = if stands.fresh {
            HttpResponse::Created()
        } else {
            HttpResponse::Ok()
        };
        answer.json(Self {
            report: stands.report,
            number: stands.number,
            version: stands.version,
        })
    }
}

/// Enter a report by telephone.
///
/// The server signs it for whoever is signed in, who listened. An observer is named by
/// the number of the accreditation, which must not be revoked. Sent again with the same
/// `id` and the same words it is not entered again, and the answer is 200; with other
/// words it is 409 `report_id_taken`.
#[utoipa::path(post, path = "/v1/reports", tag = "reports", request_body = EnterRequest,
    responses((status = 201, description = "Entered", body = TelephoneResponse),
              (status = 200, description = "It had been entered already", body = TelephoneResponse)))]
pub(in crate::api) async fn enter_report(
    app: web::Data<App>,
    person: Person,
    body: Body<EnterRequest>,
) -> Result<HttpResponse, ApiError> {
    let EnterRequest {
        id,
        caller,
        telling,
    } = body.0;
    let wish = Wish {
        id,
        from: match caller {
            CallerRequest::Observer { accreditation } => From::Observer(accreditation),
            CallerRequest::Citizen {} => From::Citizen,
        },
        telling: telling.into_telling(),
    };
    let stands = work::write(&app, move |app, conn| {
        telephone::enter(conn, app.office(), person.mission, person.user, wish)
    })
    .await?;
    Ok(TelephoneResponse::answer(stands))
}
