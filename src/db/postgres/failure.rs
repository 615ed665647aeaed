//! What the server's errors mean: whether another connection or another try would help, and what
//! the rest of the program may know of them.

use std::io;

use crate::error::Error;

/// What a failed statement means for whoever ran it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection is gone; another one may do.
    Lost,
    /// The connection is there, but no longer what it was; another one may do, unless it is the
    /// statement that no server takes.
    Stale,
    /// The server chose another transaction over this one; again, it may do.
    Conflict,
    /// Neither would help.
    Final,
}

impl Failure {
    /// What the server's error means.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            let source = std::error::Error::source(error);
            let cut = source.is_some_and(<dyn std::error::Error>::is::<io::Error>);
            return if error.is_closed() || cut {
                Self::Lost
            } else {
                Self::Final
            };
        };
        match code.code() {
            // The last two: somebody else has just taken a unique name, or removed what was
            // referred to. The rule's own look at it, which came too early, finds that out.
            "40001" | "40P01" | "23505" | "23503" => Self::Conflict,
            // Shut down, not up yet, told to go.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Self::Lost,
            code if code.starts_with("08") => Self::Lost,
            // A primary that has become a standby; or what was prepared is no longer what the
            // server has.
            "25006" | "26000" | "0A000" => Self::Stale,
            _ => Self::Final,
        }
    }

    /// What the rest of the program may know of it: the message stays in `source()`.
    pub(super) fn error(self, source: tokio_postgres::Error) -> Error {
        if self != Self::Final {
            return Error::unavailable(source);
        }
        match source.code().map(|code| code.code().to_owned()).as_deref() {
            Some("53100") => Error::StorageFull(source.into()),
            Some("42501") => {
                tracing::error!(error = %told(&source), "the role lacks a right on the server");
                let lacks =
                    "the PostgreSQL role lacks a right that provost needs; see docs/engines.md";
                Error::Config(lacks.into())
            }
            // The one character that this engine cannot store.
            Some("22021") => Error::Malformed("text must not contain U+0000".into()),
            Some("XX001" | "XX002") => Error::Corrupt(told(&source)),
            // Took too long, waited too long for a lock, too many connections, an I/O error.
            Some(code)
                if ["57", "55", "53", "58"]
                    .iter()
                    .any(|sort| code.starts_with(sort)) =>
            {
                Error::unavailable(source)
            }
            Some(_) | None => Error::internal(source),
        }
    }
}

/// What is told of a statement that failed as [`Failure::Stale`] on a fresh connection, too.
pub(super) fn never(error: &Error) -> Error {
    Error::internal(error.causes())
}

/// What the server says, which is for operators only.
fn told(error: &tokio_postgres::Error) -> String {
    let told = error.as_db_error().map(|told| told.message().to_owned());
    told.unwrap_or_default()
}
