//! Migrations are written in `SQLite`'s words; this turns them into PostgreSQL's.
//!
//! Three words differ: `INTEGER` is `BIGINT`, `BLOB` is `BYTEA`, and `STRICT` is what every table
//! is anyway. Only whole words outside of literals, quoted names and comments are touched.

use crate::db::script::{Kind, tokens};

/// The script in PostgreSQL's words.
pub(super) fn translate(script: &str) -> String {
    let pieces = tokens(script).map(|token| match token.kind {
        Kind::Word => translated(token.text),
        Kind::Name | Kind::Foreign | Kind::Text | Kind::Comment | Kind::Space | Kind::Mark => {
            token.text
        }
    });
    pieces.collect()
}

fn translated(word: &str) -> &str {
    let other = WORDS.iter().find(|(own, _)| own.eq_ignore_ascii_case(word));
    other.map_or(word, |(_, other)| other)
}

/// A word of `SQLite`, and what PostgreSQL says for it.
const WORDS: [(&str, &str); 3] = [("INTEGER", "BIGINT"), ("BLOB", "BYTEA"), ("STRICT", "")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_words_are_translated_and_nothing_else() {
        let golden = [
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB NOT NULL) STRICT;",
                "CREATE TABLE t (id BIGINT PRIMARY KEY, b BYTEA NOT NULL) ;",
            ),
            ("integer Blob strict", "BIGINT BYTEA "),
            ("INTEGERS my_blob STRICTLY", "INTEGERS my_blob STRICTLY"),
            ("'an INTEGER''s BLOB' BLOB", "'an INTEGER''s BLOB' BYTEA"),
            ("\"BLOB\" -- STRICT\nSTRICT", "\"BLOB\" -- STRICT\n"),
            ("/* INTEGER\n */INTEGER", "/* INTEGER\n */BIGINT"),
            ("-- no line end: BLOB", "-- no line end: BLOB"),
            ("'é INTEGER' é INTEGER", "'é INTEGER' é BIGINT"),
            ("'not closed INTEGER", "'not closed INTEGER"),
        ];
        for (sqlite, postgres) in golden {
            assert_eq!(translate(sqlite), postgres);
        }
    }
}
