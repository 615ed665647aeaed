//! What to do next, for the person who meets an error at the shell.

use super::{Edited, Error};
use crate::escape;

impl Error {
    /// What to do next, where the program can know it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.hint_at("")
    }

    /// The same for who has to name the place: `flags` lead every command of this program there
    /// (` --data-dir /srv/provost`).
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most errors say it all by themselves"
    )]
    pub fn hint_at(&self, flags: &str) -> Option<String> {
        let hint = match self {
            Self::Ambiguous { noun, .. } => {
                format!("give more characters of the id; they are listed by: provost {noun} list{flags}")
            }
            Self::LastAdmin => format!("make another administrator first: provost user role add USER admin{flags}"),
            Self::CountDiffers { .. } => "look with --dry-run, then give the right number".into(),
            Self::Unavailable(_) => "try again; if it stays so, look at the daemon's log".into(),
            Self::StorageFull(_) => format!("reads go on; to get room to clear up: provost db release-space{flags}"),
            // `kill 0` would end the operator's own shell.
            Self::DaemonRunning { pid: 0 } => "stop it first, or use another --data-dir".into(),
            Self::DaemonRunning { pid } => format!("stop it first (kill {pid}), or use another --data-dir"),
            Self::DaemonsServing { .. } => "stop them first".into(),
            Self::NotSetUp { .. } => format!("run: provost init{flags}"),
            Self::DatabaseMissing { .. } => format!(
                "restore the last good backup (provost backup list{flags}, provost restore FILE{flags}), or, to start anew, move the key file away first"
            ),
            Self::SchemaBehind { .. } => format!("run: provost migrate up{flags}"),
            Self::SchemaDiffers { place, schema, binary } if schema < binary => {
                format!("run: provost --db {place} migrate up")
            }
            Self::SchemaNewer { .. } | Self::SchemaDiffers { .. } => "install the newer provost; nothing was changed".into(),
            Self::NotEmpty { .. } => "name a new, empty database; nothing was changed".into(),
            Self::ForeignDatabase => "name another file with --db (PROVOST_DB, DATABASE_URL); this one was not touched".into(),
            Self::MigrationEdited { found, .. } => edited(found, flags),
            Self::MigrationMissing { files, dir, before } => {
                let (it, text) = if files.len() == 1 { ("it", "that text") } else { ("them", "those texts") };
                format!(
                    "put {it} back as it was in your version control; to undo what was made, and all after it, without {text}: \
                     provost migrate down{}{flags} --to {before} --destroy-data",
                    within(dir.as_deref()),
                )
            }
            Self::LintRefused { .. } => {
                "correct it, or accept what is meant so by a comment of its own line: -- lint: allow RULE: the reason".into()
            }
            Self::Corrupt(_) => {
                format!("stop the daemon, keep the files, restore the last good backup: provost restore FILE{flags}")
            }
            Self::BackupDamaged { .. } => format!("nothing was changed; take another one: provost backup list{flags}"),
            _ => return None,
        };
        Some(hint)
    }
}

/// The flag that names the folder of a team's migrations.
fn within(dir: Option<&str>) -> String {
    dir.map_or(String::new(), |dir| format!(" --dir {}", escape::word(dir)))
}

fn edited(found: &Edited, flags: &str) -> String {
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
        "{texts}put its {what} back as it was, then: provost migrate verify{dir}{flags}; \
         what should be different is a migration of its own: provost migrate new NAME{dir}"
    )
}
