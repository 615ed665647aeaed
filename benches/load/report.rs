//! What was measured, as one table for people and one JSON document for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::spread::{Spread, rounded};

/// Where the bar lies.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

impl Goal {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bar) => format!("≥ {}", rounded(bar)),
            Self::AtMost(bar) => format!("≤ {}", rounded(bar)),
        }
    }
}

/// One side of a comparison.
#[derive(Clone, Serialize)]
pub(crate) struct Side {
    /// Requests, rows, runs … in a second.
    pub(crate) per_second: Spread,
    /// Microseconds of the server's CPU time for each of them.
    pub(crate) cpu_us: Option<Spread>,
    /// Median latency.
    pub(crate) p50_ms: Option<Spread>,
    /// 99th percentile of the latency.
    pub(crate) p99_ms: Option<Spread>,
    /// Resident memory.
    pub(crate) rss_mib: Option<f64>,
    /// Failures; a finding with any is void.
    pub(crate) failures: u64,
    /// What the first failure looked like.
    pub(crate) first_failure: Option<String>,
}

impl Side {
    /// A side of which only the rate is known.
    pub(crate) fn rate(per_second: Spread) -> Self {
        Self {
            per_second,
            cpu_us: None,
            p50_ms: None,
            p99_ms: None,
            rss_mib: None,
            failures: 0,
            first_failure: None,
        }
    }

    /// With the memory that it took at most, in MiB.
    pub(crate) fn resident(mut self, mib: f64) -> Self {
        self.rss_mib = Some(mib);
        self
    }
}

/// One row of the table.
#[derive(Serialize)]
pub(crate) struct Finding {
    /// What was measured against what.
    pub(crate) what: String,
    /// The figure that the goal is about.
    pub(crate) value: Spread,
    /// Its unit; empty for a ratio.
    pub(crate) unit: &'static str,
    /// The first goal, if there is one.
    pub(crate) goal: Option<Goal>,
    /// The moonshot, if there is one.
    pub(crate) moonshot: Option<Goal>,
    /// The measured thing.
    pub(crate) ours: Option<Side>,
    /// The limit that it is compared with.
    pub(crate) limit: Option<Side>,
    /// Anything else worth knowing.
    pub(crate) notes: Vec<String>,
}

impl Finding {
    /// A figure by itself.
    pub(crate) fn new(what: impl Into<String>, value: Spread, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            goal: None,
            moonshot: None,
            ours: None,
            limit: None,
            notes: Vec::new(),
        }
    }

    /// With the bars that performance.md sets.
    pub(crate) fn goals(mut self, first: Goal, moonshot: Goal) -> Self {
        self.goal = Some(first);
        self.moonshot = Some(moonshot);
        self
    }

    /// With the two sides that it was computed from.
    pub(crate) fn sides(mut self, ours: Side, limit: Side) -> Self {
        self.ours = Some(ours);
        self.limit = Some(limit);
        self
    }

    /// With a remark.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn failures(&self) -> u64 {
        let sides = [&self.ours, &self.limit];
        sides.into_iter().flatten().map(|side| side.failures).sum()
    }

    fn verdict(&self) -> &'static str {
        let met = |goal: Option<Goal>| goal.is_some_and(|goal| goal.met(self.value.median));
        if self.failures() > 0 {
            "VOID"
        } else if self.goal.is_none() {
            ""
        } else if met(self.moonshot) {
            "moonshot"
        } else if met(self.goal) {
            "met"
        } else {
            "MISSED"
        }
    }
}

/// Everything that one run of the driver found out.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The commit, processor and kernel that it was measured on.
    pub(crate) machine: Vec<(&'static str, String)>,
    /// Pairs of legs for each ratio.
    pub(crate) pairs: usize,
    /// Seconds of each leg.
    pub(crate) seconds: f64,
    /// Keep-alive connections.
    pub(crate) connections: usize,
    /// The rows.
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// The table and the remarks under it.
    pub(crate) fn print(&self) {
        for (name, value) in &self.machine {
            println!("{name}: {value}");
        }
        println!(
            "{} pairs of {} s legs, {} connections; median (range)\n",
            self.pairs,
            rounded(self.seconds),
            self.connections
        );
        println!("{}\n", self.table());
        for finding in &self.findings {
            for note in &finding.notes {
                println!("{}: {note}", finding.what);
            }
            let sides = [&finding.ours, &finding.limit];
            for failure in sides
                .into_iter()
                .flatten()
                .filter_map(|s| s.first_failure.as_ref())
            {
                println!("{}: FAILED with {failure:?}", finding.what);
            }
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header([
            "path",
            "measured",
            "goal",
            "moonshot",
            "",
            "ours /s",
            "limit /s",
            "CPU µs ours",
            "limit",
            "MiB ours",
            "p99 ms ours",
            "limit",
            "noise of limit",
        ]);
        for finding in &self.findings {
            let bar = |goal: Option<Goal>| goal.map(Goal::text).unwrap_or_default();
            let cell = |side: &Option<Side>, pick: fn(&Side) -> Option<Spread>| {
                let spread = side.as_ref().and_then(pick);
                spread.map(|s| rounded(s.median)).unwrap_or_default()
            };
            let noise = finding.limit.as_ref().map(|side| side.per_second.noise());
            table.add_row([
                finding.what.clone(),
                format!("{} {}", finding.value, finding.unit)
                    .trim_end()
                    .to_owned(),
                bar(finding.goal),
                bar(finding.moonshot),
                finding.verdict().to_owned(),
                cell(&finding.ours, |side| Some(side.per_second)),
                cell(&finding.limit, |side| Some(side.per_second)),
                cell(&finding.ours, |side| side.cpu_us),
                cell(&finding.limit, |side| side.cpu_us),
                cell(&finding.ours, |side| {
                    side.rss_mib.map(|mib| Spread::of([mib]))
                }),
                cell(&finding.ours, |side| side.p99_ms),
                cell(&finding.limit, |side| side.p99_ms),
                noise
                    .map(|part| format!("{:.0} %", part * 100.0))
                    .unwrap_or_default(),
            ]);
        }
        table
    }
}
