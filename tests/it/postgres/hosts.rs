//! Several hosts in the URL, of which some are not well, and what the log says of an outage.

use std::time::Instant;

use super::writers::{PATIENCE, RECOVERY};
use crate::support::Shell;
use crate::support::client::Client;
use crate::support::cluster::{Cluster, Mode};

#[test]
fn a_host_that_takes_connections_and_says_nothing_is_in_the_way_of_no_other() {
    let (Some(silent), Some(server)) = (Cluster::start(&[]), Cluster::start(&[])) else {
        return;
    };
    let shell = Shell::on(&server.url("postgres")).after_init();
    let hosts = format!("{},{}", silent.address(), server.address());
    let url = shell.schema_url().unwrap();
    let shell = shell.with("PROVOST_DB", &url.replace(&server.address(), &hosts));
    let _frozen = silent.freeze();
    let start = Instant::now();
    shell.ok(&["token", "create"]);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let token = client.must("POST", "/app/token", "", "").text("token");
    assert!(client.is_valid(&token));
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn an_outage_is_in_the_log_once_and_so_is_its_end() {
    let Some(mut server) = Cluster::start(&[]) else {
        return;
    };
    let shell = Shell::on(&server.url("postgres")).after_init();
    let shell = shell.without_throttle();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
    server.stop(Mode::Fast);
    for _ in 0..20 {
        assert_eq!(client.must("POST", "/app/token", "", "").status, 503);
    }
    assert_eq!(daemon.get("/readyz").0, 503);
    server.start_again();
    assert!(daemon.is_ready_within(RECOVERY), "{}", daemon.log());
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    for line in ["database lost", "database back"] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
    assert!(log.contains(&server.address()), "{log}");
    assert!(log.contains("Connection refused"), "{log}");
}
