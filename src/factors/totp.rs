//! One-time passwords by time (RFC 6238): SHA-1, six digits, steps of 30 seconds, one step of
//! leeway on either side, which is what every authenticator app does.

use totp_rs::{Algorithm, Builder, Totp};

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::time::Timestamp;

/// Bytes of a secret: 160 bits (RFC 4226 §4, R6).
pub(super) const SECRET: usize = 20;

/// Digits of a code.
const DIGITS: u8 = 6;

/// Seconds of a step.
const STEP: u64 = 30;

/// The step at `now`.
pub(super) fn current(now: Timestamp) -> i64 {
    now.0.div_euclid(1000 * STEP.cast_signed())
}

fn totp(secret: &[u8], issuer: Option<&str>, account: &str) -> Result<Totp> {
    // Either may not hold a colon, which separates them.
    let plain = |text: &str| text.replace(':', " ");
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(DIGITS)
        .with_skew(1)
        .with_step_duration(STEP)
        .with_secret(secret.to_vec())
        .with_issuer(issuer.map(plain))
        .with_account_name(plain(account))
        .build()
        .map_err(Error::internal)
}

/// What an authenticator app reads: `otpauth://totp/…`, and the secret alone in base32.
pub(super) fn written(
    secret: &[u8],
    issuer: &str,
    account: &str,
) -> Result<(Secret<String>, Secret<String>)> {
    let issuer = Some(issuer).filter(|issuer| !issuer.trim().is_empty());
    let totp = totp(secret, issuer, account)?;
    let url = totp.to_url().map_err(Error::internal)?;
    Ok((Secret::new(url), Secret::new(totp.secret().to_base32())))
}

/// The step for which `code` is right now, if there is one.
pub(super) fn step(secret: &[u8], code: &str, now: Timestamp) -> Result<Option<i64>> {
    let digits = usize::from(DIGITS);
    // Apps show `123 456`.
    let code: String = code.split_ascii_whitespace().collect();
    if code.len() != digits || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let seconds = u64::try_from(now.0.div_euclid(1000)).unwrap_or(0);
    let step = totp(secret, None, "")?.check(&code, seconds);
    step.map(i64::try_from).transpose().map_err(Error::internal)
}

/// The code that is right at `now`.
#[cfg(test)]
pub(crate) fn code(secret: &[u8], now: Timestamp) -> String {
    let seconds = u64::try_from(now.0 / 1000).unwrap();
    totp(secret, None, "")
        .unwrap()
        .generate(seconds)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, whose codes have eight digits; the last six are ours.
    #[test]
    fn codes_agree_with_the_test_vectors_of_rfc_6238() {
        let secret = b"12345678901234567890";
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000_i64, "353130"),
        ] {
            let step = step(secret, code, Timestamp(seconds * 1000)).unwrap();
            assert_eq!(step, Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_right_in_its_own_step_and_in_one_before_and_after() {
        let secret = [7; SECRET];
        let at = |step: i64| Timestamp(step * 30_000);
        let code = code(&secret, at(1000));
        for (now, right) in [
            (998, false),
            (999, true),
            (1000, true),
            (1001, true),
            (1002, false),
        ] {
            let found = step(&secret, &code, at(now)).unwrap();
            assert_eq!(found, right.then_some(1000), "{now}");
        }
    }

    #[test]
    fn only_six_ascii_digits_are_a_code() {
        let secret = [7; SECRET];
        let now = Timestamp(30_000_000);
        let code = code(&secret, now);
        let (one, two) = code.split_at(3);
        let spaced = format!(" {one} {two}");
        assert!(
            step(&secret, &spaced, now).unwrap().is_some(),
            "as apps show it"
        );
        for bad in [
            &code[1..],
            &format!("{code}0"),
            &format!("+{}", &code[1..]),
            "",
            "٠٠٠٠٠٠",
        ] {
            assert_eq!(step(&secret, bad, now).unwrap(), None, "{bad}");
        }
    }

    #[test]
    fn the_url_names_the_service_and_the_account() {
        let (url, base32) = written(&[7; SECRET], "My: Desk", "maria").unwrap();
        let (url, base32) = (url.expose(), base32.expose());
        assert!(
            url.starts_with("otpauth://totp/My%20%20Desk:maria?"),
            "{url}"
        );
        assert!(url.contains(&format!("secret={base32}")), "{url}");
        assert_eq!(base32.len(), 32);
    }
}
