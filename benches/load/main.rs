//! The load driver: measures the paths that performance.md names, each as a ratio to a limit that
//! is measured in the same run, the two alternating.
//!
//! `cargo bench --bench load -- validate issue` runs some, `-- all` runs all; `-- --help` says the
//! rest. Each file under `scenarios` is one of them and says what it compares.

#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "figures for people: rounding to 53 bits changes none of them"
)]
#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a driver that is wrong about its own data should stop at once"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

mod bare;
mod catalogue;
mod client;
mod cluster;
mod fill;
mod library;
mod pairs;
mod people;
mod pgbench;
mod program;
mod raw;
mod report;
mod scenarios;
mod server;
mod spread;
mod writer;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;

use crate::client::Shape;
use crate::pairs::Plan;
use crate::report::Report;
use crate::scenarios::{Bench, Scenario};

/// Whatever goes wrong in a driver is for its user to read.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measure provost against limits found in the same run.
#[derive(Parser)]
struct Arguments {
    /// What to measure
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Pairs of legs for each ratio
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// Seconds of each leg
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Client threads that share the connections
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Tokens in the database
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Write the JSON document to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to make the temporary folder (default: the system's)
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,

    /// What cargo passes to every bench
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the bare-hyper baseline
    #[arg(long, hide = true)]
    bare: bool,
    /// Issue through the writer of the data folder and print what came of it
    #[arg(long, hide = true)]
    writer: Option<PathBuf>,
    /// Run a program and print its peak memory
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    peak_of: Option<Vec<String>>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    if arguments.bare {
        return bare::serve(std::thread::available_parallelism()?.get());
    }
    let plan = Plan {
        pairs: arguments.pairs.max(1),
        leg: Duration::from_secs_f64(arguments.seconds),
        shape: Shape {
            connections: arguments.connections.max(1),
            threads: arguments.threads.max(1),
        },
    };
    if let Some(folder) = &arguments.writer {
        return writer::run(folder, plan);
    }
    if let Some(program) = &arguments.peak_of {
        return program::peak_of(program);
    }
    if arguments.scenarios.is_empty() {
        println!("name what to measure, or \"all\"; --help says more");
        return Ok(());
    }
    let mut bench = Bench::new(plan, arguments.rows, arguments.folder.as_deref())?;
    let mut report = Report {
        machine: machine(),
        pairs: arguments.pairs,
        seconds: arguments.seconds,
        connections: arguments.connections,
        findings: Vec::new(),
    };
    for scenario in scenarios::chosen(&arguments.scenarios) {
        eprintln!("{scenario:?}");
        report.findings.extend(scenario.run(&mut bench)?);
    }
    report.print();
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}

/// What the figures depend on.
fn machine() -> Vec<(&'static str, String)> {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        output.map_or_else(String::new, |output| {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        })
    };
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut models = cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("model name"));
    let model = models
        .next()
        .unwrap_or_default()
        .trim_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        ("commit", said("git", &["describe", "--always", "--dirty"])),
        ("processor", format!("{cores} × {model}")),
        ("kernel", said("uname", &["-sr"])),
        ("sqlite3 shell", said("sqlite3", &["--version"])),
        ("PostgreSQL", cluster::version()),
    ]
}
