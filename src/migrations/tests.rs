//! The rules of migrations, each on a database of its own.

use std::path::Path;

use super::*;
use crate::secret::sha256_hex;

#[test]
fn applying_everything_leaves_nothing_pending_and_the_stamps_agree() {
    let app = App::memory();
    assert!(
        verify(app.db())
            .unwrap()
            .iter()
            .all(|entry| entry.state == State::Applied)
    );
    check(app.db()).unwrap();
    assert!(up(&app, &Actor::operator()).unwrap().is_empty());
}

#[test]
fn a_database_from_the_future_is_refused() {
    let app = App::memory();
    app.db().write(|tx| tx.stamp(needed() + 1)).unwrap();
    assert!(matches!(check(app.db()), Err(Error::SchemaNewer { .. })));
}

#[test]
fn an_edited_migration_is_named() {
    let app = App::memory();
    app.db()
        .write(|tx| store::set_sha256(tx, 2, "0".repeat(64)))
        .unwrap();
    let error = verify(app.db()).unwrap_err();
    assert!(matches!(error, Error::MigrationEdited { name, .. } if name == "0002_clock"));
    assert!(up(&app, &Actor::operator()).is_err());
    let undone = undo(&Story::own(), &app, needed() - 1);
    assert!(matches!(undone, Err(Error::MigrationEdited { name, .. }) if name == "0002_clock"));
}

#[test]
fn another_programs_database_is_left_alone() {
    let db = Db::fresh();
    db.write(|tx| tx.script("CREATE TABLE theirs (n INTEGER)"))
        .unwrap();
    assert!(matches!(check(&db), Err(Error::ForeignDatabase)));
    assert!(matches!(
        Story::own().status(&db),
        Err(Error::ForeignDatabase)
    ));
}

#[test]
fn the_reverse_of_every_migration_undoes_it() {
    let app = App::memory();
    app.db()
        .write(|tx| {
            for migration in ALL.iter().rev() {
                tx.script(&migration.down)?;
            }
            tx.script("DROP TABLE migrations")
        })
        .unwrap();
    assert!(is_blank(app.db()).unwrap());
}

const NOTES: (&str, &str) = (
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, t TEXT) STRICT;\nCREATE INDEX notes_t_idx ON notes (t, id);",
    "DROP TABLE notes;",
);

const MORE: (&str, &str) = (
    "CREATE TABLE more (n INTEGER PRIMARY KEY) STRICT;",
    "DROP TABLE more;",
);

/// Applies [`NOTES`], and puts three into their table.
fn note(app: &App) {
    go(&Story::newer(&[NOTES]), app, Wish::default()).unwrap();
    fill(app);
}

fn fill(app: &App) {
    let three = "INSERT INTO notes (id, t) VALUES (1, 'a'), (2, 'b'), (3, 'b')";
    app.db().write(move |tx| tx.script(three)).unwrap();
}

#[expect(clippy::unnecessary_wraps, reason = "what hears the stages may refuse")]
fn silent(_: Stage<'_>) -> Result<()> {
    Ok(())
}

fn go(story: &Story, app: &App, wish: Wish) -> Result<Report> {
    story.migrate(app, &Actor::operator(), wish, &mut silent)
}

fn undo(story: &Story, app: &App, to: u32) -> Result<Report> {
    story.undo(app, &Actor::operator(), to, false, &mut silent)
}

fn rows(app: &App) -> Vec<(String, u64)> {
    app.db().rows_by_table().unwrap()
}

/// The file's own bytes and what stands beside it.
fn files(folder: &Path) -> (String, Vec<String>) {
    let bytes = std::fs::read(folder.join("x.db")).unwrap();
    let names = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    (sha256_hex(&bytes), names)
}

#[test]
fn what_fails_on_the_third_statement_fails_in_the_rehearsal_and_changes_no_byte() {
    let home = tempfile::tempdir().unwrap();
    let app = App::in_file(&home.path().join("x.db"));
    note(&app);
    app.db().tidy(crate::db::Tidy::Full).unwrap();
    let before = files(home.path());
    let broken = (
        "CREATE TABLE more (n INTEGER PRIMARY KEY) STRICT;\nINSERT INTO more VALUES (1);\n\n-- twice b\nCREATE UNIQUE INDEX notes_t_key\n  ON notes (t);\n",
        "DROP INDEX notes_t_key;\nDROP TABLE more;",
    );
    let failed = go(&Story::newer(&[NOTES, broken]), &app, Wish::default()).unwrap_err();
    let (name, last) = (format!("{:04}_more", needed() + 2), needed() + 1);
    assert_eq!(
        failed.to_string(),
        format!(
            "migration {name} failed in the rehearsal, at statement 3 \
             (migrations/{name}.up.sql, line 5); the database is unchanged at version {last}"
        )
    );
    assert!(
        failed
            .causes()
            .contains("UNIQUE constraint failed: notes.t"),
        "{}",
        failed.causes()
    );
    assert_eq!(
        (failed.spec().code, failed.spec().exit),
        ("migration_failed", 7)
    );
    assert_eq!(files(home.path()), before);
}

#[test]
fn what_is_applied_was_tried_on_a_copy_and_copied_away() {
    let home = tempfile::tempdir().unwrap();
    let app = App::in_file(&home.path().join("x.db"));
    let story = Story::newer(&[
        NOTES,
        (
            "CREATE INDEX notes_id_idx ON notes (id, t);",
            "DROP INDEX notes_id_idx;",
        ),
    ]);
    let trial = Wish {
        dry_run: true,
        ..Wish::default()
    };
    let before = rows(&app);
    let tried = go(&story, &app, trial).unwrap();
    assert_eq!(
        (tried.from, tried.to, tried.done.len()),
        (needed(), needed() + 2, 0)
    );
    assert_eq!((rows(&app), tried.snapshot.is_none()), (before, true));
    let done = go(&story, &app, Wish::default()).unwrap();
    let rehearsal = done.rehearsal.unwrap();
    assert_eq!((rehearsal.form, rehearsal.rows_lost), (Form::Copy, 0));
    assert_eq!(rehearsal.checks, ["integrity", "foreign_keys"]);
    let lines = rehearsal.migrations[0]
        .statements
        .iter()
        .map(|it| (it.number, it.line));
    assert_eq!(lines.collect::<Vec<_>>(), [(1, 1), (2, 2)]);
    let kept = done.snapshot.unwrap();
    let name = kept.path.file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with(&format!("pre-{:04}-", needed() + 2)),
        "{name}"
    );
    let copy = Db::open_still(&kept.path).unwrap();
    assert_eq!(copy.identity().unwrap().schema, needed());
    assert_eq!(sha256_hex(&std::fs::read(&kept.path).unwrap()), kept.sha256);
    assert_eq!(
        story.verify(app.db()).unwrap().len(),
        story.migrations().len()
    );
    assert!(!home.path().join("x.db.rehearsal").exists());
    assert!(
        go(&story, &app, Wish::default())
            .unwrap()
            .pending
            .is_empty()
    );
}

#[test]
fn a_server_is_rehearsed_on_in_a_transaction_that_is_rolled_back() {
    // In memory there is no file to be copied, either.
    let app = App::memory();
    let before = rows(&app);
    let story = Story::newer(&[NOTES]);
    let tried = go(
        &story,
        &app,
        Wish {
            dry_run: true,
            ..Wish::default()
        },
    )
    .unwrap();
    let rehearsal = tried.rehearsal.unwrap();
    assert_eq!(
        (rehearsal.form, rehearsal.migrations.len()),
        (Form::Transaction, 1)
    );
    assert_eq!(rows(&app), before);
    let done = go(&story, &app, Wish::default()).unwrap();
    assert_eq!((done.to, done.snapshot.is_none()), (needed() + 1, true));
    let some = "INSERT INTO notes (id, t) VALUES (1, 'b'), (2, 'b')";
    app.db().write(move |tx| tx.script(some)).unwrap();
    let broken = (
        "DELETE FROM notes WHERE t = 'a';\nCREATE UNIQUE INDEX notes_t_key ON notes (t);",
        "DROP INDEX notes_t_key;",
    );
    let failed = go(&Story::newer(&[NOTES, broken]), &app, Wish::default()).unwrap_err();
    assert!(failed.to_string().contains("at statement 2"), "{failed}");
    assert!(rows(&app).contains(&("notes".to_owned(), 2)));
}

#[test]
fn rows_that_would_be_lost_are_a_reason_not_to_begin_and_a_table_that_goes_is_named() {
    let app = App::memory();
    note(&app);
    let delete = "DELETE FROM notes WHERE id > 1;";
    let refused = go(
        &Story::newer(&[NOTES, (delete, "SELECT 1;")]),
        &app,
        Wish::default(),
    );
    let file = format!("migrations/{:04}_more.up.sql", needed() + 2);
    assert_eq!(
        refused.unwrap_err().to_string(),
        format!(
            "the schema was not changed: in the rehearsal rows were lost from tables that stay: 2 of notes; \
             if that is meant, say so in {file}, in a line of its own: -- lint: allow delete_rows: WHY"
        )
    );
    assert!(rows(&app).contains(&("notes".to_owned(), 3)));
    let meant = format!("-- lint: allow delete_rows: nobody reads them\n{delete}");
    let trial = Wish {
        dry_run: true,
        ..Wish::default()
    };
    let told = go(&Story::newer(&[NOTES, (&meant, "SELECT 1;")]), &app, trial);
    assert_eq!(told.unwrap().rehearsal.unwrap().rows_lost, 2);
    let drop = (
        "-- lint: allow drop_table: a test\nDROP TABLE notes;",
        "-- lint: allow down: a test\nSELECT 1;",
    );
    let done = go(&Story::newer(&[NOTES, drop]), &app, Wish::default()).unwrap();
    let dropped = done.rehearsal.unwrap().dropped;
    assert_eq!(
        (dropped.len(), dropped[0].table.as_str(), dropped[0].rows),
        (1, "notes", 3)
    );
}

#[test]
fn one_comes_as_far_as_is_asked_for_and_no_further() {
    let app = App::memory();
    let story = Story::newer(&[NOTES, MORE]);
    let to = |n| Wish {
        to: Some(n),
        ..Wish::default()
    };
    let planned = story.plan(app.db(), Some(needed() + 1)).unwrap();
    assert_eq!(planned.len(), 1);
    assert_eq!(go(&story, &app, to(needed() + 1)).unwrap().done.len(), 1);
    assert_eq!(schema(app.db()).unwrap(), needed() + 1);
    for n in [1, needed() + 3] {
        assert!(matches!(
            go(&story, &app, to(n)),
            Err(Error::Invalid { field: "to", .. })
        ));
    }
    assert_eq!(go(&story, &app, to(needed() + 2)).unwrap().done.len(), 1);
}

#[test]
fn the_plan_names_the_tables_that_are_concerned() {
    let app = App::memory();
    let story = Story::newer(&[
        NOTES,
        ("CREATE INDEX x ON notes (t); -- users", "DROP INDEX x;"),
    ]);
    go(
        &story,
        &app,
        Wish {
            to: Some(needed() + 1),
            ..Wish::default()
        },
    )
    .unwrap();
    fill(&app);
    let planned = story.plan(app.db(), None).unwrap();
    let notes = Concerned {
        table: "notes".into(),
        rows: 3,
    };
    assert_eq!((planned.len(), &planned[0].tables), (1, &vec![notes]));
    assert!(planned[0].sql.contains("INDEX x"));
}

#[test]
fn an_older_binary_undoes_what_a_newer_one_applied() {
    let app = App::memory();
    let before = rows(&app);
    go(&Story::newer(&[NOTES, MORE]), &app, Wish::default()).unwrap();
    assert!(matches!(check(app.db()), Err(Error::SchemaNewer { .. })));
    let names: Vec<String> = Story::own()
        .undoable(app.db(), needed())
        .unwrap()
        .into_iter()
        .map(|it| it.name)
        .collect();
    let n = needed();
    assert_eq!(
        names,
        [format!("{:04}_more", n + 2), format!("{:04}_more", n + 1)]
    );
    let undone = undo(&Story::own(), &app, needed()).unwrap();
    assert_eq!((undone.from, undone.to, undone.done.len()), (n + 2, n, 2));
    check(app.db()).unwrap();
    verify(app.db()).unwrap();
    let names = |rows: Vec<(String, u64)>| rows.into_iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(names(rows(&app)), names(before));
    // And again, and what was undone is not forgotten.
    go(&Story::newer(&[NOTES]), &app, Wish::default()).unwrap();
    let happened = app
        .read(&Actor::operator(), |cx| Story::own().history(cx))
        .unwrap();
    let late = happened.iter().skip(ALL.len());
    let late: Vec<(State, &str)> = late.map(|it| (it.what, it.name.as_str())).collect();
    let (one, two) = (format!("{:04}_more", n + 1), format!("{:04}_more", n + 2));
    assert_eq!(
        late,
        [
            (State::Applied, one.as_str()),
            (State::Applied, &two),
            (State::Undone, &two),
            (State::Undone, &one),
            (State::Applied, &one),
        ]
    );
    assert!(
        happened
            .iter()
            .all(|it| it.by.is_some() && it.version.is_some() && it.sha256.is_some())
    );
}

#[test]
fn every_reverse_brings_the_schema_back_to_the_first() {
    let app = App::memory();
    assert!(matches!(
        undo(&Story::own(), &app, 0),
        Err(Error::Invalid { .. })
    ));
    assert!(matches!(
        undo(&Story::own(), &app, needed() + 1),
        Err(Error::Invalid { .. })
    ));
    let undone = undo(&Story::own(), &app, 1).unwrap();
    assert_eq!(undone.done.len(), ALL.len() - 1);
    assert_eq!(
        go(&Story::own(), &app, Wish::default()).unwrap().done.len(),
        ALL.len() - 1
    );
    verify(app.db()).unwrap();
}

#[test]
fn a_reverse_that_was_changed_is_not_run() {
    for forge in [
        |kept: &str| kept.replace("notes", "users"),
        |kept: &str| kept[..kept.len() - 5].to_owned(),
        |_: &str| "DROP TABLE users;".to_owned(),
        |_: &str| String::new(),
    ] {
        let app = App::memory();
        note(&app);
        app.db()
            .write(move |tx| {
                let kept = store::reverses(tx, "migrations")?.pop().unwrap();
                store::set_reverse(tx, kept.0, forge(&kept.1))
            })
            .unwrap();
        let refused = undo(&Story::newer(&[NOTES]), &app, needed()).unwrap_err();
        assert!(matches!(refused, Error::MigrationRefused(_)), "{refused}");
        assert!(rows(&app).contains(&("notes".to_owned(), 3)));
    }
}

#[test]
fn a_reverse_from_before_there_were_sums_is_held_against_this_binary() {
    let app = App::memory();
    let last = &ALL[ALL.len() - 1];
    let set = |text: String| {
        app.db()
            .write(move |tx| store::set_reverse(tx, needed(), text.clone()))
            .unwrap();
    };
    set(format!("{}\n", last.reverse()));
    assert!(undo(&Story::own(), &app, needed() - 1).is_err());
    set(last.reverse().into_owned());
    undo(&Story::own(), &app, needed() - 1).unwrap();
}

#[test]
fn who_stops_it_before_the_first_change_has_changed_nothing_and_later_keeps_what_is_done() {
    let app = App::memory();
    let story = Story::newer(&[NOTES, MORE]);
    let stop_at = |n: usize| {
        let mut seen = 0;
        story.migrate(&app, &Actor::operator(), Wish::default(), &mut |stage| {
            seen += usize::from(matches!(stage, Stage::Changing(_)));
            if seen == n {
                Err(Error::Cancelled)
            } else {
                Ok(())
            }
        })
    };
    assert!(matches!(stop_at(1), Err(Error::Cancelled)));
    assert_eq!(schema(app.db()).unwrap(), needed());
    let report = stop_at(2).unwrap();
    assert_eq!(
        (report.stopped, report.to, report.done.len()),
        (true, needed() + 1, 1)
    );
    assert_eq!(go(&story, &app, Wish::default()).unwrap().done.len(), 1);
}

#[test]
fn migrations_with_crlf_line_ends_are_the_same_as_those_without() {
    let app = App::memory();
    let (up, down) = NOTES;
    go(&Story::newer(&[NOTES]), &app, Wish::default()).unwrap();
    let windows = (&*up.replace('\n', "\r\n"), down);
    Story::newer(&[windows]).verify(app.db()).unwrap();
    let app = App::memory();
    go(&Story::newer(&[windows]), &app, Wish::default()).unwrap();
    Story::newer(&[NOTES]).verify(app.db()).unwrap();
    let edited = (&*format!("{up} "), down);
    let refused = go(&Story::newer(&[edited]), &app, Wish::default());
    let name = format!("{:04}_more", needed() + 1);
    assert!(matches!(refused, Err(Error::MigrationEdited { name: it, .. }) if it == name));
}

/// A team's story of the first `n` of three.
fn team(n: usize) -> Story {
    let texts = ["orders", "prices", "buyers"].into_iter().take(n);
    let migrations = texts.zip(1..).map(|(table, number)| {
        let up = format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY) STRICT;");
        let name = format!("{number:04}_{table}");
        Migration::of(number, name, up, format!("DROP TABLE {table};"))
    });
    Story::team("my own".into(), migrations.collect())
}

#[test]
fn what_was_applied_and_has_no_file_any_more_is_named_and_stops_all_but_the_way_back() {
    let app = App::memory();
    go(&team(3), &app, Wish::default()).unwrap();
    let less = team(1);
    let refusals = [
        less.verify(app.db()).unwrap_err(),
        less.plan(app.db(), None).unwrap_err(),
        go(&less, &app, Wish::default()).unwrap_err(),
        drift(app.db(), &less).unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(
            refused.to_string(),
            "my own/0002_prices.up.sql, my own/0003_buyers.up.sql are missing, \
             and the database has what they made"
        );
        assert_eq!(refused.spec().exit, 11);
        let hint = refused.hint_at(" --db x.db").unwrap();
        let down = "provost --db x.db migrate down --dir 'my own' --to 1 --destroy-data";
        assert!(hint.ends_with(down), "{hint}");
    }
    let undone = undo(&less, &app, 1).unwrap();
    assert_eq!((undone.from, undone.to), (3, 1));
    less.verify(app.db()).unwrap();
}

#[test]
fn the_history_tells_what_was_undone_also_when_nothing_is_left() {
    let app = App::memory();
    let told = |story: &Story| {
        let happened = app.read(&Actor::operator(), |cx| story.history(cx));
        let happened = happened.unwrap().into_iter();
        happened.map(|it| (it.what, it.name)).collect::<Vec<_>>()
    };
    assert_eq!(told(&team(2)), []);
    go(&team(2), &app, Wish::default()).unwrap();
    undo(&team(2), &app, 0).unwrap();
    let [one, two] = ["0001_orders", "0002_prices"].map(str::to_owned);
    assert_eq!(
        told(&team(2)),
        [
            (State::Applied, one.clone()),
            (State::Applied, two.clone()),
            (State::Undone, two),
            (State::Undone, one),
        ]
    );
}

#[test]
fn all_that_lint_finds_is_told_at_once_and_first_what_belongs_to_the_program() {
    let app = App::memory();
    go(&team(1), &app, Wish::default()).unwrap();
    let text =
        "DROP TABLE orders;\nUPDATE users SET name = 'x' WHERE id = '1';\nDELETE FROM buyers;";
    let mut migrations = team(1).migrations().to_vec();
    migrations.push(Migration::of(
        2,
        "0002_x".into(),
        text.into(),
        String::new(),
    ));
    let refused = go(
        &Story::team("own".into(), migrations),
        &app,
        Wish::default(),
    )
    .unwrap_err();
    assert_eq!(
        (refused.spec().code, refused.spec().exit),
        ("lint_refused", 7)
    );
    let Error::LintRefused { faults } = refused else {
        panic!("{refused}")
    };
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(
        told[0]
            .starts_with("own/0002_x.up.sql:2: own_table: changes users, which belongs to provost"),
        "{told:?}"
    );
    for rule in ["drop_table", "delete_rows", "down", "engine"] {
        let named = told.iter().filter(|it| it.contains(&format!(": {rule}: ")));
        assert_eq!(named.count(), 1, "{rule}: {told:?}");
    }
    let meant = |rule: &str| format!("meant so? in a line of its own: -- lint: allow {rule}: WHY");
    assert!(
        told.iter().any(|it| it.ends_with(&meant("drop_table"))),
        "{told:?}"
    );
    assert!(!told[0].contains("meant so?"), "{told:?}");
}

#[test]
fn what_is_part_of_the_program_is_looked_at_as_well() {
    let app = App::memory();
    let bad = ("CREATE TABLE bad (n INTEGER) STRICT;", "DROP TABLE bad;");
    let refused = go(&Story::newer(&[bad]), &app, Wish::default()).unwrap_err();
    assert!(
        refused.to_string().contains("lint finds something"),
        "{refused}"
    );
}
