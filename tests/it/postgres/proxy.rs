//! Stands between a program and its server, and cuts the connection at a `COMMIT`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
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
    cut: Mutex<Option<Cut>>,
    cuts: AtomicUsize,
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

    /// The next `COMMIT`, and only that one, is cut.
    pub(super) fn cut_next(&self, cut: Cut) {
        *self.state.cut.lock().unwrap() = Some(cut);
    }

    /// How many were cut so far.
    pub(super) fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

/// Hands on in both directions until one side ends.
fn hand_on(mut client: TcpStream, mut server: TcpStream, state: &State) {
    let swallow = Arc::new(Mutex::new(false));
    std::thread::scope(|scope| {
        let (back, front) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let swallowing = Arc::clone(&swallow);
        scope.spawn(move || answers(back, front, &swallowing));
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(length) = client.read(&mut bytes) {
            if length == 0 {
                break;
            }
            let cut = bytes[..length]
                .windows(7)
                .any(|word| word == b"COMMIT\0")
                .then(|| {
                    state
                        .cut
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .take()
                })
                .flatten();
            if let Some(cut) = cut {
                state.cuts.fetch_add(1, Ordering::SeqCst);
                if cut == Cut::Before {
                    break;
                }
                *swallow.lock().unwrap_or_else(PoisonError::into_inner) = true;
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
fn answers(mut server: TcpStream, mut client: TcpStream, swallow: &Mutex<bool>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length) = server.read(&mut bytes) {
        let thrown_away = *swallow.lock().unwrap_or_else(PoisonError::into_inner);
        if length == 0 || thrown_away || client.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    for stream in [&client, &server] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
