//! What the database that makes room knows of the time since the backup.

use serde::Serialize;

use crate::app::{Actor, App};
use crate::db::Db;
use crate::error::Result;
use crate::factors::{self, Code};
use crate::keys::Keys;
use crate::migrations;
use crate::time::Timestamp;
use crate::tokens::{self, TokenId};
use crate::users::{self, Changed};

/// Accounts that are told one by one; all of them are counted.
const LISTED: usize = 1000;

/// Accounts that are asked for at once.
const PAGE: u32 = 1000;

/// The accounts that were made or changed since a backup, as the database that makes room has them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Changes {
    /// The first thousand, in the order of their ids; none if nobody can tell.
    pub changed: Option<Vec<Changed>>,
    /// How many there are.
    pub changed_count: Option<u64>,
    /// Why nobody can tell.
    pub unknown: Option<String>,
}

/// Everything that it knows.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) changes: Changes,
    /// The recovery codes that are good.
    pub(super) codes: Option<Vec<Code>>,
    /// The API tokens that nobody has revoked.
    pub(super) tokens: Option<Vec<TokenId>>,
}

impl Since {
    /// Nothing, and why.
    pub(super) fn unknown(reason: impl Into<String>) -> Self {
        Self {
            changes: Changes {
                unknown: Some(reason.into()),
                ..Changes::default()
            },
            ..Self::default()
        }
    }

    /// Asks the database that makes room. It may be damaged, of another schema, or not the one of
    /// which the backup was made, but a new one: then there is nothing to ask.
    pub(super) fn ask(old: Result<Db>, staged: &App, actor: &Actor, at: Option<Timestamp>) -> Self {
        let asked = old.and_then(|old| asked(old, staged, actor, at));
        asked.unwrap_or_else(|error| {
            let causes = error.causes();
            let mark = if causes.is_empty() { "" } else { ": " };
            Self::unknown(format!("{error}{mark}{causes}"))
        })
    }
}

fn asked(old: Db, staged: &App, actor: &Actor, at: Option<Timestamp>) -> Result<Since> {
    migrations::check(&old)?;
    // When the first migration was applied tells one database from another.
    let born = |db: &Db| -> Result<Option<Timestamp>> {
        let history = migrations::verify(db)?;
        Ok(history.first().and_then(|first| first.applied_at))
    };
    if born(&old)? != born(staged.db())? {
        let reason = "the backup is of another database than the one that is there";
        return Ok(Since::unknown(reason));
    }
    let config = staged.config().clone();
    let keys = Keys::load(&config.key_file)?;
    let app = App::new(config, keys, old);
    let changes = match at {
        Some(at) => changes(&app, actor, at)?,
        None => Changes {
            unknown: Some("no manifest says when the backup was made".to_owned()),
            ..Changes::default()
        },
    };
    app.read(actor, |cx| {
        Ok(Since {
            codes: Some(factors::unused(cx)?),
            tokens: Some(tokens::good(cx)?),
            changes,
        })
    })
}

fn changes(app: &App, actor: &Actor, at: Timestamp) -> Result<Changes> {
    let (mut listed, mut count, mut above) = (Vec::new(), 0, String::new());
    loop {
        let page = app.read(actor, |cx| users::changed_since(cx, at, &above, PAGE))?;
        let Some(last) = page.last() else {
            return Ok(Changes {
                changed: Some(listed),
                changed_count: Some(count),
                unknown: None,
            });
        };
        above.clone_from(&last.id);
        count += u64::try_from(page.len()).unwrap_or(0);
        let room = LISTED.saturating_sub(listed.len());
        listed.extend(page.into_iter().take(room));
    }
}
