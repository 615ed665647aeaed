//! Open loop: a fixed rate, whatever the server does.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Answer, Leg, Requests, Verdict, connect_blocking, exchange};
use crate::Outcome;

/// How an open loop is driven.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Keep-alive connections that take turns.
    pub(crate) connections: usize,
    /// Requests a second, over all of them.
    pub(crate) per_second: f64,
}

/// Open loop: so many requests a second however slow the answers are, for `length` or until
/// `stop`. Latency runs from the instant
/// at which a request *should* have been sent, so a stall counts for all that it held up.
///
/// Each connection has a thread that sleeps until its next turn: at such rates the switches cost
/// nothing that matters, and nothing polls.
pub(crate) fn open(
    target: SocketAddr,
    load: &Requests,
    pace: Pace,
    length: Duration,
    stop: &AtomicBool,
) -> Outcome<Leg> {
    let Pace {
        connections,
        per_second,
    } = pace;
    let leg_number = load.next_leg();
    let streams: Vec<_> = (0..connections)
        .map(|_| connect_blocking(target))
        .collect::<Outcome<_>>()?;
    let begin = Instant::now() + Duration::from_millis(5);
    std::thread::scope(|scope| {
        let handles: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(place, stream)| {
                let first = load.start(leg_number, place, connections);
                scope.spawn(move || {
                    let mut sender = Sender {
                        target,
                        stream,
                        load,
                        next: first,
                        leg: Leg::new(length),
                    };
                    for turn in (place..).step_by(connections) {
                        let after = Duration::from_secs_f64(turn as f64 / per_second);
                        if after >= length || stop.load(Ordering::Relaxed) {
                            break;
                        }
                        sender.at(begin + after);
                    }
                    sender.leg
                })
            })
            .collect();
        let mut whole = Leg::new(length);
        for handle in handles {
            whole.add(handle.join().map_err(|_| "a client thread panicked")?);
        }
        Ok(whole)
    })
}

struct Sender<'a> {
    target: SocketAddr,
    stream: TcpStream,
    load: &'a Requests,
    next: usize,
    leg: Leg,
}

impl Sender<'_> {
    fn at(&mut self, intended: Instant) {
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        let mut buffer = Vec::new();
        let outcome = exchange(&mut self.stream, self.load.get(self.next), &mut buffer);
        self.next += 1;
        let answered = Instant::now();
        let right = outcome.is_ok()
            && matches!(Answer::parse(&buffer), Ok(Some(answer)) if self.load.judge(&answer, &mut []) == Verdict::Right);
        if right {
            self.leg.right(answered - intended);
            return;
        }
        self.leg.wrong(|| match outcome {
            Ok(_) => String::from_utf8_lossy(&buffer).into_owned(),
            Err(error) => error.to_string(),
        });
        if let Ok(stream) = connect_blocking(self.target) {
            self.stream = stream;
        }
    }
}
