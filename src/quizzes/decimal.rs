//! Decimal numbers, exactly: points, percentages, and the numbers that people answer.
//!
//! Invariant: no binary fraction is ever compared with another, so that 0.1 + 0.2 is within no
//! tolerance of anything but 0.3.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result};

/// A decimal number with `SCALE` digits after the point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fixed<const SCALE: u32>(pub(super) i128);

/// Points, in hundredths.
pub type Points = Fixed<2>;

/// How much of a question's points something is worth, in percent. Moodle writes a third as
/// 33.33333.
pub type Percent = Fixed<5>;

/// A number that is asked for. What comes after the 15th digit behind the point is dropped.
pub type Number = Fixed<15>;

impl<const SCALE: u32> Fixed<SCALE> {
    /// The number without a fraction.
    #[must_use]
    pub const fn whole(number: u32) -> Self {
        // A u32 is no more than 2^32, and no scale here is above 15.
        #[expect(clippy::as_conversions, reason = "From is not const")]
        Self((number as i128).saturating_mul(10_i128.saturating_pow(SCALE)))
    }

    /// The number in units of its last digit, as it is stored.
    ///
    /// # Errors
    /// [`Error::Internal`] for one that no column holds.
    pub fn stored(self) -> Result<i64> {
        i64::try_from(self.0).map_err(Error::internal)
    }

    /// The number whose last digit counts `units`.
    #[must_use]
    pub fn of(units: i64) -> Self {
        Self(units.into())
    }
}

impl Points {
    /// So much of the points; half a hundredth counts as a whole one.
    #[must_use]
    pub(super) fn share(self, part: Percent) -> Self {
        let whole = Percent::whole(100).0;
        Self((self.0.saturating_mul(part.0).saturating_mul(2) + whole).div_euclid(whole * 2))
    }

    /// `right` of `all` equal parts, rounded in the same way.
    #[must_use]
    pub(crate) fn part(self, right: usize, all: usize) -> Self {
        let (Ok(right), Ok(all)) = (i128::try_from(right), i128::try_from(all.max(1))) else {
            return Self::default();
        };
        Self((self.0.saturating_mul(right).saturating_mul(2) + all).div_euclid(all * 2))
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The points that are nearest to a number with more decimals.
    #[must_use]
    pub(super) fn nearest(number: Percent) -> Self {
        Self((number.0 + MORE / 2).div_euclid(MORE))
    }
}

/// What the last digit of points counts in those of a percentage.
const MORE: i128 = 1000;

impl From<Points> for Percent {
    fn from(points: Points) -> Self {
        Self(points.0.saturating_mul(MORE))
    }
}

impl Percent {
    /// What part of `most` the points are; all of nothing.
    #[must_use]
    pub(crate) fn part_of(points: Points, most: Points) -> Self {
        if most.0 <= 0 {
            return Self::whole(100);
        }
        Self(
            points
                .0
                .saturating_mul(Self::whole(100).0)
                .div_euclid(most.0),
        )
    }
}

/// How many digits a number may have, and how far an exponent may move the point.
const LONGEST: usize = 40;

/// Reads a number: units of its last digit, and whether nothing had to be dropped.
fn read(text: &str, scale: u32) -> Option<(i128, bool)> {
    let text = text.trim();
    let (negative, text) = match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    // Half of the world writes a comma.
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    let digits = whole.len() + fraction.len();
    if digits == 0 || digits > LONGEST || !(-40..=40).contains(&exponent) {
        return None;
    }
    let keep = i32::try_from(whole.len()).ok()? + exponent + i32::try_from(scale).ok()?;
    let (mut units, mut exact, mut taken) = (0_i128, true, 0);
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = i128::from(digit.to_digit(10)?);
        if taken < keep {
            units = units.checked_mul(10)?.checked_add(digit)?;
            taken += 1;
        } else if digit != 0 {
            exact = false;
        }
    }
    for _ in taken..keep {
        units = units.checked_mul(10)?;
    }
    Some((if negative { -units } else { units }, exact))
}

impl<const SCALE: u32> FromStr for Fixed<SCALE> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // Sums and differences of two such numbers must be numbers again.
        let most = i128::MAX / 8;
        match read(text, SCALE) {
            Some((units, _)) if !(-most..=most).contains(&units) => {
                Err(Error::invalid("number", "is too large"))
            }
            Some((_, false)) if SCALE == 2 => {
                Err(Error::invalid("points", "have at most two decimals"))
            }
            Some((units, _)) => Ok(Self(units)),
            None => Err(Error::invalid("number", "must be like 3, -0.25 or 6.02e23")),
        }
    }
}

impl<const SCALE: u32> fmt::Display for Fixed<SCALE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_u128.saturating_pow(SCALE);
        let units = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write!(f, "{}", units / one)?;
        let width = usize::try_from(SCALE).unwrap_or(0);
        let fraction = format!("{:0width$}", units % one);
        match fraction.trim_end_matches('0') {
            "" => Ok(()),
            some => write!(f, ".{some}"),
        }
    }
}

impl<const SCALE: u32> Serialize for Fixed<SCALE> {
    /// As a number, if every reader of JSON sees the same one in it, else as text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        if let Ok(whole) = text.parse::<i32>() {
            return serializer.serialize_i32(whole);
        }
        match text.parse::<f64>() {
            Ok(number) if number.to_string() == text => serializer.serialize_f64(number),
            Ok(_) | Err(_) => serializer.serialize_str(&text),
        }
    }
}

impl<'de, const SCALE: u32> Deserialize<'de> for Fixed<SCALE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const SCALE: u32>;
        impl<const SCALE: u32> de::Visitor<'_> for Visitor<SCALE> {
            type Value = Fixed<SCALE>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                // The shortest text that is this number: what somebody typed.
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor::<SCALE>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_people_write_it() {
        for (text, same) in [
            ("3", "3"),
            (" -0.25 ", "-0.25"),
            ("+3,5", "3.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1.5e3", "1500"),
            ("15e-1", "1.5"),
            ("6E2", "600"),
            ("0.1234567890123456789", "0.123456789012345"),
            ("1e-30", "0"),
        ] {
            assert_eq!(text.parse::<Number>().unwrap().to_string(), same, "{text}");
        }
        for bad in [
            "", "-", ".", "1.2.3", "1,2.3", "abc", "1e", "1e99", "0x1", "--1", "1 2", "٣",
        ] {
            assert!(bad.parse::<Number>().is_err(), "{bad}");
        }
        assert!("9".repeat(41).parse::<Number>().is_err());
        assert!("9e30".parse::<Number>().is_err());
    }

    #[test]
    fn points_have_two_decimals_and_no_third() {
        assert_eq!("1.25".parse::<Points>().unwrap(), Fixed(125));
        assert_eq!("1.250".parse::<Points>().unwrap(), Fixed(125));
        assert!("1.255".parse::<Points>().is_err());
        let nearest = |text: &str| Points::nearest(text.parse().unwrap()).to_string();
        assert_eq!(
            (nearest("0.33333"), nearest("1.005")),
            ("0.33".into(), "1.01".into())
        );
    }

    #[test]
    fn three_thirds_of_moodle_are_the_whole() {
        let third: Percent = "33.33333".parse().unwrap();
        let all = Fixed(third.0 * 3);
        for points in [1, 100, 999, 100_000] {
            assert_eq!(Points::of(points).share(all), Points::of(points));
        }
        assert_eq!(Points::of(100).share(third), Points::of(33));
        assert_eq!(Points::of(100).part(2, 3), Points::of(67));
        assert_eq!(Points::of(1).part(1, 2), Points::of(1), "half counts");
    }

    #[test]
    fn a_number_comes_back_from_json_as_it_was() {
        for text in ["0.33", "3", "-1.5", "0.1", "123456789012.123456789012345"] {
            let number: Number = text.parse().unwrap();
            let json = serde_json::to_string(&number).unwrap();
            assert_eq!(serde_json::from_str::<Number>(&json).unwrap(), number);
        }
        assert_eq!(serde_json::to_string(&Points::of(150)).unwrap(), "1.5");
        assert_eq!(serde_json::to_string(&Points::of(200)).unwrap(), "2");
    }
}
