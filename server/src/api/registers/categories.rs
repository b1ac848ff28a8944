//! `GET /v1/categories`: the mission's taxonomy.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, work},
    app::App,
    error::Error,
    store::registers,
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// A category.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Category {
    /// Unique in the mission.
    code: String,
    /// Stage of the day.
    stage: String,
    /// What it means.
    definition: String,
    /// Severity of a report that names none.
    severity: Option<String>,
    /// Its name by language.
    labels: BTreeMap<String, String>,
}

/// The mission's categories, by code.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Categories {
    categories: Vec<Category>,
}

/// List the categories.
#[utoipa::path(get, path = "/v1/categories", tag = "reference",
    responses((status = 200, description = "All of them", body = Categories)))]
pub(in crate::api) async fn list_categories(
    app: web::Data<App>,
    person: Person,
) -> Result<HttpResponse, ApiError> {
    let categories = work::read(&app, move |_, conn| {
        let mut rows: Vec<_> = registers::categories(conn, person.mission.no)?
            .into_values()
            .collect();
        rows.sort_by(|a, b| a.code.cmp(&b.code));
        rows.into_iter()
            .map(|row| {
                let labels = serde_json::from_str(&row.labels)
                    .map_err(|error| Error::Internal(format!("a category's labels: {error}")))?;
                Ok(Category {
                    code: row.code,
                    stage: row.stage,
                    definition: row.definition,
                    severity: row.severity,
                    labels,
                })
            })
            .collect()
    })
    .await?;
    Ok(HttpResponse::Ok().json(Categories { categories }))
}
