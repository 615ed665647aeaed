//! Recovery codes: what lets somebody in who has lost the second factor. Ten, each good once.

use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::secret::{Secret, random_bytes};

/// How many are made at once.
pub(super) const MANY: usize = 10;

/// Characters of a code, without the dashes: 60 bits.
const LENGTH: usize = 12;

/// Digits and letters that nobody mistakes for one another: 32, so that each byte is fair.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Ten fresh codes: `7k3m-q9xt-0h2v`.
pub(super) fn fresh() -> Result<Vec<Secret<String>>> {
    (0..MANY).map(|_| one()).collect()
}

fn one() -> Result<Secret<String>> {
    let random = Secret::new(random_bytes::<LENGTH>()?);
    let mut text = String::with_capacity(LENGTH + 2);
    for (place, byte) in random.expose().iter().enumerate() {
        if place > 0 && place % 4 == 0 {
            text.push('-');
        }
        let letter = ALPHABET.get(usize::from(byte % 32));
        let letter = letter.ok_or_else(|| Error::internal("an alphabet with a gap"))?;
        text.push(char::from(*letter));
    }
    Ok(Secret::new(text))
}

/// A code as it is kept, if `typed` is one: in any case, with dashes and blanks or without.
pub(super) fn read(typed: &str) -> Option<Secret<String>> {
    if typed.len() > 2 * LENGTH {
        return None;
    }
    let plain = typed.bytes().filter(|byte| !b"- ".contains(byte));
    let plain = plain.map(|byte| match byte.to_ascii_lowercase() {
        b'o' => b'0',
        b'i' | b'l' => b'1',
        other => other,
    });
    let text: Secret<String> = Secret::new(plain.map(char::from).collect());
    let good =
        text.expose().len() == LENGTH && text.expose().bytes().all(|byte| ALPHABET.contains(&byte));
    good.then_some(text)
}

/// What is stored instead of a code: of no use without the key file, nor for anybody else.
pub(super) fn digest(keys: &Keys, user: &str, code: &Secret<String>) -> [u8; 32] {
    let parts = [
        b"provost/v1/recovery\0",
        user.as_bytes(),
        b"\0",
        code.expose().as_bytes(),
    ];
    keys.recovery.sign(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_however_it_is_typed() {
        let codes = fresh().unwrap();
        assert_eq!(codes.len(), MANY);
        for code in codes {
            let code = code.expose();
            assert_eq!((code.len(), code.matches('-').count()), (14, 2), "{code}");
            let plain = read(code).unwrap();
            for typed in [
                code.to_uppercase(),
                code.replace('-', " "),
                code.replace('-', ""),
            ] {
                assert_eq!(read(&typed).unwrap().expose(), plain.expose(), "{typed}");
            }
            let mistaken = code.replace('0', "O").replace('1', "l");
            assert_eq!(read(&mistaken).unwrap().expose(), plain.expose());
        }
    }

    #[test]
    fn what_is_no_code_is_not_read_as_one() {
        for typed in [
            "",
            "123456",
            "abcd-efgh",
            "uuuu-uuuu-uuuu",
            "abcd-efgh-jkmn-pqrs",
            "é",
        ] {
            assert!(read(typed).is_none(), "{typed}");
        }
        assert!(read(&"a".repeat(5000)).is_none());
    }

    #[test]
    fn the_digest_of_a_code_is_its_owners_alone() {
        let keys = Keys::ephemeral().unwrap();
        let code = read("abcd-efgh-jkmn").unwrap();
        assert_ne!(digest(&keys, "a", &code), digest(&keys, "b", &code));
    }
}
