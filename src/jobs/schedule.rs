//! When a job is due: pure, time is a value.

use std::time::Duration;

use croner::Cron;
use jiff::tz::TimeZone;

use crate::config::Schedule;
use crate::time::Timestamp;

/// When a job is due that began last at `last`, seen from `now`: never before `now`, so that a
/// job that was missed many times runs once. `jitter` spreads periods, by a tenth of them at 255,
/// so that not everything happens at once. `None` for a cron expression that never comes.
#[must_use]
pub fn due(
    schedule: &Schedule,
    last: Option<Timestamp>,
    now: Timestamp,
    jitter: u8,
) -> Option<Timestamp> {
    // A last time that lies ahead was written under another clock.
    let last = last.map(|last| last.min(now));
    let at = match schedule {
        Schedule::Every(period) => last
            .map_or(now, |last| last.plus(period.0))
            .plus(spread(period.0, jitter)),
        Schedule::Cron(expression) => next(expression, last.unwrap_or(now))?,
        Schedule::Never => return None,
    };
    Some(at.max(now))
}

/// Up to a tenth of `period`.
pub(super) fn spread(period: Duration, jitter: u8) -> Duration {
    period / 10 * u32::from(jitter) / u32::from(u8::MAX)
}

/// The first instant of `expression` after `after`, in UTC.
fn next(expression: &str, after: Timestamp) -> Option<Timestamp> {
    let cron: Cron = expression.parse().ok()?;
    let after = jiff::Timestamp::from_millisecond(after.0).ok()?;
    let next = cron.find_next_occurrence(&after.to_zoned(TimeZone::UTC), false);
    Some(Timestamp(next.ok()?.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Period;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hourly() -> Schedule {
        Schedule::Every(Period(Duration::from_hours(1)))
    }

    fn cron(text: &str) -> Schedule {
        Schedule::Cron(text.into())
    }

    const NOON: &str = "2026-11-20T12:00:00Z";

    #[test]
    fn a_period_counts_from_the_last_time_and_is_spread_by_up_to_a_tenth() {
        let last = Some(at("2026-11-20T11:30:00Z"));
        let due = |jitter| due(&hourly(), last, at(NOON), jitter).unwrap();
        assert_eq!(due(0), at("2026-11-20T12:30:00Z"));
        assert_eq!(due(255), at("2026-11-20T12:36:00Z"));
    }

    #[test]
    fn a_job_that_never_ran_is_due_soon_but_not_everywhere_at_once() {
        assert_eq!(due(&hourly(), None, at(NOON), 0), Some(at(NOON)));
        let spread = due(&hourly(), None, at(NOON), 255);
        assert_eq!(spread, Some(at("2026-11-20T12:06:00Z")));
    }

    #[test]
    fn a_job_that_was_missed_many_times_is_due_once_and_now() {
        let long_ago = Some(at("2026-01-01T00:00:00Z"));
        assert_eq!(due(&hourly(), long_ago, at(NOON), 255), Some(at(NOON)));
        let daily = cron("0 3 * * *");
        assert_eq!(due(&daily, long_ago, at(NOON), 0), Some(at(NOON)));
    }

    #[test]
    fn a_cron_expression_is_read_in_utc_and_comes_after_the_last_time() {
        let six_hourly = cron("0 */6 * * *");
        let due = |last: &str| due(&six_hourly, Some(at(last)), at(NOON), 255);
        assert_eq!(
            due("2026-11-20T12:00:00Z"),
            Some(at("2026-11-20T18:00:00Z"))
        );
        assert_eq!(due("2026-11-20T11:59:59Z"), Some(at(NOON)));
    }

    #[test]
    fn a_last_time_that_lies_ahead_does_not_hold_a_job_back_for_ever() {
        let ahead = Some(at("2030-01-01T00:00:00Z"));
        let due = due(&hourly(), ahead, at(NOON), 0);
        assert_eq!(due, Some(at("2026-11-20T13:00:00Z")));
    }

    #[test]
    fn an_expression_that_never_comes_is_never_due() {
        assert_eq!(
            due(&Schedule::Never, None, at("2026-11-20T08:34:00Z"), 0),
            None
        );
        assert_eq!(due(&cron("0 0 30 2 *"), None, at(NOON), 0), None);
    }
}
