//! What a command prints: data on standard output, talk on standard error.
//!
//! Invariants: lists are written page by page and never held as a whole; nothing that came from
//! outside reaches the terminal with a control character in it; a write to a pipe whose reader has
//! gone is an [`Error`] that [`is_closed_pipe`] knows and that counts as success.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroize;

use super::flags::{Format, ListArgs, choose};
use super::json;
use super::table::{Grid, Look, cell};
use crate::error::{Error, Result};
use crate::escape;
use crate::page::Page;
use crate::secret::Secret;
use crate::time::Timestamp;

/// What the closed-pipe error says; also how it is told from other broken pipes.
const WRITING: &str = "write to standard output";
/// Bytes gathered before they are written.
const BUFFER: usize = 64 * 1024;
/// Objects fetched at once under `--all`.
const BATCH: u32 = 1000;

/// An object that commands print.
pub trait Record: Serialize {
    /// The columns of a table, in order: names of members of the JSON object.
    const COLUMNS: &'static [&'static str];

    /// What `--quiet` prints.
    fn id(&self) -> Cow<'_, str>;
}

/// What the three standard streams are connected to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// Standard input is a terminal.
    pub stdin: bool,
    /// Standard output is a terminal.
    pub stdout: bool,
    /// Standard error is a terminal.
    pub stderr: bool,
    /// Columns of the terminal on standard output.
    pub width: Option<u16>,
}

impl Terminal {
    /// Looks at this process's streams.
    #[must_use]
    pub fn detect() -> Self {
        Self {
            stdin: io::stdin().is_terminal(),
            stdout: io::stdout().is_terminal(),
            stderr: io::stderr().is_terminal(),
            width: comfy_table::Table::new().width(),
        }
    }

    /// Whether somebody can be asked: prompts go to standard error, answers come from input.
    #[must_use]
    pub fn can_ask(self) -> bool {
        self.stdin && self.stderr
    }
}

/// Where a command prints.
pub struct Output {
    data: Box<dyn Write>,
    talk: Box<dyn Write>,
    buffer: Vec<u8>,
    format: Format,
    terminal: Terminal,
    now: Timestamp,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The buffer may hold a secret.
        f.debug_struct("Output")
            .field("format", &self.format)
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// How the objects of a list are written.
enum Form {
    Json { any: bool },
    Lines,
    Ids,
    Table(Grid),
}

impl Output {
    /// Printing on this process's streams. `now` is what relative times are measured from.
    #[must_use]
    pub fn new(format: Format, now: Timestamp) -> Self {
        let (data, talk) = (Box::new(io::stdout()), Box::new(io::stderr()));
        Self::to(data, talk, format, Terminal::detect(), now)
    }

    /// Printing elsewhere: for tests.
    #[must_use]
    pub fn to(
        data: Box<dyn Write>,
        talk: Box<dyn Write>,
        format: Format,
        terminal: Terminal,
        now: Timestamp,
    ) -> Self {
        let buffer = Vec::with_capacity(BUFFER + BUFFER / 4);
        Self {
            data,
            talk,
            buffer,
            format,
            terminal,
            now,
        }
    }

    /// The output flags.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// What the streams are connected to.
    #[must_use]
    pub fn terminal(&self) -> Terminal {
        self.terminal
    }

    /// Prints one object: `name  value` lines, the JSON object, or its id.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn one<T: Record>(&mut self, object: &T) -> Result<()> {
        if self.format.quiet && !self.format.json {
            return self.line(object.id());
        }
        self.value(object)
    }

    /// Prints a document that is not a [`Record`]; nothing under `--quiet`.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn value<T: Serialize>(&mut self, document: &T) -> Result<()> {
        if self.format.json {
            json::append(&mut self.buffer, document)?;
            return self.end_line();
        }
        if self.format.quiet {
            return Ok(());
        }
        let lines = self.name_value_lines(document)?;
        self.put(lines.as_bytes())
    }

    /// Prints a list that is complete and short by nature (jobs, migrations), as [`Output::list`].
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn table<T: Record>(&mut self, items: Vec<T>) -> Result<()> {
        let mut items = Some(items);
        self.list(&ListArgs::default(), |_, _| {
            let items = items.take().unwrap_or_default();
            Ok(Page { items, next: None })
        })
    }

    /// Prints a list page by page. `page` gets a cursor and how many objects to fetch.
    ///
    /// # Errors
    /// [`Error::Usage`] for flags that exclude each other or a field that does not exist, whatever
    /// `page` refuses, or if standard output cannot be written to.
    pub fn list<T: Record>(
        &mut self,
        args: &ListArgs,
        mut page: impl FnMut(Option<&str>, u32) -> Result<Page<T>>,
    ) -> Result<()> {
        args.check(self.format)?;
        let limit = if args.all { BATCH } else { args.limit };
        // The first page comes before the first byte: an early error must leave stdout empty.
        let mut got = page(args.cursor.as_deref(), limit)?;
        let fields = choose::<T>(&args.fields, got.items.first())?;
        let mut form = self.begin::<T>(args, fields.as_deref());
        let mut shown = 0_usize;
        loop {
            self.items(&mut form, fields.as_deref(), &got.items)?;
            shown = shown.saturating_add(got.items.len());
            match got.next {
                Some(cursor) if args.all => got = page(Some(&cursor), limit)?,
                next => return self.end(form, shown, next),
            }
        }
    }

    fn begin<T: Record>(&mut self, args: &ListArgs, fields: Option<&[String]>) -> Form {
        if args.jsonl {
            Form::Lines
        } else if self.format.json {
            self.buffer.extend_from_slice(b"{\"items\":[");
            Form::Json { any: false }
        } else if self.format.quiet {
            Form::Ids
        } else {
            let columns = fields.map_or_else(
                || T::COLUMNS.iter().map(|name| (*name).to_owned()).collect(),
                <[String]>::to_vec,
            );
            let look = Look {
                framed: self.terminal.stdout,
                width: self.terminal.width,
                colour: self.format.color.on_stdout(self.terminal),
            };
            Form::Table(Grid::new(columns, look))
        }
    }

    fn items<T: Record>(
        &mut self,
        form: &mut Form,
        fields: Option<&[String]>,
        items: &[T],
    ) -> Result<()> {
        match form {
            Form::Ids => {
                for item in items {
                    self.line(item.id())?;
                }
            }
            Form::Lines => {
                for item in items {
                    self.object(fields, item)?;
                    self.end_line()?;
                }
            }
            Form::Json { any } => {
                for item in items {
                    let before: &[u8] = if *any { b",\n" } else { b"\n" };
                    self.put(before)?;
                    self.object(fields, item)?;
                    *any = true;
                }
            }
            Form::Table(grid) => {
                let rows: Result<Vec<_>> = items
                    .iter()
                    .map(|item| self.row(grid.columns(), item))
                    .collect();
                let text = grid.page(rows?);
                self.put(text.as_bytes())?;
            }
        }
        if self.terminal.stdout {
            self.flush()?;
        }
        Ok(())
    }

    fn end(&mut self, form: Form, shown: usize, next: Option<String>) -> Result<()> {
        match form {
            Form::Json { any } => {
                self.put(if any {
                    b"\n],\"next\":"
                } else {
                    b"],\"next\":"
                })?;
                json::append(&mut self.buffer, &next)?;
                self.put(b"}\n")?;
                // The document says itself that there is more.
                return Ok(());
            }
            Form::Table(grid) => self.put(grid.end().as_bytes())?,
            Form::Lines | Form::Ids => {}
        }
        if let Some(cursor) = next {
            // Even under --quiet: a list that is cut short must not look complete.
            self.say(
                None,
                format_args!("{shown} shown; more: --all, or --cursor {cursor}"),
            )?;
        }
        Ok(())
    }

    fn object<T: Serialize>(&mut self, fields: Option<&[String]>, item: &T) -> Result<()> {
        let Some(fields) = fields else {
            return json::append(&mut self.buffer, item);
        };
        let mut members = members(item)?;
        let chosen: Map<String, Value> = fields
            .iter()
            .map(|name| (name.clone(), members.remove(name).unwrap_or(Value::Null)))
            .collect();
        json::append(&mut self.buffer, &chosen)
    }

    fn row<T: Serialize>(&self, columns: &[String], item: &T) -> Result<Vec<String>> {
        let members = members(item)?;
        let cells = columns.iter();
        Ok(cells
            .map(|name| cell(name, members.get(name), self.now, false))
            .collect())
    }

    fn name_value_lines<T: Serialize>(&self, document: &T) -> Result<String> {
        let value = serde_json::to_value(document).map_err(Error::internal)?;
        let Value::Object(members) = value else {
            return Ok(format!("{}\n", cell("", Some(&value), self.now, true)));
        };
        let width = members.keys().map(String::len).max().unwrap_or(0);
        let lines = members.iter().map(|(name, value)| {
            let name = escape::line(name);
            format!(
                "{name:width$}  {}\n",
                cell(&name, Some(value), self.now, true)
            )
        });
        Ok(lines.collect())
    }

    /// Prints an object together with the secret that belongs to it, once. Under `--json` the
    /// secret is the member `label` of the object; under `--quiet` it stands alone. With `out` it
    /// goes to a new file that only its owner can read, and nowhere else.
    ///
    /// # Errors
    /// If the file exists or cannot be made, or standard output cannot be written to.
    pub fn created<T: Record>(
        &mut self,
        object: &T,
        label: &str,
        secret: &Secret<String>,
        out: Option<&Path>,
    ) -> Result<()> {
        if out.is_some() {
            self.secret(secret, label, out)?;
            return self.one(object);
        }
        if self.format.quiet && !self.format.json {
            return self.secret(secret, label, None);
        }
        if !self.format.json {
            self.one(object)?;
            return self.secret(secret, label, None);
        }
        json::append(&mut self.buffer, object)?;
        if self.buffer.pop() != Some(b'}') {
            return Err(Error::internal("only an object can carry a secret"));
        }
        if self.buffer.last() != Some(&b'{') {
            self.buffer.push(b',');
        }
        json::append(&mut self.buffer, label)?;
        self.buffer.push(b':');
        json::append(&mut self.buffer, secret.expose())?;
        self.buffer.push(b'}');
        self.end_line()?;
        self.flush()
    }

    /// Prints a secret, once: after its label, alone under `--quiet`, as `{"label": …}` under
    /// `--json`; or to a new file of mode 0600.
    ///
    /// # Errors
    /// If the file exists or cannot be made, or standard output cannot be written to.
    pub fn secret(
        &mut self,
        secret: &Secret<String>,
        label: &str,
        out: Option<&Path>,
    ) -> Result<()> {
        if let Some(path) = out {
            write_secret(path, secret)?;
            let path = path.display().to_string();
            return self.message(format_args!("{label} written to {path}"));
        }
        if self.format.json {
            self.buffer.push(b'{');
            json::append(&mut self.buffer, label)?;
            self.buffer.push(b':');
            json::append(&mut self.buffer, secret.expose())?;
            self.buffer.push(b'}');
        } else {
            if !self.format.quiet {
                self.buffer.extend_from_slice(label.as_bytes());
                self.buffer.extend_from_slice(b"  ");
            }
            self.buffer.extend_from_slice(secret.expose().as_bytes());
        }
        self.end_line()?;
        self.flush()
    }

    /// Prints a line of data, its control characters (but line breaks and tabs) written out.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.put(escape::lines(text.as_ref()).as_bytes())?;
        self.end_line()
    }

    /// Prints a text of this program as it is: a man page, a completion script.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn document(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        self.put(text.as_ref())
    }

    /// Talks on standard error; silent under `--quiet`, and under `--json`, where standard error
    /// is kept for the one problem object.
    ///
    /// # Errors
    /// If what was printed before cannot be written.
    pub fn message(&mut self, text: impl Display) -> Result<()> {
        if self.format.quiet || self.format.json {
            return Ok(());
        }
        self.say(None, text)
    }

    /// Warns on standard error; silent only under `--json`.
    ///
    /// # Errors
    /// If what was printed before cannot be written.
    pub fn warn(&mut self, text: impl Display) -> Result<()> {
        if self.format.json {
            return Ok(());
        }
        self.say(Some(("warning", AnsiColor::Yellow)), text)
    }

    fn say(&mut self, mark: Option<(&str, AnsiColor)>, text: impl Display) -> Result<()> {
        // On a terminal both streams meet: keep them in the order in which they were written.
        self.flush()?;
        let text = text.to_string();
        let text = escape::lines(&text);
        let line = match mark {
            Some((word, hue)) if self.format.color.on_stderr(self.terminal) => {
                let style = Style::new().bold().fg_color(Some(hue.into()));
                format!("{style}{word}:{style:#} {text}\n")
            }
            Some((word, _)) => format!("{word}: {text}\n"),
            None => format!("{text}\n"),
        };
        // Talk that nobody hears is no reason to fail.
        let _unheard = self.talk.write_all(line.as_bytes());
        Ok(())
    }

    /// Writes what is still in the buffer. A command whose output must be seen at once
    /// (`audit tail`) calls it after each line; the end of the program calls [`Output::close`].
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn flush(&mut self) -> Result<()> {
        let done = self.data.write_all(&self.buffer);
        // Wipes as well as empties: the buffer may have held a secret.
        self.buffer.zeroize();
        done.and_then(|()| self.data.flush())
            .map_err(Error::io(WRITING))
    }

    /// The end of a command: writes the rest, or, after an error under `--json`, drops it.
    ///
    /// # Errors
    /// The command's own, or if standard output cannot be written to.
    pub fn close<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() && self.format.json {
            self.buffer.zeroize();
            return result;
        }
        let flushed = self.flush();
        result.and_then(|value| flushed.map(|()| value))
    }

    fn end_line(&mut self) -> Result<()> {
        self.put(b"\n")
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }
}

/// Whether `error` says that the reader of standard output has gone, which is no failure.
#[must_use]
pub fn is_closed_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { doing, source }
        if doing == WRITING && source.kind() == io::ErrorKind::BrokenPipe)
}

fn members<T: Serialize>(item: &T) -> Result<Map<String, Value>> {
    match serde_json::to_value(item).map_err(Error::internal)? {
        Value::Object(members) => Ok(members),
        _ => Err(Error::internal("a record must be a JSON object")),
    }
}

fn write_secret(path: &Path, secret: &Secret<String>) -> Result<()> {
    let failed = || Error::io(format!("create {}", path.display()));
    // create_new is O_EXCL: it neither follows a link nor opens what somebody else has put there.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed())?;
    file.write_all(secret.expose().as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .map_err(failed())
}

#[cfg(test)]
mod tests;
