//! Where the lines of a text begin: a place is told as its line without reading the text again.

/// The places, in bytes, at which lines begin.
#[derive(Clone, Debug)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let begins = ends.map(|(place, _)| place + 1);
        Self(std::iter::once(0).chain(begins).collect())
    }

    /// The line, from 1, of the byte at this place.
    pub(super) fn line(&self, place: usize) -> u64 {
        let line = self.0.partition_point(|begin| *begin <= place);
        u64::try_from(line).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_on_the_line_that_began_last() {
        let lines = Lines::of("a\nbc\n\nd");
        let told: Vec<u64> = (0..7).map(|place| lines.line(place)).collect();
        assert_eq!(told, [1, 1, 2, 2, 2, 3, 4]);
    }
}
