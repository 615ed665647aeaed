//! PostgreSQL's own load driver on the same server: what the server gives a client in C that does
//! nothing else.
//!
//! As many connections as ours get clients, each statement prepared once for each connection.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wait4::Wait4 as _;

use crate::Outcome;
use crate::client::Leg;
use crate::cluster::Cluster;
use crate::fill::{EVERY, Filled};
use crate::pairs::{Measured, Plan};

/// Of so many transactions the time of one is written down.
const SAMPLED: f64 = 0.1;

/// A script, ready to be run.
pub(crate) struct Script {
    file: PathBuf,
}

impl Script {
    /// The point read of a check, by the primary key, on the tokens that our clients present.
    pub(crate) fn select(filled: &Filled) -> Outcome<Self> {
        let created = filled.id >> 21;
        let every = filled.every();
        let last = filled.tokens.len() - 1;
        // As `fill` makes ids.
        let text = format!(
            "\\set row random(0, {last}) * {every}
             \\set id (({created} + :row / {EVERY}) << 21) | ((:row % {EVERY}) << 11)
             SELECT kind, digest, expires_at, not_before, max_uses, used, revoked_at, owner_id,
                    scopes, cidr, created_at FROM tokens WHERE id = :id;\n"
        );
        Self::write(&filled.folder.join("select.sql"), &text)
    }

    /// The row of a token that nobody owns, in a transaction of its own; without an audit row.
    pub(crate) fn insert(folder: &Path) -> Outcome<Self> {
        // The key grows with time, as ours does, and differs between the clients.
        let text = "
            INSERT INTO tokens (id, kind, digest, hint, created_at, expires_at, not_before,
                                max_uses, owner_id, label, scopes, cidr, meta)
            VALUES (CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) << 10 | :client_id,
                    'temporary', decode(repeat('c0ffee42', 8), 'hex'), 'AbCd', 1800000000000,
                    1800003600000, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
            ON CONFLICT (id) DO NOTHING;\n";
        Self::write(&folder.join("insert.sql"), text)
    }

    fn write(file: &Path, text: &str) -> Outcome<Self> {
        fs::write(file, text)?;
        Ok(Self {
            file: file.to_owned(),
        })
    }

    /// One leg. `cpu` of the outcome is pgbench's own.
    pub(crate) fn leg(&self, cluster: &Cluster, database: &str, plan: Plan) -> Outcome<Measured> {
        let folder = tempfile::tempdir()?;
        let processes = cluster.processes()?.len();
        let mut command = cluster.client("pgbench", database)?;
        command
            .current_dir(folder.path())
            .args(["--no-vacuum", "--protocol=prepared", "--log"])
            .arg(format!("--sampling-rate={SAMPLED}"))
            .arg(format!("--client={}", plan.shape.connections))
            .arg(format!("--jobs={}", plan.shape.threads))
            .arg(format!("--time={}", plan.leg.as_secs().max(1)))
            .arg("--file")
            .arg(&self.file)
            .stdout(fs::File::create(folder.path().join("said"))?);
        let ended = command.spawn()?.wait4()?;
        let said = fs::read_to_string(folder.path().join("said"))?;
        if !ended.status.success() {
            return Err(format!("pgbench: {}: {said}", ended.status).into());
        }
        cluster.settle(processes)?;
        let mut leg = leg_of(&said)?;
        for entry in fs::read_dir(folder.path())? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name != "said") {
                read_log(&path, &mut leg)?;
            }
        }
        let rusage = ended.rusage;
        let cpu = rusage.utime + rusage.stime;
        Ok(Measured::of(&leg, cpu.as_secs_f64()))
    }
}

/// What pgbench says at its end.
fn leg_of(said: &str) -> Outcome<Leg> {
    let number = |name: &str| -> Outcome<f64> {
        let rest = said.split_once(name).map(|(_, rest)| rest);
        let number = rest.and_then(|rest| rest.trim_start().split([' ', '/', '\n']).next());
        Ok(number
            .ok_or_else(|| format!("no {name:?} in {said}"))?
            .parse()?)
    };
    let requests = number("actually processed:")?;
    // Its own clock, which starts when all connections are open.
    let mut leg = Leg::new(Duration::from_secs_f64(requests / number("tps =")?));
    leg.requests = said
        .split_once("actually processed:")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .ok_or("pgbench does not say how much it did")?
        .parse()?;
    let failed = number("failed transactions:")?;
    if failed > 0.0 {
        leg.wrong(|| said.to_owned());
    }
    Ok(leg)
}

/// A log of sampled transactions: the third field is the time it took, in microseconds.
fn read_log(file: &Path, leg: &mut Leg) -> Outcome<()> {
    for line in fs::read_to_string(file)?.lines() {
        let took = line
            .split_whitespace()
            .nth(2)
            .ok_or("a log without times")?;
        leg.latency.saturating_record(took.parse::<u64>()? * 1000);
    }
    Ok(())
}
