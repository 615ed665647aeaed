//! `provost audit verify`: the log against its seals.

use std::borrow::Cow;
use std::time::Duration;

use crate::audit::{Fault, Finding, Head, Options, Trust, Verified, verify};
use crate::cli::flags::value;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, Record};
use crate::cli::prompt::progress;
use crate::cli::{Outcome, Site, operator};
use crate::config::Config;
use crate::db::keyring;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::migrations;
use crate::time::{Timestamp, wall};

/// So long no row waits to be sealed where a daemon serves.
const LONG: Duration = Duration::from_hours(1);

/// What is wrong with a key file that did not seal the log.
const OTHER: &str =
    "is not the one with which the audit log was sealed; put a copy of the right one in its place";

/// The flags of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rows are sealed in blocks: by the daemon every 10 s, and at the end of each command that writes while
no daemon runs. Each block is hashed together with the one before it, and signed with a key from the
key file. So a row is found that was changed, removed, added or moved after it was sealed, by
whoever did not have the key file; the first is named, and the exit status is 13.

By itself the log cannot show what was done to a row before it was sealed, that its end was cut off
and an older copy of what is written down of it put back, that all seals were taken off, or what
somebody did who had the key file. Keep the line `head` on another machine and hold the log against
it with --head: then everything up to there is proven.

Rows whose time is over (audit.retention) are gone; their blocks stay and are checked.

Examples:
  provost audit verify
  provost audit verify --json | jq -r .head
  provost audit verify --head 12:9f2c…        as it was printed before")]
pub struct Verify {
    /// A head that was noted before: the log must still hold it
    #[arg(long, value_name = "NUMBER:HASH", value_parser = value::<Head>)]
    head: Option<Head>,
}

impl Verify {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let config = site.config(out)?;
        let db = operator::database(&config)?;
        migrations::check(&db)?;
        let keys = keys(&config, out)?;
        if let Some(keys) = &keys
            && !keyring::may_fit(&db, keys)?
        {
            // Of the log itself nothing can be told with it.
            return Err(Error::KeyFile {
                path: config.key_file,
                reason: OTHER.into(),
            });
        }
        let interrupt = Interrupt::watch()?;
        let options = Options {
            keys: keys.as_ref(),
            head: self.head,
        };
        let bar = progress(out, "checking", 0);
        let verified = verify(&db, &options, &mut |blocks, of| {
            bar.set_length(of);
            bar.set_position(blocks);
            if interrupt.seen() {
                return Err(Error::Cancelled);
            }
            Ok(())
        });
        bar.finish_and_clear();
        show(verified?, out)
    }
}

/// The keys, if the key file is there: the log can be read without it.
fn keys(config: &Config, out: &mut Output) -> Result<Option<Keys>> {
    match Keys::load(&config.key_file) {
        Ok(keys) => Ok(Some(keys)),
        Err(error @ Error::KeyFile { .. }) => {
            out.warn(error)?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Record for Finding {
    const COLUMNS: &'static [&'static str] = &["fault", "block", "id", "detail"];

    fn id(&self) -> Cow<'_, str> {
        self.id.to_string().into()
    }
}

impl Fault {
    const fn is_of_row(self) -> bool {
        matches!(self, Self::Altered | Self::Missing | Self::Added)
    }
}

fn show(told: Verified, out: &mut Output) -> Result<Outcome> {
    let outcome = if told.ok {
        Outcome::Done
    } else {
        Outcome::Corrupt
    };
    if out.format().json {
        warn(&told, out)?;
        return out.value(&told).map(|()| outcome);
    }
    if !out.format().quiet {
        for (label, text) in lines(&told) {
            out.line(format!("{label:9}  {text}"))?;
        }
    }
    let Some(first) = told.findings.first() else {
        return warn(&told, out).map(|()| outcome);
    };
    let row = if first.fault.is_of_row() {
        format!("row {}", first.id)
    } else {
        format!("block {}", first.block)
    };
    let first = format!("the first that is wrong is {row}: {}", first.detail);
    if !out.format().quiet {
        out.line("")?;
    }
    out.table(told.findings)?;
    out.warn(first)?;
    Ok(outcome)
}

/// What has served for a while has seals, unless somebody took all of them off.
fn warn(told: &Verified, out: &mut Output) -> Result<()> {
    let since = told.unsealed_since.map(|at| wall().since(at));
    if told.blocks > 0 || since.is_none_or(|since| since < LONG) {
        return Ok(());
    }
    out.warn(format_args!(
        "{}, none sealed, the oldest for more than an hour: either no daemon runs, or the \
         seals were taken off; hold the log against a head that was noted (--head)",
        several(told.unsealed, "row")
    ))
}

/// So many of something, as people write it.
fn several(n: u64, one: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {one}{s}")
}

fn lines(told: &Verified) -> Vec<(&'static str, String)> {
    let blocks = told.blocks.saturating_sub(told.dropped);
    let since = |at: Option<Timestamp>| at.map_or(String::new(), |at| format!(", since {at}"));
    let mut lines = vec![(
        "rows",
        format!(
            "{} as sealed, in {}",
            several(told.rows, "row"),
            several(blocks, "block")
        ),
    )];
    if told.dropped > 0 {
        let text = format!(
            "{}, of which the rows are gone after their time",
            several(told.dropped, "block")
        );
        lines.push(("dropped", text));
    }
    let unsealed = since(told.unsealed_since);
    lines.push(("unsealed", format!("{}{unsealed}", told.unsealed)));
    let sealed = told.sealed_since.map(|at| format!("since {at}"));
    lines.push(("sealed", sealed.unwrap_or_else(|| "nothing yet".to_owned())));
    let forged = told.findings.iter().any(|it| it.fault == Fault::Signature);
    if let Some(key) = &told.sealed_by
        && told.blocks > 0
        && !forged
    {
        let worth = match told.signatures {
            Trust::Proven => "the key of the key file",
            Trust::Unproven => {
                "the key that the blocks name: without the key file that proves nothing"
            }
        };
        lines.push(("signed", format!("by {key}, {worth}")));
    }
    let head = told.head.as_ref().map(ToString::to_string);
    lines.push(("head", head.unwrap_or_else(|| "none".to_owned())));
    lines
}
