//! Migrations are written in `SQLite`'s words; this turns them into PostgreSQL's.
//!
//! Three words differ: `INTEGER` is `BIGINT`, `BLOB` is `BYTEA`, and `STRICT` is what every table
//! is anyway. Only whole words outside of literals, quoted names and comments are touched.

/// The script in PostgreSQL's words.
pub(super) fn translate(script: &str) -> String {
    let mut out = String::with_capacity(script.len());
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        let length = verbatim(rest);
        if length > 0 {
            let (piece, after) = rest.split_at(length);
            out.push_str(piece);
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        if end == 0 {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (word, after) = rest.split_at(end);
        out.push_str(translated(word));
        rest = after;
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn translated(word: &str) -> &str {
    if word.eq_ignore_ascii_case("INTEGER") {
        "BIGINT"
    } else if word.eq_ignore_ascii_case("BLOB") {
        "BYTEA"
    } else if word.eq_ignore_ascii_case("STRICT") {
        ""
    } else {
        word
    }
}

/// The length of the literal, quoted name or comment at the start of `text`; 0 if there is none.
fn verbatim(text: &str) -> usize {
    let until = |from: usize, end: &str| {
        let rest = text.get(from..).unwrap_or_default();
        rest.find(end)
            .map_or(text.len(), |place| from + place + end.len())
    };
    if text.starts_with("--") {
        until(2, "\n")
    } else if text.starts_with("/*") {
        until(2, "*/")
    } else if text.starts_with('\'') {
        // A doubled quote ends one literal and begins the next, which comes to the same.
        until(1, "'")
    } else if text.starts_with('"') {
        until(1, "\"")
    } else {
        0
    }
}

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
