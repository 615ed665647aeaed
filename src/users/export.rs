//! Handing out accounts, in a form that [`import`](super::import) takes in again.
//!
//! Invariants: accounts come page by page, each page a transaction of its own, so that a daemon is
//! never kept from tidying up; deleted accounts stay where they are; hashes leave only when asked
//! for, and the log says so; no cell of CSV is a formula in a spreadsheet, but for phone numbers
//! (`formulas.rs`).

mod store;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::formulas;
use super::import::Form;
use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::scope::known;
use crate::time::Timestamp;

/// Accounts of a page.
const PAGE: u32 = 1000;

/// An account as it is handed out: members and their order are part of the public contract.
#[derive(Debug, Serialize)]
struct Handed {
    id: String,
    username: String,
    email: Option<String>,
    email_verified: bool,
    phone: Option<String>,
    name: Option<String>,
    roles: Vec<String>,
    state: String,
    disabled_reason: Option<String>,
    locale: Option<String>,
    meta: Option<Json>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_hash: Option<String>,
}

const COLUMNS: [&str; 12] = [
    "id",
    "username",
    "email",
    "email_verified",
    "phone",
    "name",
    "roles",
    "state",
    "disabled_reason",
    "locale",
    "meta",
    "created_at",
];
const HASH: &str = "password_hash";

/// What is handed out, and how.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// In which form.
    pub form: Form,
    /// With the hashes of the passwords.
    pub hashes: bool,
}

/// How many accounts were handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// So many.
    pub users: u64,
    /// Deleted ones, which stay where they are; none that are erased.
    pub deleted: u64,
}

/// Hands out all accounts, the oldest first: `to` gets the text piece by piece, with the number of
/// accounts in the piece. Returns how many there were.
///
/// # Errors
/// [`Error::Forbidden`] without `user:read`, or, for hashes, `user:write`; what `to` returns; those of
/// the database.
pub fn export(
    app: &App,
    actor: &Actor,
    options: Options,
    to: &mut dyn FnMut(&[u8], u64) -> Result<()>,
) -> Result<Exported> {
    actor.require(known::USER_READ)?;
    if options.hashes {
        actor.require(known::USER_WRITE)?;
    }
    let (mut after, mut all) = (None, 0);
    let mut piece = Piece::new(options)?;
    to(&piece.take()?, 0)?;
    loop {
        let page = app.read(actor, |cx| {
            store::page(cx.tx, after.as_ref(), options.hashes, PAGE)
        })?;
        let count = u64::try_from(page.len()).map_err(Error::internal)?;
        for account in &page {
            piece.add(account)?;
        }
        let ended = count < u64::from(PAGE);
        after = page
            .into_iter()
            .next_back()
            .map(|last| (last.created_at, last.id));
        all += count;
        to(&piece.take()?, count)?;
        if ended {
            break;
        }
    }
    let details = json!({ "users": all, "hashes": options.hashes, "as": options.form.as_str() });
    app.write(actor, move |cx| {
        audit::record(
            cx,
            Event::new("user.exported", "users").with(details.clone()),
        )
    })?;
    Ok(Exported {
        users: all,
        deleted: app.read(actor, |cx| store::count_deleted(cx.tx))?,
    })
}

/// How many accounts there are to hand out.
///
/// # Errors
/// [`Error::Forbidden`] without `user:read`, or those of the database.
pub fn count(app: &App, actor: &Actor) -> Result<u64> {
    actor.require(known::USER_READ)?;
    app.read(actor, |cx| store::count(cx.tx))
}

/// Text that is being put together.
enum Piece {
    Csv(Box<csv::Writer<Vec<u8>>>, bool),
    Jsonl(Vec<u8>),
}

impl Piece {
    fn new(options: Options) -> Result<Self> {
        match options.form {
            Form::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                let hash = options.hashes.then_some(HASH);
                let names = COLUMNS.into_iter().chain(hash);
                writer.write_record(names).map_err(Error::internal)?;
                Ok(Self::Csv(Box::new(writer), options.hashes))
            }
            Form::Jsonl => Ok(Self::Jsonl(Vec::new())),
        }
    }

    fn add(&mut self, account: &Handed) -> Result<()> {
        match self {
            Self::Csv(writer, hashes) => {
                let created = account.created_at.to_string();
                let roles = account.roles.join(" ");
                let meta = account.meta.as_ref().map(ToString::to_string);
                let verified = if account.email_verified {
                    "true"
                } else {
                    "false"
                };
                let fields = [
                    Some(account.id.as_str()),
                    Some(&account.username),
                    account.email.as_deref(),
                    Some(verified),
                    account.phone.as_deref(),
                    account.name.as_deref(),
                    Some(&roles),
                    Some(&account.state),
                    account.disabled_reason.as_deref(),
                    account.locale.as_deref(),
                    meta.as_deref(),
                    Some(&created),
                ];
                let hash = account.password_hash.as_deref();
                let hash = hashes.then(|| hash.unwrap_or_default());
                let fields = fields.into_iter().map(Option::unwrap_or_default);
                let cells = COLUMNS.into_iter().chain([HASH]).zip(fields.chain(hash));
                let cells = cells.map(|(column, text)| match column {
                    "phone" => Cow::Borrowed(text),
                    _ => formulas::guarded(text),
                });
                let written = writer.write_record(cells.map(Cow::into_owned));
                written.map_err(Error::internal)
            }
            Self::Jsonl(text) => {
                serde_json::to_writer(&mut *text, account).map_err(Error::internal)?;
                text.push(b'\n');
                Ok(())
            }
        }
    }

    /// What there is so far; goes on with nothing.
    fn take(&mut self) -> Result<Vec<u8>> {
        match self {
            Self::Csv(writer, _) => {
                let next = csv::Writer::from_writer(Vec::new());
                let whole = std::mem::replace(&mut **writer, next);
                whole
                    .into_inner()
                    .map_err(|error| Error::internal(error.to_string()))
            }
            Self::Jsonl(text) => Ok(std::mem::take(text)),
        }
    }
}
