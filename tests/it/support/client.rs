//! Clients that keep their connection, and a crowd of them that keeps a daemon busy.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// One connection that is used again and again, until the daemon has had enough of it.
pub(crate) struct Client {
    address: String,
    stream: BufReader<TcpStream>,
    closing: bool,
}

/// An answer that was read to its last byte.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body.
    pub(crate) body: String,
}

impl Answer {
    /// The header of this name, if it has one.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A member of the body that is a string.
    #[track_caller]
    pub(crate) fn text(&self, member: &str) -> String {
        let json = self.json();
        let text = json[member].as_str();
        text.unwrap_or_else(|| panic!("no {member}: {self:?}"))
            .to_owned()
    }
}

impl Client {
    /// Connects to `127.0.0.1:40123`.
    pub(crate) fn connect(address: &str) -> Result<Self> {
        let stream = Self::open(address)?;
        Ok(Self {
            address: address.to_owned(),
            stream,
            closing: false,
        })
    }

    fn open(address: &str) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // Longer than any answer may take: what hangs fails instead of hanging the test.
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(BufReader::new(stream))
    }

    /// Sends a request, with `headers` that each end in a line end, and reads the whole answer.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<Answer> {
        let kind = if body.is_empty() || headers.contains("Content-Type: ") {
            ""
        } else {
            "Content-Type: application/json\r\n"
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if std::mem::take(&mut self.closing) {
            self.stream = Self::open(&self.address)?;
        }
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = 0;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            let name = name.to_lowercase();
            if name == "content-length" {
                length = value.parse().map_err(Error::other)?;
            }
            self.closing |= name == "connection" && value == "close";
            headers.push((name, value.to_owned()));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer {
            status: status.ok_or(ErrorKind::InvalidData)?,
            headers,
            body: String::from_utf8(body).map_err(Error::other)?,
        })
    }

    /// `ask`, for a daemon that must answer.
    #[track_caller]
    pub(crate) fn must(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        self.ask(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Whether the older service's route calls this token good.
    #[track_caller]
    pub(crate) fn is_valid(&mut self, token: &str) -> bool {
        let answer = self.must("GET", &format!("/app/valid/{token}"), "", "");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["status"].as_bool().unwrap()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches("\r\n").to_owned())
    }
}

/// Writers that issue tokens and readers that check them, until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Starts so many writers and checkers against the daemon at `address`.
    pub(crate) fn start(address: &str, writers: usize, checkers: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let threads = (0..writers + checkers).map(|n| {
            let (address, stop, done) = (address.to_owned(), Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || work(&address, n < writers, &stop, &done))
        });
        let threads = threads.collect();
        Self {
            stop,
            done,
            threads,
        }
    }

    /// How many requests were answered, all of them as they should.
    pub(crate) fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Waits until so many more requests were answered.
    pub(crate) fn wait_for(&self, more: usize) {
        let until = self.done() + more;
        while self.done() < until && !self.threads.iter().all(JoinHandle::is_finished) {
            std::thread::yield_now();
        }
        assert!(self.done() >= until, "the load has ended");
    }

    /// Stops; returns every token that was issued. A daemon that went away meanwhile is no failure,
    /// a wrong answer is.
    pub(crate) fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let joined = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap());
        joined.flatten().collect()
    }
}

fn work(address: &str, writes: bool, stop: &AtomicBool, done: &AtomicUsize) -> Vec<String> {
    let mut tokens = Vec::new();
    let Ok(mut client) = Client::connect(address) else {
        return tokens;
    };
    while !stop.load(Ordering::SeqCst) {
        if writes || tokens.is_empty() {
            let Ok(answer) = client.ask("POST", "/app/token", "", "") else {
                break;
            };
            assert_eq!(answer.status, 200, "{answer:?}");
            tokens.push(answer.text("token"));
        } else {
            let path = format!("/app/valid/{}", tokens[0]);
            let Ok(answer) = client.ask("GET", &path, "", "") else {
                break;
            };
            assert_eq!(answer.json()["status"], true, "{answer:?}");
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
    tokens
}
