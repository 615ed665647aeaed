//! `/livez`, `/readyz`, `/metrics`: for supervisors, proxies and Prometheus. No version for
//! anonymous callers (security.md, rule 75).

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::description::Problems;
use super::extract::Json;
use super::layers::Layers;
use super::routes::{Routes, routes};
use crate::app::App;
use crate::config::{Config, Schedule};
use crate::db::{ballast, clock};
use crate::error::{Error, Result};
use crate::file::{Disk, disk, folder_of};
use crate::time::Timestamp;
use crate::{migrations, snapshots};

/// Less than this is too little to go on writing (rule 60).
const DISK: u64 = 64 * 1024 * 1024;
/// A write-ahead log beyond this means that checkpoints do not get through.
const LOG: u64 = 256 * 1024 * 1024;
/// What should happen every day may be so late.
const DAY: Duration = Duration::from_hours(25);

pub(super) fn routes(config: &Config) -> Routes {
    let both = Routes::new().with(routes!(livez)).with(routes!(readyz));
    // A listener of its own takes the metrics away from this one.
    if config.server.metrics_listen.is_none() {
        both.with(routes!(metrics))
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
            "less than 67 MB are free on the database's disk",
        ),
        (
            facts.log_bytes > LOG,
            "the write-ahead log is larger than 268 MB",
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
    let now = app.clock().now();
    let backup = file.and_then(snapshots::newest);
    let backup = backup.map(|it| it.manifest.created_at);
    let checks = [
        (app.is_read_only(), "this daemon answers reads alone"),
        (
            disk.is_some_and(tight),
            "less than 268 MB or a tenth of the database's disk is free",
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
            backup.is_some_and(|made| now.since(made) > DAY),
            "the newest backup is older than a day",
        ),
        (
            file.is_some() && backup.is_none() && never_backed_up(app, now),
            "there is no backup, although the daemon should make them",
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(odd, warning)| odd.then_some(warning))
        .collect()
}

/// Whether the daemon should have made a backup by now and none is there.
fn never_backed_up(app: &App, now: Timestamp) -> bool {
    let scheduled = !matches!(app.config().backup.schedule, Schedule::Never);
    // When the first migration was applied the database began.
    let begun = || {
        let history = migrations::verify(app.db()).ok()?;
        history.first().and_then(|first| first.applied_at)
    };
    scheduled && begun().is_some_and(|begun| now.since(begun) > DAY)
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
