//! The lock with which a daemon serves a database, and what may have happened while it was lost.

use super::server;
use crate::support::Shell;
use crate::support::client::Client;
use crate::support::cluster::wait_until;

#[test]
fn a_daemon_that_lost_its_lock_serves_no_other_schema_than_before() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let token = client.must("POST", "/app/token", "", "").text("token");
    let mut database = shell.sql();
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'provost pid {}'",
        daemon.pid()
    );
    let schema = provost::migrations::ALL.last().unwrap().number;
    database.run(&cut);
    daemon.wait_for_log("has its lock on the database again");
    assert!(client.is_valid(&token));
    // Somebody may have migrated while nobody held the lock.
    database.stamp(9999);
    database.run(&cut);
    let told = daemon.wait_for_log("was changed while this daemon had no lock");
    assert!(told.contains("9999"), "{told}");
    let check = format!("/app/valid/{token}");
    for (method, path) in [("POST", "/app/token"), ("GET", &check)] {
        let answer = client.must(method, path, "", "");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.text("code"), "schema_newer");
    }
    assert_eq!(daemon.get("/readyz").0, 503);
    // And back again, which the lock of this daemon is not in the way of.
    database.stamp(schema);
    wait_until("it serves again", || {
        client.must("POST", "/app/token", "", "").status == 200
    });
    assert!(client.is_valid(&token));
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    for line in ["has lost its lock", "has its lock on the database again"] {
        assert_eq!(log.matches(line).count(), 2, "{log}");
    }
    assert_eq!(log.matches("nothing is served").count(), 1, "{log}");
}
