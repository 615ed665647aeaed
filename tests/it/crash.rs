//! Crashes and faults underneath: what was acknowledged is there once, what was not is there or
//! not, and nothing that was ended lives again (reliability.md). The real binary, killed or starved.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::Client;
use crate::support::engine::only_on_sqlite;
use crate::support::fault::{Fault, descriptor};
use crate::support::{Daemon, PROVOST, Ran, Shell, files};

/// After a crash or a fault the daemon is at work again within this time.
const RECOVERY: Duration = Duration::from_secs(5);

const WRITERS: usize = 32;

/// The header of an API token that may do everything to tokens.
fn bearer(shell: &Shell) -> String {
    let scopes = "token:read,token:create,token:revoke,token:renew,token:consume";
    let token = shell.ok(&["token", "create", "--scope", scopes, "--quiet"]);
    format!("Authorization: Bearer {token}\r\n")
}

/// A small generator of numbers (xorshift64): the same seed, the same kills.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `most`.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// A request that makes a token, to be sent again if no answer came.
#[derive(Clone, Debug)]
struct Order {
    key: String,
    /// Over the API, with the key as its label, or over the older service's route.
    labelled: bool,
}

impl Order {
    /// Sends it; returns the token and, for a labelled one, its id.
    fn send(&self, client: &mut Client, bearer: &str) -> std::io::Result<(String, Option<String>)> {
        let key = format!("Idempotency-Key: {}\r\n", self.key);
        let answer = if self.labelled {
            let body = json!({ "kind": "temporary", "label": self.key }).to_string();
            client.ask("POST", "/api/v1/tokens", &format!("{bearer}{key}"), &body)?
        } else {
            client.ask("POST", "/app/token", &key, "")?
        };
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        Ok(if self.labelled {
            (answer.text("token"), Some(answer.text("id")))
        } else {
            (answer.text("token"), None)
        })
    }
}

/// What the clients know, which no crash of the daemon can take from them.
#[derive(Debug, Default)]
struct Known {
    /// Acknowledged tokens that were not revoked.
    live: Vec<String>,
    /// Those whose revocation was acknowledged.
    revoked: Vec<String>,
    /// Orders without an answer.
    open: Vec<Order>,
    /// Revocations without an answer: token and id.
    half: Vec<(String, String)>,
}

impl Known {
    fn add(&mut self, other: Self) {
        self.live.extend(other.live);
        self.revoked.extend(other.revoked);
        self.open.extend(other.open);
        self.half.extend(other.half);
    }

    /// Sends again what had no answer, twice: it must come to the same.
    fn settle(&mut self, client: &mut Client, bearer: &str) {
        for order in std::mem::take(&mut self.open) {
            let first = order.send(client, bearer).unwrap();
            assert_eq!(order.send(client, bearer).unwrap(), first, "{order:?}");
            self.live.push(first.0);
        }
        for (token, id) in std::mem::take(&mut self.half) {
            let answer = client.must("DELETE", &format!("/api/v1/tokens/{id}"), bearer, "");
            assert_eq!(answer.status, 204, "{answer:?}");
            self.revoked.push(token);
        }
    }

    /// Every acknowledged token is good, and every revoked one is not.
    fn validate(&self, client: &mut Client) {
        let lost = self.live.iter().filter(|token| !client.is_valid(token));
        assert_eq!(lost.count(), 0, "acknowledged tokens are lost");
        let revived = self.revoked.iter().filter(|token| client.is_valid(token));
        assert_eq!(revived.count(), 0, "revoked tokens live again");
    }
}

/// Issues and revokes until the daemon is gone.
fn write(address: &str, bearer: &str, name: &str, answered: &AtomicUsize) -> Known {
    let mut known = Known::default();
    let Ok(mut client) = Client::connect(address) else {
        return known;
    };
    for n in 0.. {
        let order = Order {
            key: format!("{name}-{n}"),
            labelled: n % 2 == 1,
        };
        let Ok((token, id)) = order.send(&mut client, bearer) else {
            known.open.push(order);
            break;
        };
        answered.fetch_add(1, Ordering::SeqCst);
        let Some(id) = id.filter(|_| n % 4 == 3) else {
            known.live.push(token);
            continue;
        };
        let path = format!("/api/v1/tokens/{id}");
        let Ok(answer) = client.ask("DELETE", &path, bearer, "") else {
            known.half.push((token, id));
            break;
        };
        assert_eq!(answer.status, 204, "{answer:?}");
        known.revoked.push(token);
    }
    known
}

/// Everything that was acknowledged is in the database once, with one audit row for each change.
fn count_rows(shell: &Shell, known: &Known) {
    let mut database = shell.sql();
    // One more: the token with which the clients sign in.
    let issued = known.live.len() + known.revoked.len() + 1;
    assert_eq!(database.count("SELECT COUNT(*) FROM tokens"), issued);
    let twice =
        "SELECT label FROM tokens WHERE label IS NOT NULL GROUP BY label HAVING COUNT(*) > 1";
    assert_eq!(database.texts(twice), [""; 0]);
    for (action, count) in [
        ("token.created", issued),
        ("token.revoked", known.revoked.len()),
    ] {
        let rows = format!("FROM audit_events WHERE action = '{action}'");
        let all = format!("SELECT COUNT(*) {rows}");
        assert_eq!(database.count(&all), count, "{action}");
        let distinct = format!("SELECT COUNT(DISTINCT object) {rows}");
        assert_eq!(database.count(&distinct), count, "{action}");
    }
}

fn killed_while_writing(cycles: usize) {
    let seed = u64::from(std::process::id()) << 20 | 0x5eed;
    eprintln!("seed {seed}, SQLite {}", rusqlite::version());
    let mut dice = Dice(seed);
    // The long form meets a purge, which must leave what is counted.
    let shell = Shell::unthrottled().with("PROVOST_PURGE_GRACE", "1d");
    let bearer = bearer(&shell);
    // What this cycle's clients know is checked after the next start, everything at the end.
    let (mut known, mut fresh) = (Known::default(), Known::default());
    let (mut slowest, mut resent) = (Duration::ZERO, 0);
    for cycle in 0..=cycles {
        let start = Instant::now();
        let mut daemon = shell.serve();
        assert!(daemon.is_ready_within(RECOVERY), "{}", daemon.log());
        slowest = slowest.max(start.elapsed());
        assert!(start.elapsed() < RECOVERY, "{:?}", start.elapsed());
        let mut client = Client::connect(&daemon.address).unwrap();
        resent += fresh.open.len();
        fresh.settle(&mut client, &bearer);
        fresh.validate(&mut client);
        known.add(std::mem::take(&mut fresh));
        count_rows(&shell, &known);
        if cycle == cycles {
            known.validate(&mut client);
            let (status, log) = daemon.stop();
            assert_eq!(status, 0, "{log}");
            assert!(!log.contains("panicked at"), "{log}");
            break;
        }
        let enough = 1 + dice.up_to(200);
        let answered = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (daemon, bearer, answered) = (&daemon, &bearer, &answered);
                    let name = format!("{cycle}-{writer}");
                    scope.spawn(move || write(&daemon.address, bearer, &name, answered))
                })
                .collect();
            while answered.load(Ordering::SeqCst) < enough
                && !writers
                    .iter()
                    .any(std::thread::ScopedJoinHandle::is_finished)
            {
                std::thread::yield_now();
            }
            daemon.signal("KILL");
            for writer in writers {
                fresh.add(writer.join().unwrap());
            }
        });
        let (_, log) = daemon.wait();
        assert!(!log.contains("panicked at"), "{log}");
        files::check(&shell);
    }
    files::check(&shell);
    let (live, revoked) = (known.live.len(), known.revoked.len());
    eprintln!(
        "{cycles} kills: {live} live and {revoked} revoked tokens, {resent} sent again, \
         ready within {slowest:?}"
    );
}

#[test]
fn a_killed_daemon_loses_nothing_that_it_acknowledged_and_does_nothing_twice() {
    killed_while_writing(20);
}

#[test]
#[ignore = "takes minutes: the same 200 times"]
fn a_daemon_killed_200_times_loses_nothing() {
    killed_while_writing(200);
}

/// Rows that a change can touch, all of them.
fn state(shell: &Shell) -> Vec<String> {
    let mut database = shell.sql();
    let mut rows = Vec::new();
    for (table, columns) in [
        (
            "tokens",
            &[
                "id",
                "label",
                "expires_at",
                "max_uses",
                "used",
                "revoked_at",
            ][..],
        ),
        (
            "users",
            &["id", "username", "state", "email", "password_hash"],
        ),
        ("user_roles", &["user_id", "role"]),
        ("idempotency_keys", &["digest", "answer"]),
        ("audit_events", &["id", "action"]),
    ] {
        // Both engines join texts so, and know a text for each value.
        let columns = columns.iter().map(|column| match *column {
            "digest" | "answer" => database.hex(column),
            column => format!("COALESCE(CAST({column} AS TEXT), '-')"),
        });
        let columns = columns.collect::<Vec<_>>().join(" || ' ' || ");
        let sql = format!("SELECT '{table} ' || {columns} FROM {table} ORDER BY 1");
        rows.extend(database.texts(&sql));
    }
    rows
}

#[test]
fn a_change_that_cannot_be_audited_does_not_happen() {
    let shell = Shell::unthrottled().with("PROVOST_JOBS_ENABLED", "false");
    let bearer = bearer(&shell);
    shell.ok(&["user", "create", "maria", "--admin", "--no-password"]);
    shell.ok(&["user", "create", "ivan", "--no-password"]);
    let made = shell.json(&[
        "token",
        "create",
        "--kind",
        "temporary",
        "--owner",
        "ivan",
        "--max-uses",
        "500",
    ]);
    let (id, token) = (
        made["id"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    shell.sql().run(match shell.schema_url() {
        None => {
            "CREATE TRIGGER no_audit BEFORE INSERT ON audit_events
             BEGIN SELECT RAISE(ABORT, 'the trigger says no'); END;"
        }
        Some(_) => {
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'the trigger says no'; END $$;
             CREATE TRIGGER no_audit BEFORE INSERT ON audit_events
             FOR EACH ROW EXECUTE FUNCTION no();"
        }
    });
    let before = state(&shell);
    let refused = |client: &mut Client, n: usize, (method, path, body): (&str, String, String)| {
        let headers = format!("{bearer}Idempotency-Key: {n}\r\n");
        let answer = client.must(method, &path, &headers, &body);
        assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
        assert_eq!(answer.text("code"), "unavailable");
        for inner in ["audit", "trigger", "RAISE", "SQL", "constraint"] {
            assert!(!answer.body.contains(inner), "{answer:?}");
        }
    };
    let (consume, no) = (json!({ "token": token }).to_string(), String::new);
    let mut tried = 0;
    for n in 0..15 {
        for change in [
            ("POST", "/app/token".to_owned(), no()),
            (
                "POST",
                "/api/v1/tokens".to_owned(),
                json!({ "kind": "api" }).to_string(),
            ),
            ("POST", "/api/v1/tokens/consume".to_owned(), consume.clone()),
            (
                "POST",
                format!("/api/v1/tokens/{id}/renew"),
                json!({ "ttl": "1h" }).to_string(),
            ),
            ("DELETE", format!("/api/v1/tokens/{id}"), no()),
            ("POST", "/api/v1/revoke".to_owned(), consume.clone()),
        ] {
            refused(&mut client, n, change);
            tried += 1;
        }
    }
    for line in [
        "token create",
        "token revoke ID",
        "token renew ID",
        "token revoke --owner ivan --yes",
        "user create anna --no-password",
        "user disable ivan",
        "user update ivan --email ivan@example.org",
        "user rename ivan vanya",
        "user role add ivan admin",
        "user passwd ivan --generate",
    ] {
        let line = line.replace("ID", id);
        let told = shell.fails(10, &line.split(' ').collect::<Vec<_>>());
        assert!(told.contains("temporarily unavailable"), "{told}");
        tried += 1;
    }
    assert_eq!((tried, state(&shell)), (100, before));
    // Reading goes on, and so does writing once the audit log can be written again.
    assert!(client.is_valid(token));
    let answer = client.must("GET", "/api/v1/tokens", &bearer, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    shell.ok(&["token", "list"]);
    shell.sql().run(match shell.schema_url() {
        None => "DROP TRIGGER no_audit",
        Some(_) => "DROP TRIGGER no_audit ON audit_events",
    });
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
    assert_eq!(daemon.get("/readyz").0, 200);
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("panicked at"), "{log}");
    files::check(&shell);
}

#[test]
fn a_commit_that_meets_a_fault_is_refused_and_its_connection_commits_no_more() {
    if only_on_sqlite("the faults are in the daemon's own writes to the file") {
        return;
    }
    let shell = Shell::unthrottled();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let mut issued = vec![client.must("POST", "/app/token", "", "").text("token")];
    for (n, calls) in ["fsync,fdatasync", "pwrite64"].iter().enumerate() {
        let Some(fault) = Fault::begin(&shell, &daemon, calls, "EIO") else {
            return;
        };
        let key = format!("Idempotency-Key: {n}\r\n");
        let answer = client.must("POST", "/app/token", &key, "");
        assert_eq!(answer.status, 503, "{calls}: {answer:?}");
        assert_eq!(answer.text("detail"), "temporarily unavailable, try again");
        assert_eq!(daemon.get("/readyz").0, 503);
        assert!(client.is_valid(&issued[0]));
        let calls = fault.end();
        // Healthy by itself: nobody writes now.
        let ended = Instant::now();
        assert!(daemon.is_ready_within(RECOVERY), "{}", daemon.log());
        eprintln!("ready {:?} after the fault", ended.elapsed());
        let failed = calls.iter().position(|call| call.contains("EIO")).unwrap();
        let file = descriptor(&calls[failed]).unwrap();
        let later = calls[failed + 1..].iter();
        let mut later = later.filter(|call| descriptor(call) == Some(file));
        let next = later.next().unwrap();
        assert!(next.contains("close("), "{next}");
        // Without an answer nobody knows; asked again, it is there once.
        let order = |client: &mut Client| client.must("POST", "/app/token", &key, "");
        let token = order(&mut client).text("token");
        assert_eq!(order(&mut client).text("token"), token);
        issued.push(token);
    }
    assert!(issued.iter().all(|token| client.is_valid(token)));
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("panicked at"), "{log}");
    let database = files::open(&shell.database());
    assert_eq!(files::number(&database, "SELECT COUNT(*) FROM tokens"), 3);
    drop(database);
    files::check(&shell);
}

#[test]
fn storage_that_keeps_failing_ends_the_daemon_which_starts_again_afterwards() {
    if only_on_sqlite("the faults are in the daemon's own writes to the file") {
        return;
    }
    let shell = Shell::unthrottled();
    let mut daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let token = client.must("POST", "/app/token", "", "").text("token");
    let Some(fault) = Fault::begin(&shell, &daemon, "fsync,fdatasync", "EIO") else {
        return;
    };
    for _ in 0..3 {
        let answer = client.must("POST", "/app/token", "", "");
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    let (status, log) = daemon.wait();
    assert_eq!(status, 13, "{log}");
    assert!(log.contains("storage faults in a row"), "{log}");
    assert!(!log.contains("panicked at"), "{log}");
    fault.end();
    files::check(&shell);
    let daemon = shell.serve();
    assert!(daemon.is_ready_within(RECOVERY), "{}", daemon.log());
    let mut client = Client::connect(&daemon.address).unwrap();
    assert!(client.is_valid(&token));
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
}

#[test]
fn a_full_disk_refuses_writes_and_goes_on_reading() {
    if only_on_sqlite("the disk that is full is the one of the file") {
        return;
    }
    let shell = Shell::bare();
    let folder = shell.path("data");
    std::fs::create_dir(&folder).unwrap();
    // A file system of its own, which only the daemon sees and which goes with it.
    let script = "mount -t tmpfs -o size=8m,mode=700 tmpfs \"$PROVOST_DATA_DIR\" \
                  && exec \"$0\" serve --listen 127.0.0.1:0";
    let mut command = shell.command::<&str>(&[]);
    let mut own = Command::new("unshare");
    own.args(["-rm", "sh", "-c", script, PROVOST]).env_clear();
    own.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command = own;
    command.env("PROVOST_THROTTLE_ISSUE_PER_SECOND", "0");
    let can = Ran::of(Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "x", "/mnt"]));
    if can.status != 0 {
        eprintln!("not tested, no file system can be mounted here: {can:?}");
        return;
    }
    let daemon = Daemon::start(&mut command);
    let mut client = Client::connect(&daemon.address).unwrap();
    let mut issued = vec![client.must("POST", "/app/token", "", "").text("token")];
    let seen = format!("/proc/{}/root{}", daemon.pid(), folder.display());
    let ballast = std::path::Path::new(&seen).join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    // What the write-ahead log has room for is still taken.
    let refused = (0..5000).find_map(|_| {
        let answer = client.must("POST", "/app/token", "", "");
        if answer.status == 200 {
            issued.push(answer.text("token"));
        }
        (answer.status != 200).then_some(answer)
    });
    let refused = refused.expect("the disk was never full");
    assert_eq!(refused.status, 507, "{refused:?}");
    assert_eq!(refused.text("code"), "storage_full");
    assert!(
        !refused.body.contains("SQL") && !refused.body.contains("data"),
        "{refused:?}"
    );
    for _ in 0..3 {
        assert_eq!(client.must("POST", "/app/token", "", "").status, 507);
        assert!(issued.iter().all(|token| client.is_valid(token)));
    }
    std::fs::remove_file(&ballast).unwrap();
    let answer = client.must("POST", "/app/token", "", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    issued.push(answer.text("token"));
    assert!(issued.iter().all(|token| client.is_valid(token)));
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("panicked at"), "{log}");
}
