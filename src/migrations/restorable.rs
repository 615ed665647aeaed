//! Whether a restore takes a copy of the database: what it is made of is what the migrations of its
//! schema make, word for word, and nothing that others have put there could undo what a restore does
//! (security.md, rule 80).

use std::collections::BTreeMap;
use std::path::Path;

use super::lint::{is_own, writes};
use super::{made, needed, verify};
use crate::db::shape::Part;
use crate::db::{APPLICATION, Db, Tx};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::snapshots::{self, Manifest};

/// Faults of a copy that are told one by one.
const TOLD: usize = 20;

/// What in a database of this schema keeps a restore from taking it. A team's own tables are always
/// welcome. Views and virtual tables of others, and triggers on tables of their own, only with a
/// manifest: it was sealed with the key file when the copy was made, so that nobody has put them there
/// since. A trigger that stands on a table of this program, or writes to one, and a unique index on one
/// are never welcome.
///
/// # Errors
/// Those of the database.
pub fn misfits(db: &Db, schema: u32, manifest: Option<&Manifest>) -> Result<Vec<String>> {
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's path is not general enough over the transaction's life"
    )]
    let real = by_name(db.export(|tx| tx.shape())?);
    let expected = by_name(made(schema)?);
    let mut found = Vec::new();
    for ((sort, name), part) in &expected {
        match real.get(&(sort.clone(), name.clone())) {
            None => found.push(format!("the {sort} {name} is missing")),
            Some(it) if it.text != part.text => {
                found.push(format!("the {sort} {name} is not as it was made"));
            }
            Some(_) => {}
        }
    }
    for (key, part) in &real {
        let (sort, name) = key;
        let written = (sort == "trigger").then(|| writes(&part.text)).flatten();
        let on = match (sort.as_str(), written) {
            ("trigger", _) if is_own(&part.table) => format!(" on {}", part.table),
            // It could make what is written here clash, and so be left out.
            ("index", _) if is_own(&part.table) && part.text.starts_with("CREATE UNIQUE") => {
                format!(" on {}", part.table)
            }
            ("trigger", Some(table)) => format!(", which writes to {table},"),
            ("trigger" | "view", _) if manifest.is_none() => String::new(),
            ("table", _) if manifest.is_none() && part.is_virtual() => String::new(),
            _ => continue,
        };
        if !expected.contains_key(key) {
            found.push(format!("the {sort} {name}{on} is foreign"));
        }
    }
    // What is edited in it, the check of the history tells.
    if let Ok(entries) = verify(db) {
        let applied = entries.iter().filter(|it| it.applied_at.is_some()).count();
        if u32::try_from(applied) != Ok(schema) {
            found.push(format!(
                "its history has {applied} migrations, and not {schema}"
            ));
        }
    }
    Ok(found)
}

/// The triggers of others on tables of this program: while one is there, nobody can tell what becomes
/// of what is written.
///
/// # Errors
/// Those of the database.
pub fn triggers(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    let parts = tx.shape()?.into_iter();
    let foreign = parts.filter(|it| it.sort == "trigger" && is_own(&it.table));
    Ok(foreign
        .map(|it| format!("the trigger {} on {}", it.name, it.table))
        .collect())
}

fn by_name(parts: Vec<Part>) -> BTreeMap<(String, String), Part> {
    let parts = parts.into_iter();
    parts
        .map(|it| ((it.sort.clone(), it.name.clone()), it))
        .collect()
}

/// Why a restore would refuse the copy at `path`, but for damage, which was looked for when it was
/// made. Of a schema that only a newer program knows nobody can tell here.
///
/// # Errors
/// Those of the database.
pub fn faults(path: &Path, manifest: &Manifest, keys: &Keys) -> Result<Vec<String>> {
    let db = Db::open_still(path)?;
    if db.identity()?.application != APPLICATION {
        return Ok(vec!["schema: it is another program's database".to_owned()]);
    }
    if manifest.schema > needed() {
        return Ok(Vec::new());
    }
    let misfits = misfits(&db, manifest.schema, Some(manifest))?.into_iter();
    let mut faults: Vec<String> = misfits.map(|it| format!("schema: {it}")).collect();
    match verify(&db) {
        Ok(_) => {}
        Err(Error::Corrupt(reason)) => faults.push(format!("history: {reason}")),
        Err(edited @ Error::MigrationEdited { .. }) => faults.push(format!("history: {edited}")),
        Err(error) => return Err(error),
    }
    if snapshots::keys(&db)?.is_some_and(|it| it != keys.fingerprint) {
        faults.push("keys: it belongs to another key file".to_owned());
    }
    faults.truncate(TOLD);
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Actor, App};
    use crate::migrations::{Kept, Migration, Report, Story, Wish};

    const TABLES: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY) STRICT;";

    fn app() -> (tempfile::TempDir, App) {
        let home = tempfile::tempdir().unwrap();
        let app = App::in_file(&home.path().join("x.db"));
        (home, app)
    }

    fn sql(app: &App, sql: &'static str) {
        app.db().write(move |tx| tx.script(sql)).unwrap();
    }

    fn team(n: u32) -> Story {
        let one = |number| {
            let up = format!("CREATE TABLE t{number} (id INTEGER PRIMARY KEY) STRICT;");
            let down = format!("DROP TABLE t{number};");
            Migration::of(number, format!("{number:04}_t"), up, down)
        };
        Story::team("own".into(), (1..=n).map(one).collect())
    }

    fn up(app: &App, story: &Story) -> Kept {
        let report = story.migrate(app, &Actor::operator(), Wish::default(), &mut |_| Ok(()));
        report.unwrap().snapshot.unwrap()
    }

    fn down(app: &App) -> Result<Report> {
        undo(app, false)
    }

    fn undo(app: &App, dry_run: bool) -> Result<Report> {
        team(0).undo(app, &Actor::operator(), 0, dry_run, &mut |_| Ok(()))
    }

    #[test]
    fn what_a_team_has_made_of_its_own_is_no_fault_of_the_snapshot() {
        let (_home, app) = app();
        sql(&app, TABLES);
        sql(
            &app,
            "CREATE TRIGGER mine AFTER INSERT ON orders BEGIN SELECT 1; END;
             CREATE VIEW names AS SELECT username FROM users;
             CREATE TRIGGER written INSTEAD OF INSERT ON names BEGIN SELECT 1; END;
             CREATE VIRTUAL TABLE words USING fts5 (word);",
        );
        assert_eq!(up(&app, &team(1)).faults, [""; 0]);
        let snapshot = down(&app).unwrap().snapshot.unwrap();
        let db = Db::open_still(&snapshot.path).unwrap();
        let manifest = Manifest::of(&snapshot.path).unwrap();
        assert_eq!(misfits(&db, needed(), manifest.as_ref()).unwrap(), [""; 0]);
        let alone = misfits(&db, needed(), None).unwrap();
        assert_eq!(
            alone,
            [
                "the table words is foreign",
                "the trigger mine is foreign",
                "the trigger written is foreign",
                "the view names is foreign"
            ]
        );
    }

    #[test]
    fn a_snapshot_that_a_restore_would_refuse_is_told_and_nothing_is_destroyed_for_it() {
        let (home, app) = app();
        up(&app, &team(1));
        // However its table's name is written.
        sql(
            &app,
            "CREATE TRIGGER mine AFTER UPDATE ON USERS BEGIN SELECT 1; END",
        );
        let kept = up(&app, &team(2));
        let fault = "schema: the trigger mine on USERS is foreign";
        assert_eq!(kept.faults, [fault]);
        assert_eq!(Manifest::of(&kept.path).unwrap().unwrap().faults, [fault]);
        let snapshots = || std::fs::read_dir(home.path().join("backups")).unwrap();
        let before = snapshots().count();
        for dry_run in [true, false] {
            let refused = undo(&app, dry_run).unwrap_err();
            assert!(matches!(refused, Error::MigrationRefused(_)), "{refused}");
            assert!(refused.to_string().contains(fault), "{refused}");
            assert_eq!(snapshots().count(), before);
        }
        sql(&app, "DROP TRIGGER mine");
        assert_eq!(undo(&app, true).unwrap().done.len(), 0);
        assert_eq!(snapshots().count(), before);
        assert_eq!(down(&app).unwrap().done.len(), 2);
    }

    #[test]
    fn a_snapshot_that_was_sealed_with_another_key_file_is_told() {
        let (_home, app) = app();
        up(&app, &team(1));
        let keyring = "INSERT INTO keyring (id, fingerprint, since) VALUES (1, 'other', 1)";
        sql(&app, keyring);
        let kept = up(&app, &team(2));
        assert_eq!(kept.faults, ["keys: it belongs to another key file"]);
    }
}
