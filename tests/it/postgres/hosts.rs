//! Servers that are not well, hosts of them beside others, and what the log says of it.

use std::time::Instant;

use super::writers::{PATIENCE, RECOVERY, bearer};
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

#[test]
fn with_too_few_connections_checks_go_on_and_the_log_says_why_others_do_not() {
    let Some(server) = Cluster::start(&[("max_connections", "20")]) else {
        return;
    };
    let shell = Shell::on(&server.url("postgres")).after_init();
    let shell = shell.without_throttle();
    let bearer = bearer(&shell);
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let token = client.must("POST", "/app/token", "", "").text("token");
    assert!(client.is_valid(&token));
    let mut holders = Vec::new();
    while let Ok(holder) = postgres::Client::connect(&server.url("postgres"), postgres::NoTls) {
        holders.push(holder);
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(&daemon.address).unwrap();
                for _ in 0..20 {
                    assert!(client.is_valid(&token));
                }
            });
        }
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(&daemon.address).unwrap();
                client.must("GET", "/api/v1/audit?limit=1", &bearer, "");
            });
        }
    });
    let told = shell.fails(10, &["token", "list"]);
    assert!(told.contains("too many clients"), "{told}");
    drop(holders);
    let (_, log) = daemon.stop();
    assert_eq!(log.matches("too few connections").count(), 1, "{log}");
    assert!(log.contains("too many clients"), "{log}");
    assert!(!log.contains("database lost"), "{log}");
}
