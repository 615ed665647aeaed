//! Instants and lengths of time. The only reader of the wall clock.
//!
//! An instant is a [`Timestamp`]: milliseconds since the Unix epoch, UTC, as stored. It is written
//! and read as RFC 3339. Rules never ask what time it is; they are handed `cx.now`.

mod text;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant `period` later, or the last one that can be stored.
    #[must_use]
    pub fn plus(self, period: Duration) -> Self {
        Self(self.0.saturating_add(millis(period)))
    }

    /// The instant `period` earlier, or the first one that can be stored.
    #[must_use]
    pub fn minus(self, period: Duration) -> Self {
        Self(self.0.saturating_sub(millis(period)))
    }

    /// As the standard library has it, for libraries that ask for that.
    #[must_use]
    pub fn system(self) -> std::time::SystemTime {
        let since = Duration::from_millis(u64::try_from(self.0).unwrap_or(0));
        std::time::UNIX_EPOCH + since
    }

    /// How long ago `earlier` was; zero if it has not happened yet.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(period: Duration) -> i64 {
    i64::try_from(period.as_millis()).unwrap_or(i64::MAX)
}

/// A length of time as people write it: `90s`, `15m`, `12h`, `7d`, `4w`, `1h30m`. Never negative;
/// a day has 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::invalid("duration", "must be like 90s, 15m, 12h, 7d or 4w");
        let span: jiff::Span = text.trim().parse().map_err(|_| refuse())?;
        let length = span
            .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
            .map_err(|_| refuse())?;
        Duration::try_from(length).map(Self).map_err(|_| refuse())
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        let units = [
            (604_800_000, "w"),
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1000, "s"),
            (1, "ms"),
        ];
        for (length, unit) in units {
            let count = rest / length;
            // Weeks only when they come out even: "10d" reads better than "1w3d".
            if count > 0 && (unit != "w" || rest.is_multiple_of(length)) {
                write!(f, "{count}{unit}")?;
                rest -= count * length;
            }
        }
        Ok(())
    }
}

impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How long something may live: a [`Period`], or `never` for no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends so long after it begins.
    For(Period),
    /// It never ends by itself.
    Never,
}

impl FromStr for Lifetime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "never" {
            Ok(Self::Never)
        } else {
            text.parse().map(Self::For)
        }
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An instant as people write it at a prompt: RFC 3339, `now`, `-2d` (ago) or `+2d` (from now).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A fixed instant.
    At(Timestamp),
    /// So long before now.
    Ago(Period),
    /// So long after now.
    In(Period),
}

impl When {
    /// The instant that is meant, seen from `now`.
    #[must_use]
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(period) => now.minus(period.0),
            Self::In(period) => now.plus(period.0),
        }
    }
}

impl FromStr for When {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "now" {
            return Ok(Self::In(Period(Duration::ZERO)));
        }
        if let Some(ago) = text.strip_prefix('-') {
            return ago.parse().map(Self::Ago);
        }
        if let Some(ahead) = text.strip_prefix('+') {
            return ahead.parse().map(Self::In);
        }
        text.parse().map(Self::At).map_err(|_| {
            Error::invalid(
                "time",
                "must be now, -2d, +2d, or RFC 3339 like 2026-11-20T08:34:00Z",
            )
        })
    }
}

/// `3m ago`, `in 6d`, `now`: the distance from `now` in its largest unit. What is past is rounded
/// down and what is ahead to the nearest: a moment after it was given, a month is still `in 30d`.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    // The length of each unit and of the next smaller one, in milliseconds.
    const UNITS: [(u64, u64, &str); 4] = [
        (86_400_000, 3_600_000, "d"),
        (3_600_000, 60_000, "h"),
        (60_000, 1000, "m"),
        (1000, 0, "s"),
    ];
    let ahead = at > now;
    let distance = at.0.abs_diff(now.0);
    let up = |rounding: u64| distance.saturating_add(if ahead { rounding / 2 } else { 0 });
    let unit = UNITS.iter().find(|(unit, below, _)| up(*below) >= *unit);
    let text = unit.map(|(unit, _, name)| format!("{}{name}", up(*unit) / unit));
    let Some(text) = text else {
        return "now".to_owned();
    };
    if ahead {
        format!("in {text}")
    } else {
        format!("{text} ago")
    }
}

/// The wall clock, held from going back: what was once expired stays expired.
///
/// `mark` is the latest instant that a daemon wrote into the database (security.md, rule 65).
#[derive(Debug, Default)]
pub struct Clock {
    mark: AtomicI64,
    trusted: Mutex<Option<Moment>>,
    jumped: AtomicBool,
}

/// The wall clock may run ahead of the machine's own count by so much before it is not believed.
const JUMP: Duration = Duration::from_hours(1);

impl Clock {
    /// A clock that never shows less than `mark`.
    #[must_use]
    pub fn starting_at(mark: Timestamp) -> Self {
        let clock = Self::default();
        clock.raise(mark);
        clock
    }

    /// Now: the wall clock, or the mark while the wall clock is behind it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(wall().0.max(self.mark.load(Ordering::Relaxed)))
    }

    /// Moves the mark up to `at`; it never moves down.
    pub fn raise(&self, at: Timestamp) {
        self.mark.fetch_max(at.0, Ordering::Relaxed);
    }

    /// Compares the wall clock with the time that really went by since the last call. Returns
    /// what it shows, or `None` while it stands more than an hour ahead of that: such an instant
    /// must not become the mark.
    pub fn look(&self) -> Option<Timestamp> {
        self.look_at(Moment::now())
    }

    /// Believes the wall clock although it stands far ahead of what was expected, if somebody who
    /// knows has raised the mark to where it stands. Returns whether that is so.
    pub fn accept(&self, mark: Timestamp) -> bool {
        let now = Moment::now();
        if now.wall.since(mark) > JUMP {
            return false;
        }
        *self.trusted.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        self.jumped.store(false, Ordering::Relaxed);
        true
    }

    /// Makes the wall clock look as if it had leapt ahead by two hours.
    #[cfg(test)]
    pub(crate) fn leap(&self) {
        let now = Moment::now();
        let before = Moment {
            wall: now.wall.minus(2 * JUMP),
            ..now
        };
        *self.trusted.lock().unwrap() = Some(before);
    }

    fn look_at(&self, moment: Moment) -> Option<Timestamp> {
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = trusted.map(|before| before.wall.plus(moment.up.saturating_sub(before.up)));
        let jumped = expected.is_some_and(|expected| moment.wall.since(expected) > JUMP);
        self.jumped.store(jumped, Ordering::Relaxed);
        if jumped {
            return None;
        }
        // A clock that was set back may come forward again: that is no jump.
        let wall = expected.map_or(moment.wall, |expected| moment.wall.max(expected));
        *trusted = Some(Moment { wall, ..moment });
        Some(moment.wall)
    }

    /// Whether the wall clock was more than an hour ahead of itself when it was last looked at.
    #[must_use]
    pub fn jumped(&self) -> bool {
        self.jumped.load(Ordering::Relaxed)
    }
}

/// What two clocks show at the same moment: the one on the wall, and the one that nobody can set.
#[derive(Clone, Copy, Debug)]
struct Moment {
    wall: Timestamp,
    up: Duration,
}

impl Moment {
    fn now() -> Self {
        // Not `Instant`: on Linux that one stands still while the machine sleeps.
        #[cfg(target_os = "linux")]
        const UP: ClockId = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const UP: ClockId = ClockId::Monotonic;
        let up = clock_gettime(UP);
        Self {
            wall: wall(),
            up: Duration::new(
                u64::try_from(up.tv_sec).unwrap_or(0),
                u32::try_from(up.tv_nsec).unwrap_or(0),
            ),
        }
    }
}

/// What the machine's clock says, unguarded. A clock before 1970 reads as 1970.
#[must_use]
pub fn wall() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    let now = std::time::SystemTime::now();
    Timestamp(now.duration_since(std::time::UNIX_EPOCH).map_or(0, millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_as_rfc_3339_with_milliseconds() {
        assert_eq!(
            Timestamp(1_795_163_640_123).to_string(),
            "2026-11-20T08:34:00.123Z"
        );
        assert_eq!(
            "2026-11-20T08:34:00.123Z".parse::<Timestamp>().unwrap().0,
            1_795_163_640_123
        );
        assert_eq!(
            "2026-11-20T10:34:00+02:00".parse::<Timestamp>().unwrap().0,
            1_795_163_640_000
        );
    }

    #[test]
    fn periods_read_back_as_they_are_written() {
        for text in [
            "0s", "90s", "15m", "12h", "7d", "4w", "1h30m", "10d", "250ms",
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(
                period.to_string().parse::<Period>().unwrap(),
                period,
                "{text}"
            );
        }
        assert_eq!("4w".parse::<Period>().unwrap().0, Duration::from_hours(672));
    }

    #[test]
    fn refuses_a_bare_number_a_negative_period_and_calendar_units() {
        for text in ["60", "", "-5m", "5m ago", "1mo", "1y", "never", "5 parsecs"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_instant_may_be_given_relative_to_now() {
        let now = Timestamp(1_000_000);
        assert_eq!("now".parse::<When>().unwrap().from(now), now);
        assert_eq!(
            "-10s".parse::<When>().unwrap().from(now),
            Timestamp(990_000)
        );
        assert_eq!(
            "+10s".parse::<When>().unwrap().from(now),
            Timestamp(1_010_000)
        );
        assert_eq!(
            "1970-01-01T00:00:01Z".parse::<When>().unwrap().from(now),
            Timestamp(1000)
        );
    }

    #[test]
    fn distances_are_told_in_their_largest_unit() {
        const SECOND: i64 = 1000;
        const DAY: i64 = 86_400 * SECOND;
        let far = |distance: i64| relative(Timestamp(10 * DAY + distance), Timestamp(10 * DAY));
        for (distance, told) in [
            (0, "now"),
            (-999, "now"),
            (-59 * SECOND, "59s ago"),
            (-119 * SECOND, "1m ago"),
            (-DAY + 1, "23h ago"),
            (-2 * DAY + 1, "1d ago"),
            (400, "now"),
            (1500, "in 2s"),
            (300 * SECOND - 40, "in 5m"),
            (1800 * SECOND, "in 30m"),
            (3600 * SECOND - 40, "in 1h"),
            (13 * 3600 * SECOND, "in 13h"),
            (30 * DAY - 40, "in 30d"),
            (30 * DAY - 13 * 3600 * SECOND, "in 29d"),
        ] {
            assert_eq!(far(distance), told, "{distance}");
        }
    }

    #[test]
    fn the_clock_never_shows_less_than_its_mark() {
        let ahead = wall().plus(Duration::from_hours(1));
        let clock = Clock::starting_at(ahead);
        assert_eq!(clock.now(), ahead);
        clock.raise(Timestamp(0));
        assert_eq!(clock.now(), ahead);
    }

    /// The wall clock shows `wall` seconds when the machine has run for `up` seconds.
    fn moment(wall: i64, up: u64) -> Moment {
        Moment {
            wall: Timestamp(wall * 1000),
            up: Duration::from_secs(up),
        }
    }

    #[test]
    fn a_clock_that_leaps_ahead_is_not_believed_until_it_is_back() {
        let clock = Clock::default();
        assert!(clock.look_at(moment(100_000, 10)).is_some());
        assert!(clock.look_at(moment(103_599, 20)).is_some());
        assert_eq!(clock.look_at(moment(107_300, 30)), None);
        assert!(clock.jumped());
        assert_eq!(clock.look_at(moment(107_310, 40)), None);
        let back = clock.look_at(moment(103_629, 50));
        assert_eq!(back, Some(Timestamp(103_629_000)));
        assert!(!clock.jumped());
    }

    #[test]
    fn time_that_really_went_by_is_no_leap() {
        let clock = Clock::default();
        assert!(clock.look_at(moment(100_000, 10)).is_some());
        assert!(clock.look_at(moment(200_000, 100_010)).is_some());
    }

    #[test]
    fn a_clock_that_was_set_back_may_come_forward_again() {
        let clock = Clock::default();
        for wall in [100_000, 90_000, 100_020] {
            assert!(clock.look_at(moment(wall, 10)).is_some());
        }
        assert_eq!(clock.look_at(moment(104_000, 10)), None);
    }
}
