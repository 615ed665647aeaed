//! `provost audit …`: who did what, at the shell.

mod export;
mod verify;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Entry, Filter, after, list};
use crate::cli::flags::{ListArgs, value};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome, Site};
use crate::error::{Error, Result};
use crate::page::Page;
use crate::time::{Timestamp, When};

/// How often `tail -f` looks.
const POLL: Duration = Duration::from_millis(500);
/// Two processes can commit in another order than that of their ids, but not further apart.
const OVERLAP: Duration = Duration::from_secs(1);
/// Entries read at once.
const BATCH: u32 = 1000;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  provost audit list --object 'token:*' --since -2d
  provost audit tail -f
  provost audit list --action token.revoked --all --jsonl
  provost audit verify                        status 13 if the log was tampered with
  provost audit export --jsonl > audit.jsonl")]
pub enum Command {
    /// List entries, the newest first
    List(List),
    /// Show the last entries, the newest last, and with -f those that follow
    Tail(Tail),
    /// Hold the log against its seals; ends with status 13 if it is not what was sealed
    Verify(verify::Verify),
    /// Print the whole log, the oldest entries first, each with its seal
    Export(export::Export),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List(command) => command.run(&site.operator(out)?, out),
            Self::Tail(command) => command.run(&site.operator(out)?, out),
            // Also without the key file.
            Self::Verify(command) => command.run(site, out),
            Self::Export(command) => command.run(&site.operator(out)?, out),
        }
    }
}

impl Record for Entry {
    const COLUMNS: &'static [&'static str] = &["at", "actor", "action", "object", "result"];

    fn id(&self) -> Cow<'_, str> {
        self.id.to_string().into()
    }
}

/// Which entries.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    /// Only by this actor: os:1000/maria@host, token:ID, job:NAME; a * at the end stands for any rest
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Only this action: token.created; a * at the end stands for any rest
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only on this object: token:ID, user:ID; a * at the end stands for any rest
    #[arg(long, value_name = "OBJECT")]
    object: Option<String>,
    /// Not before: RFC 3339, or -2d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    since: Option<When>,
    /// Before: RFC 3339, now, or -2d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    until: Option<When>,
}

impl Which {
    fn filter(self, now: Timestamp) -> Filter {
        Filter {
            actor: self.actor,
            action: self.action,
            object: self.object,
            since: self.since.map(|when| when.from(now)),
            until: self.until.map(|when| when.from(now)),
        }
    }
}

/// The flags of `list`.
#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    form: ListArgs,
}

impl List {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let filter = self.which.filter(operator.now());
        out.list(&self.form, |cursor, limit| {
            operator.read(|cx| list(cx, &filter, cursor, limit))
        })?;
        Ok(Outcome::Done)
    }
}

/// The flags of `tail`.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Go on with the entries that follow, until ^C
    #[arg(long, short)]
    follow: bool,
    /// Begin with so many entries
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=1000))]
    lines: u32,
    #[command(flatten)]
    which: Which,
    /// Print one JSON object a line
    #[arg(long)]
    jsonl: bool,
}

impl Tail {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        if out.format().json {
            return Err(Error::Usage(
                "--json is one document and the tail has no end: use --jsonl".into(),
            ));
        }
        // Before the first line, so that no ^C is lost.
        let interrupt = self.follow.then(Interrupt::watch).transpose()?;
        let filter = self.which.filter(operator.now());
        let mut seen = Seen::default();
        let last = last(operator, &filter, self.lines)?;
        seen.floor = match last.first() {
            Some(oldest) => oldest.id.saturating_sub(1),
            // Nothing fits yet; what comes later has greater ids than anything there is now.
            None => newest(operator)?,
        };
        show(out, self.jsonl, seen.fresh(last))?;
        let Some(interrupt) = interrupt else {
            return Ok(Outcome::Done);
        };
        loop {
            let batch = match operator.read(|cx| after(cx, &filter, seen.floor, BATCH)) {
                // Who watches a log wants to see what comes after the outage.
                Err(Error::Unavailable(_)) => Vec::new(),
                batch => batch?,
            };
            let full = u32::try_from(batch.len()).is_ok_and(|length| length == BATCH);
            show(out, self.jsonl, seen.fresh(batch))?;
            seen.forget_old(full);
            if !full && interrupt.within(POLL)? {
                return Ok(Outcome::Done);
            }
        }
    }
}

/// The newest `count` entries, oldest first.
fn last(operator: &Operator, filter: &Filter, count: u32) -> Result<Vec<Entry>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let page = operator.read(|cx| list(cx, filter, None, count))?;
    let mut entries = page.items;
    entries.reverse();
    Ok(entries)
}

/// The id of the newest entry of all.
fn newest(operator: &Operator) -> Result<i64> {
    let page = operator.read(|cx| list(cx, &Filter::default(), None, 1))?;
    Ok(page.items.first().map_or(0, |entry| entry.id))
}

/// What was shown of the last second, so that reading it again shows nothing twice.
#[derive(Debug, Default)]
struct Seen {
    /// Everything up to this id has been shown.
    floor: i64,
    shown: BTreeMap<i64, Timestamp>,
}

impl Seen {
    fn fresh(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut fresh = entries;
        fresh.retain(|entry| self.shown.insert(entry.id, entry.at).is_none());
        fresh
    }

    /// Moves the floor up to a second before the newest entry; all the way after a full batch,
    /// which may be nothing but that second.
    fn forget_old(&mut self, all: bool) {
        let Some(newest) = self.shown.values().max().copied() else {
            return;
        };
        let until = newest.minus(OVERLAP);
        while let Some((id, at)) = self.shown.first_key_value()
            && (all || *at < until)
        {
            self.floor = *id;
            self.shown.pop_first();
        }
    }
}

fn show(out: &mut Output, jsonl: bool, entries: Vec<Entry>) -> Result<()> {
    if jsonl || out.format().quiet {
        let form = ListArgs {
            jsonl,
            ..ListArgs::default()
        };
        let mut entries = Some(entries);
        out.list(&form, |_, _| {
            let items = entries.take().unwrap_or_default();
            Ok(Page { items, next: None })
        })?;
    } else {
        for entry in entries {
            let Entry {
                at,
                actor,
                action,
                object,
                result,
                ip,
                details,
                ..
            } = entry;
            let from = ip.map_or(String::new(), |ip| format!("  {ip}"));
            let details = details.map_or(String::new(), |details| format!("  {details}"));
            let result = result.as_str();
            out.line(format!(
                "{at}  {actor}  {action}  {object}  {result}{from}{details}"
            ))?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Outcome;

    fn entry(id: i64, at: i64) -> Entry {
        Entry {
            id,
            at: Timestamp(at),
            actor: "x".into(),
            action: "x.made".into(),
            object: "x:1".into(),
            result: Outcome::Ok,
            ip: None,
            request_id: None,
            details: None,
        }
    }

    fn ids(entries: &[Entry]) -> Vec<i64> {
        entries.iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn an_entry_that_arrives_late_is_shown_and_none_is_shown_twice() {
        let mut seen = Seen::default();
        assert_eq!(
            ids(&seen.fresh(vec![entry(1, 100), entry(3, 2000)])),
            [1, 3]
        );
        seen.forget_old(false);
        assert_eq!(seen.floor, 1);
        // The other process committed id 2 after id 3.
        let again = vec![entry(2, 1999), entry(3, 2000), entry(4, 2001)];
        assert_eq!(ids(&seen.fresh(again)), [2, 4]);
        seen.forget_old(false);
        assert_eq!(seen.floor, 1);
        assert_eq!(ids(&seen.fresh(vec![entry(9, 9000)])), [9]);
        seen.forget_old(false);
        assert_eq!(seen.floor, 4);
    }

    #[test]
    fn a_second_with_more_entries_than_a_batch_does_not_stop_the_tail() {
        let mut seen = Seen::default();
        seen.fresh(vec![entry(1, 1000), entry(2, 1000)]);
        seen.forget_old(true);
        assert_eq!(seen.floor, 2);
    }
}
