//! Reads a request body within its limits of size and time (security.md §2.8).
//!
//! A body that came with its head, as nearly all do, costs neither a timer nor a copy.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Result};

/// How slowly a body may come.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// For the whole body.
    pub total: Duration,
    /// During which the rate does not matter.
    pub grace: Duration,
    /// Bytes a second after that.
    pub rate: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            total: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            rate: 1024,
        }
    }
}

impl Pace {
    /// The latest moment for the next byte if `received` have come.
    fn due(&self, received: usize) -> Duration {
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(received.into()) / self.rate.max(1);
        self.total.min(self.grace.saturating_add(earned))
    }
}

/// Reads the whole body, given what `Content-Length` says.
///
/// # Errors
/// `payload_too_large` over `limit` bytes, before anything is read if the length tells;
/// `request_timeout` when it comes too slowly; `malformed` when it breaks off or is badly chunked.
pub async fn read<B>(body: B, content_length: Option<u64>, limit: usize) -> Result<Bytes>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    read_at(Pace::default(), body, content_length, limit).await
}

/// As [`read()`], at another pace.
///
/// # Errors
/// As [`read()`].
pub async fn read_at<B>(
    pace: Pace,
    body: B,
    content_length: Option<u64>,
    limit: usize,
) -> Result<Bytes>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let announced = content_length.unwrap_or(body.size_hint().lower());
    if usize::try_from(announced).map_or(true, |announced| announced > limit) {
        return Err(Error::PayloadTooLarge { limit });
    }
    let mut body = pin!(body);
    let start = Instant::now();
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    loop {
        let received = first.len().max(more.len());
        let Some(frame) = next(body.as_mut(), start + pace.due(received)).await? else {
            break;
        };
        let Ok(data) = frame.into_data() else {
            // Trailers carry nothing that we know.
            continue;
        };
        if received.saturating_add(data.len()) > limit {
            return Err(Error::PayloadTooLarge { limit });
        }
        if received == 0 {
            first = data;
        } else {
            more.extend_from_slice(&std::mem::take(&mut first));
            more.extend_from_slice(&data);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(if more.is_empty() {
        first
    } else {
        more.freeze()
    })
}

async fn next<B>(mut body: Pin<&mut B>, due: Instant) -> Result<Option<Frame<Bytes>>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    // Only a body that is not there yet is worth a timer.
    let frame = match poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx))).await {
        Poll::Ready(frame) => frame,
        Poll::Pending => timeout_at(due, poll_fn(|cx| body.as_mut().poll_frame(cx)))
            .await
            .map_err(|_| Error::RequestTimeout)?,
    };
    frame.transpose().map_err(|error| {
        let error = error.into();
        tracing::debug!(error, "request body broke off");
        Error::Malformed("the body broke off or is not framed as it should be".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::io;
    use std::task::Context;

    enum Step {
        Data(&'static str),
        Never,
        Broken,
    }

    struct Script(VecDeque<Step>);

    impl Body for Script {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(Bytes::from(data))))),
                Some(Step::Broken) => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Some(Step::Never) => {
                    self.0.push_front(Step::Never);
                    Poll::Pending
                }
            }
        }
    }

    fn read_script(steps: impl Into<VecDeque<Step>>, length: Option<u64>) -> Result<Bytes> {
        let pace = Pace {
            total: Duration::from_millis(20),
            grace: Duration::from_millis(5),
            rate: 1024,
        };
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(read_at(pace, Script(steps.into()), length, 8))
    }

    #[test]
    fn a_body_is_put_together_from_its_pieces() {
        let steps = [
            Step::Data(""),
            Step::Data("ab"),
            Step::Data("cd"),
            Step::Data("ef"),
        ];
        assert_eq!(read_script(steps, None).unwrap(), "abcdef");
        assert_eq!(
            read_script([Step::Data("12345678")], Some(8)).unwrap(),
            "12345678"
        );
        assert_eq!(read_script([], Some(0)).unwrap(), "");
    }

    #[test]
    fn a_body_over_the_limit_is_refused_before_it_is_read_if_its_length_is_known() {
        let announced = read_script([Step::Never], Some(9));
        assert!(matches!(
            announced,
            Err(Error::PayloadTooLarge { limit: 8 })
        ));
        let found = read_script([Step::Data("12345678"), Step::Data("9"), Step::Never], None);
        assert!(matches!(found, Err(Error::PayloadTooLarge { limit: 8 })));
    }

    #[test]
    fn a_body_that_stops_coming_is_a_timeout() {
        let stuck = read_script([Step::Data("1"), Step::Never], Some(8));
        assert!(matches!(stuck, Err(Error::RequestTimeout)));
    }

    #[test]
    fn a_body_that_breaks_off_is_malformed() {
        let broken = read_script([Step::Data("1"), Step::Broken], Some(8));
        assert!(matches!(broken, Err(Error::Malformed(_))));
    }

    #[test]
    fn every_kibibyte_buys_a_second_up_to_the_total() {
        let pace = Pace::default();
        assert_eq!(pace.due(0), Duration::from_secs(5));
        assert_eq!(pace.due(2048), Duration::from_secs(7));
        assert_eq!(pace.due(usize::MAX), Duration::from_secs(30));
    }
}
