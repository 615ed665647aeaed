//! Databases on a server that the program refuses, each with its documented exit status and a
//! sentence that says what to do, and leaves as they were.

use std::time::Duration;

use super::server;
use crate::support::cluster::{Cluster, say};
use crate::support::{Ran, Shell};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// Runs a command that must fail with `status`, even one that would serve for ever.
#[track_caller]
fn refused(shell: &Shell, status: i32, line: &[&str]) -> String {
    let ran = Ran::within(Duration::from_secs(20), &mut shell.command(line));
    assert_eq!(ran.status, status, "{line:?}: {ran:?}");
    assert!(!ran.stderr.contains("panicked at"), "{line:?}: {ran:?}");
    ran.stderr
}

/// The tables of the schema, and how many rows each has.
fn contents(shell: &Shell) -> Vec<(String, i64)> {
    let mut database = shell.sql();
    let tables = "SELECT CAST(tablename AS TEXT) FROM pg_tables
                  WHERE schemaname = current_schema() ORDER BY 1";
    let tables = database.texts(tables).into_iter();
    let counted = tables.map(|table| {
        let rows = database.number(&format!("SELECT COUNT(*) FROM {table}"));
        (table, rows)
    });
    counted.collect()
}

#[test]
fn a_schema_from_the_future_is_refused_and_left_as_it_was() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    shell.ok(&["token", "create"]);
    shell.sql().stamp(9999);
    let before = contents(&shell);
    for line in [
        &SERVE[..],
        &["serve", "--migrate"],
        &["token", "list"],
        &["token", "create"],
        &["migrate", "up"],
        &["init"],
        &["purge"],
    ] {
        let told = refused(&shell, 11, line);
        assert!(told.contains("9999"), "{line:?}: {told}");
    }
    assert_eq!(contents(&shell), before);
}

#[test]
fn another_programs_tables_are_left_alone_and_get_no_key_file() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url);
    shell
        .sql()
        .run("CREATE TABLE tokens (token TEXT); INSERT INTO tokens VALUES ('theirs')");
    for line in [
        &SERVE[..],
        &["serve", "--migrate"],
        &["init"],
        &["migrate", "up"],
    ] {
        let told = refused(&shell, 11, line);
        assert!(told.contains("belongs to another program"), "{told}");
    }
    assert!(!shell.path("data/provost.key").exists());
    assert_eq!(contents(&shell), [("tokens".to_owned(), 1)]);
}

#[test]
fn a_database_that_cannot_be_right_is_refused_with_the_way_to_make_one_that_is() {
    let Some(server) = Cluster::shared() else {
        return;
    };
    let databases = [
        ("latin", "ENCODING 'LATIN1' LOCALE 'C'", "encoding LATIN1"),
        (
            "english",
            "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'",
            "sorts by a language",
        ),
    ];
    for (name, how, wanted) in databases {
        let name = format!("{name}_{}", std::process::id());
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 {how}");
        if let Err(error) = server.try_sql(&create) {
            say(&format!("not tested, this server has no {name}: {error}"));
            continue;
        }
        let shell = Shell::bare().with("PROVOST_DB", &server.url(&name));
        for line in [&SERVE[..], &["init"], &["token", "list"]] {
            let told = refused(&shell, 2, line);
            assert!(told.contains(wanted), "{told}");
            assert!(told.contains("CREATE DATABASE"), "{told}");
        }
        assert!(!shell.path("data/provost.key").exists());
        server.sql(&format!("DROP DATABASE {name}"));
    }
}

#[test]
fn a_server_that_refuses_is_repeated_without_the_password() {
    let Some(server) = Cluster::shared() else {
        return;
    };
    let address = server.address();
    for (url, wanted) in [
        (
            format!("postgres://postgres:hunter2@{address}/nowhere"),
            "nowhere",
        ),
        (
            format!("postgres://nobody:hunter2@{address}/postgres"),
            "nobody",
        ),
    ] {
        let shell = Shell::bare().with("PROVOST_DB", &url);
        for line in [&SERVE[..], &["init"], &["token", "list"]] {
            let told = refused(&shell, 2, line);
            assert!(told.contains(wanted), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
