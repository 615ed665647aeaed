//! The throttle's tables.

use std::sync::LazyLock;

use ipnet::IpNet;

use super::{Account, Ban, Ended, FREE, Network, OFF, RESET, delay};
use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Sorts after every key of a row here: none has a `~`.
pub(super) const LAST: &str = "~";

/// Until when an account is delayed that is off.
const FOR_EVER: i64 = i64::MAX;

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) last_at: Timestamp,
    pub(super) delayed_until: Timestamp,
}

fn failures(row: &Row) -> Result<Failures> {
    Ok(Failures {
        count: u32::try_from(row.int("failures")?).map_err(Error::internal)?,
        last_at: row.time("last_at")?,
        delayed_until: row.time("delayed_until")?,
    })
}

/// What decides about an attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub(super) failures: Option<Failures>,
    /// When the account last logged in from the network.
    pub(super) known_at: Option<Timestamp>,
}

/// How the account stands for who comes from the network with this MAC.
pub(super) fn standing(
    tx: &mut Tx<'_>,
    account: &Account,
    network: Option<[u8; 32]>,
) -> Result<Facts> {
    let rows = tx.all(
        "SELECT 'failures' AS what, failures, last_at, delayed_until
         FROM login_failures WHERE account = $1
         UNION ALL
         SELECT 'known', 0, last_at, 0 FROM known_networks WHERE account = $1 AND network = $2",
        &[
            account.as_str().into(),
            Value::from(network.unwrap_or_default().as_slice()),
        ],
    )?;
    let mut facts = Facts::default();
    for row in &rows {
        if row.str("what")? == "known" {
            facts.known_at = Some(row.time("last_at")?);
        } else {
            facts.failures = Some(failures(row)?);
        }
    }
    Ok(facts)
}

/// The curve, written out from [`delay`]: how long to wait after one more failure is a table of a
/// few lines, and shifting bits is not the same on both engines.
static FAIL: LazyLock<String> = LazyLock::new(|| {
    let cap = delay(OFF);
    let steps = (FREE + 1..).map(|failures| (failures, delay(failures)));
    let steps = steps.take_while(|(_, delay)| *delay < cap);
    let steps =
        steps.map(|(failures, delay)| format!(" WHEN {failures} THEN {}", delay.as_millis()));
    let (steps, cap) = (steps.collect::<String>(), cap.as_millis());
    // Failures are forgotten after a day, but not those by which an account is off.
    let anew = format!("login_failures.failures < {OFF} AND login_failures.last_at <= $3");
    format!(
        "INSERT INTO login_failures (account, failures, last_at, delayed_until)
         VALUES ($1, 1, $2, $2)
         ON CONFLICT (account) DO UPDATE SET
           failures = CASE WHEN {anew} THEN 1 ELSE login_failures.failures + 1 END,
           last_at = excluded.last_at,
           delayed_until = CASE
             WHEN {anew} THEN excluded.last_at
             WHEN login_failures.failures + 1 >= {OFF} THEN {FOR_EVER}
             WHEN login_failures.failures + 1 <= {FREE} THEN excluded.last_at
             ELSE excluded.last_at + CASE login_failures.failures + 1{steps} ELSE {cap} END
           END
         RETURNING failures"
    )
});

/// Counts a failure; returns how many there are in a row.
pub(super) fn fail(tx: &mut Tx<'_>, account: &Account, now: Timestamp) -> Result<u32> {
    let values = [account.as_str().into(), now.into(), now.minus(RESET).into()];
    let rows = tx.all(&FAIL, &values)?;
    let row = rows
        .first()
        .ok_or_else(|| Error::internal("a failure that was not counted"))?;
    u32::try_from(row.int("failures")?).map_err(Error::internal)
}

/// Has an address wait until then.
pub(super) fn block(
    tx: &mut Tx<'_>,
    address: &Account,
    names: u32,
    now: Timestamp,
    until: Timestamp,
) -> Result<u64> {
    tx.run(
        "INSERT INTO login_failures (account, failures, last_at, delayed_until)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (account) DO UPDATE SET failures = excluded.failures,
           last_at = excluded.last_at, delayed_until = excluded.delayed_until",
        &[
            address.as_str().into(),
            names.into(),
            now.into(),
            until.into(),
        ],
    )
}

/// Until when somebody has to wait, if anything is known of them.
pub(super) fn delayed_until(tx: &mut Tx<'_>, account: &Account) -> Result<Option<Timestamp>> {
    let sql = "SELECT delayed_until FROM login_failures WHERE account = $1";
    let row = tx.first(sql, &[account.as_str().into()])?;
    row.map(|row| row.time("delayed_until")).transpose()
}

/// Forgets the failures, unless the account is delayed or off.
pub(super) fn forget_unless_delayed(
    tx: &mut Tx<'_>,
    account: &Account,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "DELETE FROM login_failures WHERE account = $1 AND delayed_until <= $2",
        &[account.as_str().into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Forgets the failures.
pub(super) fn forget(tx: &mut Tx<'_>, account: &Account) -> Result<bool> {
    let changed = tx.run(
        "DELETE FROM login_failures WHERE account = $1",
        &[account.as_str().into()],
    )?;
    Ok(changed == 1)
}

/// Forgets from where the account logged in.
pub(super) fn forget_networks(tx: &mut Tx<'_>, account: &Account) -> Result<u64> {
    let sql = "DELETE FROM known_networks WHERE account = $1";
    tx.run(sql, &[account.as_str().into()])
}

/// Notes that the account logged in from the network with this MAC.
pub(super) fn know(
    tx: &mut Tx<'_>,
    account: &Account,
    network: [u8; 32],
    now: Timestamp,
) -> Result<u64> {
    tx.run(
        "INSERT INTO known_networks (account, network, last_at) VALUES ($1, $2, $3)
         ON CONFLICT (account, network) DO UPDATE SET last_at = excluded.last_at",
        &[
            account.as_str().into(),
            Value::from(network.as_slice()),
            now.into(),
        ],
    )
}

/// Those who are off or delayed at `now`, who is delayed for longest first, after `below`.
pub(super) fn page(
    tx: &mut Tx<'_>,
    (until, account): (Timestamp, &str),
    limit: u32,
    now: Timestamp,
) -> Result<Vec<(Account, Failures)>> {
    let rows = tx.all(
        "SELECT account, failures, last_at, delayed_until FROM login_failures
         WHERE delayed_until > $1 AND (delayed_until, account) < ($2, $3)
         ORDER BY delayed_until DESC, account DESC LIMIT $4",
        &[now.into(), until.into(), account.into(), limit.into()],
    )?;
    let row = |row: &Row| Ok((Account(row.text("account")?), failures(row)?));
    rows.iter().map(row).collect()
}

/// How many are off or delayed at `now`.
pub(super) fn count(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64> {
    let sql = "SELECT COUNT(*) AS n FROM login_failures WHERE delayed_until > $1";
    counted(tx, sql, &[now.into()])
}

fn counted(tx: &mut Tx<'_>, sql: &str, values: &[Value]) -> Result<u64> {
    let row = tx.first(sql, values)?;
    let row = row.ok_or_else(|| Error::internal("a count without a row"))?;
    u64::try_from(row.int("n")?).map_err(Error::internal)
}

/// Bans a network, in place of the ban that is there.
pub(super) fn put_ban(tx: &mut Tx<'_>, ban: &Ban) -> Result<u64> {
    tx.run(
        "INSERT INTO bans (network, reason, created_at, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (network) DO UPDATE SET reason = excluded.reason,
           created_at = excluded.created_at, expires_at = excluded.expires_at",
        &[
            ban.network.to_string().into(),
            ban.reason.as_deref().into(),
            ban.created_at.into(),
            ban.expires_at.into(),
        ],
    )
}

fn read_ban(row: &Row) -> Result<Ban> {
    Ok(Ban {
        network: network(row)?,
        reason: row.opt_text("reason")?,
        created_at: row.time("created_at")?,
        expires_at: row.opt_time("expires_at")?,
    })
}

fn network(row: &Row) -> Result<Network> {
    let network = row.str("network")?.parse();
    network.map_err(|_| Error::internal("a ban of what is no network"))
}

/// The ban of exactly this network, if it holds at `now`.
pub(super) fn ban(tx: &mut Tx<'_>, network: Network, now: Timestamp) -> Result<Option<Ban>> {
    let row = tx.first(
        "SELECT network, reason, created_at, expires_at FROM bans
         WHERE network = $1 AND (expires_at IS NULL OR expires_at > $2)",
        &[network.to_string().into(), now.into()],
    )?;
    row.as_ref().map(read_ban).transpose()
}

/// Bans that hold at `now`, made before `before`, the newest first.
pub(super) fn bans(
    tx: &mut Tx<'_>,
    (at, network): (Timestamp, &str),
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Ban>> {
    let rows = tx.all(
        "SELECT network, reason, created_at, expires_at FROM bans
         WHERE (created_at, network) < ($1, $2) AND (expires_at IS NULL OR expires_at > $3)
         ORDER BY created_at DESC, network DESC LIMIT $4",
        &[at.into(), network.into(), now.into(), limit.into()],
    )?;
    rows.iter().map(read_ban).collect()
}

/// Every ban that holds at `now`, and until when.
pub(super) fn every_ban(
    tx: &mut Tx<'_>,
    now: Timestamp,
) -> Result<Vec<(IpNet, Option<Timestamp>)>> {
    let rows = tx.all(
        "SELECT network, expires_at FROM bans
         WHERE network > '' AND (expires_at IS NULL OR expires_at > $1)",
        &[now.into()],
    )?;
    let read = |row: &Row| Ok((network(row)?.get(), row.opt_time("expires_at")?));
    rows.iter().map(read).collect()
}

/// How many rows there are, expired ones too.
pub(super) fn count_bans(tx: &mut Tx<'_>) -> Result<u64> {
    counted(tx, "SELECT COUNT(*) AS n FROM bans", &[])
}

/// Removes a ban that holds at `now`.
pub(super) fn remove_ban(tx: &mut Tx<'_>, network: Network, now: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "DELETE FROM bans WHERE network = $1 AND (expires_at IS NULL OR expires_at > $2)",
        &[network.to_string().into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Where rows of a sort are: the table, its key, and when one of them ended.
struct Place {
    table: &'static str,
    key: &'static str,
    at: &'static str,
    ended: String,
}

impl Ended {
    fn place(self) -> Place {
        let (table, key, at, and) = match self {
            Self::Failures => (
                "login_failures",
                "account",
                "last_at",
                // An address may be blocked for longer than failures are remembered.
                format!(" AND failures < {OFF} AND delayed_until <= $1"),
            ),
            Self::Networks => (
                "known_networks",
                "account, network",
                "last_at",
                String::new(),
            ),
            Self::Bans => ("bans", "network", "expires_at", String::new()),
        };
        Place {
            table,
            key,
            at,
            ended: format!("{at} <= $1{and}"),
        }
    }
}

/// Count and first instant of those up to `until`.
pub(super) fn count_ended(
    tx: &mut Tx<'_>,
    sort: Ended,
    until: Timestamp,
) -> Result<(u64, Option<Timestamp>)> {
    let Place {
        table, at, ended, ..
    } = sort.place();
    let sql = format!("SELECT COUNT(*) AS n, MIN({at}) AS first FROM {table} WHERE {ended}");
    let row = tx.first(&sql, &[until.into()])?;
    let row = row.ok_or_else(|| Error::internal("a count without a row"))?;
    let count = u64::try_from(row.int("n")?).map_err(Error::internal)?;
    Ok((count, row.opt_time("first")?))
}

/// The first instant of those up to `until`.
pub(super) fn first_ended(
    tx: &mut Tx<'_>,
    sort: Ended,
    until: Timestamp,
) -> Result<Option<Timestamp>> {
    let Place {
        table, at, ended, ..
    } = sort.place();
    let sql = format!("SELECT {at} AS first FROM {table} WHERE {ended} ORDER BY {at} LIMIT 1");
    let row = tx.first(&sql, &[until.into()])?;
    row.map(|row| row.time("first")).transpose()
}

/// Deletes at most `most` of those up to `until`, the oldest first. Both times the condition: the
/// outer one is looked at again when a row has just been written anew, which must stay.
pub(super) fn delete_ended(
    tx: &mut Tx<'_>,
    sort: Ended,
    until: Timestamp,
    most: u32,
) -> Result<u64> {
    let Place {
        table,
        key,
        at,
        ended,
    } = sort.place();
    let sql = format!(
        "DELETE FROM {table} WHERE {ended} AND ({key}) IN (
           SELECT {key} FROM {table} WHERE {ended} ORDER BY {at} LIMIT $2)"
    );
    tx.run(&sql, &[until.into(), most.into()])
}
