//! The table of what is purged.

use super::{Kind, forget};
use crate::app::Cx;
use crate::error::Result;
use crate::throttle::Ended;
use crate::time::Timestamp;
use crate::tokens::Gone;
use crate::{audit, idempotency, outbox, sessions, throttle, tokens, users};

/// Everything that is purged, in this order.
pub const KINDS: [Kind; 9] = [
    Kind {
        name: "token",
        count: |cx, until| tokens::gone(cx, None, until),
        oldest: tokens::oldest_gone,
        delete: |cx, until, most| tokens::delete_gone(cx, None, until, most),
    },
    Kind {
        name: "session",
        count: |cx, until| {
            let (expired, revoked, oldest) = sessions::gone(cx, until)?;
            Ok(Gone {
                expired,
                revoked,
                oldest,
            })
        },
        oldest: sessions::oldest_gone,
        delete: sessions::delete_gone,
    },
    Kind {
        name: "idempotency_key",
        count: |cx, until| idempotency::expired(cx.tx, until).map(expired),
        oldest: |cx, until| idempotency::oldest_expired(cx.tx, until),
        delete: |cx, until, most| idempotency::delete_expired(cx.tx, until, most),
    },
    // Of these the row stays; what it, and whatever belongs to it, says of a person goes.
    Kind {
        name: "user",
        count: |cx, until| users::erasable(cx, until).map(expired),
        oldest: users::oldest_erasable,
        delete: forget::people,
    },
    Kind {
        name: "login_failure",
        count: |cx, until| throttled(cx, Ended::Failures, until),
        oldest: |cx, until| throttle::oldest_ended(cx.tx, Ended::Failures, until),
        delete: |cx, until, most| throttle::delete_ended(cx.tx, Ended::Failures, until, most),
    },
    Kind {
        name: "known_network",
        count: |cx, until| throttled(cx, Ended::Networks, until),
        oldest: |cx, until| throttle::oldest_ended(cx.tx, Ended::Networks, until),
        delete: |cx, until, most| throttle::delete_ended(cx.tx, Ended::Networks, until, most),
    },
    Kind {
        name: "ban",
        count: |cx, until| throttled(cx, Ended::Bans, until),
        oldest: |cx, until| throttle::oldest_ended(cx.tx, Ended::Bans, until),
        delete: |cx, until, most| throttle::delete_ended(cx.tx, Ended::Bans, until, most),
    },
    Kind {
        name: "mail",
        count: |cx, until| outbox::gone(cx, until).map(expired),
        oldest: outbox::oldest_gone,
        delete: outbox::delete_gone,
    },
    // Only with `audit.retention`.
    Kind {
        name: "audit_event",
        count: |cx, until| audit::old(cx, until).map(expired),
        oldest: audit::oldest_old,
        delete: audit::delete_old,
    },
];

fn throttled(cx: &mut Cx<'_, '_>, sort: Ended, until: Timestamp) -> Result<Gone> {
    throttle::count_ended(cx.tx, sort, until).map(expired)
}

/// Rows that end by themselves only: how many, and since when the first.
fn expired((expired, oldest): (u64, Option<Timestamp>)) -> Gone {
    Gone {
        expired,
        revoked: 0,
        oldest,
    }
}
