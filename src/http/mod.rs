//! The network edge: one line for each slice, around them one layer, below them the accept loop.

mod access;
pub mod body;
mod caller;
mod connection;
pub mod cookies;
mod cors;
mod credential;
mod description;
mod docs;
pub mod extract;
mod forwarded;
mod framing;
mod gate;
mod health;
mod layers;
mod limited;
pub mod listener;
mod problem;
mod refusal;
mod routes;
mod security;
mod series;
pub mod server;
pub mod tls;
mod turn;
pub mod version;
mod wire;

use axum::Router;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use caller::{Caller, Own, Place, Visitor};
pub use credential::{check_origin, check_same_site};
pub use description::Problems;
pub use limited::limited;
pub(crate) use routes::{Routes, routes};

use crate::app::App;
use crate::config::{Config, ListenAddr};
use crate::error::{Error, Result};
use crate::log::Sink;
use crate::{
    attempts, audit, courses, enrolments, factors, jobs, lessons, migrations, purge, quizzes,
    recovery, sessions, throttle, tokens, users,
};
use layers::Layers;
use listener::Listener;
use server::Limits;
use tls::Tls;

/// The routes of each slice whose routes do not depend on the configuration.
const SLICES: [fn() -> Routes; 15] = [
    audit::http::routes,
    sessions::http::routes,
    users::http::routes,
    throttle::http::routes,
    factors::http::routes,
    tokens::http::routes,
    recovery::http::routes,
    courses::http::routes,
    enrolments::http::routes,
    lessons::http::routes,
    quizzes::http::routes,
    attempts::http::routes,
    purge::http::routes,
    jobs::http::routes,
    migrations::http::routes,
];

/// Every route, slice by slice, without the layer.
fn all(config: &Config) -> impl Iterator<Item = Routes> {
    let compat: fn() -> Routes = tokens::http::compat_routes;
    let slices = SLICES.into_iter();
    let slices = slices.chain(config.compat.token_manager.then_some(compat));
    std::iter::once(health::routes(config)).chain(slices.map(|routes| routes()))
}

/// The description of the API in `OpenAPI` 3.1, made from the handlers.
#[must_use]
pub fn openapi(config: &Config) -> OpenApi {
    let empty = OpenApiRouter::with_openapi(description::describe(config));
    let mut api = all(config)
        .fold(empty, |api, routes| routes.describe(api))
        .into_openapi();
    description::complete(&mut api);
    api
}

/// The whole service.
///
/// # Errors
/// [`Error::Internal`] if the operating system gives no random bytes.
pub fn router(app: &App, sink: Option<Sink>) -> Result<Router> {
    let mut router = all(app.config())
        .map(Routes::into_router)
        .fold(Router::new(), Router::merge);
    if app.config().server.docs {
        router = router.merge(docs::routes());
    }
    let router = router
        .fallback(|| async { Error::NoRoute })
        .method_not_allowed_fallback(|| async { Error::MethodNotAllowed })
        .layer(Layers::new(app, sink)?);
    Ok(router.with_state(app.clone()))
}

/// Serves until `stop`, then finishes what is running. With `tls` every TCP port speaks HTTPS.
///
/// # Errors
/// [`Error::Io`] if the listener for metrics cannot be opened; as [`server::serve`].
pub async fn run(
    app: App,
    mut listeners: Vec<Listener>,
    tls: Option<&Tls>,
    sink: Sink,
    stop: CancellationToken,
) -> Result<()> {
    let settings = &app.config().server;
    let limits = Limits {
        connections: settings.max_connections,
        connections_per_ip: settings.max_connections_per_ip,
        trusted: settings.trusted_proxies.clone(),
        stop: settings.stop_timeout.0,
        ..Limits::default()
    };
    let mut metrics = settings.metrics_listen.as_ref().map(bind).transpose()?;
    if let Some(tls) = tls {
        let all = listeners.iter_mut().chain(&mut metrics);
        all.for_each(|listener| listener.secure(tls));
    }
    let service = router(&app, Some(sink))?;
    let Some(metrics) = metrics else {
        return server::serve(listeners, service, limits, stop).await;
    };
    let apart = health::metrics_alone(&app)?;
    let both = tokio::try_join!(
        server::serve(listeners, service, limits.clone(), stop.clone()),
        server::serve(vec![metrics], apart, limits, stop),
    );
    both.map(|_| ())
}

/// Opens the listener for one address of the configuration.
///
/// # Errors
/// [`Error::Io`] if the address is taken or may not be used.
pub fn bind(address: &ListenAddr) -> Result<Listener> {
    match address {
        ListenAddr::Tcp(address) => Listener::tcp(*address),
        ListenAddr::Unix(path) => Listener::unix(path),
    }
}
