//! Ids. Entities have a `UUIDv7` (RFC 9562 §5.7); rows that arrive by the million (tokens, audit
//! events) have a 63-bit integer that grows with time, so that inserting always appends.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::error::{Error, Result};
use crate::secret::random_bytes;
use crate::time::Timestamp;

/// A fresh id for an entity, as text: time-ordered, 36 characters.
#[must_use]
pub fn entity(now: Timestamp) -> String {
    let millis = u64::try_from(now.0).unwrap_or(0);
    let at = uuid::Timestamp::from_unix_time(millis / 1000, millis_to_nanos(millis), 0, 0);
    uuid::Uuid::new_v7(at).to_string()
}

/// The lowest and the highest id of an entity that begins with `text`: at least 6 hexadecimal
/// digits, with or without the dashes. Nothing if no id begins so.
#[must_use]
pub fn range(text: &str) -> Option<(String, String)> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() < 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |fill: &str| {
        let rest = fill.repeat(32_usize.checked_sub(digits.len())?);
        let id = uuid::Uuid::try_parse(&(digits.clone() + &rest)).ok()?;
        Some(id.to_string())
    };
    Some((filled("0")?, filled("f")?))
}

fn millis_to_nanos(millis: u64) -> u32 {
    u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000
}

/// Bits below the milliseconds in a serial id: enough that two processes seldom meet.
const LOW_BITS: u32 = 21;

/// Makes serial ids: 42 bits of milliseconds, then 21 that differ from process to process, and
/// always more than the last.
///
/// Two processes can still meet on the same id; whoever inserts must use `ON CONFLICT DO NOTHING`
/// and ask for another.
#[derive(Debug, Default)]
pub struct Serials {
    last: AtomicI64,
    /// Where this process begins in each millisecond: 0 until it is drawn.
    place: AtomicU32,
}

impl Serials {
    /// The next id, greater than all that this maker gave before.
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no random
    /// bytes.
    pub fn next(&self, now: Timestamp) -> Result<i64> {
        let low = i64::from(self.place()?);
        let wanted = (now.0.clamp(0, (1 << 42) - 1) << LOW_BITS) | low;
        let previous = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(if wanted > last {
                    wanted
                } else {
                    last.saturating_add(1)
                })
            })
            .unwrap_or_else(|last| last);
        Ok(if wanted > previous {
            wanted
        } else {
            previous.saturating_add(1)
        })
    }

    /// The same, and greater than `floor`, as all that follow are.
    ///
    /// # Errors
    /// As [`Serials::next`]; also if there is no greater one.
    pub fn next_above(&self, now: Timestamp, floor: i64) -> Result<i64> {
        self.last.fetch_max(floor, Ordering::Relaxed);
        let next = self.next(now)?;
        if next > floor {
            Ok(next)
        } else {
            Err(Error::internal("there are no more ids"))
        }
    }

    /// Ids are public and need not be unguessable: one random number for the life of the process
    /// keeps processes apart, and asking for another one with each id would cost a system call.
    fn place(&self) -> Result<u32> {
        let known = self.place.load(Ordering::Relaxed);
        if known != 0 {
            return Ok(known);
        }
        let drawn = u32::from_le_bytes(random_bytes()?) >> (32 - LOW_BITS);
        // The lower half, so that thousands in one millisecond stay within it; never 0.
        let place = (drawn >> 1) | 1;
        self.place.store(place, Ordering::Relaxed);
        Ok(place)
    }
}

/// For serde's `serialize_with`: a serial id as text. Not every reader of JSON has integers so large
/// (RFC 8259 §6).
///
/// # Errors
/// Those of the serializer.
pub fn as_text<S: serde::Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_ids_always_grow_even_when_the_clock_goes_back() {
        let serials = Serials::default();
        let mut last = 0;
        for at in [5, 5, 5, 9, 3, 3, 10] {
            let id = serials.next(Timestamp(at)).unwrap();
            assert!(id > last);
            last = id;
        }
    }

    #[test]
    fn an_id_above_a_floor_takes_those_that_follow_with_it() {
        let serials = Serials::default();
        let floor = 1000 << LOW_BITS;
        assert_eq!(serials.next_above(Timestamp(5), floor).unwrap(), floor + 1);
        assert_eq!(serials.next(Timestamp(6)).unwrap(), floor + 2);
        let later = serials.next_above(Timestamp(2000), floor).unwrap();
        assert_eq!(later >> LOW_BITS, 2000);
        assert!(serials.next_above(Timestamp(2000), i64::MAX).is_err());
    }

    #[test]
    fn a_serial_id_carries_its_millisecond() {
        let now = Timestamp(1_795_163_640_123);
        assert_eq!(Serials::default().next(now).unwrap() >> LOW_BITS, now.0);
    }

    #[test]
    fn entity_ids_sort_by_time() {
        assert!(entity(Timestamp(1000)) < entity(Timestamp(1001)));
    }
}
