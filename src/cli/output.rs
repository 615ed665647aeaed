//! What a command prints: data on standard output, talk on standard error.
//!
//! Invariants: lists are written page by page and never held as a whole; nothing that came from
//! outside reaches the terminal with a control character in it; a write to a pipe whose reader has
//! gone is an [`Error`] that [`is_closed_pipe`] knows and that counts as success.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroize;

use super::flags::Format;
use super::json;
use super::table::cell;
use crate::error::{Error, Result};
use crate::escape;
use crate::secret::Secret;
use crate::time::Timestamp;

/// What the closed-pipe error says; also how it is told from other broken pipes.
const WRITING: &str = "write to standard output";
/// Bytes gathered before they are written.
const BUFFER: usize = 64 * 1024;

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
    pub(super) buffer: Vec<u8>,
    /// The buffer holds a secret, and must be wiped rather than emptied.
    pub(super) secret: bool,
    pub(super) format: Format,
    pub(super) terminal: Terminal,
    pub(super) now: Timestamp,
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
            secret: false,
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
    /// goes there, and nowhere else.
    ///
    /// # Errors
    /// If the file or standard output cannot be written to.
    pub fn created<T: Record>(
        &mut self,
        object: &T,
        label: &str,
        secret: &Secret<String>,
        out: Option<SecretFile>,
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
        self.secret = true;
        json::append(&mut self.buffer, secret.expose())?;
        self.buffer.push(b'}');
        self.end_line()?;
        self.flush()
    }

    /// Prints a secret, once: after its label, alone under `--quiet`, as `{"label": …}` under
    /// `--json`; or into `out`.
    ///
    /// # Errors
    /// If the file or standard output cannot be written to.
    pub fn secret(
        &mut self,
        secret: &Secret<String>,
        label: &str,
        out: Option<SecretFile>,
    ) -> Result<()> {
        if let Some(mut file) = out {
            file.write(secret)?;
            let path = file.path.display();
            return self.message(format_args!("{label} written to {path}"));
        }
        self.secret = true;
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

    /// Tells a finding on standard error: what was asked for, and no talk. Silent only under
    /// `--json`.
    ///
    /// # Errors
    /// If what was printed before cannot be written.
    pub fn finding(&mut self, text: impl Display) -> Result<()> {
        if self.format.json {
            return Ok(());
        }
        self.say(None, text)
    }

    pub(super) fn say(
        &mut self,
        mark: Option<(&str, AnsiColor)>,
        text: impl Display,
    ) -> Result<()> {
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
        self.forget();
        done.and_then(|()| self.data.flush())
            .map_err(Error::io(WRITING))
    }

    /// The end of a command: writes the rest, or, after an error under `--json`, drops it.
    ///
    /// # Errors
    /// The command's own, or if standard output cannot be written to.
    pub fn close<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() && self.format.json {
            self.forget();
            return result;
        }
        let flushed = self.flush();
        result.and_then(|value| flushed.map(|()| value))
    }

    /// Empties the buffer.
    fn forget(&mut self) {
        // Wiping goes byte by byte: too slow for a list of a million rows.
        if std::mem::take(&mut self.secret) {
            self.buffer.zeroize();
        } else {
            self.buffer.clear();
        }
    }

    pub(super) fn end_line(&mut self) -> Result<()> {
        self.put(b"\n")
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
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

/// Makes the file that `--out` names, readable by its owner alone.
///
/// # Errors
/// [`Error::Exists`] if it is there already, [`Error::Invalid`] if its folder is not; [`Error::Io`].
pub(super) fn new_file(path: &Path) -> Result<File> {
    // create_new is O_EXCL: it neither follows a link nor opens what somebody else put there.
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let name = path.display();
    made.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            Error::Exists { path: path.into() }
        } else if error.kind() == io::ErrorKind::NotFound {
            Error::invalid("out", format!("{name} is in a folder that does not exist"))
        } else {
            Error::io(format!("create {name}"))(error)
        }
    })
}

/// A new file that is to hold a secret, made before the secret is: what cannot be written down
/// must not come into being. Removed again if nothing was written.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    file: File,
    written: bool,
}

impl SecretFile {
    /// Makes the file, readable by its owner alone.
    ///
    /// # Errors
    /// [`Error::Exists`] if it is there already, [`Error::Invalid`] if its folder is not,
    /// [`Error::Io`] if it cannot be made.
    pub fn reserve(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: new_file(path)?,
            written: false,
        })
    }

    fn write(&mut self, secret: &Secret<String>) -> Result<()> {
        self.file
            .write_all(secret.expose().as_bytes())
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.sync_all())
            .map_err(Error::io(format!("write {}", self.path.display())))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.written {
            // An empty file that stays is no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
