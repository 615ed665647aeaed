//! Checks of the accounts: who can do everything, and what never ends.

use super::{Patient, Seen, store};
use crate::error::Result;
use crate::tokens::{self, Neglected};

/// Whether anybody can administer.
pub(super) fn administrators(patient: &Patient) -> Result<Seen> {
    let count = patient.app()?.db().export(store::administrators)?;
    Ok(match count {
        0 => Seen::warn(
            "nobody administers: over HTTP nobody can change anything for others",
            patient.run("user create NAME --admin"),
        ),
        1 => Seen::warn(
            "there is one: should they be locked out, only the shell helps",
            patient.run("user create NAME --admin"),
        ),
        several => Seen::ok(format!("there are {several}")),
    })
}

/// Whether a stolen password is enough to do everything.
pub(super) fn second_factors(patient: &Patient) -> Result<Seen> {
    let names = patient.app()?.db().export(store::without_factor)?;
    let Some((first, others)) = names.split_first() else {
        return Ok(Seen::ok("no administrator logs in with a password alone"));
    };
    let about = match others.len() {
        0 => format!("the administrator {first} logs in with a password alone"),
        n => format!("the administrators {first} and {n} more log in with a password alone"),
    };
    Ok(Seen::warn(about, patient.run("user mfa list")))
}

/// Tokens that nobody has looked at since a restore.
pub(super) fn suspended_tokens(patient: &Patient) -> Result<Seen> {
    let next = || patient.run("token list --kind api --state suspended");
    Ok(match neglected(patient)?.suspended {
        0 => Seen::ok("no API token waits to be enabled"),
        1 => Seen::warn(
            "one API token is refused since a backup was restored, until it is enabled or revoked",
            next(),
        ),
        n => Seen::warn(
            format!(
                "{n} API tokens are refused since a backup was restored, until each is enabled or revoked"
            ),
            next(),
        ),
    })
}

fn neglected(patient: &Patient) -> Result<Neglected> {
    patient.app()?.read(&patient.found.actor, tokens::neglected)
}

/// Tokens that are good until somebody thinks of them.
pub(super) fn endless_tokens(patient: &Patient) -> Result<Seen> {
    let next = || patient.run("token list --kind api --state active");
    Ok(match neglected(patient)?.endless {
        0 => Seen::ok("every API token has an end"),
        1 => Seen::warn("one API token never expires", next()),
        n => Seen::warn(format!("{n} API tokens never expire"), next()),
    })
}
