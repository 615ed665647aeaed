//! Counts requests without looking labels up: each route keeps the handles of its own counters.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use crate::metrics::{Metrics, RequestLabels, RouteLabel};

/// The handles, by route template.
#[derive(Default)]
pub(super) struct Series(RwLock<HashMap<String, Arc<Route>>>);

struct Route {
    seconds: Histogram,
    /// A handful of pairs: a walk over them is quicker than hashing.
    answers: RwLock<Vec<(&'static str, StatusCode, Counter)>>,
}

impl Series {
    /// Counts one answer of `route`; the empty one stands for everything that matched none.
    pub(super) fn count(
        &self,
        metrics: &Metrics,
        route: &str,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let handles = self.route(metrics, route);
        handles.seconds.observe(took.as_secs_f64());
        let method = name(method);
        let known = handles
            .answers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|(m, s, _)| *m == method && *s == status);
        if let Some((.., counter)) = found {
            counter.inc();
            return;
        }
        drop(known);
        let labels = RequestLabels {
            route: route.to_owned(),
            method,
            status: status.as_u16(),
        };
        let counter = metrics.requests.get_or_create_owned(&labels);
        counter.inc();
        let mut answers = handles
            .answers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        answers.push((method, status, counter));
    }

    fn route(&self, metrics: &Metrics, route: &str) -> Arc<Route> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handles) = known.get(route) {
            return Arc::clone(handles);
        }
        drop(known);
        let label = RouteLabel {
            route: route.to_owned(),
        };
        let made = Route {
            seconds: metrics.request_seconds.get_or_create_owned(&label),
            answers: RwLock::default(),
        };
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            all.entry(route.to_owned())
                .or_insert_with(|| Arc::new(made)),
        )
    }
}

/// Anybody can send any method: those that we do not know share one name.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
