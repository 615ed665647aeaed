//! The flags that many commands share: how to print, and how much of a list.

use std::net::IpAddr;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser as _, ValueParser};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;

use super::output::{Record, Terminal};
use crate::error::{Error, Result};

/// Under which heading the help lists the flags that every command has.
pub(super) const EVERYWHERE: &str = "Options of every command";

/// How to print: flags of every command.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Format {
    /// Print exactly one JSON document; errors become one problem object on standard error
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// Print ids only, and no talk
    #[arg(long, short, global = true, help_heading = EVERYWHERE)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", value_parser = word(Color::ALL, Color::as_str), default_value = "auto", help_heading = EVERYWHERE, help = COLOR)]
    pub color: Color,
}

// Not a doc comment: clippy would want marks around the variable's name, and they would show.
const COLOR: &str = "When to use colour [env: NO_COLOR switches it off]";

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal that shows colour
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    const ALL: [Self; 3] = [Self::Auto, Self::Always, Self::Never];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// Whether standard output gets colour.
    #[must_use]
    pub fn on_stdout(self, terminal: Terminal) -> bool {
        // anstream knows NO_COLOR, CLICOLOR, TERM=dumb and their like.
        let choice = || anstream::AutoStream::choice(&std::io::stdout());
        self.decide(terminal.stdout, choice)
    }

    /// Whether standard error gets colour.
    #[must_use]
    pub fn on_stderr(self, terminal: Terminal) -> bool {
        let choice = || anstream::AutoStream::choice(&std::io::stderr());
        self.decide(terminal.stderr, choice)
    }

    fn decide(self, terminal: bool, choice: impl FnOnce() -> anstream::ColorChoice) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && choice() != anstream::ColorChoice::Never,
        }
    }
}

/// How much of a list, and in which form: flags of every `list`.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "json")]
    pub jsonl: bool,
    /// Print only these members, in this order
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        conflicts_with = "quiet"
    )]
    pub fields: Vec<String>,
    /// Show at most so many objects (1 to 1000)
    #[arg(long, value_name = "N", default_value_t = ListArgs::LIMIT, value_parser = limit(), conflicts_with = "all")]
    pub limit: u32,
    /// Show all objects
    #[arg(long)]
    pub all: bool,
    /// Go on where an earlier list ended
    #[arg(long, value_name = "C")]
    pub cursor: Option<String>,
}

/// Reads a value as its own type does, for `value_parser`. The refusal leaves out the name of the
/// field: clap names the flag.
///
/// # Errors
/// The rule that the text breaks.
pub fn value<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| {
        if let Error::Invalid { reason, .. } = error {
            reason
        } else {
            error.to_string()
        }
    })
}

/// One of a few words, for `value_parser`: completions and help show them all.
pub fn word<T, const N: usize>(all: [T; N], text: fn(T) -> &'static str) -> ValueParser
where
    T: Copy + Send + Sync + 'static,
{
    let words = PossibleValuesParser::new(all.map(text));
    ValueParser::new(words.try_map(move |given| {
        let found = all.into_iter().find(|one| text(*one) == given);
        found.ok_or("is none of them")
    }))
}

/// A network, or a single address, for `value_parser`.
///
/// # Errors
/// If it is neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "must be a network such as 10.0.0.0/8, or an address".to_owned())
}

fn limit() -> ValueParser {
    count(1000)
}

/// A whole number from 1 to `most`, for `value_parser`.
#[must_use]
pub fn count(most: u32) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number = text.parse().ok();
        number
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| match most {
                u32::MAX => "must be a whole number, 1 or more".to_owned(),
                most => format!("must be a whole number from 1 to {most}"),
            })
    })
}

impl Default for ListArgs {
    fn default() -> Self {
        Self {
            jsonl: false,
            fields: Vec::new(),
            limit: Self::LIMIT,
            all: false,
            cursor: None,
        }
    }
}

impl ListArgs {
    const LIMIT: u32 = 50;

    /// What clap does not see: a global flag given before the noun is checked apart from these.
    pub(super) fn check(&self, format: Format) -> Result<()> {
        let both = |one, other| Err(Error::Usage(format!("{one} cannot be used with {other}")));
        if self.jsonl && format.json {
            return both("--jsonl", "--json");
        }
        if !self.fields.is_empty() && format.quiet {
            return both("--fields", "--quiet");
        }
        Ok(())
    }
}

/// The members that `--fields` asks for, or `None` for all; refuses those that do not exist.
pub(super) fn choose<T: Record>(
    asked: &[String],
    example: Option<&T>,
) -> Result<Option<Vec<String>>> {
    if asked.is_empty() {
        return Ok(None);
    }
    let valid = valid_fields(example)?;
    for name in asked {
        if !valid.contains(name) {
            let nearest = valid
                .iter()
                .map(|known| (strsim::jaro_winkler(known, name), known))
                .filter(|(likeness, _)| *likeness > 0.7)
                .max_by(|(a, _), (b, _)| a.total_cmp(b))
                .map(|(_, known)| format!(" (perhaps {known})"))
                .unwrap_or_default();
            let valid = valid.join(", ");
            return Err(Error::Usage(format!(
                "--fields: no field {name:?}{nearest}; the fields are {valid}"
            )));
        }
    }
    Ok(Some(asked.to_vec()))
}

fn valid_fields<T: Record>(example: Option<&T>) -> Result<Vec<String>> {
    let mut valid: Vec<String> = T::COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    if let Some(Value::Object(members)) = example.map(to_value).transpose()? {
        valid.extend(members.into_iter().map(|(name, _)| name));
        let mut seen = std::collections::HashSet::new();
        valid.retain(|name| seen.insert(name.clone()));
    }
    Ok(valid)
}

fn to_value<T: Serialize>(object: &T) -> Result<Value> {
    serde_json::to_value(object).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Program {
        #[command(flatten)]
        format: Format,
        #[command(subcommand)]
        command: Command,
    }

    #[derive(clap::Subcommand, Debug)]
    enum Command {
        List(ListArgs),
    }

    fn parse(line: &str) -> Result<(Format, ListArgs), clap::Error> {
        let Program { format, command } = Program::try_parse_from(line.split(' '))?;
        let Command::List(args) = command;
        Ok((format, args))
    }

    #[test]
    fn a_list_shows_fifty_unless_told_otherwise() {
        let (format, args) = parse("p list").unwrap();
        assert_eq!((args.limit, args.all), (50, false));
        assert_eq!(format.color, Color::Auto);
        assert_eq!(parse("p list --limit 1000").unwrap().1.limit, 1000);
        assert_eq!(parse("p list --fields a,b").unwrap().1.fields, ["a", "b"]);
    }

    #[test]
    fn refuses_a_limit_that_is_out_of_range_or_contradicts_all() {
        for line in [
            "p list --limit 0",
            "p list --limit 1001",
            "p list --limit 5 --all",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn forms_that_exclude_each_other_are_refused_wherever_they_stand() {
        assert!(parse("p list --json --jsonl").is_err());
        assert!(parse("p list --fields id --quiet").is_err());
        for line in ["p --json list --jsonl", "p -q list --fields id"] {
            let (format, args) = parse(line).unwrap();
            assert!(matches!(args.check(format), Err(Error::Usage(_))), "{line}");
        }
    }

    #[test]
    fn colour_follows_the_flag_and_then_the_terminal() {
        let off = Terminal::default();
        assert!(Color::Always.on_stdout(off));
        assert!(!Color::Never.on_stderr(Terminal {
            stderr: true,
            ..off
        }));
        assert!(!Color::Auto.on_stdout(off));
    }
}
