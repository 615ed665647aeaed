//! Instants as text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::error::{Error, Result};

/// The first instant that is too late for the library: in whatever zone, it still is in the year 9999.
const TOO_LATE: u64 = 253_402_207_201_000;

impl Timestamp {
    /// RFC 3339 as it is written nearly always, from 1970 to 9999. A page of a list holds
    /// hundreds of instants, and the general formatter takes several times as long.
    fn text(self) -> Option<[u8; 24]> {
        let at = u64::try_from(self.0).ok().filter(|at| *at < TOO_LATE)?;
        let (days, of_day) = (at / 86_400_000, at % 86_400_000);
        // Days since 0000-03-01 as a date: years that begin in March have their leap day at the end
        // (Howard Hinnant, "chrono-compatible low-level date algorithms").
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + u64::from(month <= 2);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (end, digits, mut number) in [
            (4, 4, year),
            (7, 2, month),
            (10, 2, day),
            (13, 2, of_day / 3_600_000),
            (16, 2, of_day / 60_000 % 60),
            (19, 2, of_day / 1000 % 60),
            (23, 3, of_day % 1000),
        ] {
            for digit in text.iter_mut().take(end).rev().take(digits) {
                *digit = b"0123456789"
                    .get(usize::try_from(number % 10).ok()?)
                    .copied()?;
                number /= 10;
            }
        }
        Some(text)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.text() {
            return f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?);
        }
        let at = jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        write!(f, "{at:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let at: jiff::Timestamp = text
            .parse()
            .map_err(|_| Error::invalid("time", "must be RFC 3339, like 2026-11-20T08:34:00Z"))?;
        Ok(Self(at.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => {
                let text = std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(text)
            }
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_of_any_year_is_written_as_the_library_writes_it() {
        let day = 86_400_000;
        let ends = [-1, 0, 253_402_207_200_999, 253_402_207_201_000, i64::MAX];
        // Around the turns of two centuries every day, else a day of each year and more.
        let days = (9_496..11_323).chain(46_000..49_300);
        let days = days.chain((0..10_000).map(|n| n * 291));
        let days = days.map(|n| n * day + n * 7_919 % day);
        for at in ends.into_iter().chain(days) {
            let library = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::MAX);
            let told = Timestamp(at).to_string();
            assert_eq!(told, format!("{library:.3}"), "{at}");
            if at % 97 == 0 {
                let json = serde_json::to_string(&Timestamp(at)).unwrap();
                assert_eq!(json, format!("\"{told}\""));
            }
        }
    }
}
