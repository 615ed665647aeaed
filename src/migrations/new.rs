//! A new pair of files for a team's own migrations.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::Builder;

use super::folder::{Folder, is_name};
use crate::error::{Error, Result};
use crate::file;

/// Writes `NNNN_name.up.sql` and `NNNN_name.down.sql` into the folder, which is made if it is
/// missing, with the next number and with what there is to know. Overwrites nothing.
///
/// # Errors
/// [`Error::Invalid`] for a name that is none, [`Error::Exists`] for one that is taken;
/// [`Error::Io`].
pub fn create(folder: &Path, name: &str) -> Result<[PathBuf; 2]> {
    if !is_name(name) {
        return Err(Error::invalid(
            "name",
            "must be lower-case letters, digits and '_', beginning with a letter, at most 64: add_orders",
        ));
    }
    if let Err(error) = fs::create_dir(folder)
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(Error::io(format!("create {}", folder.display()))(error));
    }
    let read = Folder::read(folder)?;
    let taken = |it: &&str| it.split_once('_').is_some_and(|(_, rest)| rest == name);
    if let Some(taken) = read.names().find(taken) {
        let path = folder.join(format!("{taken}.up.sql"));
        return Err(Error::Exists { path });
    }
    let stem = format!("{:04}_{name}", read.next());
    let shown = folder.display();
    let up = write(
        &folder.join(format!("{stem}.up.sql")),
        &up(&stem, &shown.to_string()),
    )?;
    let down = folder.join(format!("{stem}.down.sql"));
    match write(
        &down,
        &format!("-- Undoes {stem}.up.sql, in reverse order.\n"),
    ) {
        Ok(down) => Ok([up, down]),
        Err(error) => {
            // Half of a pair is worse than none; what was just written is nobody's work yet.
            let _stays = fs::remove_file(&up);
            Err(error)
        }
    }
}

fn write(path: &Path, text: &str) -> Result<PathBuf> {
    let writing = || Error::io(format!("write {}", path.display()));
    let mut new = Builder::new()
        .prefix(".new")
        .tempfile_in(file::folder_of(path))
        .map_err(writing())?;
    new.write_all(text.as_bytes()).map_err(writing())?;
    // Nothing secret: colleagues and containers read it.
    let all = Permissions::from_mode(0o644);
    new.as_file().set_permissions(all).map_err(writing())?;
    file::keep(new, path)?;
    Ok(path.to_owned())
}

fn up(stem: &str, folder: &str) -> String {
    format!(
        "\
-- {stem}: what changes, and why.
--
-- One transaction, which provost begins and ends: no BEGIN, COMMIT or VACUUM, no PRAGMA.
-- The same words run on SQLite and on PostgreSQL: columns are INTEGER, TEXT or BLOB; times are
-- INTEGER milliseconds, flags INTEGER CHECK (x IN (0, 1)); every table ends in STRICT and has a
-- PRIMARY KEY, and every foreign key an index. Tables of provost may be referenced, not changed.
-- The text is fixed once it is applied somewhere: what was wrong is put right by the next one.
--
-- Before it runs:  provost migrate lint --dir {folder}
-- Meant so?  A comment of its own line accepts a finding, -- lint: allow RULE: and the reason.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_get_the_next_number_and_nothing_is_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("migrations");
        let [up, down] = create(&folder, "orders").unwrap();
        assert!(up.ends_with("0001_orders.up.sql") && down.ends_with("0001_orders.down.sql"));
        assert!(
            fs::read_to_string(&up)
                .unwrap()
                .starts_with("-- 0001_orders: ")
        );
        fs::write(&up, "SELECT 1;").unwrap();
        assert!(matches!(
            create(&folder, "orders"),
            Err(Error::Exists { .. })
        ));
        assert_eq!(fs::read_to_string(&up).unwrap(), "SELECT 1;");
        let [up, _] = create(&folder, "prices").unwrap();
        assert!(up.ends_with("0002_prices.up.sql"));
        // Half of a pair is there already.
        fs::write(folder.join("0003_colours.down.sql"), "x").unwrap();
        assert!(matches!(
            create(&folder, "colours"),
            Err(Error::Exists { .. })
        ));
        assert_eq!(
            fs::read_to_string(folder.join("0003_colours.down.sql")).unwrap(),
            "x"
        );
        assert!(!folder.join("0003_colours.up.sql").exists());
    }

    #[test]
    fn a_name_is_a_word() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "",
            "Orders",
            "add orders",
            "1st",
            "../x",
            "a-b",
            "é",
            &"x".repeat(65),
        ] {
            let made = create(folder.path(), name);
            assert!(matches!(made, Err(Error::Invalid { .. })), "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
