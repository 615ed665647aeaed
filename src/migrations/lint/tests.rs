use super::*;
use crate::migrations::Whose;

const TABLE: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT) STRICT;\n";

fn team(texts: &[(&str, &str)]) -> Story {
    let migrations = texts.iter().zip(1..).map(|((up, down), number)| {
        Migration::of(
            number,
            format!("{number:04}_x"),
            (*up).into(),
            (*down).into(),
        )
    });
    Story::team("m".into(), migrations.collect())
}

/// The rules that a statement after [`TABLE`] breaks, with their lines in the second migration.
fn broken(statement: &str) -> Vec<(Rule, usize)> {
    let story = team(&[
        (TABLE, "DROP TABLE orders;"),
        (statement, "-- lint: allow down: a test\nSELECT 1;"),
    ]);
    let found = lint(&story).unwrap();
    let second = found.iter().filter(|it| it.file == "m/0002_x.up.sql");
    second.map(|it| (it.rule, it.line)).collect()
}

#[test]
fn what_loses_data_or_stands_in_the_way_is_found_with_its_line() {
    use Rule::{
        ColumnType, DeleteRows, DropColumn, DropTable, ForeignKey, NotNull, PrimaryKey, Rewrite,
    };
    let cases: [(&str, &[(Rule, usize)]); 18] = [
        ("\n-- x\nDROP TABLE orders;", &[(DropTable, 3)]),
        ("DROP TABLE IF EXISTS orders", &[(DropTable, 1)]),
        ("ALTER TABLE orders\n DROP COLUMN note;", &[(DropColumn, 2)]),
        ("ALTER TABLE orders DROP note;", &[(DropColumn, 1)]),
        ("DELETE FROM orders;", &[(DeleteRows, 1)]),
        ("DELETE FROM orders WHERE id = 1;", &[]),
        ("UPDATE orders SET note = 'x';", &[(Rewrite, 1)]),
        ("UPDATE orders SET note = 'x' WHERE note IS NULL;", &[]),
        (
            "ALTER TABLE orders ADD COLUMN n INTEGER NOT NULL DEFAULT 0;",
            &[],
        ),
        ("ALTER TABLE orders ADD n INTEGER;", &[]),
        (
            "CREATE TABLE x (id INTEGER PRIMARY KEY, o INTEGER REFERENCES orders (id)) STRICT;",
            &[(ForeignKey, 1)],
        ),
        (
            "CREATE TABLE x (id INTEGER PRIMARY KEY, o INTEGER REFERENCES orders (id)) STRICT;
             CREATE INDEX x_o ON x (o);",
            &[],
        ),
        (
            "\nALTER TABLE orders ADD COLUMN o INTEGER REFERENCES orders (id);",
            &[(ForeignKey, 2)],
        ),
        ("CREATE TABLE x (id INTEGER) STRICT;", &[(PrimaryKey, 1)]),
        (
            "CREATE TABLE y (id INTEGER PRIMARY KEY) STRICT;
             INSERT INTO y (id) SELECT id FROM orders;
             DROP TABLE orders;
             ALTER TABLE y RENAME TO orders;",
            &[(DropTable, 3), (Rewrite, 4)],
        ),
        (
            "CREATE TABLE x (id INTEGER PRIMARY KEY, n INT) STRICT;",
            &[(ColumnType, 1)],
        ),
        ("CREATE VIEW v AS SELECT id FROM users;", &[]),
        // Words in literals, names and comments are nobody's.
        (
            "INSERT INTO orders (note) VALUES ('DROP TABLE x; NOW()'); -- VACUUM",
            &[],
        ),
    ];
    for (statement, expected) in cases {
        assert_eq!(broken(statement), expected, "{statement}");
    }
    // What the engine refuses as well.
    for (statement, rule) in [
        ("ALTER TABLE orders ADD COLUMN n INTEGER NOT NULL;", NotNull),
        (
            "ALTER TABLE orders ADD COLUMN n INTEGER DEFAULT (abs(1) + id);",
            Rewrite,
        ),
        (
            "ALTER TABLE orders ALTER COLUMN note TYPE INTEGER;",
            Rewrite,
        ),
    ] {
        assert!(broken(statement).contains(&(rule, 1)), "{statement}");
    }
}

#[test]
fn what_one_engine_alone_understands_is_found() {
    for statement in [
        "SELECT id::TEXT FROM orders;",
        "SELECT `id` FROM orders;",
        "SELECT [id] FROM orders;",
        "CREATE TABLE x (id INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;",
        "CREATE TABLE x (id INTEGER PRIMARY KEY);",
        "UPDATE orders SET note = datetime('now') WHERE id = 1;",
        "UPDATE orders SET note = NOW() WHERE id = 1;",
        "INSERT OR IGNORE INTO orders (id) VALUES (1);",
        "REPLACE INTO orders (id) VALUES (1);",
        "CREATE TRIGGER t AFTER INSERT ON orders BEGIN DELETE FROM orders WHERE id = 1; END;",
        "CREATE FUNCTION f() RETURNS TEXT LANGUAGE sql AS $$ SELECT 'x'; $$;",
        "ALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0);",
        "ALTER TABLE orders ALTER COLUMN note SET NOT NULL;",
        "INSERT INTO orders (note) VALUES (CURRENT_TIMESTAMP);",
        "COMMENT ON TABLE orders IS 'x';",
        "CREATE VIEW v AS SELECT id FROM orders WHERE note ILIKE 'x';",
    ] {
        let found = broken(statement);
        assert!(found.contains(&(Rule::Shared, 1)), "{statement}: {found:?}");
        assert!(
            !found.iter().any(|it| it.0 == Rule::Engine),
            "{statement}: {found:?}"
        );
    }
    for sort in [
        "SERIAL",
        "BIGINT",
        "VARCHAR(20)",
        "REAL",
        "JSONB",
        "BOOLEAN",
    ] {
        let found = broken(&format!(
            "CREATE TABLE x (id TEXT PRIMARY KEY,\n n {sort}) STRICT;"
        ));
        assert!(found.contains(&(Rule::ColumnType, 2)), "{sort}: {found:?}");
    }
}

#[test]
fn what_cannot_be_in_a_transaction_is_found_and_cannot_be_accepted() {
    for statement in [
        "VACUUM;",
        "PRAGMA foreign_keys = OFF;",
        "ATTACH 'x' AS y;",
        "BEGIN;",
        "COMMIT;",
        "CREATE UNIQUE INDEX CONCURRENTLY i ON orders (note);",
    ] {
        assert_eq!(broken(statement), [(Rule::Transaction, 1)], "{statement}");
        let accepted = format!("{statement}\n-- lint: allow transaction: please");
        assert_eq!(
            broken(&accepted),
            [(Rule::Transaction, 1), (Rule::Allow, 2)]
        );
    }
}

#[test]
fn a_finding_is_accepted_by_a_comment_with_a_reason_and_by_no_other() {
    assert_eq!(
        broken("-- lint: allow drop_table: empty since 3\nDROP TABLE orders;"),
        []
    );
    for (comment, line) in [
        ("-- lint: allow drop_table", 1),
        ("-- lint: allow drop_table:  ", 1),
        ("-- lint: allow drop_column: empty", 1),
        ("-- lint: ignore", 1),
        ("'-- lint: allow drop_table: in a literal';", 0),
    ] {
        let found = broken(&format!("{comment}\nDROP TABLE orders;"));
        assert!(
            found.contains(&(Rule::DropTable, 2)),
            "{comment}: {found:?}"
        );
        let useless = comment.contains("allow drop_column") || line == 0;
        assert_eq!(
            found.contains(&(Rule::Allow, 1)),
            !useless,
            "{comment}: {found:?}"
        );
    }
}

#[test]
fn tables_of_this_program_are_read_and_pointed_to_and_no_more() {
    for statement in [
        "ALTER TABLE users ADD COLUMN x TEXT;",
        "INSERT INTO user_roles (user_id, role, granted_at) SELECT id, 'admin', 1 FROM users;",
        "DELETE FROM \"tokens\" WHERE id = 1;",
        "UPDATE main.users SET name = 'x' WHERE id = '1';",
        "CREATE INDEX mine ON sessions (ip);",
        "DROP INDEX users_created_idx;",
        "CREATE TRIGGER t AFTER DELETE ON mine BEGIN UPDATE OR IGNORE 'users' SET name = 'x'; END;",
        "DELETE FROM team_migrations WHERE number = 1;",
        "UPDATE MIGRATIONS SET sha256 = '' WHERE number = 1;",
    ] {
        let found = broken(statement);
        assert!(
            found.contains(&(Rule::OwnTable, 1)),
            "{statement}: {found:?}"
        );
    }
    let pointing =
        "CREATE TABLE x (id TEXT PRIMARY KEY REFERENCES users (id) ON UPDATE CASCADE) STRICT;
        INSERT INTO x (id) SELECT id FROM users;";
    assert_eq!(broken(pointing), []);
}

#[test]
fn what_the_engine_refuses_is_told_with_its_line() {
    assert_eq!(
        broken("SELECT 1;\n\nINSERT INTO nothing VALUES (1);"),
        [(Rule::Engine, 3)]
    );
    assert_eq!(broken("CREAT TABLE x;"), [(Rule::Engine, 1)]);
}

#[test]
fn the_way_back_must_lead_back() {
    let down = |text: &str| -> Vec<Rule> {
        let found = lint(&team(&[(TABLE, text)])).unwrap();
        found.iter().map(|it| it.rule).collect()
    };
    assert_eq!(down("DROP TABLE orders;"), []);
    assert_eq!(down(""), [Rule::Down]);
    assert_eq!(down("-- nothing"), [Rule::Down]);
    assert_eq!(down("SELECT 1;"), [Rule::Down]);
    assert_eq!(down("DROP TABLE other;"), [Rule::Engine]);
    assert_eq!(
        down("-- lint: allow down: rows cannot be brought back\nSELECT 1;"),
        []
    );
    let missing = format!("-- lint: allow down: nobody goes back\n{TABLE}");
    assert_eq!(lint(&team(&[(&missing, "")])).unwrap(), []);
}

#[test]
fn what_is_part_of_this_program_is_clean() {
    assert_eq!(lint(&Story::own()).unwrap(), []);
    assert_eq!(Story::own().whose(), Whose::Provost);
}

#[test]
fn a_migration_without_a_statement_is_not_finished() {
    assert_eq!(broken("-- to do\n"), [(Rule::File, 1)]);
}
