//! The answer to a `COMMIT` is lost: nobody knows whether it happened, and nobody pretends to.

use serde_json::json;

use super::proxy::{Cut, Proxy};
use super::server;
use super::writers::{bearer, order};
use crate::support::client::Client;
use crate::support::{Daemon, Shell};

/// A daemon whose connections pass through a proxy, and a client that may ask for everything.
struct Scene {
    proxy: Proxy,
    shell: Shell,
    bearer: String,
    client: Client,
    daemon: Daemon,
}

impl Scene {
    /// On the server at `url`.
    fn behind_a_proxy(url: &str) -> Self {
        let (before, rest) = url.split_once('@').unwrap();
        let (address, after) = rest.split_once('/').unwrap();
        let proxy = Proxy::start(address);
        let shell = Shell::on(&format!("{before}@{}/{after}", proxy.address()));
        let shell = shell.after_init().without_throttle();
        let shell = shell.with("PROVOST_JOBS_ENABLED", "false");
        let bearer = bearer(&shell);
        let daemon = shell.serve();
        Self {
            client: Client::connect(&daemon.address).unwrap(),
            proxy,
            shell,
            bearer,
            daemon,
        }
    }
}

fn tokens(shell: &Shell) -> usize {
    shell.sql().count("SELECT COUNT(*) FROM tokens")
}

#[test]
fn without_a_key_a_lost_commit_is_refused_and_never_tried_again() {
    let Some((_server, url)) = server() else {
        return;
    };
    let Scene {
        proxy,
        shell,
        bearer,
        mut client,
        daemon,
    } = Scene::behind_a_proxy(&url);
    let issue = |client: &mut Client, label: &str| {
        let body = json!({ "kind": "temporary", "label": label }).to_string();
        client.must("POST", "/api/v1/tokens", &bearer, &body)
    };
    assert_eq!(issue(&mut client, "first").status, 201);
    let (mut there, mut cuts) = (tokens(&shell), proxy.cuts());
    for n in 0..10 {
        let cut = if n % 2 == 0 { Cut::Before } else { Cut::After };
        let label = format!("cut-{n}");
        proxy.cut_next(cut, &label);
        let answer = issue(&mut client, &label);
        assert_eq!(answer.status, 503, "{cut:?}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        // It was committed or not, as the cut was; it was not done again.
        there += usize::from(cut == Cut::After);
        assert_eq!(tokens(&shell), there, "{cut:?}");
        cuts += 1;
        assert_eq!(proxy.cuts(), cuts, "{cut:?}");
        // The connection that was lost harms nobody who comes later.
        assert_eq!(issue(&mut client, "later").status, 201);
        there += 1;
    }
    assert_eq!(tokens(&shell), there);
    for cut in [Cut::Before, Cut::After] {
        proxy.cut_next(cut, "at-the-shell");
        let told = shell.fails(10, &["token", "create", "--label", "at-the-shell"]);
        assert!(told.contains("temporarily unavailable"), "{told}");
        there += usize::from(cut == Cut::After);
        assert_eq!(tokens(&shell), there, "{cut:?}");
    }
    let created = "SELECT COUNT(*) FROM audit_events WHERE action = 'token.created'";
    assert_eq!(shell.sql().count(created), there);
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn with_a_key_a_lost_commit_comes_to_exactly_one_token() {
    let Some((_server, url)) = server() else {
        return;
    };
    let Scene {
        proxy,
        shell,
        bearer,
        mut client,
        daemon,
    } = Scene::behind_a_proxy(&url);
    let mut there = tokens(&shell);
    let mut at_once = 0;
    for n in 0..10 {
        let cut = if n % 2 == 0 { Cut::Before } else { Cut::After };
        let key = format!("key-{n}");
        proxy.cut_next(cut, &key);
        let first = order(&mut client, &bearer, &key).unwrap();
        assert!([201, 503].contains(&first.status), "{cut:?}: {first:?}");
        at_once += usize::from(first.status == 201);
        let again = order(&mut client, &bearer, &key).unwrap();
        assert_eq!(again.status, 201, "{cut:?}: {again:?}");
        if first.status == 201 {
            assert_eq!(first.text("token"), again.text("token"), "{cut:?}");
        }
        assert!(client.is_valid(&again.text("token")));
        there += 1;
        assert_eq!(tokens(&shell), there, "{cut:?}");
    }
    assert_eq!(proxy.cuts(), 10);
    eprintln!("{at_once} of 10 were answered at the first time of asking");
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn what_was_sent_behind_a_begin_that_failed_does_not_stand_by_itself() {
    let Some((_server, url)) = server() else {
        return;
    };
    let Scene {
        proxy,
        shell,
        bearer,
        mut client,
        daemon,
    } = Scene::behind_a_proxy(&url);
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
    let there = tokens(&shell);
    for key in ["spoilt-1", "spoilt-2"] {
        proxy.spoil_next();
        let first = order(&mut client, &bearer, key).unwrap();
        assert!(first.status >= 500, "{first:?}");
        assert!(!proxy.is_to_spoil());
        assert_eq!(tokens(&shell), there);
        let keys = "SELECT COUNT(*) FROM idempotency_keys";
        assert_eq!(shell.sql().count(keys), 0);
        proxy.spoil_next();
        let issued = client.must("POST", "/app/token", "", "");
        assert!(issued.status >= 500, "{issued:?}");
        assert_eq!(tokens(&shell), there);
    }
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
    assert_eq!(daemon.stop().0, 0);
}
