//! JSON for standard output: compact, and safe to look at. Characters that would steer a terminal
//! are written as `\u` escapes, which every reader turns back into what they were.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::error::{Error, Result};
use crate::escape::is_hostile;

/// Appends `value` to `buffer`.
pub(super) fn append<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) -> Result<()> {
    let mut serializer = Serializer::with_formatter(buffer, Safe);
    value.serialize(&mut serializer).map_err(Error::internal)
}

struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Nearly all text is ASCII; serde_json has escaped the controls below DEL already.
        if fragment.is_ascii() && !fragment.contains('\u{7f}') {
            return writer.write_all(fragment.as_bytes());
        }
        let mut utf8 = [0; 4];
        for c in fragment.chars() {
            if is_hostile(c) {
                // All hostile characters are in the basic plane: one escape, no surrogates.
                write!(writer, "\\u{:04x}", u32::from(c))?;
            } else {
                writer.write_all(c.encode_utf8(&mut utf8).as_bytes())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> String {
        let mut buffer = Vec::new();
        append(&mut buffer, value).unwrap();
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn what_steers_a_terminal_is_escaped_and_reads_back_as_it_was() {
        for nasty in [
            "\u{9b}31m",
            "a\u{202e}b",
            "\u{7f}",
            "\u{2028}",
            "\x1b[2J",
            "Zoë\u{85}東",
        ] {
            let written = text(nasty);
            assert!(!written.chars().any(is_hostile), "{written:?}");
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), nasty);
        }
    }

    #[test]
    fn ordinary_text_is_written_as_it_is() {
        assert_eq!(text("Zoë \"東京\" 🦀"), "\"Zoë \\\"東京\\\" 🦀\"");
    }
}
