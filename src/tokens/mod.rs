//! Tokens: opaque credentials that are issued, checked, used up, renewed, revoked and purged.
//!
//! Invariants: a secret is shown once and stored only as a keyed digest; a token that is revoked,
//! expired or used up is never good again; a check without a use limit writes nothing; a use is
//! taken by one guarded statement, so that `max_uses` holds under any concurrency.

pub mod cli;
pub mod http;
mod purge;
mod store;
mod text;

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

pub use purge::{delete_gone, gone};
pub use text::{
    Kind, LENGTH, PATTERN, Presented, Refusal, SECRET, TokenId, decimal, find, parse, prefixed,
};

use crate::app::{Cx, Who};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::metrics::KindLabel;
use crate::page::Page;
use crate::scope::{Scope, Scopes, known};
use crate::secret::{Secret, random_base62, same};
use crate::time::{Lifetime, Period, Timestamp};
use crate::users;

/// The longest label, in characters, and the largest `meta`, in bytes of JSON.
const LABEL: usize = 200;
const META: usize = 4096;

/// Uses are noted at most once in this time for a token.
const NOTED: Duration = Duration::from_secs(60);

/// A token as its owner and the operator may see it: everything but the secret.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Token {
    /// The public id; logs and commands name tokens by it.
    #[schema(value_type = String, example = "0LqP3xYz8Ab")]
    pub id: TokenId,
    /// What it is for.
    pub kind: Kind,
    /// Whether it is good, and if not, why.
    pub state: State,
    /// The user name of its owner.
    pub owner: Option<String>,
    /// What the operator calls it.
    pub label: Option<String>,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    pub scopes: Scopes,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it stops being good; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it starts being good, if not at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<Timestamp>,
    /// How often it may be used; null for any number.
    pub max_uses: Option<u32>,
    /// How often it was used up.
    pub used: u32,
    /// About when it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// The network from which it may be used.
    #[schema(value_type = Option<String>, example = "10.0.0.0/8")]
    pub cidr: Option<IpNet>,
    /// What the issuer wants to remember with it.
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Map<String, Json>>,
    /// The secret's last four characters.
    pub hint: String,
}

/// Whether a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is good.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody ended it.
    Revoked,
    /// It was used as often as it may be.
    UsedUp,
    /// Its owner may not do anything.
    OwnerDisabled,
    /// Its time has not come.
    NotYet,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Active,
        Self::Expired,
        Self::Revoked,
        Self::UsedUp,
        Self::OwnerDisabled,
        Self::NotYet,
    ];

    /// As written in JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::UsedUp => "used_up",
            Self::OwnerDisabled => "owner_disabled",
            Self::NotYet => "not_yet",
        }
    }
}

/// What came out of looking at a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is good.
    Ok,
    /// Its time is over.
    Expired,
    /// Somebody ended it.
    Revoked,
    /// It was used as often as it may be.
    UsedUp,
    /// Its owner may not do anything.
    OwnerDisabled,
    /// Its time has not come.
    NotYet,
    /// It was mistyped: no such token was ever issued.
    BadChecksum,
    /// It is not one of ours, or no longer stored.
    Unknown,
}

impl Reason {
    /// As written in JSON, in metrics and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::UsedUp => "used_up",
            Self::OwnerDisabled => "owner_disabled",
            Self::NotYet => "not_yet",
            Self::BadChecksum => "bad_checksum",
            Self::Unknown => "unknown",
        }
    }
}

impl From<State> for Reason {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Ok,
            State::Expired => Self::Expired,
            State::Revoked => Self::Revoked,
            State::UsedUp => Self::UsedUp,
            State::OwnerDisabled => Self::OwnerDisabled,
            State::NotYet => Self::NotYet,
        }
    }
}

/// What decides whether a token is good, and nothing else.
#[derive(Clone, Copy, Debug)]
struct Facts {
    expires_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    max_uses: Option<u32>,
    used: u32,
    revoked_at: Option<Timestamp>,
    owner_disabled: bool,
}

impl Facts {
    /// The one place where it is decided. The first that applies is told.
    fn state(&self, now: Timestamp) -> State {
        if self.revoked_at.is_some() {
            State::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            State::Expired
        } else if self.max_uses.is_some_and(|max| self.used >= max) {
            State::UsedUp
        } else if self.owner_disabled {
            State::OwnerDisabled
        } else if self.not_before.is_some_and(|at| at > now) {
            State::NotYet
        } else {
            State::Active
        }
    }
}

/// A token to be issued.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub kind: Kind,
    /// Its owner: id, user name, e-mail or phone of a user.
    #[serde(default)]
    pub owner: Option<String>,
    /// A name for people, at most 200 characters.
    #[serde(default)]
    pub label: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// How long it is good: `30d`; `never` only at the shell.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "30d")]
    pub ttl: Option<Lifetime>,
    /// How often it may be used.
    #[serde(default)]
    pub max_uses: Option<u32>,
    /// When it starts being good.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<Timestamp>,
    /// The network from which it may be used.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "10.0.0.0/8")]
    pub cidr: Option<IpNet>,
    /// A JSON object of at most 4096 bytes.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Map<String, Json>>,
}

impl NewToken {
    /// A token of `kind` with nothing but the defaults.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            owner: None,
            label: None,
            scopes: Vec::new(),
            ttl: None,
            max_uses: None,
            not_before: None,
            cidr: None,
            meta: None,
        }
    }
}

/// A token that was just issued, with the secret that is never shown again.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The token.
    pub token: Token,
    /// Its secret part; [`prefixed`] and [`decimal`] write the whole text.
    pub secret: Secret<String>,
}

/// Issues a token to an operator or to a program with `token:create`, which can give away only
/// scopes that it has itself.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::Invalid`] for a value against the rules, [`Error::NotFound`] for
/// an owner who does not exist.
pub fn create(cx: &mut Cx<'_, '_>, new: &NewToken) -> Result<Issued> {
    cx.actor.require(known::TOKEN_CREATE)?;
    let scopes = Scopes::new(new.scopes.clone())?;
    if let Who::Token { scopes: own, .. } = &cx.actor.who {
        let beyond = scopes
            .as_slice()
            .iter()
            .find(|scope| !own.permit(scope.as_str()));
        if let Some(scope) = beyond {
            return Err(Error::Forbidden {
                needs: scope.to_string(),
            });
        }
    }
    let owner = new
        .owner
        .as_deref()
        .map(|user| users::resolve(cx, user))
        .transpose()?;
    let expires_at = expiry(cx, new.kind, new.ttl)?;
    check_label_and_meta(new)?;
    if new.max_uses == Some(0) {
        return Err(Error::invalid("max_uses", "must be at least 1"));
    }
    if let (Some(from), Some(to)) = (new.not_before, expires_at)
        && from >= to
    {
        return Err(Error::invalid(
            "not_before",
            "must be before the token expires",
        ));
    }
    let mut row = store::NewRow {
        owner_id: owner.as_ref().map(|owner| owner.id.clone()),
        label: new.label.clone(),
        scopes,
        not_before: new.not_before,
        max_uses: new.max_uses,
        cidr: new.cidr,
        meta: new.meta.clone(),
        ..store::NewRow::bare(new.kind, cx.now, expires_at)
    };
    let (id, secret) = insert(cx, &mut row)?;
    let details = json!({
        "kind": new.kind, "owner": owner.as_ref().map(|owner| &owner.username), "label": new.label,
        "scopes": row.scopes, "expires_at": expires_at, "max_uses": new.max_uses,
    });
    audit::record(cx, Event::new("token.created", object(id)).with(details))?;
    let token = store::by_id(cx.tx, id, cx.now)?.ok_or(Error::NotFound("token"))?;
    Ok(Issued { token, secret })
}

/// Issues a temporary token without authority to anybody who asks: the older token service.
/// Nothing is read back: this is the path that has to be fast.
///
/// # Errors
/// [`Error::Invalid`] for a life outside of one minute to the longest that is configured.
pub fn create_anonymous(
    cx: &mut Cx<'_, '_>,
    ttl: Option<Period>,
) -> Result<(TokenId, Secret<String>)> {
    let expires_at = expiry(cx, Kind::Temporary, ttl.map(Lifetime::For))?;
    let (id, secret) = insert(
        cx,
        &mut store::NewRow::bare(Kind::Temporary, cx.now, expires_at),
    )?;
    audit::record(cx, Event::new("token.created", object(id)))?;
    Ok((id, secret))
}

fn insert(cx: &mut Cx<'_, '_>, row: &mut store::NewRow) -> Result<(TokenId, Secret<String>)> {
    let secret = random_base62::<SECRET>()?;
    row.hint = secret
        .expose()
        .get(SECRET - 4..)
        .unwrap_or_default()
        .to_owned();
    loop {
        row.id = TokenId(cx.kit.serials.next(cx.now)?);
        row.digest = digest(&cx.kit.keys, row.kind, row.id, secret.expose());
        // Another process can have taken the same id in the same millisecond.
        if store::insert(cx.tx, row)? {
            break;
        }
    }
    cx.kit
        .metrics
        .tokens_issued
        .get_or_create(&KindLabel {
            kind: row.kind.as_str(),
        })
        .inc();
    Ok((row.id, secret))
}

/// What is stored instead of the secret (security.md, rule 12).
#[must_use]
pub fn digest(keys: &Keys, kind: Kind, id: TokenId, secret: &str) -> [u8; 32] {
    let mut digits = [0_u8; 20];
    let digits = decimal_digits(id.0.unsigned_abs(), &mut digits);
    let parts = [
        b"provost/v1/",
        kind.as_str().as_bytes(),
        b"\0",
        digits,
        b"\0",
        secret.as_bytes(),
    ];
    keys.token.sign(&parts)
}

/// The decimal digits of `number`, written into `room` from its end: no allocation on the path of
/// every check.
fn decimal_digits(mut number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut length = 0;
    for place in room.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        length += 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    room.get(20 - length..).unwrap_or_default()
}

fn object(id: TokenId) -> String {
    format!("token:{id}")
}

fn expiry(cx: &Cx<'_, '_>, kind: Kind, ttl: Option<Lifetime>) -> Result<Option<Timestamp>> {
    let settings = &cx.kit.config.tokens;
    let (usual, longest) = match kind {
        Kind::Temporary => (settings.temporary_ttl, settings.temporary_max),
        Kind::Api => (settings.api_ttl, settings.api_max),
    };
    let at_shell = matches!(cx.actor.who, Who::Operator { .. });
    match ttl.unwrap_or(Lifetime::For(usual)) {
        Lifetime::Never if kind == Kind::Api && at_shell => Ok(None),
        Lifetime::Never if kind == Kind::Api => Err(Error::invalid(
            "ttl",
            "can be never only at the shell: provost token create --ttl never",
        )),
        Lifetime::Never => Err(Error::invalid(
            "ttl",
            "cannot be never for a temporary token",
        )),
        Lifetime::For(period) if period.0 < Duration::from_secs(1) || period > longest => Err(
            Error::invalid("ttl", format!("must be from 1s to {longest} for this kind")),
        ),
        Lifetime::For(period) => Ok(Some(cx.now.plus(period.0))),
    }
}

fn check_label_and_meta(new: &NewToken) -> Result<()> {
    if let Some(label) = &new.label {
        let good =
            (1..=LABEL).contains(&label.chars().count()) && !label.chars().any(char::is_control);
        if !good {
            return Err(Error::invalid(
                "label",
                format!("must have 1 to {LABEL} printable characters"),
            ));
        }
    }
    let size = new.meta.as_ref().map_or(Ok(0), |meta| {
        serde_json::to_vec(meta).map(|json| json.len())
    });
    if size.map_err(Error::internal)? > META {
        return Err(Error::invalid(
            "meta",
            format!("must be at most {META} bytes of JSON"),
        ));
    }
    Ok(())
}

/// What a check learns of a good token.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its id.
    pub id: TokenId,
    /// Its kind.
    pub kind: Kind,
    /// Its owner's id.
    pub owner_id: Option<String>,
    /// What it may do.
    pub scopes: Scopes,
    /// From where it may be used.
    pub cidr: Option<IpNet>,
    /// Whether its uses are counted.
    pub counted: bool,
}

/// Looks at a presented token: a pure read.
///
/// # Errors
/// Only those of the database; a bad token is a [`Reason`].
pub fn check(
    cx: &mut Cx<'_, '_>,
    text: &str,
) -> Result<Result<Checked, (Reason, Option<TokenId>)>> {
    let presented = match parse(text) {
        Ok(presented) => presented,
        Err(Refusal::BadChecksum) => return Ok(Err(refused(cx, Reason::BadChecksum, None))),
        Err(Refusal::Malformed) => return Ok(Err(refused(cx, Reason::Unknown, None))),
    };
    let Some(row) = matching(cx, &presented)? else {
        return Ok(Err(refused(cx, Reason::Unknown, None)));
    };
    let reason = Reason::from(row.facts.state(cx.now));
    if reason != Reason::Ok {
        return Ok(Err(refused(cx, reason, Some(presented.id))));
    }
    count(cx, Reason::Ok);
    Ok(Ok(row.checked))
}

fn refused(cx: &Cx<'_, '_>, reason: Reason, id: Option<TokenId>) -> (Reason, Option<TokenId>) {
    count(cx, reason);
    (reason, id)
}

fn count(cx: &Cx<'_, '_>, reason: Reason) {
    cx.kit
        .metrics
        .tokens_validated
        .get_or_create(&KindLabel {
            kind: reason.as_str(),
        })
        .inc();
}

/// The row that `presented` proves to know the secret of.
fn matching(cx: &mut Cx<'_, '_>, presented: &Presented<'_>) -> Result<Option<store::CheckRow>> {
    let row = store::for_check(cx.tx, presented.id)?;
    // An unknown id costs the same digest as a known one (rule 13).
    let kind = row.as_ref().map_or(Kind::Temporary, |row| row.checked.kind);
    let computed = digest(&cx.kit.keys, kind, presented.id, presented.secret);
    Ok(row.filter(|row| {
        same(&row.digest, &computed) && presented.kind.is_none_or(|claimed| claimed == kind)
    }))
}

/// Checks an API token that authenticates a request from `cx.actor.ip`, taking one use if its uses
/// are counted. Must run in a write transaction for those: [`Checked::counted`] tells after
/// [`check`].
///
/// # Errors
/// [`Error::Unauthenticated`] for any token that is not good here and now.
pub fn authenticate(cx: &mut Cx<'_, '_>, text: &str) -> Result<Checked> {
    let checked = check(cx, text)?.map_err(|_| Error::Unauthenticated)?;
    let near = match (checked.cidr, cx.actor.ip) {
        (Some(network), Some(ip)) => network.contains(&ip.to_canonical()),
        (Some(_), None) => false,
        (None, _) => true,
    };
    if checked.kind != Kind::Api || !near {
        return Err(Error::Unauthenticated);
    }
    Ok(checked)
}

/// Takes one use of an authenticated token, before the action that it pays for.
///
/// # Errors
/// [`Error::Unauthenticated`] if somebody else took the last one.
pub fn take_use(cx: &mut Cx<'_, '_>, id: TokenId) -> Result<()> {
    if store::consume(cx.tx, id, cx.now)? {
        Ok(())
    } else {
        Err(Error::Unauthenticated)
    }
}

/// Notes the use of an API token for `last_used_at`, which a job writes later.
pub fn note_use(cx: &Cx<'_, '_>, id: TokenId) {
    cx.kit.uses.note(id.0, cx.now);
}

/// Writes the uses that were noted, in one batch; returns how many tokens had one.
///
/// # Errors
/// Those of the database.
pub fn write_uses(cx: &mut Cx<'_, '_>, uses: &[(i64, Timestamp)]) -> Result<u64> {
    let mut written = 0;
    for (id, at) in uses {
        written += store::set_last_used(cx.tx, TokenId(*id), *at, at.minus(NOTED))?;
    }
    Ok(written)
}

/// A presented token, its state and everything about it.
#[derive(Clone, Debug, Serialize)]
pub struct Lookup {
    /// Why it is good or not.
    pub reason: Reason,
    /// The token itself, if the text proves to know its secret.
    #[serde(flatten)]
    pub token: Option<Token>,
}

/// Tells everything about a presented token. Does not count as a use.
///
/// # Errors
/// [`Error::Forbidden`] without `token:introspect`.
pub fn lookup(cx: &mut Cx<'_, '_>, text: &str) -> Result<Lookup> {
    cx.actor.require(known::TOKEN_INTROSPECT)?;
    let (reason, id) = match check(cx, text)? {
        Ok(checked) => (Reason::Ok, Some(checked.id)),
        Err((reason, id)) => (reason, id),
    };
    let token = match id {
        Some(id) => store::by_id(cx.tx, id, cx.now)?,
        None => None,
    };
    Ok(Lookup { reason, token })
}

/// Takes one use of a presented token, atomically: of many at once, `max_uses` succeed.
///
/// # Errors
/// [`Error::Forbidden`] without `token:consume`.
pub fn consume(cx: &mut Cx<'_, '_>, text: &str) -> Result<Lookup> {
    cx.actor.require(known::TOKEN_CONSUME)?;
    let (reason, id) = match check(cx, text)? {
        Ok(checked) if store::consume(cx.tx, checked.id, cx.now)? => (Reason::Ok, Some(checked.id)),
        Ok(checked) => (Reason::UsedUp, Some(checked.id)),
        Err((reason, id)) => (reason, id),
    };
    let Some(id) = id else {
        return Ok(Lookup {
            reason,
            token: None,
        });
    };
    if reason == Reason::Ok {
        audit::record(cx, Event::new("token.consumed", object(id)))?;
    }
    Ok(Lookup {
        reason,
        token: store::by_id(cx.tx, id, cx.now)?,
    })
}

/// One token by its public id, or by the first characters of it.
///
/// # Errors
/// [`Error::Forbidden`] without `token:read`, [`Error::NotFound`], [`Error::Ambiguous`].
pub fn get(cx: &mut Cx<'_, '_>, id: &str) -> Result<Token> {
    cx.actor.require(known::TOKEN_READ)?;
    find_one(cx, id)
}

fn find_one(cx: &mut Cx<'_, '_>, id: &str) -> Result<Token> {
    let Ok((low, high)) = TokenId::starting_with(id) else {
        return Err(Error::NotFound("token"));
    };
    let mut found = store::between(cx.tx, low, high, cx.now)?;
    match (found.pop(), found.is_empty()) {
        (Some(token), true) => Ok(token),
        (Some(_), false) => Err(Error::Ambiguous {
            noun: "token",
            prefix: id.to_owned(),
        }),
        (None, _) => Err(Error::NotFound("token")),
    }
}

/// Which tokens to list; what is `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of this user: id, user name, e-mail or phone.
    pub owner: Option<String>,
    /// With exactly this label, or, ending in `*`, labels that begin so.
    pub label: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// With this scope.
    pub scope: Option<Scope>,
    /// Good now, but expired so long from now.
    pub expiring: Option<Period>,
    /// Issued before.
    pub created_before: Option<Timestamp>,
    /// Issued at or after.
    pub created_after: Option<Timestamp>,
}

/// Tokens, the newest first.
///
/// # Errors
/// [`Error::Forbidden`] without `token:read`; [`Error::Invalid`] for a cursor that is none;
/// [`Error::NotFound`] for an owner who does not exist.
pub fn list(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Token>> {
    cx.actor.require(known::TOKEN_READ)?;
    let below = match cursor {
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::invalid("cursor", "is not one of this list"))?,
        None => TokenId(i64::MAX),
    };
    let owner = filter
        .owner
        .as_deref()
        .map(|user| users::resolve(cx, user))
        .transpose()?;
    let owner = owner.map(|owner| owner.id);
    let tokens = store::page(
        cx.tx,
        filter,
        owner.as_deref(),
        below,
        limit.saturating_add(1),
        cx.now,
    )?;
    Ok(Page::cut(tokens, limit, |token| token.id.to_string()))
}

/// How many tokens `filter` finds.
///
/// # Errors
/// As [`list`].
pub fn count_matching(cx: &mut Cx<'_, '_>, filter: &Filter) -> Result<u64> {
    cx.actor.require(known::TOKEN_READ)?;
    let owner = filter
        .owner
        .as_deref()
        .map(|user| users::resolve(cx, user))
        .transpose()?;
    store::count(
        cx.tx,
        filter,
        owner.map(|owner| owner.id).as_deref(),
        cx.now,
    )
}

/// Gives a token that is still good more time: `ttl` from now.
///
/// # Errors
/// [`Error::Forbidden`] without `token:renew`; [`Error::NotFound`]; [`Error::Invalid`] for a token
/// that is expired, revoked or used up, or for a life that is too long.
pub fn renew(cx: &mut Cx<'_, '_>, id: &str, ttl: Option<Lifetime>) -> Result<Token> {
    cx.actor.require(known::TOKEN_RENEW)?;
    let token = find_one(cx, id)?;
    let expires_at = expiry(cx, token.kind, ttl)?;
    if token
        .not_before
        .is_some_and(|from| expires_at.is_some_and(|to| from >= to))
    {
        return Err(Error::invalid(
            "ttl",
            "ends before the token starts being good",
        ));
    }
    if !store::set_expiry(cx.tx, token.id, expires_at, cx.now)? {
        let reason = format!(
            "is {} and cannot be renewed; issue another",
            token.state.as_str()
        );
        return Err(Error::invalid("token", reason));
    }
    let details = json!({ "from": token.expires_at, "to": expires_at });
    audit::record(
        cx,
        Event::new("token.renewed", object(token.id)).with(details),
    )?;
    find_one(cx, &token.id.to_string())
}

/// Ends a token. Ending one that has ended already changes nothing and is no error.
///
/// # Errors
/// [`Error::Forbidden`] without `token:revoke`; [`Error::NotFound`].
pub fn revoke(cx: &mut Cx<'_, '_>, id: &str, reason: Option<&str>) -> Result<Token> {
    cx.actor.require(known::TOKEN_REVOKE)?;
    let token = find_one(cx, id)?;
    end(cx, token.id, reason)?;
    find_one(cx, &token.id.to_string())
}

fn end(cx: &mut Cx<'_, '_>, id: TokenId, reason: Option<&str>) -> Result<bool> {
    let ended = store::set_revoked(cx.tx, id, cx.now)?;
    if ended {
        audit::record(
            cx,
            Event::new("token.revoked", object(id)).with(json!({ "reason": reason })),
        )?;
    }
    Ok(ended)
}

/// Ends the token that is presented (RFC 7009 §2): an unknown one is no error. Whoever has
/// `token:revoke` may end any, everybody else only the one with which the request is made.
///
/// # Errors
/// [`Error::Forbidden`].
pub fn revoke_presented(cx: &mut Cx<'_, '_>, text: &str) -> Result<()> {
    let row = match parse(text) {
        Ok(presented) => matching(cx, &presented)?,
        Err(_) => None,
    };
    let own = match (&cx.actor.who, &row) {
        (Who::Token { id, .. }, Some(row)) => *id == row.checked.id.to_string(),
        _ => false,
    };
    if !own {
        cx.actor.require(known::TOKEN_REVOKE)?;
    }
    match row {
        Some(row) => end(cx, row.checked.id, None).map(|_| ()),
        None => Ok(()),
    }
}

/// Ends up to `most` of the live tokens that `filter` finds; returns their ids. Call it until it
/// returns none: each call is one short transaction.
///
/// # Errors
/// [`Error::Forbidden`] without `token:revoke`.
pub fn revoke_some(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    reason: Option<&str>,
    most: u32,
) -> Result<Vec<TokenId>> {
    cx.actor.require(known::TOKEN_REVOKE)?;
    let owner = filter
        .owner
        .as_deref()
        .map(|user| users::resolve(cx, user))
        .transpose()?;
    let ids = store::live_ids(
        cx.tx,
        filter,
        owner.map(|owner| owner.id).as_deref(),
        most,
        cx.now,
    )?;
    for id in &ids {
        end(cx, *id, reason)?;
    }
    Ok(ids)
}

/// Removes the row of a temporary token that was found expired: the older service's clients
/// expect it to be gone.
///
/// # Errors
/// Those of the database.
pub fn remove_expired(cx: &mut Cx<'_, '_>, id: TokenId) -> Result<()> {
    if store::delete_expired_one(cx.tx, id, cx.now)? {
        audit::record(cx, Event::new("token.removed", object(id)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
