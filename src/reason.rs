//! Why something was done: a text of people for people, kept with what was done and in the log.

use crate::error::{Error, Result};

/// The longest reason, in characters.
const LONGEST: usize = 200;

/// Refuses what is no reason, where one is given.
///
/// # Errors
/// [`Error::Invalid`] that names `reason`.
pub fn check(reason: Option<&str>) -> Result<()> {
    let good = |reason: &str| {
        (1..=LONGEST).contains(&reason.chars().count()) && !reason.contains(char::is_control)
    };
    if reason.is_none_or(good) {
        Ok(())
    } else {
        let rule = format!("must have 1 to {LONGEST} printable characters");
        Err(Error::invalid("reason", rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_printable_and_may_be_left_out() {
        let longest = "ж".repeat(LONGEST);
        for good in [None, Some("x"), Some("left the team"), Some(&*longest)] {
            check(good).unwrap();
        }
        for bad in ["", "a\nb", "\u{7f}", &format!("{longest}x")] {
            assert!(check(Some(bad)).is_err(), "{bad:?}");
        }
    }
}
