//! `[throttle]`: rates.

use crate::time::Period;

/// Rates, for each client address or credential; a rate of 0 is no limit.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// Tokens issued in a second to one address without signing in.
    pub issue_per_second: u32,
    /// The same, all at once; at least 1.
    pub issue_burst: u32,
    /// Requests in a second with one credential.
    pub api_per_second: u32,
    /// The same, all at once; at least 1.
    pub api_burst: u32,
    /// Attempts to log in from one address in a minute.
    pub login_per_minute: u32,
    /// The same, all at once; at least 1.
    pub login_burst: u32,
    /// Registrations from one address in an hour.
    pub register_per_hour: u32,
    /// Requests for a new password from one address in an hour.
    pub reset_per_hour: u32,
    /// Messages to one mail address in an hour.
    pub address_per_hour: u32,
    /// Refreshes of one session in a minute.
    pub refresh_per_minute: u32,
    /// Names under which logins may fail from one address within `spray_window`.
    pub spray_names: usize,
    /// The time in which they fail.
    pub spray_window: Period,
    /// How long such an address is blocked.
    pub spray_block: Period,
}
