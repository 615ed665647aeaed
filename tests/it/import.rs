//! `provost user import`, `user export` and `import --from` as scripts and people at a shell meet
//! them.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::postgres::server;
use crate::support::{Ran, Shell, mode};

/// bcrypt of "correct horse battery staple", as another program made it.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";

const PEOPLE: &str = "\u{feff}username;email;hashed_password;fio;is_superuser\r\n\
    maria;Maria@example.org;HASH;\"Maria\r\nPetrova\";t\r\n\
    ivan;;;Ivan;f\r\nIVAN;ivan;;;\r\nanna;maria@EXAMPLE.org;HASH;Anna;\r\n";

/// A shell with the file `people.csv` in its home.
fn shell(people: &str) -> Shell {
    let shell = Shell::new();
    fs::write(shell.path("people.csv"), people.replace("HASH", HASH)).unwrap();
    shell
}

fn users(shell: &Shell) -> usize {
    shell.sql().count("SELECT COUNT(*) FROM users")
}

#[test]
fn every_refused_row_is_told_with_its_line_and_nothing_is_taken_in() {
    let shell = shell(PEOPLE);
    let line = ["user", "import", "people.csv", "--yes"];
    let told = shell.fails(7, &line);
    assert_eq!(
        told,
        "people.csv:2: name: must not hold control or invisible characters\n\
         people.csv:5: email: must be an address like name@example.org\n\
         people.csv:5: username: the same user name, but perhaps for case, is on line 4\n\
         people.csv:6: email: the same address, but perhaps for case, is on line 2\n\
         error: 3 of 4 rows cannot be imported; nothing was changed\n"
    );
    assert_eq!(users(&shell), 0);
    assert_eq!(shell.fails(7, &[&line[..], &["-q"]].concat()), told);
    let ran = shell.run(&["--json", "user", "import", "people.csv", "--dry-run"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (7, ""));
    let problem: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(problem["code"], "rows_refused");
    assert_eq!(problem["errors"][1]["pointer"], "/5/email");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 4);
}

#[test]
fn the_good_rows_are_taken_in_when_asked_and_the_status_says_that_others_are_left() {
    let shell = shell(PEOPLE);
    let line = ["user", "import", "people.csv", "--keep-going", "--yes"];
    let told = shell.fails(12, &[&line[..], &["--dry-run"]].concat());
    assert!(
        told.contains("would make 1 account\nrefused 3 of 4 rows"),
        "{told}"
    );
    assert_eq!(users(&shell), 0);
    let told = shell.fails(12, &line);
    assert!(told.contains("made 1 account in "), "{told}");
    assert_eq!(
        shell.ok(&["user", "list", "--fields", "username", "--jsonl"]),
        r#"{"username":"ivan"}"#
    );
    let ran = shell.run(&[&line[..], &["--json"]].concat());
    let report = ran.json();
    assert_eq!(
        (ran.status, &report["imported"], &report["refused"]),
        (12, &0.into(), &4.into())
    );
    assert_eq!(report["errors"].as_array().unwrap().len(), 5);
}

#[test]
fn accounts_are_made_only_when_somebody_agrees_to_their_number() {
    let shell = shell("username,roles\nmaria,admin\nivan,\n");
    let line = ["user", "import", "people.csv"];
    let told = shell.fails(2, &line);
    assert!(
        told.contains("make 2 accounts, 1 of them an administrator"),
        "{told}"
    );
    assert!(told.contains("--yes=2"), "{told}");
    shell.fails(6, &[&line[..], &["--yes=3"]].concat());
    assert_eq!(users(&shell), 0);
    shell.ok(&[&line[..], &["--dry-run"]].concat());
    assert_eq!(users(&shell), 0);
    shell.ok(&[&line[..], &["--yes=2"]].concat());
    assert_eq!(
        shell.json(&["user", "show", "maria"])["roles"],
        serde_json::json!(["admin"])
    );
    let log = shell.ok(&["audit", "list", "--action", "user.*", "--jsonl"]);
    assert_eq!(log.lines().count(), 3);
}

#[test]
fn what_comes_through_a_pipe_has_to_say_what_it_is() {
    let shell = Shell::new();
    let people = "{\"username\":\"maria\"}\n";
    let told = shell.run_with(&["user", "import", "-", "--yes"], people);
    assert!(
        told.status == 2 && told.stderr.contains("--format"),
        "{told:?}"
    );
    let line = [
        "user", "import", "-", "--yes", "--format", "jsonl", "--json",
    ];
    let ran = shell.run_with(&line, people);
    assert_eq!((ran.status, &ran.json()["imported"]), (0, &1.into()));
    let ran = shell.run_with(&line, "{\"username\":\"\"}\n");
    assert_eq!(ran.status, 7);
    shell.fails(1, &["user", "import", "nowhere.csv"]);
}

#[test]
fn passwords_as_they_were_typed_are_refused_with_the_reason_and_not_shown() {
    let shell = shell("username,password\nmaria,hunter2\n");
    let told = shell.fails(7, &["user", "import", "people.csv", "--yes"]);
    assert!(told.starts_with("people.csv:1: column: passwords as they were typed are not taken"));
    assert!(
        told.contains("password_hash") && !told.contains("hunter2"),
        "{told}"
    );
    assert_eq!(users(&shell), 0);
}

#[test]
fn an_interrupted_import_leaves_nothing_behind() {
    let shell = Shell::new();
    let line = ["user", "import", "-", "--format", "csv", "--yes"];
    let mut command = shell.command(&line);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let rows = |from: usize| -> String {
        let rows = (from..from + 20_000).map(|n| format!("user-{n}\n"));
        rows.collect::<Vec<_>>().concat()
    };
    stdin.write_all(b"username\n").unwrap();
    // More than a pipe and a buffer hold: most of it was read, and signals are watched for.
    stdin.write_all(rows(0).as_bytes()).unwrap();
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    // The reader may have gone by now.
    let _ = stdin.write_all(rows(20_000).as_bytes());
    drop(stdin);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(
        ran.stderr.contains("cancelled; nothing was changed"),
        "{ran:?}"
    );
    assert_eq!(users(&shell), 0);
}

#[test]
fn accounts_are_taken_in_beside_a_daemon_that_serves() {
    let shell = shell("");
    let daemon = shell.serve();
    for (file, flags) in [
        ("one.csv", &["--yes"][..]),
        ("two.csv", &["--yes", "--keep-going"]),
    ] {
        let rows = (0..500).map(|n| format!("user-{n}.{file}\n"));
        let rows = rows.collect::<Vec<_>>().concat();
        fs::write(shell.path(file), format!("username\n{rows}")).unwrap();
        shell.ok(&[&["user", "import", file][..], flags].concat());
        assert_eq!(daemon.request("POST", "/app/token", "", "").0, 200);
    }
    assert_eq!(users(&shell), 1000);
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn what_is_exported_is_for_its_owner_alone_and_makes_the_same_accounts_elsewhere() {
    let shell = shell(
        "id,username,email,hashed_password,is_verified,fio\n7,maria,m@x.org,HASH,t,\"a, \"\"b\"\"\"\n8,ivan,,,,\n",
    );
    shell.ok(&["user", "import", "people.csv", "--yes"]);
    shell.ok(&["user", "disable", "ivan", "--reason", "left"]);
    for name in ["all.csv", "all.jsonl"] {
        let line = ["user", "export", "--with-hashes", "-o", name];
        let told = shell.run(&line);
        assert_eq!((told.status, told.stdout.as_str()), (0, ""));
        assert_eq!(mode(&shell.path(name)), 0o600);
        let told = shell.fails(6, &line);
        assert!(told.contains("exists already"), "{told}");
        let text = fs::read_to_string(shell.path(name)).unwrap();
        let other = Shell::new();
        fs::write(other.path(name), &text).unwrap();
        assert_eq!(
            other.json(&["user", "import", name, "--yes"])["imported"],
            2
        );
        let format = name.split('.').nth(1).unwrap();
        let again = other.ok(&["user", "export", "--with-hashes", "--format", format]);
        assert_eq!(again, text.trim_end());
        let shown = |shell: &Shell| {
            let mut user = shell.json(&["user", "show", "ivan"]);
            // When each program wrote it down.
            for when in ["updated_at", "disabled_at"] {
                user[when].take();
            }
            user
        };
        assert_eq!(shown(&other), shown(&shell));
    }
    let bare = shell.ok(&["user", "export"]);
    assert!(!bare.contains("$2b$") && bare.starts_with("id,username,email,email_verified,"));
    let told = shell.json(&["user", "export", "-o", "more.csv"]);
    assert_eq!(
        (&told["users"], &told["hashes"]),
        (&2.into(), &false.into())
    );
    let told = shell.fails(2, &["user", "export", "--json"]);
    assert!(told.contains("--format jsonl"), "{told}");
    let left: Vec<_> = fs::read_dir(shell.path("")).unwrap().collect();
    let hidden = left.iter().filter(|it| {
        it.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("export-")
    });
    assert_eq!(hidden.count(), 0);
}

#[test]
fn the_accounts_of_the_freelance_platform_are_taken_over() {
    let Some((_cluster, url)) = server() else {
        return;
    };
    let old = Shell::on(&url);
    let dsn = old.schema_url().unwrap();
    old.sql().run(&format!(
        "CREATE TABLE users (id UUID PRIMARY KEY, username VARCHAR(50) NOT NULL, email VARCHAR(200),
           phone VARCHAR, hashed_password VARCHAR, fio TEXT, created_at TIMESTAMP, is_superuser BOOLEAN,
           is_verified BOOLEAN, theme TEXT);
         INSERT INTO users SELECT CAST('00000000-0000-4000-8000-' || LPAD(n::text, 12, '0') AS UUID),
           'user' || n, 'User' || n || '@example.org', NULL, '{HASH}', 'Иван ' || n,
           '2024-01-02 03:04:05.678', n = 7, n = 7, 'dark' FROM generate_series(1, 2500) n;
         UPDATE users SET created_at = 'infinity', is_verified = NULL WHERE username = 'user8'"
    ));
    let shell = Shell::new();
    let line = ["import", "--from", "s2", "--dsn", &dsn];
    let told = shell.run(&[&line[..], &["--dry-run"]].concat());
    assert_eq!(told.status, 0, "{told:?}");
    assert!(
        told.stderr
            .contains("not taken over: theme\nwould make 2500 accounts"),
        "{told:?}"
    );
    assert_eq!(
        shell.json(&[&line[..], &["--yes=2500"]].concat())["imported"],
        2500
    );
    let user = shell.json(&["user", "show", "user7@example.org"]);
    assert_eq!(user["roles"], serde_json::json!(["admin"]));
    assert_eq!(user["created_at"], "2024-01-02T03:04:05.678Z");
    assert_eq!(
        (&user["name"], &user["has_password"]),
        (&"Иван 7".into(), &true.into())
    );
    let all = shell.ok(&["user", "export", "--format", "jsonl"]);
    assert!(all.contains(r#""meta":{"old_id":"00000000-0000-4000-8000-000000000007"}"#));
    assert_eq!(all.matches(r#""email_verified":true"#).count(), 1);
    // All of them are there now; the older database has them still.
    let told = shell.fails(7, &[&line[..], &["--yes"]].concat());
    assert!(
        told.contains("\nusers:2500: email: belongs to an account"),
        "{told}"
    );
    assert_eq!(old.sql().count("SELECT COUNT(*) FROM users"), 2500);
}

#[test]
fn the_names_of_the_session_service_are_taken_over() {
    let Some((_cluster, url)) = server() else {
        return;
    };
    let old = Shell::on(&url);
    let shell = Shell::new();
    fs::write(shell.path("old.dsn"), old.schema_url().unwrap() + "\n").unwrap();
    let line = ["import", "--from", "s3", "--dsn-file", "old.dsn", "--yes"];
    let told = shell.fails(5, &line);
    assert!(told.contains("no such table: users"), "{told}");
    old.sql().run(
        "CREATE TABLE users (id SERIAL PRIMARY KEY, username TEXT);
         INSERT INTO users (username) VALUES ('maria'), ('Иван'), ('MARIA'), (NULL)",
    );
    let told = shell.fails(7, &line);
    assert_eq!(
        told,
        "users:3: username: the same user name, but perhaps for case, is on line 1\n\
         users:4: username: is missing\n\
         error: 2 of 4 rows cannot be imported; nothing was changed\n"
    );
    shell.fails(12, &[&line[..], &["--keep-going"]].concat());
    assert_eq!(users(&shell), 2);
    let mut other = line;
    other[2] = "s2";
    let told = shell.fails(2, &other);
    assert!(told.contains("has no column hashed_password"), "{told}");
}

#[test]
fn the_password_of_the_other_database_is_nowhere_to_be_seen() {
    let shell = Shell::new();
    let url = "postgres://reader:hunter2@127.0.0.1:1/old";
    let told = shell.fails(2, &["import", "--from", "s2", "--dsn", url]);
    assert!(
        told.contains("--dsn-file") && !told.contains("hunter2"),
        "{told}"
    );
    for url in [
        url,
        "postgres://reader:hunter2@[/old",
        "mysql://reader:hunter2@x/old",
        "old.db",
    ] {
        fs::write(shell.path("dsn"), url).unwrap();
        let ran = shell.run(&["import", "--from", "s2", "--dsn-file", "dsn"]);
        assert!([2, 10].contains(&ran.status), "{ran:?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
    shell.fails(2, &["import", "--from", "s2"]);
    shell.fails(2, &["import", "--from", "s9", "--dsn", "postgres://x/y"]);
}
