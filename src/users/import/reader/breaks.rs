//! A file on its way into the reader of CSV: every line break becomes `\n`, so that lines can be
//! counted, and no row may take more than its share.

use std::io::{self, BufRead, Read};

/// Reads `inner` with line breaks of one sort.
#[derive(Debug)]
pub(super) struct Breaks<R> {
    inner: R,
    /// What one row may take, and what is left of that.
    share: usize,
    left: usize,
    given: u64,
    last: u8,
    after_return: bool,
}

impl<R> Breaks<R> {
    pub(super) const fn new(inner: R, share: usize) -> Self {
        Self {
            inner,
            share,
            left: share,
            given: 0,
            last: b'\n',
            after_return: false,
        }
    }

    /// Another row begins.
    pub(super) const fn allow(&mut self) {
        self.left = self.share;
    }

    /// Whether a row has taken all of its share.
    pub(super) const fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Whether all ends here, and without a line break.
    pub(super) const fn ends_open_at(&self, byte: u64) -> bool {
        self.given == byte && self.last != b'\n'
    }
}

impl<R: BufRead> Read for Breaks<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("a row that is too long"));
        }
        loop {
            let from = self.inner.fill_buf()?;
            let (mut taken, mut put) = (0, 0);
            for (byte, place) in from.iter().zip(to.iter_mut()).take(self.left) {
                taken += 1;
                let follows = std::mem::replace(&mut self.after_return, *byte == b'\r');
                if *byte == b'\n' && follows {
                    // It belongs to the one before; the place stays free for what comes next.
                    break;
                }
                *place = if *byte == b'\r' { b'\n' } else { *byte };
                self.last = *place;
                put += 1;
            }
            let ended = from.is_empty();
            self.inner.consume(taken);
            self.left -= put;
            self.given += u64::try_from(put).unwrap_or(0);
            if put > 0 || ended || to.is_empty() {
                return Ok(put);
            }
        }
    }
}
