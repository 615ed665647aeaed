//! Stands between a program and its server, and cuts the connection at a `COMMIT`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The server never gets the `COMMIT`.
    Before,
    /// The server has committed and said so, and the answer is thrown away.
    After,
}

/// Listens on a port of its own and hands everything on.
pub(super) struct Proxy {
    address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: Mutex<Option<(Cut, Vec<u8>)>>,
    cuts: AtomicUsize,
    spoil: AtomicBool,
}

impl Proxy {
    /// In front of the server at `server`. Its threads end with the connections and the test.
    pub(super) fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        std::thread::spawn({
            let (server, state) = (server.to_owned(), Arc::clone(&state));
            move || {
                for client in listener.incoming() {
                    let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else {
                        continue;
                    };
                    let state = Arc::clone(&state);
                    std::thread::spawn(move || hand_on(client, server, &state));
                }
            }
        });
        Self { address, state }
    }

    /// `127.0.0.1:40123`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The next `COMMIT` of a transaction that had `word` in it, and only that one, is cut: a daemon
    /// has other transactions, too.
    pub(super) fn cut_next(&self, cut: Cut, word: &str) {
        *self.state.cut.lock().unwrap() = Some((cut, word.as_bytes().to_vec()));
    }

    /// The next `BEGIN` becomes a word that the server does not know; what was sent with it is left
    /// as it is.
    pub(super) fn spoil_next(&self) {
        self.state.spoil.store(true, Ordering::SeqCst);
    }

    /// Whether that one is still to come.
    pub(super) fn is_to_spoil(&self) -> bool {
        self.state.spoil.load(Ordering::SeqCst)
    }

    /// How many were cut so far.
    pub(super) fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl State {
    /// Whether this is the `COMMIT` that is to be cut, and where. `seen` is whether its transaction
    /// has had the word so far.
    fn cut(&self, bytes: &[u8], seen: &mut bool) -> Option<Cut> {
        let mut next = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let (cut, word) = next.as_ref()?;
        *seen |= memchr::memmem::find(bytes, word).is_some();
        memchr::memmem::find(bytes, b"COMMIT\0")?;
        let cut = std::mem::take(seen).then_some(*cut)?;
        *next = None;
        self.cuts.fetch_add(1, Ordering::SeqCst);
        Some(cut)
    }
}

impl State {
    fn spoil(&self, bytes: &mut [u8]) {
        if self.spoil.load(Ordering::SeqCst)
            && let Some(at) = memchr::memmem::find(bytes, b"BEGIN")
        {
            bytes[at + 4] = b'X';
            self.spoil.store(false, Ordering::SeqCst);
        }
    }
}

/// Hands on in both directions until one side ends.
fn hand_on(mut client: TcpStream, mut server: TcpStream, state: &State) {
    let swallow = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (back, front) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let swallow = &swallow;
        scope.spawn(move || answers(back, front, swallow));
        let (mut bytes, mut seen) = (vec![0; 64 * 1024], false);
        while let Ok(length) = client.read(&mut bytes) {
            if length == 0 {
                break;
            }
            state.spoil(&mut bytes[..length]);
            match state.cut(&bytes[..length], &mut seen) {
                Some(Cut::Before) => break,
                Some(Cut::After) => swallow.store(true, Ordering::SeqCst),
                None => {}
            }
            if server.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        for stream in [&client, &server] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
}

/// Hands the server's answers on, until one is to be thrown away: that is the end.
fn answers(mut server: TcpStream, mut client: TcpStream, swallow: &AtomicBool) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length) = server.read(&mut bytes) {
        let thrown_away = swallow.load(Ordering::SeqCst);
        if length == 0 || thrown_away || client.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    for stream in [&client, &server] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
