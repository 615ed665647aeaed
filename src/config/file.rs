//! Reading `provost.toml`: who may have written it, what it says, and on which line.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{self, SETTINGS, Setting, Shape};
use super::sources::{Given, Origin};
use crate::error::{Error, Result};

const MAX_BYTES: u64 = 1024 * 1024;

/// A file that was read.
pub(super) struct Read {
    /// What it sets.
    pub(super) given: Vec<(&'static Setting, Given)>,
    /// Whether other users may read it, too.
    pub(super) readable_by_others: bool,
}

/// Reads the file at `path`; `None` if there is none.
pub(super) fn read(path: &Path, me: u32) -> Result<Option<Read>> {
    let reading = || format!("read {}", path.display());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(failure) => return Err(Error::io(reading())(failure)),
    };
    // Asked of the open file, so that nobody can swap it in between.
    let about = file.metadata().map_err(Error::io(reading()))?;
    if about.is_dir() {
        return Err(Error::Config(format!("{} is a folder", path.display())));
    }
    // Only root makes devices: `--config /dev/null` is a way to say "no file".
    if !about.file_type().is_char_device() {
        trust(path, about.mode(), about.uid(), me)?;
    }
    let mut bytes = Vec::new();
    file.by_ref()
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io(reading()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(Error::Config(format!(
            "{} is larger than 1 MiB",
            path.display()
        )));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::Config(format!("{} is not UTF-8", path.display())))?;
    Ok(Some(Read {
        given: parse(path, &text)?,
        readable_by_others: about.mode() & 0o044 != 0,
    }))
}

/// Refuses a file that somebody else could have written (security.md, rule 71).
fn trust(path: &Path, mode: u32, owner: u32, me: u32) -> Result<()> {
    let path = path.display();
    if owner != 0 && owner != me {
        return Err(Error::Config(format!(
            "{path} belongs to user {owner}, neither to this user nor to root; give it to one of them"
        )));
    }
    if mode & 0o022 != 0 {
        return Err(Error::Config(format!(
            "{path} can be changed by other users (mode {:04o}); run: chmod go-w {path}",
            mode & 0o7777
        )));
    }
    Ok(())
}

/// What `text` sets, in the order of its lines.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<(&'static Setting, Given)>> {
    let file = Place { path, text };
    let document = DeTable::parse(text).map_err(|failure| {
        // Only the message: the rendered error quotes the line, which may hold a password.
        let at = failure.span().map_or(0, |span| span.start);
        file.refuse(at, failure.message())
    })?;
    let mut given = Vec::new();
    file.table("", document.get_ref(), &mut given)?;
    Ok(given)
}

/// A file's text, to tell lines from offsets.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn line(&self, at: usize) -> usize {
        self.text
            .get(..at)
            .unwrap_or_default()
            .matches('\n')
            .count()
            + 1
    }

    fn refuse(&self, at: usize, reason: &str) -> Error {
        Error::Config(format!(
            "{}:{}: {reason}",
            self.path.display(),
            self.line(at)
        ))
    }

    fn table(
        &self,
        section: &str,
        table: &DeTable<'_>,
        given: &mut Vec<(&'static Setting, Given)>,
    ) -> Result<()> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let at = key.span().start;
            let name = if section.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{section}.{}", key.get_ref())
            };
            if let Some(setting) = settings::find(&name) {
                given.push((setting, self.value(setting, at, value)?));
            } else if let (DeValue::Table(inner), "") = (value.get_ref(), section) {
                let known = SETTINGS.iter().any(|setting| setting.split().0 == name);
                if inner.is_empty() && !known {
                    return Err(self.unknown("section", &name, at));
                }
                self.table(&name, inner, given)?;
            } else {
                return Err(self.unknown("key", &name, at));
            }
        }
        Ok(())
    }

    fn unknown(&self, what: &str, name: &str, at: usize) -> Error {
        let known: Vec<&str> = if what == "section" {
            SETTINGS.iter().map(|setting| setting.split().0).collect()
        } else {
            SETTINGS.iter().map(|setting| setting.name).collect()
        };
        let hint = settings::nearest(name, known)
            .map_or(String::new(), |near| format!(", did you mean {near}?"));
        self.refuse(at, &format!("unknown {what} {}{hint}", name.escape_debug()))
    }

    fn value(&self, setting: &Setting, at: usize, value: &Spanned<DeValue<'_>>) -> Result<Given> {
        let values = texts(setting.kind.shape(), value.get_ref()).ok_or_else(|| {
            let shape = match setting.kind.shape() {
                Shape::Boolean | Shape::Integer => "",
                Shape::String => "a string, ",
                Shape::List => "a list, each item ",
            };
            let found = if setting.kind.is_list() && value.get_ref().is_array() {
                "something else in it"
            } else {
                value.get_ref().type_str()
            };
            self.refuse(
                at,
                &format!(
                    "{} must be {shape}{}, not {found}",
                    setting.name,
                    setting.kind.allowed()
                ),
            )
        })?;
        let path: PathBuf = self.path.into();
        let line = self.line(at);
        Ok(Given {
            values,
            origin: Origin::File { path, line },
        })
    }
}

/// The texts in a value of the right type; what they say is looked at later, for all layers alike.
fn texts(shape: Shape, value: &DeValue<'_>) -> Option<Vec<String>> {
    let one = |text: &str| Some(vec![text.to_owned()]);
    match shape {
        Shape::Boolean => one(if value.as_bool()? { "true" } else { "false" }),
        Shape::Integer => {
            let number = value.as_integer()?;
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            one(&number.to_string())
        }
        Shape::String => one(value.as_str()?),
        Shape::List => match value.as_array() {
            Some(items) => items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned))
                .collect(),
            None => one(value.as_str()?),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(Path::new("provost.toml"), text)
            .expect_err("should be refused")
            .to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
        assert_eq!(
            refusal("# one\n\ndb = \"x.db\"\n\n# five\n[server]\nlistn = [\"127.0.0.1:1\"]\n"),
            "configuration: provost.toml:7: unknown key server.listn, did you mean server.listen?"
        );
        assert_eq!(
            refusal("[srver]"),
            "configuration: provost.toml:1: unknown section srver, did you mean server?"
        );
        assert_eq!(
            refusal("\nlisten = \"127.0.0.1:1\""),
            "configuration: provost.toml:2: unknown key listen, did you mean server.listen?"
        );
        assert_eq!(
            refusal("[server.deep]\nx = 1"),
            "configuration: provost.toml:1: unknown key server.deep"
        );
    }

    #[test]
    fn the_first_wrong_line_is_the_one_that_is_named() {
        assert!(refusal("[server]\nzzzzzz = 1\n[app]\nyyyyyy = 2").contains(":2: "));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_what_is_allowed() {
        assert_eq!(
            refusal("[server]\ndocs = \"yes\""),
            "configuration: provost.toml:2: server.docs must be true or false, not string"
        );
        let read = |text| {
            parse(Path::new("provost.toml"), text).unwrap()[0]
                .1
                .values
                .clone()
        };
        assert_eq!(read("purge.batch = 1_000"), ["1000"]);
        assert_eq!(read("purge.batch = 0xff"), ["255"]);
        assert_eq!(
            refusal("[purge]\nbatch = 1.5"),
            "configuration: provost.toml:2: purge.batch must be a whole number from 1 to 5000, not float"
        );
        assert!(
            refusal("[server]\nlisten = [1]")
                .contains("server.listen must be a list, each item an address such as")
        );
        assert!(refusal("[db]\nx = 1").contains(":1: db must be a string, a path"));
    }

    #[test]
    fn broken_toml_is_refused_by_line_without_repeating_it() {
        let text = refusal("\n\ndb = \"postgres://app:hunter2@db/x\n");
        assert!(
            text.starts_with("configuration: provost.toml:3: "),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_file_that_others_may_change_is_refused() {
        let path = Path::new("provost.toml");
        for mode in [0o100_600, 0o100_644, 0o100_444] {
            trust(path, mode, 1000, 1000).unwrap();
            trust(path, mode, 0, 1000).unwrap();
        }
        for mode in [0o100_660, 0o100_602, 0o100_666] {
            let refused = trust(path, mode, 1000, 1000).unwrap_err().to_string();
            assert!(refused.contains("chmod go-w provost.toml"), "{refused}");
        }
        let refused = trust(path, 0o100_600, 1001, 1000).unwrap_err().to_string();
        assert!(refused.contains("belongs to user 1001"), "{refused}");
        assert!(trust(path, 0o100_600, 1001, 0).is_err());
    }

    #[test]
    fn a_missing_file_and_the_null_device_set_nothing() {
        assert!(
            read(Path::new("/nonexistent/provost.toml"), 0)
                .unwrap()
                .is_none()
        );
        let null = read(Path::new("/dev/null"), 0).unwrap().unwrap();
        assert!(null.given.is_empty());
    }
}
