//! Looks for leaked tokens in files of any size and content, without keeping more than a piece.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use super::text::{LENGTH, find};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Bytes of a line that are looked at together; a binary file may be one long line.
const PIECE: u64 = 64 * 1024;
/// Bytes kept from one piece for the next: a token that is cut in two, and what is before it.
const KEPT: usize = LENGTH + 1;

/// A token that stood where it should not.
#[derive(Debug)]
pub(super) struct Leak {
    /// The file, or `-`.
    pub(super) file: String,
    /// The line in it, from 1.
    pub(super) line: u64,
    /// The whole token.
    pub(super) token: Secret<String>,
}

/// The tokens in one file, in order.
pub(super) struct Leaks {
    file: String,
    source: Result<Box<dyn BufRead>, Option<Error>>,
    piece: Vec<u8>,
    line: u64,
    found: std::vec::IntoIter<Leak>,
}

impl Leaks {
    /// Starts on a file; `-` is standard input. One that cannot be read is an error in its turn.
    pub(super) fn open(path: &Path) -> Self {
        let file = path.display().to_string();
        let source: Result<Box<dyn BufRead>, _> = if file == "-" {
            Ok(Box::new(io::stdin().lock()))
        } else {
            match File::open(path) {
                Ok(file) => Ok(Box::new(BufReader::new(file))),
                Err(error) => Err(Some(Error::io(format!("read {file}"))(error))),
            }
        };
        Self::of(file, source)
    }

    fn of(file: String, source: Result<Box<dyn BufRead>, Option<Error>>) -> Self {
        Self {
            file,
            source,
            piece: Vec::new(),
            line: 1,
            found: Vec::new().into_iter(),
        }
    }

    /// Looks through the next piece. False at the end of the file.
    fn advance(&mut self) -> Result<bool> {
        let source = match &mut self.source {
            Ok(source) => source,
            Err(error) => return error.take().map_or(Ok(false), Err),
        };
        let before = self.piece.len();
        source
            .by_ref()
            .take(PIECE)
            .read_until(b'\n', &mut self.piece)
            .map_err(Error::io(format!("read {}", self.file)))?;
        let end_of_file = self.piece.len() == before;
        let end_of_line = end_of_file || self.piece.ends_with(b"\n");
        // What follows the last byte of a piece is not known yet: a token that ends there is left
        // to the next round.
        let known = self.piece.len() - usize::from(!end_of_line);
        let fresh = before.saturating_sub(1);
        let found: Vec<Leak> = find(&self.piece)
            .map(|(start, token)| (start + LENGTH, token))
            .filter(|(end, _)| *end <= known && (before == 0 || *end > fresh))
            .map(|(_, token)| Leak {
                file: self.file.clone(),
                line: self.line,
                token: Secret::new(token.to_owned()),
            })
            .collect();
        self.found = found.into_iter();
        if end_of_line {
            self.piece.clear();
            self.line += 1;
        } else {
            let surplus = self.piece.len().saturating_sub(KEPT);
            self.piece.drain(..surplus);
        }
        Ok(!end_of_file)
    }
}

impl Iterator for Leaks {
    type Item = Result<Leak>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(leak) = self.found.next() {
                return Some(Ok(leak));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return self.found.next().map(Ok),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{Kind, TokenId, prefixed};

    fn token() -> String {
        let secret = Secret::new("abcdefghijklmnopqrstuvwxyzABCD".to_owned());
        prefixed(Kind::Api, TokenId(77), &secret).expose().clone()
    }

    fn lines(text: &[u8]) -> Vec<u64> {
        let source: Box<dyn BufRead> = Box::new(io::Cursor::new(text.to_vec()));
        Leaks::of("x".into(), Ok(source))
            .map(|leak| leak.unwrap().line)
            .collect()
    }

    #[test]
    fn tokens_are_found_with_their_lines_in_text_and_in_bytes() {
        let token = token();
        let text = format!("a\nKEY={token}\n\n{token} {token}");
        assert_eq!(lines(text.as_bytes()), [2, 4, 4]);
        let bytes = [b"\xff\x00", token.as_bytes(), b"\xfe"].concat();
        assert_eq!(lines(&bytes), [1]);
        assert_eq!(lines(b""), [0_u64; 0]);
    }

    #[test]
    fn a_token_is_found_once_wherever_a_long_line_is_cut() {
        let token = token();
        let piece = usize::try_from(PIECE).unwrap();
        for start in piece - LENGTH - 3..=piece + 3 {
            let mut text = vec![b'.'; start];
            text.extend_from_slice(token.as_bytes());
            assert_eq!(lines(&text), [1], "at the end, from {start}");
            text.extend(vec![b'.'; piece]);
            assert_eq!(lines(&text), [1], "from {start}");
            text[start + LENGTH] = b'x';
            assert_eq!(
                lines(&text),
                [0_u64; 0],
                "part of a longer word, from {start}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_not_a_clean_bill() {
        let mut leaks = Leaks::open(Path::new("/nonexistent/file"));
        assert!(leaks.next().unwrap().is_err());
        assert!(leaks.next().is_none());
    }
}
