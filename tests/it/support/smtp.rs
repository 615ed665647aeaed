//! A mail server (RFC 5321) that behaves as a test wants it to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// How the server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes every message.
    Takes,
    /// It says that the recipient does not exist.
    Refuses,
    /// It says that it has no time just now.
    IsBusy,
    /// It takes the connection and says nothing.
    Hangs,
    /// It cuts the connection in the middle of a message.
    Drops,
}

/// The server. It ends with the process of the tests.
pub(crate) struct MailServer {
    port: u16,
    state: Arc<State>,
}

struct State {
    manner: Mutex<Manner>,
    mails: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    news: Condvar,
}

impl MailServer {
    /// Starts on a free port.
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            manner: Mutex::new(manner),
            mails: Mutex::default(),
            connections: Mutex::default(),
            news: Condvar::new(),
        });
        thread::spawn({
            let state = Arc::clone(&state);
            move || {
                for stream in listener.incoming() {
                    let state = Arc::clone(&state);
                    // A client that goes away is no failure of the server.
                    thread::spawn(move || state.talk(&stream.unwrap()));
                }
            }
        });
        Self { port, state }
    }

    /// Where it listens, as the environment variable has it.
    pub(crate) fn port(&self) -> String {
        self.port.to_string()
    }

    /// From now on it behaves so.
    pub(crate) fn becomes(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    /// What it has taken, whole.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.state.mails.lock().unwrap().clone()
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.lock().unwrap()
    }

    /// Waits until it has taken so many.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<String> {
        let mails = self.state.mails.lock().unwrap();
        let some = self
            .state
            .news
            .wait_while(mails, |mails| mails.len() < count);
        some.unwrap().clone()
    }
}

impl State {
    fn talk(&self, stream: &TcpStream) -> Option<()> {
        *self.connections.lock().unwrap() += 1;
        let manner = *self.manner.lock().unwrap();
        let mut lines = BufReader::new(stream);
        let say = |text: &str| (&*stream).write_all(format!("{text}\r\n").as_bytes()).ok();
        match manner {
            // Until the client has had enough.
            Manner::Hangs => {
                let _ = lines.read_to_end(&mut Vec::new());
                return None;
            }
            Manner::IsBusy => return say("421 not now"),
            Manner::Takes | Manner::Refuses | Manner::Drops => say("220 test")?,
        }
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let verb: String = line.chars().take(4).collect();
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => say("250-test\r\n250 8BITMIME")?,
                "RCPT" if manner == Manner::Refuses => say("550 no such person here")?,
                "DATA" => {
                    say("354 go on")?;
                    if manner == Manner::Drops {
                        lines.read_line(&mut line).ok()?;
                        return None;
                    }
                    let mail = body(&mut lines)?;
                    self.mails.lock().unwrap().push(mail);
                    self.news.notify_all();
                    say("250 taken")?;
                }
                "QUIT" => return say("221 bye"),
                _ => say("250 well")?,
            }
        }
    }
}

fn body(lines: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(text);
        }
        text.push_str(&line.replace("\r\n", "\n"));
    }
}
