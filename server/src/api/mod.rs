//! The HTTP interface. All routes stand in [`routes`]; each endpoint has a file
//! of its own; [`error`] is the only form in which an error leaves.

mod accounts;
mod accreditations;
mod attention;
mod audit;
mod body;
mod bundles;
mod cases;
mod console;
mod cookie;
mod devices;
mod docs;
mod download;
mod enrolments;
mod erasures;
pub mod error;
mod events;
mod evidence;
mod exchange;
mod exports;
pub mod guard;
mod health;
mod imports;
mod jwks;
mod kept;
mod login;
mod map;
mod me;
mod messages;
mod metrics;
mod missions;
pub mod openapi;
mod qr;
mod quarantine;
mod query;
mod reference;
mod registers;
mod reports;
mod room;
pub mod routes;
mod second_factor;
mod session;
mod shell;
mod sign_in;
#[cfg(test)]
mod tests;
mod token;
mod work;

use std::sync::Arc;

use actix_web::{HttpResponse, http::header, middleware::from_fn, web};
use protocol::codes::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::error::ApiError;
use crate::{app::App, auth::Limiter, domain::admission::Admission};

/// Passwords verified at once.
const ARGON: usize = 2;
/// Exports written at once.
const EXPORTS: usize = 2;
/// Files of registers held at once.
const IMPORTS: usize = 2;

/// What the workers of one server share. Make it once, clone it for each.
#[derive(Clone, Debug)]
pub struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    app: App,
    limiter: Limiter,
    couriers: Limiter,
    argon: Semaphore,
    exports: Arc<Semaphore>,
    imports: Arc<Semaphore>,
    admission: Admission,
    feeds: Arc<events::Feeds>,
    kept: kept::Kept,
}

impl Api {
    /// For one running server.
    #[must_use]
    pub fn new(app: App) -> Self {
        metrics::install();
        Self(Arc::new(Shared {
            limiter: Limiter::new(app.host.clone(), app.config.login_attempts),
            couriers: Limiter::new(app.host.clone(), app.config.bundle_requests),
            argon: Semaphore::new(ARGON),
            exports: Arc::new(Semaphore::new(EXPORTS)),
            imports: Arc::new(Semaphore::new(IMPORTS)),
            admission: Admission::new(app.config.max_in_flight),
            feeds: Arc::default(),
            kept: kept::Kept::default(),
            app,
        }))
    }

    /// Registers everything: `actix_web::App::new().configure(|config| api.configure(config))`.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(web::Data::new(self.0.app.clone()))
            .app_data(web::Data::new(self.clone()))
            .service(
                web::scope("")
                    .wrap(from_fn(shell::shell))
                    .configure(routes::register)
                    .default_service(web::to(not_found)),
            );
    }

    fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// Who brings bundles.
    fn couriers(&self) -> &Limiter {
        &self.0.couriers
    }

    fn argon(&self) -> &Semaphore {
        &self.0.argon
    }

    /// A turn to write a file that is taken away.
    fn turn_to_export(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.0.exports.clone().try_acquire_owned().map_err(|_| {
            ApiError::new(Code::Overloaded, "other exports are being written").retry_after(10)
        })
    }

    fn imports(&self) -> Arc<Semaphore> {
        self.0.imports.clone()
    }

    /// Ends the lines to desks, which would hold up the server's end.
    pub fn end_feeds(&self) {
        self.0.feeds.end();
    }

    fn feeds(&self) -> &Arc<events::Feeds> {
        &self.0.feeds
    }

    /// Answers that many desks ask for.
    fn kept(&self) -> &kept::Kept {
        &self.0.kept
    }

    fn admission(&self) -> &Admission {
        &self.0.admission
    }

    fn app(&self) -> &App {
        &self.0.app
    }
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found())
}

async fn method_not_allowed(allowed: String) -> HttpResponse {
    let mut response = HttpResponse::from_error(ApiError::new(
        Code::MethodNotAllowed,
        format!("use {allowed}"),
    ));
    if let Ok(allowed) = header::HeaderValue::try_from(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}
