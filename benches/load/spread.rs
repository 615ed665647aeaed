//! A handful of measurements of the same thing: the median, and how far they lie apart.

use std::fmt;

use serde::Serialize;

/// Median and range.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) low: f64,
    /// The largest.
    pub(crate) high: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Self {
            median,
            low: sorted[0],
            high: sorted[sorted.len() - 1],
        }
    }

    /// How far the values lie apart, as a part of the median: the noise of the machine.
    pub(crate) fn noise(self) -> f64 {
        (self.high - self.low) / self.median
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, low, high } = self;
        write!(
            f,
            "{} ({}–{})",
            rounded(*median),
            rounded(*low),
            rounded(*high)
        )
    }
}

/// Three digits or so: what the eye can use.
pub(crate) fn rounded(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        separated(&format!("{value:.0}"))
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A count with its thousands apart.
pub(crate) fn thousands(count: u64) -> String {
    separated(&count.to_string())
}

fn separated(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
