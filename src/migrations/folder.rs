//! A team's migrations as files in a folder: `0001_orders.up.sql` beside `0001_orders.down.sql`.
//!
//! Invariants: only regular files are read, and no more of each than a migration may have; what
//! cannot be read as it was meant (another encoding, a gap) is a finding, and nothing of the
//! folder runs while there is one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::lint::{Finding, Rule};
use super::{Migration, Story};
use crate::error::{Error, Result};

/// The most that a file may have, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// What a folder holds.
#[derive(Clone, Debug)]
pub struct Folder {
    name: String,
    migrations: Vec<Migration>,
    /// What keeps it from being a story.
    pub findings: Vec<Finding>,
}

/// The two files of a migration, as far as they are there.
#[derive(Default)]
struct Pair {
    up: Option<String>,
    down: Option<String>,
}

impl Folder {
    /// Reads every file of the folder that ends in `.sql`.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a folder, [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let reading = || Error::io(format!("read {name}"));
        let entries = fs::read_dir(path).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                Error::no_such("folder", &name)
            } else {
                reading()(error)
            }
        })?;
        let (mut pairs, mut findings) = (BTreeMap::<(u32, String), Pair>::new(), Vec::new());
        let mut names: Vec<String> = Vec::new();
        for entry in entries {
            let file = entry.map_err(reading())?.file_name();
            names.push(file.to_string_lossy().into_owned());
        }
        names.sort_unstable();
        for file in names
            .iter()
            .filter(|file| file.strip_suffix(".sql").is_some())
        {
            let shown = format!("{name}/{file}");
            let Some((number, stem, up)) = parts(file) else {
                let reason = "is not called NNNN_name.up.sql or NNNN_name.down.sql";
                findings.push(Rule::File.broken(&shown, 1, reason));
                continue;
            };
            match text(&path.join(file))? {
                Ok(text) => {
                    let pair = pairs.entry((number, stem)).or_default();
                    *(if up { &mut pair.up } else { &mut pair.down }) = Some(text);
                }
                Err(reason) => findings.push(Finding {
                    number,
                    ..Rule::File.broken(&shown, 1, reason)
                }),
            }
        }
        let mut folder = Self {
            name,
            migrations: Vec::new(),
            findings,
        };
        folder.put(pairs);
        Ok(folder)
    }

    /// Puts the pairs in order, and tells where that is not possible.
    fn put(&mut self, pairs: BTreeMap<(u32, String), Pair>) {
        let mut seen = BTreeSet::new();
        for ((number, stem), pair) in pairs {
            let file = format!("{}/{stem}.up.sql", self.name);
            let mut tell = |rule: Rule, reason: String| {
                self.findings.push(Finding {
                    number,
                    ..rule.broken(&file, 1, reason)
                });
            };
            if !seen.insert(number) {
                tell(
                    Rule::Number,
                    format!("another migration has the number {number}"),
                );
                continue;
            }
            let next = self.migrations.len() + 1;
            if usize::try_from(number).is_ok_and(|number| number > next) && self.findings.is_empty()
            {
                let reason = format!("has the number {number}, but there is no {next}");
                self.findings.push(Finding {
                    number,
                    ..Rule::Number.broken(&file, 1, reason)
                });
            }
            let Some(up) = pair.up else {
                self.findings.push(Finding {
                    number,
                    ..Rule::File.broken(&file, 1, "is missing; there is only the way back")
                });
                continue;
            };
            let down = pair.down.unwrap_or_default();
            self.migrations.push(Migration::of(number, stem, up, down));
        }
    }

    /// The number that the next migration gets.
    #[must_use]
    pub fn next(&self) -> u32 {
        let newest = self.migrations.iter().map(|it| it.number).max();
        newest.unwrap_or(0).saturating_add(1)
    }

    /// The names of the migrations, each after its number.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.migrations.iter().map(|it| it.name.as_ref())
    }

    /// What could be read of it.
    #[must_use]
    pub fn story(&self) -> Story {
        Story::team(self.name.clone(), self.migrations.clone())
    }

    /// The story, if all of it could be read.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first of the findings, or if there is nothing in the folder.
    pub fn whole(&self) -> Result<Story> {
        if let Some(found) = self.findings.first() {
            return Err(Error::invalid(
                "dir",
                format!("{} {}", found.file, found.reason),
            ));
        }
        if self.migrations.is_empty() {
            return Err(Error::invalid(
                "dir",
                format!(
                    "{} has no migrations; provost migrate new makes one",
                    self.name
                ),
            ));
        }
        Ok(self.story())
    }
}

/// The number, the name and the way of `0001_orders.up.sql`.
fn parts(file: &str) -> Option<(u32, String, bool)> {
    let stem = file.strip_suffix(".sql")?;
    let (stem, way) = stem.rsplit_once('.')?;
    let up = match way {
        "up" => true,
        "down" => false,
        _ => return None,
    };
    let (digits, name) = stem.split_once('_')?;
    let good = (4..=9).contains(&digits.len()) && is_name(name);
    let number = digits.parse().ok().filter(|number| good && *number > 0)?;
    Some((number, stem.to_owned(), up))
}

/// Whether a migration may be called so: lower case, digits and `_`, beginning with a letter.
pub(super) fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(good) && name.len() <= 64
}

/// The text of a file, or why it is none.
fn text(path: &Path) -> Result<Result<String, &'static str>> {
    let reading = || Error::io(format!("read {}", path.display()));
    // A pipe would never end.
    if !fs::metadata(path).map_err(reading())?.is_file() {
        return Ok(Err("is no file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(reading())?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(reading())?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Ok(Err(
            "has more than 1 MiB: data does not belong into a migration",
        ));
    }
    Ok(match String::from_utf8(bytes) {
        Err(_) => Err("is not UTF-8"),
        Ok(text) if text.starts_with('\u{feff}') => {
            Err("begins with a byte order mark: save it without")
        }
        Ok(text) if text.contains('\0') => Err("has a NUL character in it"),
        Ok(text) => Ok(text),
    })
}

/// The text of one file that stands alone.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Io`], [`Error::Invalid`] for what is no text of a migration.
pub fn read_file(path: &Path) -> Result<String> {
    if !path.exists() {
        return Err(Error::no_such("file", &path.display().to_string()));
    }
    text(path)?.map_err(|reason| Error::invalid("file", format!("{} {reason}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        Folder::read(folder.path()).unwrap()
    }

    fn told(files: &[(&str, &[u8])]) -> String {
        folder(files).whole().unwrap_err().to_string()
    }

    const UP: &[u8] = b"CREATE TABLE t (id TEXT PRIMARY KEY) STRICT;";

    #[test]
    fn files_become_a_story_in_the_order_of_their_numbers() {
        let read = folder(&[
            ("0002_b.up.sql", UP),
            ("0001_a.down.sql", b"DROP TABLE t;"),
            ("0001_a.up.sql", UP),
            ("0002_b.down.sql", b""),
            ("notes.txt", b"\xff"),
            ("README.md", b""),
        ]);
        let story = read.whole().unwrap();
        let names: Vec<&str> = story
            .migrations()
            .iter()
            .map(|it| it.name.as_ref())
            .collect();
        assert_eq!((names, read.next()), (vec!["0001_a", "0002_b"], 3));
        assert_eq!(story.migrations()[0].down, "DROP TABLE t;");
    }

    #[test]
    fn what_is_not_as_it_should_be_is_named_with_its_file() {
        let large = vec![b' '; 1024 * 1024 + 1];
        let cases: [(&str, &[u8], &str); 8] = [
            ("0001_a.up.sql", b"\xef\xbb\xbfSELECT 1", "byte order mark"),
            ("0001_a.up.sql", b"SELECT '\xff'", "not UTF-8"),
            ("0001_a.up.sql", b"SELECT 1\0", "NUL"),
            ("0001_a.up.sql", &large, "1 MiB"),
            ("0001_a.down.sql", UP, "is missing"),
            ("0002_a.up.sql", UP, "there is no 1"),
            ("0000_a.up.sql", UP, "is not called"),
            ("0001_A b.up.sql", UP, "is not called"),
        ];
        for (name, bytes, reason) in cases {
            let text = told(&[(name, bytes)]);
            assert!(text.contains(reason), "{name}: {text}");
        }
        let twice = told(&[("0001_a.up.sql", UP), ("0001_b.up.sql", UP)]);
        assert!(
            twice.contains("another migration has the number 1"),
            "{twice}"
        );
        let gap = told(&[("0001_a.up.sql", UP), ("0003_b.up.sql", UP)]);
        assert!(
            gap.contains("0003_b.up.sql has the number 3, but there is no 2"),
            "{gap}"
        );
        assert!(told(&[]).contains("has no migrations"));
        assert!(matches!(
            Folder::read(Path::new("/nothing/here")),
            Err(Error::NotFound { .. })
        ));
    }
}
