//! A synchronous standby that is gone: the primary commits nothing any more, and nobody waits for
//! that longer than once.

use std::time::Instant;

use super::writers::{PATIENCE, RECOVERY};
use crate::support::Shell;
use crate::support::client::Client;
use crate::support::cluster::{Cluster, Mode, pause, wait_until};

#[test]
fn a_standby_that_is_gone_is_waited_for_by_one_and_told_to_all_others_at_once() {
    let Some(primary) = Cluster::start(&[]) else {
        return;
    };
    let mut standby = primary.standby();
    let shell = Shell::on(&primary.url("postgres")).after_init();
    let shell = shell.without_throttle();
    let shell = shell.with("PROVOST_JOBS_ENABLED", "false");
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let token = client.must("POST", "/app/token", "", "").text("token");
    standby.stop(Mode::Immediate);
    let waiting = || -> usize {
        let sql = "SELECT COUNT(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        primary.sql(sql).parse().unwrap()
    };
    for _ in 0..6 {
        let asked = Instant::now();
        let answer = client.must("POST", "/app/token", "", "");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
        assert!(client.is_valid(&token));
    }
    // The first write, and the one that finds out when it is over.
    assert!(waiting() <= 2, "{}", waiting());
    standby.start_again();
    let back = Instant::now();
    while client.must("POST", "/app/token", "", "").status != 200 {
        assert!(back.elapsed() < RECOVERY, "{}", daemon.log());
        pause();
    }
    wait_until("nobody waits for the standby", || waiting() == 0);
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    for line in ["answers no COMMIT, is", "answers COMMITs again"] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
}
