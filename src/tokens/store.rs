//! The tokens' table.

use ipnet::IpNet;
use serde_json::{Map, Value as Json};

use super::model::Facts;
use super::{Checked, Filter, Kind, State, Token, TokenId};
use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};
use crate::scope::Scopes;
use crate::time::Timestamp;

/// A row to be added.
pub(super) struct NewRow {
    pub(super) id: TokenId,
    pub(super) kind: Kind,
    pub(super) digest: [u8; 32],
    pub(super) hint: String,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) max_uses: Option<u32>,
    pub(super) owner_id: Option<String>,
    /// The owner's epoch as it was read together with the right to issue for them.
    pub(super) owner_epoch: Option<i64>,
    pub(super) label: Option<String>,
    pub(super) scopes: Scopes,
    pub(super) cidr: Option<IpNet>,
    pub(super) meta: Option<Map<String, Json>>,
}

impl NewRow {
    /// A row with nothing optional; id, digest and hint are still to come.
    pub(super) fn bare(kind: Kind, created_at: Timestamp, expires_at: Option<Timestamp>) -> Self {
        Self {
            id: TokenId(0),
            kind,
            digest: [0; 32],
            hint: String::new(),
            created_at,
            expires_at,
            not_before: None,
            max_uses: None,
            owner_id: None,
            owner_epoch: None,
            label: None,
            scopes: Scopes::default(),
            cidr: None,
            meta: None,
        }
    }
}

/// Adds `row`. Returns false, changing nothing, if its id is taken.
pub(super) fn insert(tx: &mut Tx<'_>, row: &NewRow) -> Result<bool> {
    let scopes = Some(&row.scopes)
        .filter(|scopes| !scopes.is_empty())
        .map(ToString::to_string);
    let meta = row
        .meta
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(Error::internal)?;
    tx.add(
        "INSERT INTO tokens (id, kind, digest, hint, created_at, expires_at, not_before, max_uses,
                             owner_id, label, scopes, cidr, meta, owner_epoch)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (id) DO NOTHING",
        &[
            row.id.0.into(),
            row.kind.as_str().into(),
            Value::from(&row.digest[..]),
            row.hint.as_str().into(),
            row.created_at.into(),
            row.expires_at.into(),
            row.not_before.into(),
            row.max_uses.into(),
            row.owner_id.as_deref().into(),
            row.label.as_deref().into(),
            scopes.into(),
            row.cidr.map(|cidr| cidr.to_string()).into(),
            meta.into(),
            row.owner_epoch.into(),
        ],
    )
}

/// What a check reads: the narrowest row that can decide.
pub(super) struct CheckRow {
    pub(super) digest: Vec<u8>,
    pub(super) facts: Facts,
    pub(super) checked: Checked,
}

/// The row that a check of `id` needs.
pub(super) fn for_check(tx: &mut Tx<'_>, id: TokenId) -> Result<Option<CheckRow>> {
    let row = tx.first(
        "SELECT t.kind, t.digest, t.expires_at, t.not_before, t.max_uses, t.used, t.revoked_at,
                t.suspended_at, t.owner_id, t.scopes, t.cidr, t.created_at, u.username AS owner,
                CASE WHEN u.state <> 'active' THEN 1 ELSE 0 END AS owner_disabled,
                CASE WHEN t.owner_epoch <> u.security_epoch THEN 1 ELSE 0 END AS ended
         FROM tokens t LEFT JOIN users u ON u.id = t.owner_id
         WHERE t.id = $1",
        &[id.0.into()],
    )?;
    let check = row.map(|row| {
        let facts = facts(&row)?;
        Ok::<_, Error>(CheckRow {
            digest: row.bytes("digest")?.to_vec(),
            facts,
            checked: Checked {
                id,
                kind: kind(&row)?,
                owner_id: row.opt_text("owner_id")?,
                owner: row.opt_text("owner")?,
                created_at: row.time("created_at")?,
                expires_at: facts.expires_at,
                not_before: facts.not_before,
                scopes: scopes(&row)?,
                cidr: cidr(&row)?,
                counted: facts.max_uses.is_some(),
            },
        })
    });
    check.transpose()
}

const COLUMNS: &str = "t.id, t.kind, t.hint, t.created_at, t.expires_at, t.not_before, t.max_uses,
    t.used, t.last_used_at, t.suspended_at, t.label, t.scopes, t.cidr, t.meta, u.username AS owner,
    CASE WHEN t.revoked_at IS NULL AND t.owner_epoch <> u.security_epoch THEN u.ended_at
         ELSE t.revoked_at END AS revoked_at,
    CASE WHEN u.state <> 'active' THEN 1 ELSE 0 END AS owner_disabled,
    CASE WHEN t.owner_epoch <> u.security_epoch THEN 1 ELSE 0 END AS ended";
const FROM: &str = "FROM tokens t LEFT JOIN users u ON u.id = t.owner_id";

/// One token.
pub(super) fn by_id(tx: &mut Tx<'_>, id: TokenId, now: Timestamp) -> Result<Option<Token>> {
    Ok(between(tx, id, id, now)?.pop())
}

/// The id of the user whose token it is.
pub(super) fn owner_of(tx: &mut Tx<'_>, id: TokenId) -> Result<Option<String>> {
    let row = tx.first("SELECT owner_id FROM tokens WHERE id = $1", &[id.0.into()])?;
    Ok(row
        .map(|row| row.opt_text("owner_id"))
        .transpose()?
        .flatten())
}

/// At most two of the tokens from `low` to `high`: enough to know whether there is exactly one.
pub(super) fn between(
    tx: &mut Tx<'_>,
    low: TokenId,
    high: TokenId,
    now: Timestamp,
) -> Result<Vec<Token>> {
    let sql =
        format!("SELECT {COLUMNS} {FROM} WHERE t.id >= $1 AND t.id <= $2 ORDER BY t.id LIMIT 2");
    let rows = tx.all(&sql, &[low.0.into(), high.0.into()])?;
    rows.iter().map(|row| token(row, now)).collect()
}

/// Conditions of `filter`, and their values from `$1` on. Only what is asked for is in the
/// statement, so that the engine can choose the index that serves it.
fn wanted(filter: &Filter, owner: Option<&str>, now: Timestamp) -> (String, Vec<Value>) {
    let mut sql = String::from("1 = 1");
    let mut values = Vec::new();
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace("$N", &format!("${}", values.len())));
    };
    if let Some(owner) = owner {
        and("t.owner_id = $N", owner.into());
    }
    if let Some(kind) = filter.kind {
        and("t.kind = $N", kind.as_str().into());
    }
    if let Some(label) = &filter.label {
        match label.strip_suffix('*') {
            Some(stem) => {
                // Not LIKE, which takes no account of case on one engine.
                let begins = "SUBSTR(t.label, 1, LENGTH(CAST($N AS TEXT))) = $N";
                and(begins, stem.into());
            }
            None => and("t.label = $N", label.as_str().into()),
        }
    }
    if let Some(scope) = &filter.scope {
        let scope = scope.as_str().replace('_', "!_");
        and(
            "' ' || t.scopes || ' ' LIKE $N ESCAPE '!'",
            Value::Text(format!("% {scope} %")),
        );
    }
    if let Some(before) = filter.created_before {
        and("t.created_at < $N", before.into());
    }
    if let Some(after) = filter.created_after {
        and("t.created_at >= $N", after.into());
    }
    if let Some(state) = filter.state {
        and(in_state(state), now.into());
    }
    if let Some(expiring) = filter.expiring {
        and(in_state(State::Active), now.into());
        and("t.expires_at <= $N", now.plus(expiring.0).into());
    }
    (sql, values)
}

/// Holds unless the token was revoked, or ended with everything that its owner had opened.
macro_rules! not_revoked {
    () => {
        "t.revoked_at IS NULL AND (t.owner_epoch IS NULL OR t.owner_epoch = u.security_epoch)"
    };
}

/// Holds if the token has not ended by itself, at `$N`.
macro_rules! not_over {
    () => {
        "(t.expires_at IS NULL OR t.expires_at > $N) AND (t.max_uses IS NULL OR t.used < t.max_uses)"
    };
}

/// The same decision as `Facts::state`, in SQL; a test holds the two together.
const fn in_state(state: State) -> &'static str {
    match state {
        State::Revoked => {
            "(t.revoked_at IS NOT NULL OR t.owner_epoch <> u.security_epoch)
             AND CAST($N AS BIGINT) >= 0"
        }
        State::Expired => concat!("t.expires_at <= $N AND ", not_revoked!()),
        State::UsedUp => concat!(
            "t.used >= t.max_uses AND (t.expires_at IS NULL OR t.expires_at > $N) AND ",
            not_revoked!()
        ),
        State::Suspended => concat!(
            "t.suspended_at IS NOT NULL AND ",
            not_over!(),
            " AND ",
            not_revoked!()
        ),
        State::OwnerDisabled => concat!(
            "u.state <> 'active' AND t.suspended_at IS NULL AND ",
            not_over!(),
            " AND ",
            not_revoked!()
        ),
        State::NotYet => concat!(
            "t.not_before > $N AND (u.state IS NULL OR u.state = 'active')
             AND t.suspended_at IS NULL AND ",
            not_over!(),
            " AND ",
            not_revoked!()
        ),
        State::Active => concat!(
            "(t.not_before IS NULL OR t.not_before <= $N)
             AND (u.state IS NULL OR u.state = 'active') AND t.suspended_at IS NULL AND ",
            not_over!(),
            " AND ",
            not_revoked!()
        ),
    }
}

/// Tokens with an id below `below`, the newest first.
pub(super) fn page(
    tx: &mut Tx<'_>,
    filter: &Filter,
    owner: Option<&str>,
    below: TokenId,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Token>> {
    let (wanted, mut values) = wanted(filter, owner, now);
    values.extend([below.0.into(), limit.into()]);
    let (below, limit) = (values.len() - 1, values.len());
    let sql = format!(
        "SELECT {COLUMNS} {FROM} WHERE {wanted} AND t.id < ${below} ORDER BY t.id DESC LIMIT ${limit}"
    );
    let rows = tx.all(&sql, &values)?;
    rows.iter().map(|row| token(row, now)).collect()
}

/// Narrows [`count`] down to what [`live_ids`] finds.
pub(super) const LIVE: &str = concat!(" AND ", not_revoked!());

/// Narrows [`count`] down to what never expires.
pub(super) const ENDLESS: &str = " AND t.expires_at IS NULL";

/// Holds, in a change of `tokens`, unless everything that the owner had opened was ended. Only the
/// row of the owner can tell, and what it tells can never be undone.
const NOT_ENDED: &str = "(owner_epoch IS NULL OR owner_epoch =
    (SELECT u.security_epoch FROM users u WHERE u.id = owner_id))";

/// How many tokens there are of those that also meet `and`.
pub(super) fn count(
    tx: &mut Tx<'_>,
    filter: &Filter,
    owner: Option<&str>,
    and: &'static str,
    now: Timestamp,
) -> Result<u64> {
    let (wanted, values) = wanted(filter, owner, now);
    let sql = format!("SELECT COUNT(*) AS n {FROM} WHERE {wanted}{and}");
    let row = tx.first(&sql, &values)?;
    let row = row.ok_or_else(|| Error::internal("a count without a row"))?;
    u64::try_from(row.int("n")?).map_err(Error::internal)
}

/// How many tokens of this user could still be used, now or later, kind by kind.
pub(super) fn live_of(tx: &mut Tx<'_>, owner: &str, now: Timestamp) -> Result<Vec<(Kind, u64)>> {
    let over = not_over!().replace("$N", "$2");
    let sql = format!(
        "SELECT t.kind, COUNT(*) AS n {FROM} WHERE t.owner_id = $1 AND {over}{LIVE}
         GROUP BY t.kind ORDER BY t.kind"
    );
    let rows = tx.all(&sql, &[owner.into(), now.into()])?;
    let counted = |row: &Row| {
        let count = u64::try_from(row.int("n")?).map_err(Error::internal)?;
        Ok((kind(row)?, count))
    };
    rows.iter().map(counted).collect()
}

/// Whether there is a row at all.
pub(super) fn any(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(tx.first("SELECT id FROM tokens LIMIT 1", &[])?.is_some())
}

/// Ids above `above` of at most `most` of those that are not revoked yet.
pub(super) fn live_ids(
    tx: &mut Tx<'_>,
    filter: &Filter,
    owner: Option<&str>,
    (above, most): (TokenId, u32),
    now: Timestamp,
) -> Result<Vec<TokenId>> {
    let (wanted, mut values) = wanted(filter, owner, now);
    values.extend([above.0.into(), most.into()]);
    let (above, most) = (values.len() - 1, values.len());
    let sql = format!(
        "SELECT t.id {FROM} WHERE {wanted}{LIVE} AND t.id > ${above} ORDER BY t.id LIMIT ${most}"
    );
    tx.all(&sql, &values)?
        .iter()
        .map(|row| row.int("id").map(TokenId))
        .collect()
}

/// Takes one use. Returns false, changing nothing, if there is none left or it is not good
/// (security.md, rule 16).
pub(super) fn consume(tx: &mut Tx<'_>, id: TokenId, now: Timestamp) -> Result<bool> {
    let sql = format!(
        "UPDATE tokens SET used = used + 1, last_used_at = $2
         WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
           AND (max_uses IS NULL OR used < max_uses) AND (not_before IS NULL OR not_before <= $2)
           AND suspended_at IS NULL
           AND {NOT_ENDED}"
    );
    Ok(tx.run(&sql, &[id.0.into(), now.into()])? == 1)
}

/// Notes a use, unless one at or after `unless_since` is noted already.
pub(super) fn set_last_used(
    tx: &mut Tx<'_>,
    id: TokenId,
    at: Timestamp,
    unless_since: Timestamp,
) -> Result<u64> {
    tx.run(
        "UPDATE tokens SET last_used_at = $2
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)",
        &[id.0.into(), at.into(), unless_since.into()],
    )
}

/// Moves the expiry. Returns false, changing nothing, if the token has ended.
pub(super) fn set_expiry(
    tx: &mut Tx<'_>,
    id: TokenId,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let sql = format!(
        "UPDATE tokens SET expires_at = $2
         WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
           AND (max_uses IS NULL OR used < max_uses) AND {NOT_ENDED}"
    );
    Ok(tx.run(&sql, &[id.0.into(), expires_at.into(), now.into()])? == 1)
}

/// Ends the token. Returns false, changing nothing, if it was revoked before, or ended with
/// everything else of its owner.
pub(super) fn set_revoked(tx: &mut Tx<'_>, id: TokenId, now: Timestamp) -> Result<bool> {
    let sql = format!(
        "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL AND {NOT_ENDED}"
    );
    Ok(tx.run(&sql, &[id.0.into(), now.into()])? == 1)
}

/// Deletes a temporary token that has expired. Returns false, changing nothing, for any other.
pub(super) fn delete_expired_one(tx: &mut Tx<'_>, id: TokenId, now: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "DELETE FROM tokens WHERE id = $1 AND kind = 'temporary' AND expires_at <= $2",
        &[id.0.into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Deletes at most `most` tokens of `kind` that have expired, the longest gone first. Both times
/// the condition: the inner one finds rows, the outer one is looked at again when a row has been
/// changed meanwhile, so that what somebody has just renewed stays.
pub(super) fn delete_expired(
    tx: &mut Tx<'_>,
    kind: Kind,
    now: Timestamp,
    most: u32,
) -> Result<u64> {
    tx.run(
        "DELETE FROM tokens WHERE expires_at <= $1 AND id IN (
           SELECT id FROM tokens WHERE expires_at <= $1 AND kind = $2 ORDER BY expires_at LIMIT $3)",
        &[now.into(), kind.as_str().into(), most.into()],
    )
}

fn token(row: &Row, now: Timestamp) -> Result<Token> {
    let facts = facts(row)?;
    let meta = row
        .opt_text("meta")?
        .map(|meta| serde_json::from_str(&meta));
    Ok(Token {
        id: TokenId(row.int("id")?),
        kind: kind(row)?,
        state: facts.state(now),
        owner: row.opt_text("owner")?,
        label: row.opt_text("label")?,
        scopes: scopes(row)?,
        created_at: row.time("created_at")?,
        expires_at: facts.expires_at,
        not_before: facts.not_before,
        max_uses: facts.max_uses,
        used: facts.used,
        last_used_at: row.opt_time("last_used_at")?,
        revoked_at: facts.revoked_at,
        suspended_at: facts.suspended_at,
        cidr: cidr(row)?,
        meta: meta.transpose().map_err(Error::internal)?,
        hint: row.text("hint")?,
    })
}

fn facts(row: &Row) -> Result<Facts> {
    let max_uses = row.opt_int("max_uses")?.map(u32::try_from);
    Ok(Facts {
        expires_at: row.opt_time("expires_at")?,
        not_before: row.opt_time("not_before")?,
        max_uses: max_uses.transpose().map_err(Error::internal)?,
        used: u32::try_from(row.int("used")?).map_err(Error::internal)?,
        revoked_at: row.opt_time("revoked_at")?,
        suspended_at: row.opt_time("suspended_at")?,
        ended: row.flag("ended")?,
        owner_disabled: row.flag("owner_disabled")?,
    })
}

fn kind(row: &Row) -> Result<Kind> {
    row.str("kind")?.parse()
}

fn scopes(row: &Row) -> Result<Scopes> {
    row.opt_text("scopes")?
        .map_or(Ok(Scopes::default()), |scopes| scopes.parse())
}

fn cidr(row: &Row) -> Result<Option<IpNet>> {
    row.opt_text("cidr")?
        .map(|cidr| cidr.parse())
        .transpose()
        .map_err(Error::internal)
}
