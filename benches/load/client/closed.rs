//! Closed loop: as much as the server takes, on an event loop for each client thread.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::{Answer, Leg, Requests, Verdict};
use crate::Outcome;

/// How a closed loop is driven.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Keep-alive connections, each with one request under way.
    pub(crate) connections: usize,
    /// Client threads that share them.
    pub(crate) threads: usize,
}

/// Closed loop: each connection sends its next request as soon as the last is answered.
pub(crate) fn closed(
    target: SocketAddr,
    load: &Requests,
    shape: Shape,
    length: Duration,
) -> Outcome<Leg> {
    let leg_number = load.next_leg();
    let threads = shape.threads.clamp(1, shape.connections);
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mine = (thread..shape.connections).step_by(threads);
                    let starts = mine.map(|c| load.start(leg_number, c, shape.connections));
                    let ready = Loop::connect(target, load, starts.collect());
                    barrier.wait();
                    ready?.run(length)
                })
            })
            .collect();
        let mut whole = Leg::new(length);
        for handle in handles {
            whole.add(handle.join().map_err(|_| "a client thread panicked")??);
        }
        Ok(whole)
    })
}

struct Loop<'a> {
    poll: Poll,
    target: SocketAddr,
    load: &'a Requests,
    connections: Vec<Connection>,
}

struct Connection {
    stream: mio::net::TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    next: usize,
    /// The request of a chain, into which each answer puts what the next one needs.
    own: Vec<u8>,
    sent: Instant,
}

/// What became of a connection's wait for its answer.
enum Progress {
    Waiting,
    Done,
    Refused,
    Broken,
}

impl<'a> Loop<'a> {
    fn connect(target: SocketAddr, load: &'a Requests, starts: Vec<usize>) -> Outcome<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for next in starts {
            connections.push(Connection {
                stream: open_stream(target, &poll, Token(connections.len()))?,
                buffer: vec![0; 16 * 1024],
                filled: 0,
                next,
                own: if load.chain.is_some() {
                    load.get(next).to_vec()
                } else {
                    Vec::new()
                },
                sent: Instant::now(),
            });
        }
        Ok(Self {
            poll,
            target,
            load,
            connections,
        })
    }

    fn run(mut self, length: Duration) -> Outcome<Leg> {
        let mut leg = Leg::new(length);
        let deadline = Instant::now() + length;
        for connection in &mut self.connections {
            connection.send(self.load, Instant::now());
        }
        let mut events = Events::with_capacity(256);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(leg);
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                let progress = connection.receive(self.load, &mut leg);
                let now = Instant::now();
                match progress {
                    Progress::Waiting => {}
                    Progress::Done => {
                        if now < deadline {
                            leg.right(now - connection.sent);
                        }
                        connection.send(self.load, now);
                    }
                    Progress::Refused => {
                        leg.refused += 1;
                        connection.send(self.load, now);
                    }
                    Progress::Broken => {
                        self.poll.registry().deregister(&mut connection.stream)?;
                        connection.stream = open_stream(self.target, &self.poll, event.token())?;
                        connection.send(self.load, now);
                    }
                }
            }
        }
    }
}

fn open_stream(target: SocketAddr, poll: &Poll, token: Token) -> Outcome<mio::net::TcpStream> {
    let stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut stream = mio::net::TcpStream::from_std(stream);
    poll.registry()
        .register(&mut stream, token, Interest::READABLE)?;
    Ok(stream)
}

impl Connection {
    fn send(&mut self, load: &Requests, now: Instant) {
        // One small request is under way at a time, so the socket's buffer always has room; if the
        // server has closed, the read side reports it.
        let request = if self.own.is_empty() {
            load.get(self.next)
        } else {
            &self.own
        };
        let _reported_by_the_read = self.stream.write_all(request);
        self.next += 1;
        self.filled = 0;
        self.sent = now;
    }

    fn receive(&mut self, load: &Requests, leg: &mut Leg) -> Progress {
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.filled * 2, 0);
            }
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => {
                    leg.wrong(|| "the server closed the connection".into());
                    return Progress::Broken;
                }
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waiting,
                Err(error) => {
                    leg.wrong(|| error.to_string());
                    return Progress::Broken;
                }
            }
            let received = &self.buffer[..self.filled];
            let verdict = match Answer::parse(received) {
                Ok(None) => continue,
                Ok(Some(answer)) => load.judge(&answer, &mut self.own),
                Err(()) => Verdict::Wrong,
            };
            return match verdict {
                Verdict::Right => Progress::Done,
                Verdict::Refused => Progress::Refused,
                Verdict::Wrong => {
                    leg.wrong(|| String::from_utf8_lossy(received).into_owned());
                    Progress::Broken
                }
            };
        }
    }
}
