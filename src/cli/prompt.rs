//! Asking: yes or no, and secrets. Never off a terminal, and never through the command line.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use inquire::{InquireError, PasswordDisplayMode};
use zeroize::Zeroizing;

use super::output::Output;
use crate::error::{Error, Result};
use crate::secret::{Secret, same};

/// The longest secret that is read, in bytes; the rules for passwords are tighter.
const LONGEST_SECRET: u64 = 4096;

/// The flag that answers before it is asked.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Confirm {
    /// Do it without asking; with =N only if exactly N objects would be hit
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true)]
    pub yes: Option<Option<u64>>,
}

impl Confirm {
    /// Goes on only if `--yes` or the person at the terminal agrees. `what` is what would be done,
    /// as an order: "revoke 3 tokens of ivan". `count` is the number of objects it hits; with none
    /// there is nothing to ask.
    ///
    /// # Errors
    /// [`Error::CountDiffers`] if `--yes=N` names another number, [`Error::Cancelled`] if the
    /// person says no, [`Error::Usage`] if there is nobody to ask.
    pub fn ask(&self, out: &mut Output, what: &str, count: u64) -> Result<()> {
        let terminal = out.terminal().can_ask();
        out.flush()?;
        self.decide(what, count, terminal, ask)
    }

    fn decide(
        &self,
        what: &str,
        count: u64,
        terminal: bool,
        ask: impl FnOnce(&str) -> Result<bool>,
    ) -> Result<()> {
        match self.yes {
            Some(Some(expected)) if expected != count => Err(Error::CountDiffers {
                expected,
                found: count,
            }),
            Some(_) => Ok(()),
            None if count == 0 => Ok(()),
            None if !terminal => Err(Error::Usage(format!(
                "this would {what}, and there is no terminal to ask at: add --yes, or --yes={count}"
            ))),
            None if ask(what)? => Ok(()),
            None => Err(Error::Cancelled),
        }
    }
}

fn ask(what: &str) -> Result<bool> {
    let question = format!("{}?", capitalised(&crate::escape::line(what)));
    inquire::Confirm::new(&question)
        .with_default(false)
        .prompt()
        .map_err(unanswered)
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.collect::<String>() + rest.as_str()
}

/// Asks for a new password twice, without showing it. `flags` names what to use where there is
/// no terminal: "--password-stdin or --password-file".
///
/// # Errors
/// [`Error::Invalid`] if the two differ, [`Error::Usage`] without a terminal, [`Error::Cancelled`]
/// at ^C.
pub fn new_password(out: &mut Output, flags: &str) -> Result<Secret<String>> {
    let first = password(out, "New password", flags)?;
    let second = password(out, "The same again", flags)?;
    if same(first.expose().as_bytes(), second.expose().as_bytes()) {
        Ok(first)
    } else {
        Err(Error::invalid("password", "the two do not agree"))
    }
}

/// Asks for a secret once, without showing it.
///
/// # Errors
/// [`Error::Usage`] without a terminal, [`Error::Cancelled`] at ^C.
pub fn password(out: &mut Output, label: &str, flags: &str) -> Result<Secret<String>> {
    if !out.terminal().can_ask() {
        return Err(Error::Usage(format!(
            "there is no terminal to ask for a secret at: use {flags}"
        )));
    }
    out.flush()?;
    hidden(label)
}

fn hidden(label: &str) -> Result<Secret<String>> {
    // Not rpassword: at ^C it kills the process, and leaves a terminal that does not echo.
    inquire::Password::new(&format!("{label}:"))
        .with_display_mode(PasswordDisplayMode::Hidden)
        .without_confirmation()
        .prompt()
        .map(Secret::new)
        .map_err(unanswered)
}

/// Why a question at the terminal has no answer. Esc and ^C are the same: no.
fn unanswered(error: InquireError) -> Error {
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => Error::Cancelled,
        InquireError::IO(source) => Error::io("ask at the terminal")(source),
        InquireError::NotTTY | InquireError::InvalidConfiguration(_) | InquireError::Custom(_) => {
            Error::internal(error)
        }
    }
}

/// Reads a secret from standard input: all of it, or, at a terminal, a line without echo.
///
/// # Errors
/// [`Error::Usage`] for nothing; [`Error::Invalid`] for what cannot be a secret: several lines, no
/// UTF-8, too much.
pub fn secret_from_stdin() -> Result<Secret<String>> {
    if io::stdin().is_terminal() {
        return hidden("Secret");
    }
    secret_from(io::stdin().lock(), "standard input")
}

/// Reads a secret from a file; `-` is standard input.
///
/// # Errors
/// As [`secret_from_stdin`], and [`Error::Io`] if the file cannot be read.
pub fn secret_from_file(path: &Path) -> Result<Secret<String>> {
    if path.as_os_str() == "-" {
        return secret_from_stdin();
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(Error::io(format!("read {name}")))?;
    secret_from(file, &name)
}

fn secret_from(source: impl Read, name: &str) -> Result<Secret<String>> {
    let refuse = |reason: &str| Err(Error::invalid("secret", format!("{name} {reason}")));
    // Room for all of it from the start: a buffer that grows leaves copies behind.
    let room = usize::try_from(LONGEST_SECRET)
        .unwrap_or(0)
        .saturating_add(2);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    source
        .take(LONGEST_SECRET.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Error::io(format!("read {name}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LONGEST_SECRET {
        return refuse("holds more than 4096 bytes");
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return refuse("is not UTF-8");
    };
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Error::Usage(format!("{name} is empty")));
    }
    // Taking the first line and dropping the rest would quietly set another secret.
    if line.contains('\n') {
        return refuse("holds more than one line");
    }
    Ok(Secret::new(line.to_owned()))
}

/// A progress bar on standard error, over `length` steps; invisible off a terminal, under
/// `--quiet` and under `--json`. Drop it, or `finish_and_clear`, when done.
#[must_use]
pub fn progress(out: &Output, what: &'static str, length: u64) -> ProgressBar {
    let format = out.format();
    if !out.terminal().stderr || format.quiet || format.json {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        confirm: Confirm,
        ids: Vec<String>,
    }

    fn parse(line: &str) -> (Confirm, Vec<String>) {
        let program = Program::try_parse_from(line.split(' ')).unwrap();
        (program.confirm, program.ids)
    }

    fn never(_: &str) -> Result<bool> {
        panic!("asked")
    }

    #[test]
    fn yes_takes_a_number_only_after_an_equals_sign() {
        assert_eq!(parse("p").0.yes, None);
        assert_eq!(parse("p --yes 12").0.yes, Some(None));
        assert_eq!(parse("p --yes 12").1, ["12"]);
        assert_eq!(parse("p --yes=12").0.yes, Some(Some(12)));
    }

    #[test]
    fn yes_answers_and_yes_with_a_number_answers_only_for_that_many() {
        let yes = |yes| Confirm { yes: Some(yes) }.decide("revoke", 3, false, never);
        assert!(yes(None).is_ok());
        assert!(yes(Some(3)).is_ok());
        assert!(matches!(
            yes(Some(4)),
            Err(Error::CountDiffers {
                expected: 4,
                found: 3
            })
        ));
    }

    #[test]
    fn without_a_terminal_nothing_is_asked_and_the_flag_is_named() {
        let error = Confirm::default().decide("revoke 3 tokens", 3, false, never);
        let error = error.unwrap_err();
        assert_eq!(error.spec().exit, 2);
        assert!(error.to_string().contains("--yes"));
    }

    #[test]
    fn no_at_the_terminal_cancels_and_nothing_to_do_is_not_asked_about() {
        let confirm = Confirm::default();
        assert!(confirm.decide("x", 3, true, |_| Ok(true)).is_ok());
        let no = confirm.decide("x", 3, true, |_| Ok(false));
        assert!(matches!(no, Err(Error::Cancelled)));
        assert!(confirm.decide("x", 0, false, never).is_ok());
    }

    #[test]
    fn interrupting_a_question_cancels_the_command() {
        for error in [
            InquireError::OperationInterrupted,
            InquireError::OperationCanceled,
        ] {
            assert_eq!(unanswered(error).spec().exit, 4);
        }
        assert_eq!(unanswered(InquireError::NotTTY).spec().exit, 1);
    }

    fn read(bytes: &[u8]) -> Result<String> {
        secret_from(bytes, "standard input").map(|secret| secret.expose().clone())
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_a_secret() {
        assert_eq!(read(b" pa ss \n").unwrap(), " pa ss ");
        assert_eq!(read(b"pass\r\n").unwrap(), "pass");
        assert_eq!(read(b"pass").unwrap(), "pass");
        assert_eq!(read(&[b'x'; 4096]).unwrap().len(), 4096);
    }

    #[test]
    fn refuses_what_cannot_be_a_secret_without_showing_it() {
        for nothing in ["", "\n", "\r\n"] {
            let error = read(nothing.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "standard input is empty");
            assert_eq!(error.spec().exit, 2);
        }
        for bytes in [
            &b"hunter2\nrest"[..],
            b"hunter2\n\n",
            b"hunter2\xff",
            &[b'x'; 4097],
        ] {
            let error = read(bytes).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }));
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_secret_is_read_from_a_file_without_its_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "pass\n").unwrap();
        assert_eq!(secret_from_file(&path).unwrap().expose(), "pass");
        let missing = secret_from_file(&folder.path().join("none"));
        assert!(matches!(missing, Err(Error::Io { .. })));
    }
}
