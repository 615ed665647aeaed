//! Numbers as digits and letters, and the check that tells a typo from a token.

use crate::secret::BASE62;

/// Characters of a check.
pub const CHECK: usize = 6;

/// The last `N` base62 digits of `number`, most significant first.
#[must_use]
pub fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        let place = usize::try_from(number % 62).unwrap_or(0);
        *digit = BASE62.get(place).copied().unwrap_or(b'0');
        number /= 62;
    }
    digits
}

/// The number that base62 digits stand for, if they are and it fits.
#[must_use]
pub fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            _ => return None,
        };
        number.checked_mul(62)?.checked_add(u64::from(value))
    })
}

/// CRC-32/ISO-HDLC of `bytes` as six base62 digits.
#[must_use]
pub fn checksum(bytes: &[u8]) -> [u8; CHECK] {
    digits(u64::from(crc32fast::hash(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_for_their_number_and_nothing_else_does() {
        for n in [0, 1, 61, 62, 754_321, u64::MAX] {
            assert_eq!(number(&digits::<11>(n)), Some(n));
        }
        assert_eq!(&digits::<3>(62), b"010");
        assert_eq!(number(b"zzzzzzzzzzz"), None, "more than fits");
        assert_eq!(number(b"a-b"), None);
    }

    /// The check value of the algorithm's catalogue entry is 0xcbf43926.
    #[test]
    fn the_check_is_the_catalogues() {
        assert_eq!(number(&checksum(b"123456789")), Some(0xcbf4_3926));
    }
}
