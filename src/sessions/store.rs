//! The table of sessions.

pub(super) mod ended;
pub(super) mod keys;

use std::fmt::Write as _;
use std::sync::LazyLock;

use ipnet::IpNet;

use super::model::{Entry, Facts, Filter, Limits, Session, State};
use crate::db::{Row, Tx, Value};
use crate::error::Result;
use crate::jwt::Algorithm;
use crate::time::Timestamp;
use crate::users::{self, SHOWN, User};

/// What [`facts`] reads of a session `s` and its user `u`, but for the roles: `same_epoch` is
/// whether the account is what it was when the session was opened.
const FACTS: &str = "s.authenticated_at, s.last_seen_at, s.expires_at, s.revoked_at,
    CASE WHEN u.state = 'active' AND u.security_epoch = s.epoch THEN 1 ELSE 0 END AS same_epoch";
/// In no order, see [`sorted`]: for one, `SQLite` would build a table with every request.
const ROLES: &str = "(SELECT STRING_AGG(r.role, ' ') FROM user_roles r
    WHERE r.user_id = s.user_id)";

/// Until when the key of the id in `$2` is accepted; null if there is no such key.
const KEY: &str = "(SELECT COALESCE(k.accepted_until, 9223372036854775807) FROM signing_keys k
    WHERE k.id = $2) AS key_accepted_until";

/// A session to be added.
pub(super) struct NewRow<'a> {
    pub(super) id: &'a str,
    pub(super) entry: &'a Entry,
    pub(super) expires_at: Timestamp,
}

/// Adds a session. Returns false, changing nothing, if the account is not active or no longer in
/// the epoch of the entry: the rule and the change are one statement.
pub(super) fn insert(tx: &mut Tx<'_>, row: &NewRow<'_>, now: Timestamp) -> Result<bool> {
    let entry = row.entry;
    let changed = tx.run(
        "INSERT INTO sessions (id, user_id, epoch, generation, refreshed_at, created_at,
                               authenticated_at, last_seen_at, expires_at, methods, ip, client)
         SELECT $1, u.id, u.security_epoch, 1, $4, $4, $4, $4, $5, $6, $7, $8
         FROM users u WHERE u.id = $2 AND u.security_epoch = $3 AND u.state = 'active'",
        &[
            row.id.into(),
            entry.user_id.as_str().into(),
            entry.epoch.into(),
            now.into(),
            row.expires_at.into(),
            entry.methods.join(" ").into(),
            entry.ip.map(|ip| ip.to_canonical().to_string()).into(),
            entry.client.as_deref().into(),
        ],
    )?;
    Ok(changed == 1)
}

/// The oldest of the good sessions of the user of `entry` that are more than `most`.
pub(super) fn beyond(
    tx: &mut Tx<'_>,
    entry: &Entry,
    most: u32,
    limits: Limits,
    now: Timestamp,
) -> Result<Vec<String>> {
    let rows = tx.all(
        "SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
           AND last_seen_at > $4 AND epoch = $5
         ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET $3",
        &[
            entry.user_id.as_str().into(),
            now.into(),
            most.into(),
            now.minus(limits.idle).into(),
            entry.epoch.into(),
        ],
    )?;
    rows.iter().map(|row| row.text("id")).collect()
}

/// What a request with an access token needs.
pub(super) struct CheckRow {
    pub(super) user_id: String,
    pub(super) username: String,
    pub(super) roles: String,
    pub(super) facts: Facts,
    /// Until when the key is accepted; nothing for a key that there is not.
    pub(super) key_accepted_until: Option<Timestamp>,
}

/// Not the usual list of columns: this is read with every request. In the order in which [`check`]
/// reads it.
static FOR_CHECK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT u.id, u.username, {ROLES} AS roles, {FACTS}, {KEY}
         FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"
    )
});

/// The session, its account and the key `kid` in one read.
pub(super) fn for_check(tx: &mut Tx<'_>, id: &str, kid: &str) -> Result<Option<CheckRow>> {
    let row = tx.first(&FOR_CHECK, &[id.into(), kid.into()])?;
    row.map(|row| check(&row)).transpose()
}

static FOR_OWN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {SHOWN}, {FACTS}, {KEY}
         FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"
    )
});

/// The same, and all that the person may see of the account.
pub(super) fn for_own(tx: &mut Tx<'_>, id: &str, kid: &str) -> Result<Option<(CheckRow, User)>> {
    let row = tx.first(&FOR_OWN, &[id.into(), kid.into()])?;
    row.map(|row| Ok((check(&row)?, users::shown(row)?)))
        .transpose()
}

fn check(row: &Row) -> Result<CheckRow> {
    let (user_id, username) = (row.text("id")?, row.text("username")?);
    let roles = row.opt_text("roles")?;
    Ok(CheckRow {
        user_id,
        username,
        facts: facts(row, roles.as_deref())?,
        roles: roles.map(sorted).unwrap_or_default(),
        key_accepted_until: row.opt_time("key_accepted_until")?,
    })
}

/// What a refresh needs.
pub(super) struct RefreshRow {
    pub(super) generation: i64,
    pub(super) refreshed_at: Timestamp,
    pub(super) facts: Facts,
    /// The key that signs now, if there is one already.
    pub(super) key: Option<String>,
    pub(super) user: User,
}

static FOR_REFRESH: LazyLock<String> = LazyLock::new(|| {
    let key = keys::active_of("$2", "$3", "$4");
    format!(
        "SELECT {SHOWN}, {FACTS}, s.generation, s.refreshed_at, ({key}) AS signing_key
         FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"
    )
});

/// The session with its generation, its account, and the key that signs as [`keys::active`] finds it.
pub(super) fn for_refresh(
    tx: &mut Tx<'_>,
    id: &str,
    (algorithm, shared): (Algorithm, Option<&str>),
    now: Timestamp,
) -> Result<Option<RefreshRow>> {
    let values = [
        id.into(),
        algorithm.as_str().into(),
        now.into(),
        shared.into(),
    ];
    let row = tx.first(&FOR_REFRESH, &values)?;
    row.map(|mut row| {
        let roles = row.opt_text("roles")?;
        Ok(RefreshRow {
            facts: facts(&row, roles.as_deref())?,
            generation: row.int("generation")?,
            refreshed_at: row.time("refreshed_at")?,
            key: row.take_opt_text("signing_key")?,
            user: users::shown(row)?,
        })
    })
    .transpose()
}

/// Begins the next generation. Returns false, changing nothing, if `generation` is not the one
/// that is good, or the session is not active: whoever has looked before need not look again.
pub(super) fn rotate(
    tx: &mut Tx<'_>,
    id: &str,
    generation: i64,
    limits: Limits,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "UPDATE sessions SET generation = generation + 1, refreshed_at = $3, last_seen_at = $3
         WHERE id = $1 AND generation = $2 AND revoked_at IS NULL AND expires_at > $3
           AND last_seen_at > $4
           AND EXISTS (SELECT 1 FROM users u WHERE u.id = sessions.user_id
                       AND u.state = 'active' AND u.security_epoch = sessions.epoch)",
        &[
            id.into(),
            generation.into(),
            now.into(),
            now.minus(limits.idle).into(),
        ],
    )?;
    Ok(changed == 1)
}

/// Ends a session. Returns false, changing nothing, if it was ended before.
pub(super) fn set_revoked(
    tx: &mut Tx<'_>,
    id: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "UPDATE sessions SET revoked_at = $3, revoked_reason = $2
         WHERE id = $1 AND revoked_at IS NULL",
        &[id.into(), reason.into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Notes that a session was seen, unless it was seen since.
pub(super) fn set_last_seen(tx: &mut Tx<'_>, id: &str, at: Timestamp) -> Result<u64> {
    tx.run(
        "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2",
        &[id.into(), at.into()],
    )
}

/// The id of the user whose session it is.
pub(super) fn owner(tx: &mut Tx<'_>, id: &str) -> Result<Option<String>> {
    let row = tx.first("SELECT user_id FROM sessions WHERE id = $1", &[id.into()])?;
    row.map(|row| row.text("user_id")).transpose()
}

/// The sessions of a user that nobody has ended yet, themselves or with all that the account had
/// opened, but for `except`.
pub(super) fn open_ids(
    tx: &mut Tx<'_>,
    user_id: &str,
    except: Option<&str>,
    now: Timestamp,
) -> Result<Vec<String>> {
    let rows = tx.all(
        "SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.user_id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2
           AND s.epoch = u.security_epoch AND s.id <> $3
         ORDER BY s.id",
        &[
            user_id.into(),
            now.into(),
            except.unwrap_or_default().into(),
        ],
    )?;
    rows.iter().map(|row| row.text("id")).collect()
}

const COLUMNS: &str = "s.id, s.created_at, s.methods, s.ip, s.client, s.revoked_reason, u.username";

/// The start of every statement that shows sessions.
fn select() -> String {
    format!(
        "SELECT {COLUMNS}, {FACTS}, {ROLES} AS roles
         FROM sessions s JOIN users u ON u.id = s.user_id"
    )
}

/// At most two of the sessions from one id to another: enough to know whether there is exactly one.
pub(super) fn between(
    tx: &mut Tx<'_>,
    (low, high): (&str, &str),
    limits: &[Limits; 2],
    now: Timestamp,
) -> Result<Vec<Session>> {
    let sql = format!(
        "{} WHERE s.id >= $1 AND s.id <= $2 ORDER BY s.id LIMIT 2",
        select()
    );
    let rows = tx.all(&sql, &[low.into(), high.into()])?;
    rows.iter().map(|row| session(row, limits, now)).collect()
}

/// What to look for.
pub(super) struct Search<'a> {
    pub(super) filter: &'a Filter,
    /// The user's id.
    pub(super) user: Option<&'a str>,
    /// For ordinary users, for administrators.
    pub(super) limits: [Limits; 2],
    pub(super) now: Timestamp,
}

/// How many rows one statement may look at before the page is full.
const STEP: u32 = 500;

/// Sessions before `before`, which is a place in the list, the newest first. What no index serves
/// (a pattern, a network) is asked of each row, so that the engine's words for it do not matter.
pub(super) fn page(
    tx: &mut Tx<'_>,
    search: &Search<'_>,
    before: (Timestamp, &str),
    limit: u32,
) -> Result<Vec<Session>> {
    let mut found = Vec::new();
    let mut before = (before.0, before.1.to_owned());
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let step = if search.is_narrow() { STEP } else { limit };
    loop {
        let rows = rows(tx, search, (before.0, &before.1), step)?;
        let last = rows.len() < usize::try_from(step).unwrap_or(usize::MAX);
        for row in &rows {
            let session = session(row, &search.limits, search.now)?;
            before = (session.created_at, session.id.clone());
            if search.fits(&session) {
                found.push(session);
                if found.len() == wanted {
                    return Ok(found);
                }
            }
        }
        if last {
            return Ok(found);
        }
    }
}

fn rows(
    tx: &mut Tx<'_>,
    search: &Search<'_>,
    before: (Timestamp, &str),
    step: u32,
) -> Result<Vec<Row>> {
    let mut sql = format!("{} WHERE 1 = 1", select());
    let mut values: Vec<Value> = Vec::new();
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        let condition = condition.replace("$N", &format!("${}", values.len()));
        let _infallible = write!(sql, " AND {condition}");
    };
    if let Some(user) = search.user {
        and("s.user_id = $N", user.into());
    }
    if let Some(since) = search.filter.idle_since {
        and("s.last_seen_at < $N", since.into());
    }
    if let Some(created) = search.filter.created_before {
        and("s.created_at < $N", created.into());
    }
    values.extend([before.0.into(), before.1.into(), step.into()]);
    let (at, id, limit) = (values.len() - 2, values.len() - 1, values.len());
    let _infallible = write!(
        sql,
        " AND (s.created_at, s.id) < (${at}, ${id})
         ORDER BY s.created_at DESC, s.id DESC LIMIT ${limit}"
    );
    tx.all(&sql, &values)
}

impl Search<'_> {
    /// Whether rows that the statement finds may still not fit.
    fn is_narrow(&self) -> bool {
        let Filter {
            state, ip, client, ..
        } = self.filter;
        state.is_some() || ip.is_some() || client.is_some()
    }

    fn fits(&self, session: &Session) -> bool {
        let Filter {
            state, ip, client, ..
        } = self.filter;
        let within = |network: &IpNet| {
            let ip = session.ip.as_deref().and_then(|ip| ip.parse().ok());
            ip.is_some_and(|ip: std::net::IpAddr| network.contains(&ip))
        };
        let like = |pattern: &String| {
            let name = session.client.as_deref().unwrap_or_default();
            super::model::fits(&pattern.to_lowercase(), &name.to_lowercase())
        };
        state.is_none_or(|state| state == session.state)
            && ip.as_ref().is_none_or(within)
            && client.as_ref().is_none_or(like)
    }
}

/// How many sessions of a user are good.
pub(super) fn count_live(
    tx: &mut Tx<'_>,
    user_id: &str,
    limits: &[Limits; 2],
    now: Timestamp,
) -> Result<u64> {
    let sql = format!(
        "{} WHERE s.user_id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2",
        select()
    );
    let rows = tx.all(&sql, &[user_id.into(), now.into()])?;
    let mut live = 0;
    for row in &rows {
        live += u64::from(session(row, limits, now)?.state == State::Active);
    }
    Ok(live)
}

/// Words in their order.
fn sorted(words: String) -> String {
    if !words.contains(' ') {
        return words;
    }
    let mut words: Vec<&str> = words.split(' ').collect();
    words.sort_unstable();
    words.join(" ")
}

fn facts(row: &Row, roles: Option<&str>) -> Result<Facts> {
    let mut roles = roles.unwrap_or_default().split_ascii_whitespace();
    Ok(Facts {
        authenticated_at: row.time("authenticated_at")?,
        last_seen_at: row.time("last_seen_at")?,
        expires_at: row.time("expires_at")?,
        revoked_at: row.opt_time("revoked_at")?,
        same_epoch: row.flag("same_epoch")?,
        admin: roles.any(|role| role == "admin"),
    })
}

fn session(row: &Row, limits: &[Limits; 2], now: Timestamp) -> Result<Session> {
    let facts = facts(row, row.opt_text("roles")?.as_deref())?;
    let [user, admin] = limits;
    let methods = row.text("methods")?;
    Ok(Session {
        id: row.text("id")?,
        user: row.text("username")?,
        state: facts.state(now, if facts.admin { admin } else { user }),
        created_at: row.time("created_at")?,
        last_seen_at: facts.last_seen_at,
        expires_at: facts.expires_at,
        authenticated_at: facts.authenticated_at,
        methods: methods
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        ip: row.opt_text("ip")?,
        client: row.opt_text("client")?,
        revoked_at: facts.revoked_at,
        revoked_reason: row.opt_text("revoked_reason")?,
    })
}
