//! Text that cannot lie: characters that would steer a terminal, forge a log line or turn the
//! reading order around are written out as escapes (CWE-117, CWE-150; security.md, rule 70).

use std::borrow::Cow;

/// Whether `c` must never reach a terminal or a log as itself: C0, DEL, C1, the Unicode line and
/// paragraph separators, and the bidirectional controls (Unicode TR 36 §2.6).
#[must_use]
pub const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}')
}

/// `text` on one line, with every hostile character written out: `\n`, `\u{1b}`.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_hostile)
}

/// As [`line()`], but line breaks and tabs stay: for text that was laid out by this program.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_hostile(c) && !matches!(c, '\n' | '\t'))
}

/// A word as a shell reads it back.
#[must_use]
pub fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@,+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

fn escape(text: &str, hostile: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hostile(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(word("/srv/p-1.db"), "/srv/p-1.db");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!((word(""), word("$x")), ("''".into(), "'$x'".into()));
    }

    #[test]
    fn plain_text_is_left_alone_without_a_copy() {
        assert!(matches!(line("Zoë, 東京, 🦀"), Cow::Borrowed(_)));
    }

    #[test]
    fn everything_that_steers_a_terminal_is_written_out() {
        assert_eq!(line("a\x1b[2Jb\r\n"), "a\\u{1b}[2Jb\\r\\n");
        for c in [
            '\0', '\u{7f}', '\u{85}', '\u{9b}', '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}',
            '\u{2029}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}',
        ] {
            assert!(!line(&c.to_string()).contains(c), "{}", c.escape_unicode());
        }
    }

    #[test]
    fn laid_out_text_keeps_its_lines() {
        assert_eq!(lines("a\tb\nc\x07"), "a\tb\nc\\u{7}");
    }
}
