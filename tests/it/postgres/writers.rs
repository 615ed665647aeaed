//! Clients that write to several daemons while the server below them fails, and that remember what
//! was acknowledged.

use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Shell;
use crate::support::client::{Answer, Client};
use crate::support::cluster::pause;

/// "Not now" may be said for so long after the server is back, and an answer takes no longer.
pub(super) const RECOVERY: Duration = Duration::from_secs(5);

/// No answer may take longer, whatever the server does: the five seconds of the promise, and what
/// a loaded machine adds.
pub(super) const PATIENCE: Duration = Duration::from_millis(6500);

/// The header of an API token that may do what these clients do.
pub(super) fn bearer(shell: &Shell) -> String {
    let scopes = "token:create,token:read,token:revoke,token:consume,job:run,audit:read";
    let token = shell.ok(&["token", "create", "--scope", scopes, "--quiet"]);
    format!("Authorization: Bearer {token}\r\n")
}

/// Asks for the token of this key; the same key, the same token.
pub(super) fn order(client: &mut Client, bearer: &str, key: &str) -> Result<Answer> {
    let headers = format!("{bearer}Idempotency-Key: {key}\r\n");
    let body = json!({ "kind": "temporary", "label": key }).to_string();
    client.ask("POST", "/api/v1/tokens", &headers, &body)
}

/// What the clients know.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Key and token of each acknowledged order.
    pub(super) done: Vec<(String, String)>,
    /// Keys of orders without an answer that says what became of them.
    pub(super) open: Vec<String>,
    /// When somebody was told "not now".
    pub(super) refused: Vec<Instant>,
    /// What the slowest answer took.
    pub(super) slowest: Duration,
}

impl Kept {
    fn add(&mut self, other: Self) {
        self.done.extend(other.done);
        self.open.extend(other.open);
        self.refused.extend(other.refused);
        self.slowest = self.slowest.max(other.slowest);
    }

    /// Sends again what had no answer, twice: it must come to the same.
    pub(super) fn settle(&mut self, client: &mut Client, bearer: &str) {
        for key in std::mem::take(&mut self.open) {
            let [first, second] = [0, 1].map(|_| {
                let answer = order(client, bearer, &key).unwrap();
                assert_eq!(answer.status, 201, "{answer:?}");
                answer.text("token")
            });
            assert_eq!(first, second, "{key}");
            self.done.push((key, first));
        }
    }

    /// Everything that was acknowledged is there once and good, and there is nothing else.
    pub(super) fn verify(&self, shell: &Shell, client: &mut Client) {
        let mut database = shell.sql();
        let labelled = "FROM tokens WHERE label IS NOT NULL";
        let rows = database.count(&format!("SELECT COUNT(*) {labelled}"));
        assert_eq!(rows, self.done.len(), "tokens, and orders");
        let distinct = format!("SELECT COUNT(DISTINCT label) {labelled}");
        assert_eq!(database.count(&distinct), rows, "an order was done twice");
        let created = "FROM audit_events WHERE action = 'token.created'";
        // One more: the token with which the clients sign in.
        let audited = database.count(&format!("SELECT COUNT(DISTINCT object) {created}"));
        assert_eq!(audited, rows + 1);
        assert_eq!(
            database.count(&format!("SELECT COUNT(*) {created}")),
            audited
        );
        let lost = self
            .done
            .iter()
            .filter(|(_, token)| !client.is_valid(token));
        assert_eq!(lost.count(), 0, "acknowledged tokens are lost");
    }

    /// Nobody was told "not now" but while the server was away, and shortly after.
    pub(super) fn refused_only_during(&self, outages: &[(Instant, Instant)]) {
        let mut late = Duration::ZERO;
        for at in &self.refused {
            let outage = outages.iter().rev().find(|(down, _)| at >= down);
            let (_, up) = outage.unwrap_or_else(|| panic!("refused while all was well"));
            late = late.max(at.saturating_duration_since(*up));
        }
        assert!(
            late < RECOVERY,
            "refused {late:?} after the server was back"
        );
        assert!(self.slowest < PATIENCE, "an answer took {:?}", self.slowest);
        eprintln!(
            "{} orders, {} refusals, the last {late:?} after the server was back, slowest answer {:?}",
            self.done.len() + self.open.len(),
            self.refused.len(),
            self.slowest
        );
    }
}

/// The clients at work.
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Kept>>,
}

impl Writers {
    /// So many for each of the daemons at `addresses`.
    pub(super) fn start(addresses: &[&str], bearer: &str, each: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let threads = addresses.iter().enumerate().flat_map(|(daemon, address)| {
            (0..each).map({
                let (stop, done) = (&stop, &done);
                move |writer| {
                    let mut work = Work {
                        address: (*address).to_owned(),
                        bearer: bearer.to_owned(),
                        name: format!("{daemon}-{writer}"),
                        stop: Arc::clone(stop),
                        done: Arc::clone(done),
                        kept: Kept::default(),
                    };
                    std::thread::spawn(move || {
                        work.run();
                        work.kept
                    })
                }
            })
        });
        let threads = threads.collect();
        Self {
            stop,
            done,
            threads,
        }
    }

    /// Waits until so many more orders were acknowledged.
    pub(super) fn wait_for(&self, more: usize) {
        let until = self.done.load(Ordering::SeqCst) + more;
        let start = Instant::now();
        while self.done.load(Ordering::SeqCst) < until {
            let over = self.threads.iter().any(JoinHandle::is_finished);
            assert!(!over, "a client has given up");
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "nothing is written"
            );
            pause();
        }
    }

    /// Stops; returns what they know.
    pub(super) fn stop(self) -> Kept {
        self.stop.store(true, Ordering::SeqCst);
        let mut kept = Kept::default();
        for thread in self.threads {
            kept.add(thread.join().unwrap());
        }
        kept
    }
}

struct Work {
    address: String,
    bearer: String,
    name: String,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    kept: Kept,
}

impl Work {
    fn run(&mut self) {
        let mut client = Client::connect(&self.address).unwrap();
        for n in 0.. {
            let key = format!("{}-{n}", self.name);
            let Some(token) = self.insist(&mut client, 201, &key, |client, bearer| {
                order(client, bearer, &key)
            }) else {
                return self.kept.open.push(key);
            };
            let token = token.text("token");
            self.done.fetch_add(1, Ordering::SeqCst);
            // What was acknowledged is there for whoever asks next.
            let path = format!("/app/valid/{token}");
            self.kept.done.push((key.clone(), token));
            let Some(answer) = self.insist(&mut client, 200, &key, |client, _| {
                client.ask("GET", &path, "", "")
            }) else {
                return;
            };
            assert_eq!(answer.json()["status"], true, "{key}: {answer:?}");
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Asks until the answer is neither "not now" nor the end of the connection; gives up when
    /// the clients are to stop.
    fn insist(
        &mut self,
        client: &mut Client,
        wanted: u16,
        key: &str,
        ask: impl Fn(&mut Client, &str) -> Result<Answer>,
    ) -> Option<Answer> {
        loop {
            let asked = Instant::now();
            let answer = ask(client, &self.bearer);
            self.kept.slowest = self.kept.slowest.max(asked.elapsed());
            // No daemon ends here, and none has a reason to leave a request without an answer.
            let answer = answer.unwrap_or_else(|error| panic!("{key}: {error}"));
            if answer.status == wanted {
                return Some(answer);
            }
            assert_eq!(answer.status, 503, "{key}: {answer:?}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            self.kept.refused.push(Instant::now());
            if self.stop.load(Ordering::SeqCst) {
                return None;
            }
            pause();
        }
    }
}
