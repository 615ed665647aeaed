//! Cells of a CSV file that a spreadsheet would take for formulas: who chooses such a name would have
//! their text run by whoever opens the file (OWASP, CSV injection).
//!
//! Invariant: what [`guarded`] hands out [`plain`] takes in again as it was. Phone numbers are not
//! guarded: `+` and digits are a number at most, and other programs want them as they are.

use std::borrow::Cow;

/// Spreadsheets take this before a text to mean that it is one.
const GUARD: char = '\'';

/// Whether a spreadsheet would see a formula here, or would once guards are taken away.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches(GUARD)
        .starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// The text as it is handed out.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) {
        Cow::Owned(format!("{GUARD}{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text as it was before [`guarded`]; one that was never guarded stays.
pub(crate) fn plain(text: &str) -> &str {
    match text.strip_prefix(GUARD) {
        Some(rest) if is_formula(rest) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_guarded_and_comes_back_as_it_was() {
        for (text, handed_out) in [
            ("=1+1", "'=1+1"),
            ("+x@example.org", "'+x@example.org"),
            ("-maria", "'-maria"),
            ("@maria", "'@maria"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("'=1", "''=1"),
            ("maria", "maria"),
            ("O'Hara", "O'Hara"),
            ("'t Hooft", "'t Hooft"),
            ("", ""),
        ] {
            assert_eq!(guarded(text), handed_out);
            assert_eq!(plain(handed_out), text);
        }
        assert_eq!(plain("=1"), "=1", "of another program");
    }
}
