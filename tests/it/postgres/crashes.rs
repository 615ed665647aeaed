//! The server crashes, or another takes its place, while daemons write: nothing that was
//! acknowledged is lost, nothing is done twice, and all is well again soon.

use std::time::Instant;

use super::writers::{Kept, RECOVERY, Writers, bearer};
use crate::support::client::Client;
use crate::support::cluster::{Cluster, Mode, pause};
use crate::support::{Daemon, Shell};

/// Clients of each of the two daemons.
const CLIENTS: usize = 8;

/// Connections that a daemon has for point reads.
const LINES: usize = 4;

/// Makes sure that every daemon can use all of its connections again, soon after the server was
/// back at `up`: all of them are kept waiting at the same moment, with more questions behind.
fn pools_are_full(shell: &Shell, daemons: &[Daemon; 2], bearer: &str, up: Instant) {
    let (mut holder, mut database) = (shell.sql(), shell.sql());
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'provost%'
                   AND wait_event_type = 'Lock' AND query LIKE 'SELECT%'";
    holder.run("BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE");
    std::thread::scope(|scope| {
        for n in 0..4 * LINES {
            let daemon = &daemons[n % 2];
            scope.spawn(move || {
                let mut client = Client::connect(&daemon.address).unwrap();
                let path = "/api/v1/audit?limit=1";
                // Whoever waited too long for the lock comes again.
                while client.must("GET", path, bearer, "").status != 200 {
                    assert!(up.elapsed() < 2 * RECOVERY, "refused without a reason");
                }
            });
        }
        while database.count(waiting) < 2 * LINES {
            assert!(up.elapsed() < RECOVERY, "{}", database.count(waiting));
            pause();
        }
        holder.run("ROLLBACK");
    });
}

/// Stops the daemons, which have met nothing that they did not expect, and compares what is there
/// with what the clients know.
fn finish(shell: &Shell, daemons: [Daemon; 2], mut kept: Kept, bearer: &str) {
    let [one, two] = daemons;
    for daemon in [&one, &two] {
        assert!(daemon.is_ready_within(RECOVERY), "{}", daemon.log());
    }
    let mut client = Client::connect(&two.address).unwrap();
    kept.settle(&mut client, bearer);
    kept.verify(shell, &mut client);
    for daemon in [one, two] {
        let (status, log) = daemon.stop();
        assert_eq!(status, 0, "{log}");
        assert!(!log.contains("panicked at"), "{log}");
    }
}

fn crashed_under_load(times: usize) {
    let Some(mut server) = Cluster::start(&[]) else {
        return;
    };
    let shell = Shell::on(&server.url("postgres")).after_init();
    let shell = shell.without_throttle();
    let bearer = bearer(&shell);
    let daemons = [shell.serve(), shell.serve()];
    let addresses = [&*daemons[0].address, &*daemons[1].address];
    let writers = Writers::start(&addresses, &bearer, CLIENTS);
    let mut outages = Vec::new();
    for _ in 0..times {
        writers.wait_for(100);
        let down = Instant::now();
        server.crash_and_restart();
        let up = Instant::now();
        outages.push((down, up));
        writers.wait_for(50);
        assert!(up.elapsed() < RECOVERY, "{:?}", up.elapsed());
    }
    let kept = writers.stop();
    kept.refused_only_during(&outages);
    server.crash_and_restart();
    pools_are_full(&shell, &daemons, &bearer, Instant::now());
    finish(&shell, daemons, kept, &bearer);
}

#[test]
fn a_server_that_crashes_under_load_takes_nothing_acknowledged_with_it() {
    crashed_under_load(3);
}

#[test]
#[ignore = "takes a minute: the same 20 times"]
fn a_server_that_crashes_20_times_under_load_takes_nothing_with_it() {
    crashed_under_load(20);
}

#[test]
fn a_standby_that_takes_over_under_load_has_all_that_was_acknowledged() {
    let Some(mut primary) = Cluster::start(&[]) else {
        return;
    };
    let standby = primary.standby();
    let hosts = format!("{},{}", primary.address(), standby.address());
    let url = format!("postgres://postgres@{hosts}/postgres?target_session_attrs=read-write");
    let shell = Shell::on(&url).after_init().without_throttle();
    let bearer = bearer(&shell);
    let daemons = [shell.serve(), shell.serve()];
    let addresses = [&*daemons[0].address, &*daemons[1].address];
    let writers = Writers::start(&addresses, &bearer, CLIENTS);
    writers.wait_for(200);
    let down = Instant::now();
    primary.stop(Mode::Immediate);
    standby.promote();
    let up = Instant::now();
    writers.wait_for(200);
    assert!(up.elapsed() < RECOVERY, "{:?}", up.elapsed());
    let kept = writers.stop();
    kept.refused_only_during(&[(down, up)]);
    finish(&shell, daemons, kept, &bearer);
    // A command finds the new one, too.
    shell.ok(&["token", "create"]);
}
