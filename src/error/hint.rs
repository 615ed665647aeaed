//! What to do next, for the person who meets an error at the shell.

use super::{Edited, Error};
use crate::escape;

/// What is wrong with a file that others may read.
pub(crate) const OPEN: &str = "is open to other users";

impl Error {
    /// What to do next, where the program can know it.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most errors say it all by themselves"
    )]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Ambiguous { noun, .. } => {
                format!("give more characters of the id; they are listed by: provost {noun} list")
            }
            Self::NotFound { noun: noun @ ("quiz" | "lesson"), given } if !given.contains('/') => {
                format!("name it as COURSE/SLUG, or by its id; they are listed by: provost {noun} list COURSE")
            }
            Self::LastAdmin => "make another administrator first: provost user role add USER admin".into(),
            Self::CountDiffers { .. } => "look with --dry-run, then give the right number".into(),
            Self::Unavailable(_) => "try again; if it stays so, look at the daemon's log".into(),
            Self::StorageFull(_) => "reads go on; to get room to clear up: provost db release-space".into(),
            // `kill 0` would end the operator's own shell.
            Self::DaemonRunning { pid: 0 } => "stop it first, or use another --data-dir".into(),
            Self::DaemonRunning { pid } => format!("stop it first (kill {pid}), or use another --data-dir"),
            Self::DaemonsServing { .. } => "stop them first".into(),
            Self::NotSetUp { .. } => "run: provost init".into(),
            Self::DatabaseMissing { key_file: None, .. } => {
                "restore the last good backup (provost backup list, provost restore FILE), or, to start anew, move the key file away first".into()
            }
            Self::DatabaseMissing { .. } => {
                "put a copy of the key file there, and restore the last good backup (provost backup list, provost restore FILE), \
                 or, to start anew, move the folder with the backups away first".into()
            }
            Self::KeyFile { path, reason } if reason.starts_with(OPEN) => {
                format!("run: chmod 600 {}", escape::word(&path.display().to_string()))
            }
            Self::SchemaBehind { database: 0, .. } => {
                "if something was in it, restore the last good backup (provost backup list, provost restore FILE), if not: provost migrate up".into()
            }
            Self::SchemaBehind { .. } => "run: provost migrate up".into(),
            Self::SchemaDiffers { place, schema, binary } if schema < binary => {
                format!("run: provost --db {place} migrate up")
            }
            Self::SchemaNewer { .. } | Self::SchemaDiffers { .. } => "install the newer provost; nothing was changed".into(),
            Self::NotEmpty { .. } => "name a new, empty database; nothing was changed".into(),
            Self::ForeignDatabase => "name another file with --db (PROVOST_DB, DATABASE_URL); this one was not touched".into(),
            Self::MigrationEdited { found, .. } => edited(found),
            Self::MigrationMissing { files, dir, before } => {
                let (it, text) = if files.len() == 1 { ("it", "that text") } else { ("them", "those texts") };
                format!(
                    "put {it} back as it was in your version control; to undo what was made, and all after it, without {text}: \
                     provost migrate down{} --to {before} --destroy-data",
                    within(dir.as_deref()),
                )
            }
            Self::LintRefused { .. } => {
                "correct it, or accept what is meant so by a comment of its own line: -- lint: allow RULE: the reason".into()
            }
            Self::Corrupt(_) => "stop the daemon, keep the files, restore the last good backup: provost restore FILE".into(),
            Self::BackupDamaged { .. } => "nothing was changed; take another one: provost backup list".into(),
            _ => return None,
        };
        Some(hint)
    }

    /// The one command to run next, where there is one: it can be pasted as it is.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most errors say it all by themselves"
    )]
    pub fn next_at(&self, flags: &str) -> Option<String> {
        let next = match self {
            Self::KeyFile { .. } => return self.hint()?.strip_prefix("run: ").map(str::to_owned),
            Self::StorageFull(_) => "provost db release-space",
            Self::NotSetUp { .. } => "provost init",
            Self::SchemaBehind { database: 1.., .. } => "provost migrate up",
            Self::DatabaseMissing { .. } | Self::SchemaBehind { .. } | Self::Corrupt(_) => {
                "provost backup list"
            }
            Self::MigrationEdited { .. } | Self::MigrationMissing { .. } => {
                "provost migrate verify"
            }
            Self::ForeignDatabase => "provost config show --origin",
            Self::Config(_) => "provost config check",
            _ => return None,
        };
        Some(led(next, flags))
    }

    /// [`Error::hint`] with commands that lead to the same place as this one: `flags` begin with a
    /// space, or are none.
    #[must_use]
    pub fn hint_at(&self, flags: &str) -> Option<String> {
        self.hint().map(|hint| led(&hint, flags))
    }
}

/// Puts the flags behind the program's name wherever a command follows it.
fn led(hint: &str, flags: &str) -> String {
    let mut parts = hint.split("provost ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A command begins in lower case; one that names its place already begins with a flag.
        let is_command = part.starts_with(|first: char| first.is_ascii_lowercase());
        let flags = if is_command { flags } else { "" };
        text = format!("{text}provost{flags} {part}");
    }
    text
}

/// The flag that names the folder of a team's migrations.
fn within(dir: Option<&str>) -> String {
    dir.map_or(String::new(), |dir| format!(" --dir {}", escape::word(dir)))
}

fn edited(found: &Edited) -> String {
    let Edited {
        applied,
        found: now,
        ..
    } = found;
    let dir = within(found.dir.as_deref());
    let renamed = applied == now;
    let texts = if renamed {
        String::new()
    } else {
        format!("sha256 {applied} when it was applied, {now} now; ")
    };
    if found.dir.is_none() {
        let version = found.version.as_deref().unwrap_or("?");
        return format!(
            "{texts}this is not the program that applied it: use that one, provost {version}, or a later release"
        );
    }
    let what = if renamed { "name" } else { "text" };
    format!(
        "{texts}put its {what} back as it was, then: provost migrate verify{dir}; \
         what should be different is a migration of its own: provost migrate new NAME{dir}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_next_is_a_command_that_leads_to_the_same_place() {
        let behind = |database| Error::SchemaBehind {
            database,
            binary: 16,
        };
        let next = |error: Error| error.next_at(" --data-dir /d").unwrap_or_default();
        assert_eq!(next(behind(3)), "provost --data-dir /d migrate up");
        assert_eq!(next(behind(0)), "provost --data-dir /d backup list");
        assert!(behind(0).to_string().contains("nothing in the database"));
        let open = Error::KeyFile {
            path: "/my keys".into(),
            reason: format!("{OPEN} (mode 0644)"),
        };
        assert_eq!(next(open), "chmod 600 '/my keys'");
        assert_eq!(next(Error::LastAdmin), "");
    }

    #[test]
    fn commands_of_a_hint_lead_to_the_same_place() {
        let missing = Error::DatabaseMissing {
            path: "x".into(),
            key_file: None,
        };
        let hint = missing.hint_at(" --data-dir /d").unwrap();
        assert!(
            hint.contains(
                "(provost --data-dir /d backup list, provost --data-dir /d restore FILE)"
            ),
            "{hint}"
        );
        let placed = "run: provost --db x migrate up; or install the newer provost; done";
        assert_eq!(led(placed, " --data-dir /d"), placed);
    }
}
