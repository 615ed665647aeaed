//! What is to be told of a migration that is not as it was, or that failed.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Error, Fault};

/// A migration that was applied, and what there is now under its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edited {
    /// The file with the text that there is now.
    pub file: String,
    /// SHA-256 of the text that was applied, as hexadecimal digits.
    pub applied: String,
    /// SHA-256 of the text that there is now.
    pub found: String,
    /// The version of `provost` that applied it.
    pub version: Option<String>,
    /// The folder of a team's migrations; none for those of the program itself.
    pub dir: Option<String>,
}

/// Where a migration failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// On the copy, before the data was touched.
    pub rehearsal: bool,
    /// At which statement, from 1 on; none for its commit.
    pub statement: Option<usize>,
    /// In which file; none for the reverse that the database keeps.
    pub file: Option<String>,
    /// On which line, from 1 on.
    pub line: Option<usize>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rehearsal {
            f.write_str("in the rehearsal, ")?;
        }
        let (Some(statement), Some(line)) = (self.statement, self.line) else {
            return f.write_str("at its commit");
        };
        match &self.file {
            Some(file) => write!(f, "at statement {statement} ({file}, line {line})"),
            None => write!(
                f,
                "at statement {statement} (line {line} of the reverse that the database keeps)"
            ),
        }
    }
}

impl Error {
    /// What is known of the migration that this is about, for programs; only at the shell.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "few errors are about a migration"
    )]
    pub fn migration(&self) -> Option<Value> {
        match self {
            Self::MigrationEdited { name, found } => Some(json!({
                "name": name,
                "file": found.file,
                "sha256": { "applied": found.applied, "found": found.found },
                "version": found.version,
            })),
            Self::MigrationMissing { files, .. } => Some(json!({ "files": files })),
            Self::MigrationFailed { name, place, .. } => Some(json!({
                "name": name,
                "rehearsal": place.rehearsal,
                "statement": place.statement,
                "file": place.file,
                "line": place.line,
            })),
            _ => None,
        }
    }
}

/// What is gone.
pub(super) fn lost(path: &Path, key_file: Option<&Path>) -> String {
    let path = path.display();
    match key_file {
        None => format!("there is a key file, but no database at {path}"),
        Some(key_file) => format!(
            "there are backups, but no database at {path}, and no key file at {}",
            key_file.display()
        ),
    }
}

/// How far a database is behind.
pub(super) fn behind(database: u32, binary: u32) -> String {
    match database {
        0 => format!("there is nothing in the database, this binary needs schema {binary}"),
        some => format!("the database has schema {some}, this binary needs {binary}"),
    }
}

/// In which way a migration is not as it was applied.
pub(super) fn differs(name: &str, found: &Edited) -> String {
    let file = &found.file;
    if found.applied == found.found {
        return format!("under this name, and {file} has its number now");
    }
    let other = !file.ends_with(&format!("{name}.up.sql"));
    let also = if other { ", and another name" } else { "" };
    format!("with another text than {file} has{also}")
}

pub(super) fn missing(files: &[String]) -> String {
    match files {
        [one] => format!("{one} is missing, and the database has what it made"),
        some => format!(
            "{} are missing, and the database has what they made",
            some.join(", ")
        ),
    }
}

pub(super) fn linted(faults: &[Fault]) -> String {
    let first = faults
        .first()
        .map(|it| format!(": {}:{}", it.file, it.line))
        .unwrap_or_default();
    match faults.len() {
        1 => format!("lint finds something to look at{first}"),
        n => format!("lint finds {n} things to look at{first}, and more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(file: &str, found: &str) -> Error {
        Error::MigrationEdited {
            name: "0002_notes".into(),
            found: Box::new(Edited {
                file: file.into(),
                applied: "aa".into(),
                found: found.into(),
                version: Some("1.2.3".into()),
                dir: Some("own".into()),
            }),
        }
    }

    #[test]
    fn an_edited_and_a_renamed_file_are_told_apart() {
        assert_eq!(
            edited("own/0002_notes.up.sql", "bb").to_string(),
            "migration 0002_notes was applied with another text than own/0002_notes.up.sql has"
        );
        assert_eq!(
            edited("own/0002_remarks.up.sql", "aa").to_string(),
            "migration 0002_notes was applied under this name, and own/0002_remarks.up.sql has its number now"
        );
        let both = edited("own/0002_remarks.up.sql", "bb").to_string();
        assert!(both.ends_with("has, and another name"), "{both}");
    }

    #[test]
    fn a_hint_leads_to_the_same_folder_and_the_same_data() {
        let hint = edited("own/0002_notes.up.sql", "bb")
            .hint_at(" --data-dir /srv/p")
            .unwrap();
        for part in [
            "sha256 aa when it was applied, bb now",
            "provost --data-dir /srv/p migrate verify --dir own",
            "migrate new NAME --dir own",
        ] {
            assert!(hint.contains(part), "{part}: {hint}");
        }
        let missing = Error::MigrationMissing {
            files: vec!["my own/0003_x.up.sql".into()],
            dir: Some("my own".into()),
            before: 2,
        };
        let hint = missing.hint_at("").unwrap();
        assert!(
            hint.ends_with("provost migrate down --dir 'my own' --to 2 --destroy-data"),
            "{hint}"
        );
    }
}
