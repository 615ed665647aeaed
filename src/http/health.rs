//! `/livez`, `/readyz`, `/metrics`: for supervisors, proxies and Prometheus. No version for
//! anonymous callers (security.md, rule 75).

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::description::Problems;
use super::extract::Json;
use super::layers::Layers;
use crate::app::App;
use crate::config::Config;
use crate::db::{ballast, clock};
use crate::error::{Error, Result};
use crate::file::{Disk, disk, folder_of};

/// Less than this is too little to go on writing (rule 60).
const DISK: u64 = 64 * 1024 * 1024;
/// A write-ahead log beyond this means that checkpoints do not get through.
const LOG: u64 = 256 * 1024 * 1024;
/// What should happen every day may be so late.
const DAY: Duration = Duration::from_hours(25);

pub(super) fn routes(config: &Config) -> OpenApiRouter<App> {
    let both = OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz));
    // A listener of its own takes the metrics away from this one.
    if config.server.metrics_listen.is_none() {
        both.routes(routes!(metrics))
    } else {
        both
    }
}

/// `/metrics` for a listener of its own.
pub(super) fn metrics_alone(app: &App) -> Result<Router> {
    let router = Router::new()
        .route("/metrics", axum::routing::get(metrics))
        .fallback(|| async { Error::NoRoute })
        .layer(Layers::new(app, None)?);
    Ok(router.with_state(app.clone()))
}

/// Whether the process answers
#[utoipa::path(get, path = "/livez", tag = "operations", responses((status = 200, description = "alive"), Problems))]
async fn livez() -> &'static str {
    "ok\n"
}

/// What readiness looks at.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
struct Readiness {
    /// `ready` or `unready`.
    status: &'static str,
    /// One line for each check that failed.
    reasons: Vec<&'static str>,
    /// What somebody should look after, although the daemon can do its work.
    warnings: Vec<&'static str>,
}

/// Whether the daemon can do its work
///
/// It reads, its last write went well, there is room on the disk. What only needs looking after, such
/// as an old backup, is a warning.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "ready", body = Readiness),
    (status = 503, description = "not ready", body = Readiness),
))]
async fn readyz(State(app): State<App>) -> Response {
    // The database may be a server that does not answer.
    let asked = tokio::task::spawn_blocking(move || (unready(&app), neglected(&app))).await;
    let failed = |_| (vec!["the check itself failed"], Vec::new());
    let (reasons, warnings) = asked.unwrap_or_else(failed);
    let ready = reasons.is_empty();
    let body = Readiness {
        status: if ready { "ready" } else { "unready" },
        reasons,
        warnings,
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}

fn unready(app: &App) -> Vec<&'static str> {
    let facts = app.db().facts();
    let checks = [
        (
            app.db().read(clock::mark).is_err(),
            "the database cannot be read",
        ),
        (facts.faults > 0, "the last write met a storage fault"),
        (
            facts.disk_free.is_some_and(|free| free < DISK),
            "less than 64 MiB are free on the database's disk",
        ),
        (
            facts.log_bytes > LOG,
            "the write-ahead log is larger than 256 MiB",
        ),
        (
            app.clock().jumped(),
            "the machine's clock leapt ahead by more than an hour",
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(failed, reason)| failed.then_some(reason))
        .collect()
}

/// What nobody looked after for a day, and what will be missed when the disk is full.
fn neglected(app: &App) -> Vec<&'static str> {
    let file = app.config().db.file();
    let disk = file.and_then(|file| disk(folder_of(file)));
    let tight = |disk: Disk| disk.free < ballast::ROOM || disk.free < disk.size / 10;
    let day = i64::try_from(DAY.as_secs()).unwrap_or(i64::MAX);
    let now = app.clock().now().0 / 1000;
    let backup = file.and_then(|file| newest(&file.with_file_name("backups")));
    let checks = [
        (app.is_read_only(), "this daemon answers reads alone"),
        (
            disk.is_some_and(tight),
            "less than 256 MiB or a tenth of the database's disk is free",
        ),
        (
            file.is_some_and(|file| ballast::held(file).is_none()),
            "nothing is kept in reserve for a full disk",
        ),
        (
            app.kit().metrics.purge_lag.get() > day,
            "what expired more than a day ago is not purged",
        ),
        (
            backup.is_some_and(|made| now.saturating_sub(made) > day),
            "the newest backup is older than a day",
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(odd, warning)| odd.then_some(warning))
        .collect()
}

/// When the newest backup in the folder was written, in seconds since the epoch; `None` where none
/// is made.
fn newest(backups: &Path) -> Option<i64> {
    let files = std::fs::read_dir(backups).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_backup = path.extension().is_some_and(|ending| ending == "db");
        is_backup.then(|| path.metadata().ok().map(|file| file.mtime()))?
    });
    files.max()
}

/// The metrics
///
/// Counters, gauges and histograms in the text format of `OpenMetrics` 1.0.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "the metrics", content_type = "application/openmetrics-text"), Problems,
))]
async fn metrics(State(app): State<App>) -> Result<Response> {
    let metrics = &app.kit().metrics;
    metrics
        .log_bytes
        .set(i64::try_from(app.db().facts().log_bytes).unwrap_or(i64::MAX));
    let mut response = metrics.render()?.into_response();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}
