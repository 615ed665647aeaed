//! What is wrong with a command line: every value that is, not the first alone.
//!
//! clap ends at the first one. It is asked again, each time without the rule for the value that it
//! refused last, until it refuses none.

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

/// More refusals than this are not looked for.
const MOST: usize = 50;

/// What else is wrong with `words`, which `command` has refused with `first`.
pub(super) fn others(
    mut command: Command,
    words: &[OsString],
    first: &clap::Error,
) -> Vec<clap::Error> {
    let mut found = Vec::new();
    let mut refused = value_of(first);
    if refused.is_some() {
        // What an argument is called in messages is known of a tree that is complete.
        command.build();
    }
    while let Some(name) = refused.take().filter(|_| found.len() < MOST) {
        command = without_rule(command, &name);
        let Err(error) = command.clone().try_get_matches_from(words) else {
            break;
        };
        refused = value_of(&error);
        if refused.as_ref() == Some(&name) {
            break;
        }
        found.push(error);
    }
    found
}

/// The argument whose value is refused, as messages name it: `--email <ADDRESS>`.
fn value_of(error: &clap::Error) -> Option<String> {
    if !matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
    ) {
        return None;
    }
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => Some(name.clone()),
        _ => None,
    }
}

/// The same commands, but the argument of that name takes anything.
fn without_rule(command: Command, name: &str) -> Command {
    let lenient = |arg: Arg| {
        if arg.to_string() == name {
            arg.value_parser(ValueParser::os_string())
        } else {
            arg
        }
    };
    command
        .mut_args(lenient)
        .mut_subcommands(|command| without_rule(command, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Vec<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let command = crate::cli::command();
        let first = command.clone().try_get_matches_from(&words).unwrap_err();
        let rest = others(command, &words, &first);
        let all = std::iter::once(first).chain(rest);
        let line = |error: clap::Error| error.to_string().lines().next().unwrap().to_owned();
        all.map(line).collect()
    }

    #[test]
    fn every_value_that_is_refused_is_told_and_what_else_is_wrong() {
        let all =
            told("provost user create a@b --email x --phone 1 --role root --name I --colour never");
        assert_eq!(all.len(), 5, "{all:#?}");
        for (told, part) in all.iter().zip([
            "'a@b' for '<USERNAME>': may hold only",
            "'x' for '--email <ADDRESS>': must be an address",
            "'1' for '--phone <NUMBER>'",
            "'root' for '--role <ROLE>'",
            "'--colour'",
        ]) {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_line_with_one_fault_is_told_once() {
        assert_eq!(told("provost user create ivan --email x").len(), 1);
        assert_eq!(told("provost user create ivan --mail x").len(), 1);
        assert_eq!(told("provost user creat").len(), 1);
    }
}
