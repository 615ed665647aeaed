//! The accept loop against clients that are slow, greedy, ambiguous or many. All of them speak
//! through raw sockets, and every wait is a wait for the socket or for the service.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use provost::error::Error;
use provost::http::listener::Listener;
use provost::http::server::Limits;

use site::{Client, Site, tcp};

mod secure;
mod site;

/// Short enough not to be waited for, long enough for a loaded machine not to meet it by chance.
const SHORT: Duration = Duration::from_millis(100);
const OK: &str = "HTTP/1.1 200 OK";

fn is_problem(answer: &str, status: &str, code: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    assert!(
        answer.contains("content-type: application/problem+json\r\n"),
        "{answer}"
    );
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    let problem = answer.split("\r\n\r\n").nth(1).unwrap();
    let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
    assert_eq!(problem["status"].to_string(), status);
    assert_eq!(problem["code"], code);
    assert_eq!(problem["type"], format!("urn:provost:error:{code}"));
}

fn short_heads() -> Limits {
    Limits {
        header_deadline: SHORT,
        ..Limits::default()
    }
}

#[test]
fn a_client_that_sends_nothing_is_closed() {
    let site = Site::start(short_heads());
    site.connect().is_closed();
}

#[test]
fn a_head_that_comes_a_byte_at_a_time_is_closed_at_its_deadline() {
    let site = Site::start(short_heads());
    let mut client = site.connect();
    client
        .0
        .set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    let mut sent = 0;
    for byte in "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "
        .bytes()
        .chain(std::iter::repeat(b'x'))
    {
        // The read waits for the end as well as for the time of the next byte.
        match client
            .0
            .write_all(&[byte])
            .and_then(|()| client.0.read(&mut [0]))
        {
            Err(error) if error.kind() == ErrorKind::WouldBlock => sent += 1,
            Ok(0) => break,
            Err(error) if error.kind() != ErrorKind::TimedOut => break,
            other => panic!("{other:?}"),
        }
    }
    assert!((2..10_000).contains(&sent), "{sent}");
    assert_eq!(site.calls.load(Ordering::SeqCst), 0);
}

#[test]
fn a_later_head_has_the_same_deadline_from_its_first_byte_on() {
    let site = Site::start(short_heads());
    let mut client = site.connect();
    assert!(client.ask("/").starts_with(OK));
    client.send("GET / HTTP/1.1\r\n");
    client.is_closed();
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let site = Site::start(Limits {
        idle: SHORT,
        ..Limits::default()
    });
    let mut busy = site.connect();
    busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    site.entered();
    let mut idle = site.connect();
    assert!(idle.ask("/").starts_with(OK));
    idle.is_closed();
    site.release.add_permits(1);
    assert!(busy.last_answer().ends_with("held"));
}

#[test]
fn one_address_has_only_so_many_connections() {
    let limits = Limits {
        connections_per_ip: 2,
        ..Limits::default()
    };
    let site = Site::start(limits.clone());
    let mut clients = [site.connect(), site.connect()];
    for client in &mut clients {
        assert!(client.ask("/").starts_with(OK));
    }
    let refused = site.connect().last_answer();
    is_problem(&refused, "503", "unavailable");
    assert!(refused.contains("\r\nretry-after: 2\r\n"));
    // Once the server has seen one of them go, there is room again.
    drop(clients);
    assert!((0..10_000).any(|_| site.connect().ask_if_open()));

    let trusting = Site::start(Limits {
        trusted: vec!["127.0.0.0/8".parse().unwrap()],
        ..limits
    });
    let mut clients = [trusting.connect(), trusting.connect(), trusting.connect()];
    for client in &mut clients {
        assert!(client.ask("/").starts_with(OK));
    }
}

#[test]
fn all_addresses_together_have_only_so_many_connections() {
    let site = Site::start(Limits {
        connections: 1,
        ..Limits::default()
    });
    let mut first = site.connect();
    assert!(first.ask("/").starts_with(OK));
    is_problem(&site.connect().last_answer(), "503", "unavailable");
    assert!(first.ask("/").starts_with(OK));
}

#[test]
fn a_client_that_does_not_read_its_answer_is_closed() {
    let site = Site::start(Limits {
        write_stall: SHORT,
        ..Limits::default()
    });
    let mut client = site.connect();
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    client.0.read_exact(&mut [0; 100]).unwrap();
    site.gone.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_connection_ends_after_its_share_of_requests() {
    let site = Site::start(Limits {
        requests_per_connection: 2,
        ..Limits::default()
    });
    let mut client = site.connect();
    assert!(!client.ask("/").contains("connection: close"));
    assert!(client.ask("/").contains("connection: close"));
    client.is_closed();
}

#[test]
fn requests_whose_end_is_uncertain_are_refused_and_never_served() {
    let site = Site::start(Limits::default());
    for headers in [
        "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "Host: a\r\nContent-Length: 5, 5\r\n",
        "Host: a\r\nContent-Length: +5\r\n",
        "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked, identity\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nTransfer-Encoding : chunked\r\n",
        "Host: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n",
        "Host: a\r\nHost: b\r\n",
        "X: y\r\n",
    ] {
        let mut client = site.connect();
        client.send(&format!(
            "POST /echo HTTP/1.1\r\n{headers}\r\n0\r\n\r\nGET / HTTP/1.1\r\n"
        ));
        client.0.shutdown(std::net::Shutdown::Write).unwrap();
        is_problem(&client.last_answer(), "400", "malformed");
    }
    assert_eq!(site.calls.load(Ordering::SeqCst), 0);
}

#[test]
fn an_uncertain_request_is_found_behind_good_ones_in_the_same_packet() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst\
         GET / HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    assert!(client.answer().ends_with("first"));
    assert!(client.answer().ends_with("ok"));
    is_problem(&client.last_answer(), "400", "malformed");
    assert_eq!(site.calls.load(Ordering::SeqCst), 2);
}

#[test]
fn nothing_is_read_behind_a_chunked_request() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n\
         GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let answer = client.last_answer();
    assert!(
        answer.contains("connection: close\r\n") && answer.ends_with("good"),
        "{answer}"
    );
}

#[test]
fn a_head_that_is_no_http_gets_a_problem_object() {
    let site = Site::start(Limits::default());
    for nonsense in [
        "nonsense\r\n\r\n",
        "GET / HTTP/3.0\r\n\r\n",
        "GET /\0 HTTP/1.1\r\n\r\n",
    ] {
        let mut client = site.connect();
        assert!(client.ask("/").starts_with(OK));
        client.send(nonsense);
        client.0.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = client.last_answer();
        is_problem(&answer, "400", "malformed");
        assert!(answer.contains("\r\ndate: "), "{answer}");
    }
    // HTTP/2 without TLS: no answer that this client could read.
    let mut client = site.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.is_closed();
}

#[test]
fn a_head_over_its_limits_gets_the_right_status_however_far_over() {
    let site = Site::start(Limits::default());
    let line = |length| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length));
    let value = |length| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "a".repeat(length)
        )
    };
    let count = |n| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(n));
    for (request, by_us, start) in [
        (line(5_000), true, "HTTP/1.1 414 URI Too Long\r\n"),
        (line(100_000), false, "HTTP/1.1 414 URI Too Long\r\n"),
        (
            value(8_193),
            true,
            "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        ),
        (
            value(100_000),
            false,
            "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        ),
        (
            count(70),
            true,
            "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        ),
        (
            count(200),
            false,
            "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        ),
    ] {
        let before = site.calls.load(Ordering::SeqCst);
        let mut client = site.connect();
        client.send(&request);
        client.0.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = client.last_answer();
        assert!(answer.starts_with(start), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        let called = site.calls.load(Ordering::SeqCst) > before;
        assert_eq!(called, by_us, "{answer}");
    }
}

#[test]
fn a_client_still_sending_a_refused_body_can_read_why() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    let length = 4 * 1024 * 1024;
    client.send(&format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.0.write_all(&vec![b'x'; length]).unwrap();
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = client.last_answer();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_client_that_never_stops_sending_a_refused_body_is_closed() {
    let site = Site::start(Limits {
        linger: SHORT,
        ..Limits::default()
    });
    let mut client = site.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n");
    assert!(client.answer().starts_with("HTTP/1.1 413 "));
    let all = (0..250_000).all(|_| client.0.write_all(&[b'x'; 4096]).is_ok());
    assert!(!all, "a whole gigabyte was taken");
}

#[test]
fn a_panic_ends_one_connection_and_no_other() {
    let site = Site::start(Limits {
        connections: 1,
        ..Limits::default()
    });
    let mut client = site.connect();
    client.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
    client.is_closed();
    // Its place is free again, too.
    assert!((0..10_000).any(|_| site.connect().ask_if_open()));
}

#[test]
fn a_stop_closes_what_is_idle_finishes_what_runs_and_takes_nothing_new() {
    let site = Site::start(Limits::default());
    let mut running = site.connect();
    running.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    site.entered();
    let mut idle = site.connect();
    assert!(idle.ask("/").starts_with(OK));
    let mut silent = site.connect();
    site.stop.cancel();
    idle.is_closed();
    silent.is_closed();
    let late = TcpStream::connect(site.tcp.unwrap());
    if let Ok(late) = late {
        // It came between the last accept and the end of the listener.
        let mut late = Client(late);
        let _ = late.0.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        late.is_closed();
    }
    site.release.add_permits(1);
    let answer = running.last_answer();
    assert!(
        answer.contains("connection: close\r\n") && answer.ends_with("held"),
        "{answer}"
    );
    site.end();
}

#[test]
fn a_stop_does_not_wait_longer_than_it_may() {
    let site = Site::start(Limits {
        stop: SHORT,
        ..Limits::default()
    });
    let mut running = site.connect();
    running.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    site.entered();
    site.end();
    running.is_closed();
}

#[test]
fn tcp_and_a_unix_socket_are_served_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("provost.sock");
    // What a killed process leaves behind.
    drop(UnixListener::bind(&path).unwrap());
    let limits = Limits {
        connections_per_ip: 0,
        trusted: vec!["127.0.0.1/32".parse().unwrap()],
        ..Limits::default()
    };
    let site = Site::on(limits, || vec![tcp(), Listener::unix(&path).unwrap()]);
    assert!(site.connect().ask("/peer").ends_with("Some(127.0.0.1)"));
    assert!(ask_unix(&path).ends_with("None"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    site.end();
    assert!(!path.exists());
}

fn ask_unix(path: &Path) -> String {
    Client(UnixStream::connect(path).unwrap()).ask("/peer")
}

#[test]
fn a_unix_socket_that_somebody_serves_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("provost.sock");
    let site = Site::on(Limits::default(), || {
        let listener = Listener::unix(&path).unwrap();
        assert_eq!(listener.to_string(), format!("unix:{}", path.display()));
        assert!(matches!(Listener::unix(&path), Err(Error::Io { .. })));
        vec![listener]
    });
    assert!(ask_unix(&path).ends_with("None"));
    site.end();
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(Listener::unix(&path), Err(Error::Io { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}
