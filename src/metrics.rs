//! Counters, gauges and histograms, named once, in the Prometheus text format.
//!
//! Whoever counts holds a handle; nothing is looked up by label on the request path.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::error::{Error, Result};

/// Labels of the requests that were answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's template, never the path: `/app/valid/{token}`.
    pub route: String,
    /// The method.
    pub method: &'static str,
    /// The status.
    pub status: u16,
}

/// A label of one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabel {
    /// The route's template.
    pub route: String,
}

/// An error's stable code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    /// As in the table of `error.rs`.
    pub code: &'static str,
}

/// What was issued, or how a validation came out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// `temporary`, `api`; `ok`, `expired`, …
    pub kind: &'static str,
}

/// What a unit of work counts: it may be tried several times, and is one thing that happened.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    done: Vec<Counter>,
    seen: Vec<Counter>,
}

impl Counts {
    /// Something that was done, if it is kept.
    pub fn done(&mut self, of: &Family<KindLabel, Counter>, kind: &'static str) {
        self.done
            .push(of.get_or_create(&KindLabel { kind }).clone());
    }

    /// Something that was seen, whatever comes of it.
    pub fn seen(&mut self, of: &Family<KindLabel, Counter>, kind: &'static str) {
        self.seen
            .push(of.get_or_create(&KindLabel { kind }).clone());
    }

    /// Counts all of it; `kept` tells whether what was done is kept.
    pub(crate) fn settle(self, kept: bool) {
        let done = self.done.iter().filter(|_| kept);
        for counter in done.chain(&self.seen) {
            counter.inc();
        }
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests answered.
    pub requests: Family<RequestLabels, Counter>,
    /// Seconds from the request's head to the answer's.
    pub request_seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
    /// Errors by code.
    pub errors: Family<CodeLabel, Counter>,
    /// Requests being worked on.
    pub in_flight: Gauge,
    /// Seconds in read transactions.
    pub read_seconds: Histogram,
    /// Seconds in write transactions, from queueing to commit.
    pub write_seconds: Histogram,
    /// Tokens issued, by kind.
    pub tokens_issued: Family<KindLabel, Counter>,
    /// Validations, by reason code.
    pub tokens_validated: Family<KindLabel, Counter>,
    /// Seconds that the oldest expired row is overdue, as of the last purge plan.
    pub purge_lag: Gauge,
    /// Rows deleted by purges, by kind.
    pub purged: Family<KindLabel, Counter>,
    /// Mail that was sent, postponed or given up.
    pub mails: Family<KindLabel, Counter>,
    /// Bytes in the write-ahead log, as of the last scrape.
    pub log_bytes: Gauge,
    /// Access log lines dropped because the writer lagged.
    pub log_dropped: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("provost");
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            errors: Family::default(),
            in_flight: Gauge::default(),
            read_seconds: seconds(),
            write_seconds: seconds(),
            tokens_issued: Family::default(),
            tokens_validated: Family::default(),
            purge_lag: Gauge::default(),
            purged: Family::default(),
            mails: Family::default(),
            log_bytes: Gauge::default(),
            log_dropped: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "http_requests",
            "Requests answered",
            metrics.requests.clone(),
        );
        registry.register(
            "http_request_seconds",
            "Seconds from a request's head to its answer's",
            metrics.request_seconds.clone(),
        );
        registry.register(
            "http_in_flight",
            "Requests being worked on",
            metrics.in_flight.clone(),
        );
        registry.register("errors", "Errors by stable code", metrics.errors.clone());
        registry.register(
            "db_read_seconds",
            "Seconds in read transactions",
            metrics.read_seconds.clone(),
        );
        registry.register(
            "db_write_seconds",
            "Seconds from queueing a write to its commit",
            metrics.write_seconds.clone(),
        );
        registry.register(
            "tokens_issued",
            "Tokens issued",
            metrics.tokens_issued.clone(),
        );
        registry.register(
            "tokens_validated",
            "Validations by reason code",
            metrics.tokens_validated.clone(),
        );
        registry.register(
            "purge_lag_seconds",
            "How long the oldest expired row is overdue",
            metrics.purge_lag.clone(),
        );
        registry.register(
            "purged_rows",
            "Rows deleted by purges",
            metrics.purged.clone(),
        );
        registry.register(
            "mails",
            "Mail by how it went: sent, postponed, failed",
            metrics.mails.clone(),
        );
        registry.register(
            "db_wal_bytes",
            "Bytes in the write-ahead log",
            metrics.log_bytes.clone(),
        );
        registry.register(
            "access_log_dropped_lines",
            "Access log lines dropped because their writer lagged",
            metrics.log_dropped.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }
}

/// From 50 microseconds, a point read, to 10 seconds, a request at its deadline.
fn seconds() -> Histogram {
    Histogram::new([
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
        0.5, 1.0, 2.5, 10.0,
    ])
}

impl Metrics {
    /// All of it in the text format of `OpenMetrics` 1.0, which Prometheus reads.
    ///
    /// # Errors
    /// [`Error::Internal`] if a metric cannot be written.
    pub fn render(&self) -> Result<String> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry).map_err(Error::internal)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_rendered_under_their_public_names() {
        let metrics = Metrics::default();
        metrics
            .tokens_issued
            .get_or_create(&KindLabel { kind: "api" })
            .inc();
        let text = metrics.render().unwrap();
        assert!(
            text.contains("provost_tokens_issued_total{kind=\"api\"} 1"),
            "{text}"
        );
        assert!(text.contains("provost_db_wal_bytes 0"), "{text}");
    }
}
