//! The token that a page's own script sends back in a header, which another site's page cannot
//! (OWASP, signed double-submit cookie; security.md, rule 36).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::Result;
use crate::keys::Keys;
use crate::secret::{hex, random_bytes, same};

/// A fresh token for this session.
///
/// # Errors
/// [`Error::Internal`](crate::error::Error::Internal) if the operating system gives no random
/// bytes.
pub fn csrf_token(keys: &Keys, session_id: &str) -> Result<String> {
    let random = hex(&random_bytes::<16>()?);
    Ok(format!("{}.{random}", mac(keys, session_id, &random)))
}

/// Whether `text` was made for this session.
#[must_use]
pub fn is_csrf_token(keys: &Keys, session_id: &str, text: &str) -> bool {
    let parts = text.split_once('.');
    parts.is_some_and(|(given, random)| {
        random.len() == 32 && same(given.as_bytes(), mac(keys, session_id, random).as_bytes())
    })
}

fn mac(keys: &Keys, session_id: &str, random: &str) -> String {
    let parts = [session_id.as_bytes(), b"\0", random.as_bytes()];
    URL_SAFE_NO_PAD.encode(keys.csrf.sign(&parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_session_and_key_file_only() {
        let keys = Keys::ephemeral().unwrap();
        let token = csrf_token(&keys, "a").unwrap();
        assert!(is_csrf_token(&keys, "a", &token));
        assert!(!is_csrf_token(&keys, "b", &token));
        assert!(!is_csrf_token(&Keys::ephemeral().unwrap(), "a", &token));
        assert_ne!(token, csrf_token(&keys, "a").unwrap());
        for bad in ["", ".", "x.y", &token[1..], &format!("{token}0")] {
            assert!(!is_csrf_token(&keys, "a", bad), "{bad}");
        }
    }
}
