//! How long a failed login has to be waited for (security.md, rule 49): long enough that guessing is
//! hopeless, short enough that who mistypes hardly notices.

use std::time::Duration;

/// So many failures cost nothing.
pub const FREE: u32 = 5;

/// The longest delay.
pub const CAP: Duration = Duration::from_mins(15);

/// After so many in a row no password is good any more, until somebody clears it (SP 800-63B-4
/// §3.2.2: at most 100).
pub const OFF: u32 = 100;

/// So long after the last one failures are forgotten.
pub const RESET: Duration = Duration::from_hours(24);

/// For so long a network stays known (rule 52).
pub(super) const KNOWN: Duration = Duration::from_hours(24 * 30);

/// How long to wait after so many failures in a row: 0 for the first five, then 1, 2, 4, … s.
#[must_use]
pub const fn delay(failures: u32) -> Duration {
    let Some(more) = failures.checked_sub(FREE + 1) else {
        return Duration::ZERO;
    };
    match 1_u64.checked_shl(more) {
        Some(seconds) if seconds < CAP.as_secs() => Duration::from_secs(seconds),
        _ => CAP,
    }
}
