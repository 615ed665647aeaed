//! What a table holds, in 32 bytes that do not depend on the order of its rows or on the engine.
//!
//! Each row is written down in one canonical form and hashed with SHA-256; the hashes are added up
//! modulo 2²⁵⁶. Not XOR: two equal rows would cancel each other out.

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::db::Value;

/// Rows, counted and added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// How many.
    pub(super) rows: u64,
    /// Their digests together.
    pub(super) digest: Digest,
}

/// A number of 256 bits, the least significant part first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u64; 4]);

impl Sum {
    /// Adds a row, with its values in the order of the names of their columns.
    pub(super) fn add(&mut self, row: &[Value]) {
        let mut hash = Sha256::new();
        for value in row {
            match value {
                Value::Null => hash.update([0]),
                Value::Int(int) => {
                    hash.update([1]);
                    hash.update(int.to_be_bytes());
                }
                Value::Text(text) => bytes(&mut hash, 2, text.as_bytes()),
                Value::Bytes(it) => bytes(&mut hash, 3, it),
            }
        }
        self.rows += 1;
        self.digest.add(&hash.finalize().into());
    }
}

/// The length stands before the bytes: no two rows are written down alike.
fn bytes(hash: &mut Sha256, sort: u8, bytes: &[u8]) {
    hash.update([sort]);
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(bytes);
}

impl Digest {
    fn add(&mut self, hash: &[u8; 32]) {
        let mut carry = false;
        for (part, eight) in self.0.iter_mut().zip(hash.chunks_exact(8)) {
            let term = eight
                .iter()
                .rev()
                .fold(0, |n, byte| (n << 8) | u64::from(*byte));
            let (sum, over) = part.overflowing_add(term);
            let (sum, more) = sum.overflowing_add(u64::from(carry));
            *part = sum;
            carry = over || more;
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .rev()
            .try_for_each(|part| write!(f, "{part:016x}"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&[Value]]) -> Sum {
        let mut sum = Sum::default();
        for row in rows {
            sum.add(row);
        }
        sum
    }

    #[test]
    fn rows_are_added_in_any_order_and_two_equal_ones_do_not_cancel_out() {
        let (a, b): (&[Value], &[Value]) = (&[1_i64.into()], &[2_i64.into()]);
        assert_eq!(sum(&[a, b]), sum(&[b, a]));
        assert_ne!(sum(&[a, a]).digest, sum(&[]).digest);
        assert_ne!(sum(&[a]).digest, sum(&[b]).digest);
    }

    #[test]
    fn what_differs_in_sort_place_or_length_differs_in_its_digest() {
        let text = |text: &str| Value::from(text);
        let rows: [&[Value]; 9] = [
            &[text("ab"), text("c")],
            &[text("a"), text("bc")],
            // Here the mark of a text stands within one.
            &[text("a\u{2}b"), text("c")],
            &[text("a"), text("b\u{2}c")],
            &[text("c"), text("ab")],
            &[Value::Bytes(b"ab".to_vec()), text("c")],
            &[text(""), Value::Null],
            &[Value::Null, text("")],
            &[Value::Int(0), text("")],
        ];
        for (at, one) in rows.iter().enumerate() {
            for other in &rows[..at] {
                assert_ne!(sum(&[one]), sum(&[other]), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn the_sum_carries_and_wraps_around() {
        let mut digest = Digest([u64::MAX; 4]);
        let mut one = [0; 32];
        one[0] = 1;
        digest.add(&one);
        assert_eq!(digest, Digest([0; 4]));
        let mut digest = Digest([u64::MAX, 7, 0, 0]);
        digest.add(&one);
        assert_eq!(digest, Digest([0, 8, 0, 0]));
        assert_eq!(digest.to_string(), format!("{:048x}{:016x}", 8, 0));
    }
}
