//! The accept loop behind TLS: the limits are the same, and nobody gets around them by way of the
//! handshake.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use provost::config;
use provost::http::listener::Listener;
use provost::http::server::Limits;
use provost::http::tls::{Pair, Tls};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection};

use super::site::{Client, Site, tcp};
use super::{OK, SHORT, is_problem, short_heads};
use crate::support::certificates::{Authority, Secure, connect};

/// A site with a certificate, and a client that believes it.
struct Guarded {
    site: Site,
    client: Arc<ClientConfig>,
    authority: Authority,
}

impl Guarded {
    fn start(limits: Limits) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let files = authority.issue(90).write(folder.path());
        let pair = Pair::load(&config::Tls {
            cert_file: files.certificate,
            key_file: files.key,
        });
        let tls = Tls::new(&pair.unwrap()).unwrap();
        let site = Site::on(limits, || {
            let mut listener: Listener = tcp();
            listener.secure(&tls);
            vec![listener]
        });
        Self {
            site,
            client: authority.client(),
            authority,
        }
    }

    fn address(&self) -> String {
        self.site.tcp.unwrap().to_string()
    }

    fn connect(&self) -> Client<Secure> {
        let secure = connect(&self.client, &self.address()).unwrap();
        let patience = Some(Duration::from_secs(5));
        secure.sock.set_read_timeout(patience).unwrap();
        Client(secure)
    }

    /// The first bytes of a handshake.
    fn hello(&self) -> Vec<u8> {
        let name = "localhost".try_into().unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        hello
    }
}

#[test]
fn tls_1_2_and_1_3_are_served_and_speak_of_http_1_1() {
    let guarded = Guarded::start(Limits::default());
    for version in [&TLS12, &TLS13] {
        let config = guarded.authority.client_with(&[version]);
        let secure = connect(&config, &guarded.address()).unwrap();
        assert_eq!(secure.conn.protocol_version(), Some(version.version));
        assert_eq!(secure.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut client = Client(secure);
        assert!(client.ask("/").starts_with(OK));
        assert!(client.ask("/peer").ends_with("Some(127.0.0.1)"));
    }
}

#[test]
fn tls_1_1_is_refused_with_the_alert_that_says_so() {
    let guarded = Guarded::start(Limits::default());
    let mut client = guarded.site.connect();
    // version, random, no session, one suite, no compression (RFC 4346 §7.4.1.2).
    let body = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    let body_length = u8::try_from(body.len()).unwrap();
    let record = [
        &[22, 3, 1, 0, body_length + 4, 1, 0, 0, body_length][..],
        &body,
    ]
    .concat();
    client.0.write_all(&record).unwrap();
    let mut answer = Vec::new();
    let _ = client.0.read_to_end(&mut answer);
    // A fatal alert; 70 is protocol_version, 40 handshake_failure.
    assert_eq!(&answer[..2], [21, 3], "{answer:?}");
    assert_eq!(answer[5], 2, "{answer:?}");
    assert!([40, 70].contains(&answer[6]), "{answer:?}");
}

#[test]
fn a_client_that_says_nothing_or_stops_in_its_handshake_is_closed() {
    let guarded = Guarded::start(short_heads());
    guarded.site.connect().is_closed();
    let hello = guarded.hello();
    for length in [1, 5, hello.len() / 2, hello.len() - 1] {
        let mut client = guarded.site.connect();
        client.0.write_all(&hello[..length]).unwrap();
        client.is_closed();
    }
    // A whole hello is answered, and then nothing more comes.
    let mut client = guarded.site.connect();
    client.0.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    client.0.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[0], 22, "no server hello");
}

#[test]
fn the_handshake_does_not_prolong_the_deadline_of_the_first_head() {
    let guarded = Guarded::start(short_heads());
    guarded.connect().is_closed();
    let mut client = guarded.connect();
    client.send("GET / HTTP/1.1\r\n");
    client.is_closed();
    assert_eq!(guarded.site.calls.load(Ordering::SeqCst), 0);
}

#[test]
fn http_without_tls_is_told_what_it_should_do_and_never_served() {
    let guarded = Guarded::start(Limits::default());
    let mut client = guarded.site.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.0.write_all(&vec![b'x'; 100_000]).unwrap();
    client.0.shutdown(Shutdown::Write).unwrap();
    let answer = client.last_answer();
    is_problem(&answer, "400", "malformed");
    assert!(answer.contains("this port speaks HTTPS"), "{answer}");
    assert_eq!(guarded.site.calls.load(Ordering::SeqCst), 0);
}

#[test]
fn nonsense_in_place_of_a_handshake_ends_the_connection() {
    let guarded = Guarded::start(Limits::default());
    for nonsense in [&[0_u8; 64][..], &[22; 64], &[0xff; 64]] {
        let mut client = guarded.site.connect();
        client.0.write_all(nonsense).unwrap();
        let mut answer = Vec::new();
        let _ = client.0.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    assert!(guarded.connect().ask("/").starts_with(OK));
}

#[test]
fn a_connection_counts_before_its_handshake() {
    let guarded = Guarded::start(Limits {
        connections: 1,
        ..Limits::default()
    });
    let mut first = guarded.connect();
    assert!(first.ask("/").starts_with(OK));
    // No plain words on a port of TLS.
    guarded.site.connect().is_closed();
    drop(first);
    let address = guarded.address();
    assert!((0..10_000).any(|_| connect(&guarded.client, &address).is_ok()));
}

#[test]
fn a_client_that_does_not_read_its_answer_is_closed_with_tls_too() {
    let guarded = Guarded::start(Limits {
        write_stall: SHORT,
        ..Limits::default()
    });
    let mut client = guarded.connect();
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    client.0.read_exact(&mut [0; 100]).unwrap();
    let gone = &guarded.site.gone;
    gone.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn pipelined_requests_and_large_bodies_come_through_whole() {
    let guarded = Guarded::start(Limits::default());
    let mut client = guarded.connect();
    let body = "x".repeat(1000);
    let one = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{body}");
    client.send(&one.repeat(50));
    for _ in 0..50 {
        assert!(client.answer().ends_with(&body));
    }
    // Over its limit: refused while the client still sends, and the client can read why.
    let length = 4 * 1024 * 1024;
    client.send(&format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.0.write_all(&vec![b'x'; length]).unwrap();
    assert!(client.last_answer().starts_with("HTTP/1.1 413 "));
}

#[test]
fn a_stop_ends_handshakes_and_finishes_what_runs() {
    let guarded = Guarded::start(Limits::default());
    let mut running = guarded.connect();
    running.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    guarded.site.entered();
    let mut silent: Client<TcpStream> = guarded.site.connect();
    let mut idle = guarded.connect();
    assert!(idle.ask("/").starts_with(OK));
    guarded.site.stop.cancel();
    silent.is_closed();
    idle.is_closed();
    guarded.site.release.add_permits(1);
    let answer = running.last_answer();
    assert!(answer.ends_with("held"), "{answer}");
    guarded.site.end();
}
