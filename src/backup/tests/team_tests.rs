//! What a team has put into the database, and the database that has made room.

use super::*;
use crate::secret::sha256_hex;

/// A table of a team's own whose rows go with those of another table, and what it does then.
const TEAM: &str = "
    CREATE TABLE watch (digest BLOB REFERENCES idempotency_keys (digest) ON DELETE CASCADE) STRICT;
    CREATE TABLE seen (n INTEGER) STRICT;
    CREATE VIEW names AS SELECT username FROM users;
    CREATE TRIGGER revive AFTER DELETE ON watch BEGIN
      INSERT INTO seen VALUES (1);
    END;
    INSERT INTO idempotency_keys VALUES (x'01', x'02', x'03', 1, 9000000000000);
    INSERT INTO watch VALUES (x'01');";

fn count(path: &Path, sql: &'static str) -> i64 {
    let db = Db::open_still(path).unwrap();
    let row = db.export(|tx| tx.first(sql, &[])).unwrap().unwrap();
    row.int("n").unwrap()
}

#[test]
fn a_teams_tables_views_and_triggers_are_restored_and_undo_nothing_of_a_restore() {
    let mut place = Place::new();
    place.sql(TEAM);
    let made = place.back_up();
    assert_eq!(made.faults, [""; 0]);
    place.backup = made.path.unwrap();
    // Nobody but the seal says that a trigger is the team's own.
    let bytes = fs::read(&place.backup).unwrap();
    let (alone, sha256) = place.file("alone.db", &bytes);
    let refused = place.staged(&alone, Some(&sha256)).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("the trigger revive is foreign"),
        "{refused}"
    );
    let (_folder, restored) = place.restored();
    assert_eq!(restored.taken_back.forgotten_keys, 1);
    let count = |sql| count(&restored.database, sql);
    let made = "SELECT COUNT(*) AS n FROM sqlite_schema WHERE name IN ('revive', 'names')";
    assert_eq!(count(made), 2);
    assert_eq!(count("SELECT COUNT(*) AS n FROM watch"), 0);
    assert_eq!(count("SELECT COUNT(*) AS n FROM seen"), 0);
    assert_eq!(
        count("SELECT COUNT(*) AS n FROM users WHERE state = 'active'"),
        2
    );
}

#[test]
fn no_trigger_that_writes_to_a_table_of_provost_comes_back_whoever_sealed_it() {
    for body in [
        "UPDATE users SET state = 'disabled';",
        "UPDATE OR IGNORE 'users' SET state = 'active';",
        "INSERT INTO seen VALUES (1); DELETE FROM \"TOKENS\";",
        "INSERT OR REPLACE INTO `user_roles` VALUES ('x', 'admin');",
        "REPLACE INTO user_roles VALUES ('x', 'admin');",
        "SELECT 1 AS a$b$; DELETE FROM sessions; SELECT 1 AS a$b$;",
        "UPDATE [users] SET state = 'active';",
    ] {
        let place = Place::new();
        place.sql(&format!(
            "CREATE TABLE seen (n INTEGER) STRICT;
             CREATE TRIGGER later AFTER DELETE ON seen BEGIN {body} END;"
        ));
        let made = place.back_up();
        let fault = made.faults.first().map(String::as_str).unwrap_or_default();
        assert!(
            fault.contains("the trigger later, which writes to"),
            "{body}: {fault}"
        );
    }
}

#[test]
fn no_unique_index_of_others_comes_back_on_a_table_of_provost() {
    let place = Place::new();
    place.sql("CREATE INDEX quick ON users (name, state)");
    assert_eq!(place.back_up().faults, [""; 0]);
    place.sql("CREATE UNIQUE INDEX one ON users (id, state)");
    let faults = place.back_up().faults;
    assert_eq!(faults, ["schema: the index one on users is foreign"]);
}

#[test]
fn nothing_is_taken_back_in_place_under_a_trigger_of_others() {
    let place = Place::new();
    let take_back = || {
        let api_tokens = ApiTokens::Suspend;
        in_place(&place.app, &Actor::operator(), Options { api_tokens })
    };
    place.sql("CREATE TRIGGER later AFTER UPDATE ON Users BEGIN SELECT 1; END");
    let refused = take_back().unwrap_err().to_string();
    assert!(
        refused.contains("the trigger later on Users is foreign"),
        "{refused}"
    );
    place.sql("DROP TRIGGER later");
    take_back().unwrap();
}

#[test]
fn the_database_that_has_made_room_is_a_backup_itself() {
    let place = Place::new();
    place.sql(TEAM);
    let new = users::NewUser::named("late".parse().unwrap());
    users::create(&place.app, &Actor::operator(), new).unwrap();
    let config = place.app.config().clone();
    let (folder, restored) = place.restored();
    let old = restored.old.unwrap();
    assert_eq!((&old.path, &old.faults), (&restored.kept[0], &Vec::new()));
    assert_eq!(
        old.sha256.as_deref().unwrap(),
        sha256_hex(&fs::read(&old.path).unwrap())
    );
    let db = Db::open_file(&restored.database, Role::Shell).unwrap();
    let keys = Keys::load(&config.key_file).unwrap();
    let app = App::new(config, keys, db);
    let again = Place {
        folder,
        app,
        backup: old.path,
    };
    let (_folder, restored) = again.restored();
    let late = "SELECT COUNT(*) AS n FROM users WHERE username = 'late'";
    assert_eq!(count(&restored.database, late), 1);
}

#[test]
fn a_database_that_makes_room_and_could_not_be_restored_is_told_to_be_that() {
    let place = Place::new();
    place.sql("CREATE TRIGGER mine AFTER UPDATE ON users BEGIN SELECT 1; END");
    let (_folder, restored) = place.restored();
    let old = restored.old.unwrap();
    assert_eq!(old.faults, ["schema: the trigger mine on users is foreign"]);
    assert!(!manifest_of(&old.path).exists());
}
