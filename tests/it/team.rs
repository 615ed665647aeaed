//! A team's own migrations at the shell: other tables in the same database.

use std::fs;

use crate::support::Shell;
use crate::support::engine::Sql;

/// Three migrations, each with its way back.
const PAIRS: [(&str, &str, &str); 3] = [
    (
        "0001_orders",
        "CREATE TABLE orders (
           id INTEGER PRIMARY KEY,
           buyer TEXT NOT NULL REFERENCES users (id),
           total INTEGER NOT NULL CHECK (total >= 0) -- in cents
         ) STRICT;
         CREATE INDEX orders_buyer_idx ON orders (buyer);\n",
        "DROP TABLE orders;\n",
    ),
    (
        "0002_notes",
        "ALTER TABLE orders ADD COLUMN note TEXT NOT NULL DEFAULT '';\n",
        "ALTER TABLE orders DROP COLUMN note;\n",
    ),
    (
        "0003_lines",
        "CREATE TABLE order_lines (
           order_id INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
           place INTEGER NOT NULL,
           sku BLOB,
           PRIMARY KEY (order_id, place)
         ) STRICT;\n",
        "DROP TABLE order_lines;\n",
    ),
];

/// Writes a file into the folder of the team's migrations.
fn write(shell: &Shell, name: &str, text: &str) {
    fs::create_dir_all(shell.path("own")).unwrap();
    fs::write(shell.path("own").join(name), text).unwrap();
}

/// A shell with the three migrations in its folder `own`.
fn shell() -> Shell {
    let shell = Shell::new();
    for (name, up, down) in PAIRS {
        write(&shell, &format!("{name}.up.sql"), up);
        write(&shell, &format!("{name}.down.sql"), down);
    }
    shell
}

/// The tables that belong to the team.
fn tables(sql: &mut Sql) -> usize {
    let found = match sql {
        Sql::Sqlite(_) => {
            "SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('orders', 'order_lines')"
        }
        Sql::Postgres(_) => {
            "SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema()
             AND tablename IN ('orders', 'order_lines')"
        }
    };
    sql.count(found)
}

#[test]
fn three_migrations_of_a_team_are_applied_beside_those_of_the_program() {
    let shell = shell();
    let before = shell.json(&["migrate", "status"]);
    shell.ok(&["migrate", "lint", "--dir", "own"]);
    let pending = shell.run(&["migrate", "status", "--dir", "own", "--exit-code"]);
    assert_eq!(pending.status, 9, "{pending:?}");
    shell.ok(&["migrate", "up", "--dir", "own"]);
    assert_eq!(tables(&mut shell.sql()), 2);
    shell.ok(&["migrate", "status", "--dir", "own", "--exit-code"]);
    shell.ok(&["migrate", "verify", "--dir", "own"]);
    // Theirs is no drift of ours, and changes nothing of it.
    shell.ok(&["migrate", "verify"]);
    assert_eq!(shell.json(&["migrate", "status"]), before);
    let again = shell.run(&["migrate", "up", "--dir", "own"]);
    assert!(again.stderr.starts_with("nothing to do"), "{again:?}");
    shell.sql().run(
        "INSERT INTO users (id, username, username_key, state, created_at, updated_at)
           VALUES ('u', 'u', 'u', 'active', 1, 1);
         INSERT INTO orders (id, buyer, total) VALUES (1, 'u', 100);",
    );
    shell.ok(&["user", "list"]);
}

#[test]
fn other_line_ends_are_the_same_text_and_an_edited_file_is_named() {
    let shell = shell();
    shell.ok(&["migrate", "up", "--dir", "own"]);
    for (name, up, down) in PAIRS {
        write(&shell, &format!("{name}.up.sql"), &up.replace('\n', "\r\n"));
        write(
            &shell,
            &format!("{name}.down.sql"),
            &down.replace('\n', "\r\n"),
        );
    }
    shell.ok(&["migrate", "verify", "--dir", "own"]);
    shell.ok(&["migrate", "lint", "--dir", "own"]);
    let edited = PAIRS[1].1.replace("note", "notes");
    write(&shell, "0002_notes.up.sql", &edited);
    for verb in ["verify", "up", "plan"] {
        let told = shell.fails(11, &["migrate", verb, "--dir", "own"]);
        for part in [
            "0002_notes was applied with another text than own/0002_notes.up.sql has",
            "provost migrate verify --dir own",
            &provost::secret::sha256_hex(PAIRS[1].1.as_bytes()),
            &provost::secret::sha256_hex(edited.as_bytes()),
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    shell.ok(&["migrate", "status", "--dir", "own"]);
    shell.fails(11, &["migrate", "status", "--dir", "own", "--exit-code"]);
}

#[test]
fn a_file_that_is_gone_is_named_and_what_it_made_can_be_undone_without_it() {
    let shell = shell();
    shell.ok(&["migrate", "up", "--dir", "own"]);
    let gone = |name: &str| {
        fs::remove_file(shell.path("own").join(format!("{name}.up.sql"))).unwrap();
        fs::remove_file(shell.path("own").join(format!("{name}.down.sql"))).unwrap();
    };
    // Also where it leaves a gap.
    for name in ["0002_notes", "0003_lines"] {
        gone(name);
        for verb in ["verify", "up", "plan"] {
            let told = shell.fails(11, &["migrate", verb, "--dir", "own"]);
            assert!(told.contains(&format!("own/{name}.up.sql")), "{told}");
            assert!(
                told.contains("provost migrate down --dir own --to 1 --destroy-data"),
                "{told}"
            );
        }
        shell.fails(11, &["migrate", "status", "--dir", "own", "--exit-code"]);
    }
    let told: serde_json::Value =
        serde_json::from_str(&shell.fails(11, &["--json", "migrate", "verify", "--dir", "own"]))
            .unwrap();
    assert_eq!(told["code"], "migration_missing");
    let files = ["own/0002_notes.up.sql", "own/0003_lines.up.sql"];
    assert_eq!(told["migration"]["files"], serde_json::json!(files));
    // What somebody follows who reads the hint.
    let down = ["migrate", "down", "--dir", "own", "--to", "1"];
    shell.ok(&[&down[..], &["--destroy-data", "--yes"]].concat());
    assert_eq!(tables(&mut shell.sql()), 1);
    shell.ok(&["migrate", "verify", "--dir", "own"]);
    shell.ok(&["migrate", "status", "--dir", "own", "--exit-code"]);
    let happened = shell.json(&["migrate", "history", "--dir", "own"]);
    assert_eq!(
        happened["items"].as_array().map(Vec::len),
        Some(5),
        "{happened}"
    );
    // The database keeps all that is needed.
    fs::rename(shell.path("own"), shell.path("gone")).unwrap();
    shell.fails(5, &["migrate", "up", "--dir", "own"]);
    let down = ["migrate", "down", "--dir", "own", "--to", "0"];
    let ran = shell.run(&[&down[..], &["--destroy-data", "--yes"]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("there is no folder own"), "{ran:?}");
    assert_eq!(tables(&mut shell.sql()), 0);
}

#[test]
fn findings_are_told_with_file_line_reason_and_advice() {
    let shell = shell();
    write(
        &shell,
        "0004_less.up.sql",
        "-- what nobody uses\n\nDROP TABLE order_lines;\nUPDATE users SET name = 'x' WHERE id = '1';\n",
    );
    let ran = shell.run(&["migrate", "lint", "--dir", "own"]);
    assert_eq!(ran.status, 9, "{ran:?}");
    for part in [
        "own/0004_less.up.sql:3: drop_table: drops the table order_lines",
        "    let one release pass",
        "own/0004_less.up.sql:4: own_table: changes users, which belongs to provost",
        "own/0004_less.down.sql:1: down: is missing or empty",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let ran = shell.run(&["--json", "migrate", "lint", "own/0004_less.up.sql"]);
    assert_eq!(ran.status, 9, "{ran:?}");
    let items = ran.json()["items"].clone();
    assert_eq!(
        (items[0]["rule"].clone(), items[0]["line"].clone()),
        ("drop_table".into(), 3.into())
    );
    write(
        &shell,
        "0004_less.up.sql",
        "-- lint: allow drop_table: empty since 3\nDROP TABLE order_lines;\n",
    );
    let down = "-- lint: allow down: it was empty\nSELECT 1;\n";
    write(&shell, "0004_less.down.sql", down);
    shell.ok(&["migrate", "lint", "--dir", "own"]);
    // What is part of the program is clean, and needs no database.
    let ran = Shell::bare().run(&["migrate", "lint"]);
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn a_folder_that_cannot_be_read_as_it_was_meant_runs_nothing() {
    let shell = shell();
    shell.fails(5, &["migrate", "up", "--dir", "nowhere"]);
    fs::remove_file(shell.path("own/0002_notes.up.sql")).unwrap();
    fs::remove_file(shell.path("own/0002_notes.down.sql")).unwrap();
    let told = shell.fails(7, &["migrate", "up", "--dir", "own"]);
    assert!(
        told.contains("0003_lines.up.sql has the number 3, but there is no 2"),
        "{told}"
    );
    let ran = shell.run(&["migrate", "lint", "--dir", "own"]);
    assert_eq!(ran.status, 9, "{ran:?}");
    assert!(ran.stdout.contains("number: "), "{ran:?}");
    assert_eq!(tables(&mut shell.sql()), 0);
}

#[test]
fn a_new_migration_is_a_pair_of_files_that_overwrites_nothing() {
    let shell = Shell::bare();
    let told = shell.ok(&["migrate", "new", "orders"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "migrations/0001_orders.up.sql",
            "migrations/0001_orders.down.sql"
        ]
    );
    assert_eq!(crate::support::mode(&shell.path(lines[0])), 0o644);
    fs::write(shell.path(lines[0]), "mine").unwrap();
    shell.fails(6, &["migrate", "new", "orders"]);
    assert_eq!(fs::read_to_string(shell.path(lines[0])).unwrap(), "mine");
    shell.fails(7, &["migrate", "new", "../etc"]);
    let ran = shell.run(&["migrate", "new", "more", "--dir", "migrations"]);
    assert!(
        ran.stderr.contains("provost migrate up --dir migrations"),
        "{ran:?}"
    );
    let made = shell.json(&["migrate", "new", "json"]);
    assert_eq!(
        made,
        serde_json::json!({
            "up": "migrations/0003_json.up.sql", "down": "migrations/0003_json.down.sql",
        })
    );
    // What nobody has written yet is found.
    let ran = shell.run(&["migrate", "lint", "--dir", "migrations"]);
    assert!(
        ran.stdout
            .contains("0002_more.up.sql:1: file: has no statement"),
        "{ran:?}"
    );
    assert!(!ran.stdout.contains("0002_more.up.sql:1: allow"), "{ran:?}");
}

#[test]
fn a_schema_that_was_changed_by_hand_is_printed_as_a_diff() {
    let shell = shell();
    shell.ok(&["migrate", "up", "--dir", "own"]);
    shell.sql().run(
        "ALTER TABLE bans ADD COLUMN by_hand TEXT;
         DROP INDEX orders_buyer_idx;
         CREATE TABLE somebody_elses (id INTEGER);",
    );
    let ran = shell.run(&["migrate", "verify"]);
    assert_eq!(ran.status, 9, "{ran:?}");
    assert!(ran.stdout.starts_with("table bans\n"), "{ran:?}");
    let added = ran.stdout.lines().find(|line| line.contains("by_hand"));
    assert!(added.is_some_and(|line| line.starts_with('+')), "{ran:?}");
    assert!(ran.stderr.contains("one part of the schema"), "{ran:?}");
    let ran = shell.run(&["--json", "migrate", "verify", "--dir", "own"]);
    assert_eq!(ran.status, 9, "{ran:?}");
    let drift = ran.json()["drift"].clone();
    assert_eq!(drift.as_array().map(Vec::len), Some(1), "{drift}");
    assert_eq!(drift[0]["name"], "orders_buyer_idx", "{drift}");
}

#[test]
fn tables_of_a_team_are_copied_once_they_are_made_in_the_other_database_as_well() {
    let shell = shell();
    shell.ok(&["migrate", "up", "--dir", "own"]);
    shell.sql().run(
        "INSERT INTO users (id, username, username_key, state, created_at, updated_at)
           VALUES ('u', 'u', 'u', 'active', 1, 1);
         INSERT INTO orders (id, buyer, total, note) VALUES (1, 'u', 100, 'x');
         INSERT INTO order_lines (order_id, place) VALUES (1, 1), (1, 2);",
    );
    let from = shell
        .schema_url()
        .unwrap_or_else(|| "data/provost.db".into());
    let copy = ["db", "copy", "--from", &from, "--to", "other.db", "--yes"];
    let told = shell.fails(13, &copy);
    assert!(told.contains("provost migrate up --dir DIR"), "{told}");
    fs::copy(shell.path("data/provost.key"), shell.path("other.key")).unwrap();
    shell.ok(&["--db", "other.db", "migrate", "up", "--dir", "own"]);
    shell.ok(&copy);
    let other = crate::support::files::open(&shell.path("other.db"));
    let number = |sql| crate::support::files::number(&other, sql);
    assert_eq!(number("SELECT COUNT(*) FROM order_lines"), 2);
    assert_eq!(number("SELECT total FROM orders"), 100);
    shell.ok(&["--db", "other.db", "migrate", "verify", "--dir", "own"]);
}

#[test]
fn a_team_goes_up_and_down_and_up_again() {
    let shell = shell();
    let down = |to: &str| {
        let to = ["migrate", "down", "--dir", "own", "--to", to];
        shell.ok(&[&to[..], &["--destroy-data", "--yes"]].concat());
    };
    shell.ok(&["migrate", "up", "--dir", "own"]);
    let to = ["--json", "migrate", "down", "--dir", "own", "--to", "0"];
    let tried = shell.run(&[&to[..], &["--dry-run"]].concat()).json();
    // Its own history is no data.
    assert_eq!(tried["rehearsal"]["rows_lost"], 0, "{tried}");
    assert_eq!(
        tried["rehearsal"]["dropped"].as_array().map(Vec::len),
        Some(2)
    );
    down("0");
    assert_eq!(tables(&mut shell.sql()), 0);
    shell.ok(&["migrate", "verify", "--dir", "own"]);
    shell.ok(&["migrate", "up", "--dir", "own"]);
    assert_eq!(tables(&mut shell.sql()), 2);
    down("1");
    assert_eq!(tables(&mut shell.sql()), 1);
    shell.ok(&["migrate", "up", "--dir", "own", "--to", "2"]);
    shell.ok(&["migrate", "up", "--dir", "own"]);
    shell.ok(&["migrate", "verify", "--dir", "own"]);
    shell.ok(&["migrate", "verify"]);
    let happened = shell.json(&["migrate", "history", "--dir", "own"]);
    assert_eq!(
        happened["items"].as_array().map(Vec::len),
        Some(13),
        "{happened}"
    );
}

#[test]
fn a_third_statement_that_fails_on_the_data_leaves_every_byte_as_it_was() {
    if crate::support::engine::only_on_sqlite("the bytes of the file are compared") {
        return;
    }
    let shell = shell();
    shell.ok(&["migrate", "up", "--dir", "own"]);
    shell.sql().run(
        "INSERT INTO users (id, username, username_key, state, created_at, updated_at)
           VALUES ('u', 'u', 'u', 'active', 1, 1);
         INSERT INTO orders (id, buyer, total) VALUES (1, 'u', 100), (2, 'u', 200);",
    );
    // Nothing of it shows on an empty database.
    write(
        &shell,
        "0004_one.up.sql",
        "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;
         INSERT INTO more (id) SELECT id FROM orders;
         CREATE UNIQUE INDEX orders_buyer_key ON orders (buyer);\n",
    );
    let down = "DROP INDEX orders_buyer_key;\nDROP TABLE more;\n";
    write(&shell, "0004_one.down.sql", down);
    shell.ok(&["migrate", "lint", "--dir", "own"]);
    let before = fs::read(shell.database()).unwrap();
    let told = shell.fails(7, &["migrate", "up", "--dir", "own"]);
    for part in ["0004_one", "statement 3", "own/0004_one.up.sql", "line 3"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = shell.fails(7, &["--json", "migrate", "up", "--dir", "own"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["status"], &told["code"]),
        (&422.into(), &"migration_failed".into())
    );
    assert_eq!(
        told["migration"],
        serde_json::json!({
            "name": "0004_one", "rehearsal": true, "statement": 3,
            "file": "own/0004_one.up.sql", "line": 3,
        })
    );
    assert!(
        told["causes"]
            .to_string()
            .contains("UNIQUE constraint failed: orders.buyer"),
        "{told}"
    );
    assert!(fs::read(shell.database()).unwrap() == before);
}

#[test]
fn what_belongs_to_the_program_is_not_touched() {
    let shell = shell();
    let up = "DELETE FROM orders;\nUPDATE users SET name = 'x' WHERE id = '1';\n";
    write(&shell, "0004_touch.up.sql", up);
    write(&shell, "0004_touch.down.sql", "SELECT 1;\n");
    let told = shell.fails(7, &["migrate", "up", "--dir", "own"]);
    let lines: Vec<&str> = told.lines().collect();
    for (line, part) in [
        (0, "own/0004_touch.up.sql:2: own_table: changes users, "),
        (
            1,
            "own/0004_touch.up.sql:1: delete_rows: deletes every row of orders; ",
        ),
        (
            2,
            "error: the schema was not changed: lint finds 2 things to look at: own/0004_touch.up.sql:2",
        ),
        (3, "hint: "),
    ] {
        assert!(lines[line].starts_with(part), "{part}: {told}");
    }
    assert!(
        lines[1].contains("-- lint: allow delete_rows: WHY"),
        "{told}"
    );
    let told = shell.fails(7, &["--json", "migrate", "up", "--dir", "own"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["errors"].as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(tables(&mut shell.sql()), 0);
}
