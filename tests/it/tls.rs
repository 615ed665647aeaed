//! HTTPS by the daemon itself, as its operator and its clients meet it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;

use crate::support::certificates::{Authority, Secure, connect, shown};
use crate::support::cluster::{free_port, pause, wait_until};
use crate::support::{Daemon, PROVOST, Ran, Shell};

/// A shell whose daemon has this certificate in `home/tls.crt` and `home/tls.key`.
fn shell_with(authority: &Authority, days: u32) -> Shell {
    let shell = Shell::new();
    let files = authority.issue(days).write(&shell.path(""));
    let (certificate, key) = (files.certificate, files.key);
    shell
        .with("PROVOST_TLS_CERT_FILE", certificate.to_str().unwrap())
        .with("PROVOST_TLS_KEY_FILE", key.to_str().unwrap())
}

/// One request on a connection that may be used again; nothing if that was the end of it.
fn ask(stream: &mut BufReader<Secure>, path: &str) -> std::io::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head.split("content-length: ").nth(1).unwrap();
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    stream.read_exact(&mut vec![0; length])?;
    Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), head))
}

fn get(client: &Arc<ClientConfig>, daemon: &Daemon, path: &str) -> (u16, String) {
    let stream = connect(client, &daemon.address).unwrap();
    ask(&mut BufReader::new(stream), path).unwrap()
}

#[test]
fn with_a_certificate_the_daemon_may_listen_for_other_machines() {
    let authority = Authority::new();
    let shell = shell_with(&authority, 90).with("PROVOST_SERVER_PUBLIC_URL", "https://localhost");
    let mut daemon = shell.serve_with(&["--listen", "0.0.0.0:0"]);
    assert!(daemon.url().starts_with("https://"), "{}", daemon.url());
    daemon.address = daemon.address.replace("0.0.0.0", "127.0.0.1");
    let (status, head) = get(&authority.client(), &daemon, "/livez");
    assert_eq!(status, 200, "{head}");
    let hsts = "strict-transport-security: max-age=31536000; includeSubDomains\r\n";
    assert!(head.contains(hsts), "{head}");
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn a_unix_socket_beside_it_has_no_tls() {
    let authority = Authority::new();
    let shell = shell_with(&authority, 90);
    let socket = format!("unix:{}", shell.path("http.sock").display());
    let daemon = shell.serve_with(&["--listen", &socket, "--listen", "127.0.0.1:0"]);
    assert_eq!(daemon.get("/livez").0, 200);
    daemon.wait_for_log("listening on https://127.0.0.1:");
}

/// The daemon with a listening socket that the service manager has opened.
fn activated(shell: &Shell, socket: impl Into<OwnedFd>) -> Daemon {
    let provost = shell.command(&["serve"]);
    let mut command = Command::new("sh");
    // Rust hands over three descriptors only; the fourth is where the socket is looked for.
    let line = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let variables = provost.get_envs();
    command
        .args(["-c", line, "sh", PROVOST])
        .args(provost.get_args())
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::from(socket.into()));
    Daemon::start(&mut command)
}

#[test]
fn sockets_that_are_handed_over_have_tls_where_our_own_would() {
    let authority = Authority::new();
    let (bare, guarded) = (Shell::new(), shell_with(&authority, 90));
    let tcp = || TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = |shell: &Shell| UnixListener::bind(shell.path("http.sock")).unwrap();
    assert_eq!(activated(&bare, tcp()).get("/livez").0, 200);
    assert_eq!(activated(&bare, unix(&bare)).get("/livez").0, 200);
    let daemon = activated(&guarded, tcp());
    assert_eq!(get(&authority.client(), &daemon, "/livez").0, 200);
    daemon.stop();
    assert_eq!(activated(&guarded, unix(&guarded)).get("/livez").0, 200);
}

#[test]
fn metrics_on_an_address_of_their_own_have_tls_too() {
    let authority = Authority::new();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let shell = shell_with(&authority, 90).with("PROVOST_SERVER_METRICS_LISTEN", &address);
    let mut daemon = shell.serve();
    daemon.address = address;
    assert_eq!(get(&authority.client(), &daemon, "/metrics").0, 200);
}

#[test]
fn health_believes_the_configured_certificate_and_what_the_authorities_vouch_for() {
    let authority = Authority::new();
    let port = free_port();
    let shell =
        shell_with(&authority, 90).with("PROVOST_SERVER_LISTEN", &format!("127.0.0.1:{port}"));
    let daemon = shell.serve_with(&[]);
    let is_ready = |shell: &Shell, arguments: &[&str]| {
        let ran = shell.run(&[&["health"], arguments].concat());
        assert_eq!((ran.status, ran.stderr.as_str()), (0, "ready\n"), "{ran:?}");
    };
    is_ready(&shell, &[]);
    let url = daemon.url();
    is_ready(&shell, &["--url", &url]);
    let stranger = Shell::bare();
    let (ca, other) = (stranger.path("ca.pem"), stranger.path("other.pem"));
    fs::write(&ca, authority.pem()).unwrap();
    fs::write(&other, Authority::new().pem()).unwrap();
    let named = |ca: &Path| ["--url", &url, "--ca-file", ca.to_str().unwrap()].map(str::to_owned);
    is_ready(&stranger, &named(&ca).each_ref().map(String::as_str));
    for arguments in [&named(&other)[..], &["--url".to_owned(), url.clone()]] {
        let mut all = vec!["health".to_owned()];
        all.extend_from_slice(arguments);
        let told = stranger.fails(1, &all);
        assert!(
            told.contains("cannot reach the daemon at https://"),
            "{told}"
        );
        assert!(told.contains("invalid peer certificate"), "{told}");
    }
    // Renewed on the disk and not read again yet: another certificate than the daemon shows.
    authority.issue(90).write(&shell.path(""));
    let told = shell.fails(1, &["health"]);
    assert!(told.contains("caused by: "), "{told}");
    daemon.signal("HUP");
    daemon.wait_for_log("read the certificate again");
    is_ready(&shell, &[]);
}

#[test]
fn a_pair_that_does_not_fit_is_refused_before_anything_is_done() {
    let authority = Authority::new();
    let shell = shell_with(&authority, 90);
    let (certificate, key) = (shell.path("tls.crt"), shell.path("tls.key"));
    let good = (fs::read(&certificate).unwrap(), fs::read(&key).unwrap());
    let refused = |status: i32, why: &str| {
        for command in [
            &["config", "check"][..],
            &["serve", "--listen", "127.0.0.1:0"],
        ] {
            let ran = Ran::within(Duration::from_secs(30), &mut shell.command(command));
            assert_eq!(ran.status, status, "{ran:?}");
            assert!(ran.stderr.contains(why), "{why}: {ran:?}");
            assert!(!ran.stderr.contains("PRIVATE KEY"), "{ran:?}");
        }
        fs::write(&certificate, &good.0).unwrap();
        fs::write(&key, &good.1).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        shell.ok(&["config", "check"]);
    };
    fs::write(&key, authority.issue(90).key).unwrap();
    refused(7, "does not belong to the certificate in ");
    fs::write(&key, &good.0).unwrap();
    refused(7, "holds no private key in PEM");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    refused(7, "is open to other users (mode 0640)");
    fs::remove_file(&key).unwrap();
    refused(7, "cannot be opened: No such file");
    fs::write(&certificate, "nonsense").unwrap();
    refused(2, "holds no certificate in PEM");
    let damaged = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
    fs::write(&certificate, damaged).unwrap();
    refused(2, "holds a damaged certificate");
    fs::remove_file(&certificate).unwrap();
    refused(1, "cannot read the certificate ");
    let half = shell.with("PROVOST_TLS_KEY_FILE", "");
    let told = half.fails(2, &["config", "check"]);
    assert!(
        told.contains("tls.cert_file and tls.key_file belong together"),
        "{told}"
    );
}

#[test]
fn a_certificate_near_its_end_is_warned_of_two_weeks_before() {
    let authority = Authority::new();
    for (days, warning) in [(15, ""), (13, "expires in 13d, at "), (0, "expired at ")] {
        let shell = shell_with(&authority, days);
        let ran = shell.run(&["config", "check"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(
            ran.stderr.contains("warning: the certificate in "),
            days != 15,
            "{ran:?}"
        );
        assert!(ran.stderr.contains(warning), "{ran:?}");
        let told = shell.json(&["config", "check"]);
        let told = told["warnings"].as_array().unwrap();
        let count = told
            .iter()
            .filter(|told| told.to_string().contains(warning))
            .count();
        assert_eq!(count, usize::from(days != 15), "{told:?}");
        if days == 13 {
            shell.serve().wait_for_log(warning);
        }
    }
}

/// Clients that keep their connection, and clients that make a new one for each request, until
/// they are stopped; then what went wrong.
fn crowd(
    client: &Arc<ClientConfig>,
    address: &str,
    stop: &Arc<AtomicBool>,
    done: &Arc<AtomicUsize>,
) -> Vec<JoinHandle<std::io::Result<()>>> {
    let threads = (0..6).map(|n| {
        let (client, address) = (Arc::clone(client), address.to_owned());
        let (stop, done) = (Arc::clone(stop), Arc::clone(done));
        std::thread::spawn(move || {
            let mut stream = BufReader::new(connect(&client, &address)?);
            while !stop.load(Ordering::SeqCst) {
                if n % 2 == 0 {
                    stream = BufReader::new(connect(&client, &address)?);
                }
                let (status, head) = ask(&mut stream, "/livez")?;
                assert_eq!(status, 200, "{head}");
                done.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        })
    });
    threads.collect()
}

#[test]
fn the_certificate_changes_under_load_and_no_request_fails() {
    let authority = Authority::new();
    let shell = shell_with(&authority, 90);
    let daemon = shell.serve();
    let client = authority.client();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut kept = BufReader::new(connect(&client, &daemon.address).unwrap());
    // As browsers do, some come back to their session.
    let mut resuming = ClientConfig::clone(&client);
    resuming.resumption = Resumption::in_memory_sessions(64);
    let threads = crowd(&Arc::new(resuming), &daemon.address, &stop, &done);
    let served = |more: usize| {
        let until = done.load(Ordering::SeqCst) + more;
        while done.load(Ordering::SeqCst) < until {
            // Whoever has failed is asked for the reason at the end.
            if threads.iter().any(JoinHandle::is_finished) {
                break;
            }
            pause();
        }
    };
    served(20);
    for round in 0..10 {
        let renewed = authority.issue(90 + round);
        renewed.write(&shell.path(""));
        daemon.signal("HUP");
        wait_until("the new certificate is shown", || {
            shown(&connect(&client, &daemon.address).unwrap()) == renewed.der()
        });
        served(20);
    }
    // A connection of the beginning goes on.
    assert_eq!(ask(&mut kept, "/livez").unwrap().0, 200);
    stop.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn a_bad_new_certificate_is_not_taken_and_the_log_says_why() {
    let authority = Authority::new();
    let shell = shell_with(&authority, 90);
    let daemon = shell.serve();
    let client = authority.client();
    let first = shown(&connect(&client, &daemon.address).unwrap());
    let still = |why: &str| {
        daemon.signal("HUP");
        let log = daemon.wait_for_log(why);
        assert!(log.contains("the certificate was not changed"), "{log}");
        assert_eq!(shown(&connect(&client, &daemon.address).unwrap()), first);
    };
    fs::write(shell.path("tls.key"), authority.issue(90).key).unwrap();
    still("does not belong to the certificate");
    authority.issue(0).write(&shell.path(""));
    still("expired at");
    fs::remove_file(shell.path("tls.crt")).unwrap();
    still("cannot read the certificate");
    let renewed = authority.issue(5);
    renewed.write(&shell.path(""));
    daemon.signal("HUP");
    let log = daemon.wait_for_log("read the certificate again");
    assert!(log.contains("expires in 5d"), "{log}");
    assert_eq!(
        shown(&connect(&client, &daemon.address).unwrap()),
        renewed.der()
    );
}

#[test]
fn tls_is_not_switched_by_a_reload() {
    let authority = Authority::new();
    let shell = Shell::new();
    let files = authority.issue(90).write(&shell.path(""));
    let settings = shell.path("provost.toml");
    fs::write(&settings, "").unwrap();
    let shell = shell.with("PROVOST_CONFIG", settings.to_str().unwrap());
    let daemon = shell.serve();
    let on = format!(
        "[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        files.certificate.display(),
        files.key.display()
    );
    fs::write(&settings, on).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("TLS is switched on and off by a restart");
    assert_eq!(daemon.get("/livez").0, 200);
}
