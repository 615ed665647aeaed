//! An application behind a gateway: it tells whoever asks what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the application was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// `POST /path`.
    pub(super) what: String,
    /// The headers, names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The body.
    pub(super) body: String,
}

impl Asked {
    /// The values of a header.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.headers.iter();
        let found = headers.filter(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).collect()
    }
}

/// The application.
pub(super) struct Application {
    /// Where it listens: `127.0.0.1:40123`.
    pub(super) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Application {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Who only looks whether somebody is there asks nothing.
                let _ = serve(stream, &seen);
            }
        });
        Self { address, asked }
    }

    /// What it was asked since the last time.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// One request, written down before it is answered.
fn serve(stream: TcpStream, seen: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let mut asked = Asked {
        what: first.rsplit_once(' ').unwrap().0.to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect(),
        body: String::new(),
    };
    let length = asked
        .all("content-length")
        .first()
        .map(|n| n.parse().unwrap());
    let mut body = stream.by_ref().take(length.unwrap_or(0));
    body.read_to_string(&mut asked.body)?;
    seen.lock().unwrap().push(asked);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nwelcome";
    stream.get_mut().write_all(answer.as_bytes())
}
