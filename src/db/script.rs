//! A script of SQL, cut into words and statements: enough to translate it, to count its statements
//! and to look for what one engine would not understand. It knows literals, quoted names, comments
//! and the bodies of triggers, and is no parser.

/// A piece of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'s> {
    /// What it is.
    pub kind: Kind,
    /// How it is written.
    pub text: &'s str,
    /// On which line it begins, from 1 on.
    pub line: usize,
}

/// What a piece of a script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bare word or a number: `CREATE`, `users`, `12`.
    Word,
    /// A name in double quotes.
    Name,
    /// A name in backticks or brackets, which one engine alone understands.
    Foreign,
    /// A literal: `'text'`, or PostgreSQL's `$$text$$`.
    Text,
    /// `-- …` to the end of the line, or `/* … */`.
    Comment,
    /// White space.
    Space,
    /// Any other character, and `::`.
    Mark,
}

impl Token<'_> {
    /// Whether it is this bare word.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this character, or `::`.
    #[must_use]
    pub fn is_mark(&self, mark: &str) -> bool {
        self.kind == Kind::Mark && self.text == mark
    }

    /// What it names, without its quotes, if it is a word or a quoted name.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let inner = || self.text.get(1..self.text.len().saturating_sub(1));
        match self.kind {
            Kind::Word => Some(self.text.to_owned()),
            Kind::Name => inner().map(|name| name.replace("\"\"", "\"")),
            Kind::Foreign => inner().map(str::to_owned),
            Kind::Text | Kind::Comment | Kind::Space | Kind::Mark => None,
        }
    }
}

/// Every piece of the script: together they are the script.
pub fn tokens(script: &str) -> impl Iterator<Item = Token<'_>> {
    let (mut rest, mut line) = (script, 1);
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (kind, length) = piece(rest, first);
        let (text, after) = rest.split_at_checked(length)?;
        let token = Token { kind, text, line };
        line += text.matches('\n').count();
        rest = after;
        Some(token)
    })
}

/// The kind and the length of the piece at the start of `text`.
fn piece(text: &str, first: char) -> (Kind, usize) {
    let until = |from: usize, end: &str| {
        let rest = text.get(from..).unwrap_or_default();
        rest.find(end)
            .map_or(text.len(), |place| from + place + end.len())
    };
    let while_is = |is: fn(char) -> bool| text.find(|c| !is(c)).unwrap_or(text.len());
    match first {
        '-' if text.starts_with("--") => (Kind::Comment, until(2, "\n")),
        '/' if text.starts_with("/*") => (Kind::Comment, until(2, "*/")),
        '\'' => (Kind::Text, closed(text, '\'')),
        '"' => (Kind::Name, closed(text, '"')),
        '`' => (Kind::Foreign, closed(text, '`')),
        // PostgreSQL's arrays have brackets, too: `a[1]`, `int[]`.
        '[' if text.chars().nth(1).is_some_and(char::is_alphabetic) => {
            (Kind::Foreign, until(1, "]"))
        }
        '$' if tag(text).is_some() => {
            let tag = tag(text).unwrap_or_default();
            (Kind::Text, until(tag.len(), tag))
        }
        ':' if text.starts_with("::") => (Kind::Mark, 2),
        // Any other space is a part of a name, for both engines.
        c if c.is_ascii_whitespace() => (Kind::Space, while_is(|c| c.is_ascii_whitespace())),
        c if is_word(c) => (Kind::Word, while_is(is_word)),
        c => (Kind::Mark, c.len_utf8()),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length up to the closing quote; a doubled one closes nothing.
fn closed(text: &str, quote: char) -> usize {
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((place, c)) = rest.next() {
        if c == quote && rest.next_if(|(_, next)| *next == quote).is_none() {
            return place + quote.len_utf8();
        }
    }
    text.len()
}

/// The `$tag$` at the start of `text`, if there is one; `$1` is a parameter.
fn tag(text: &str) -> Option<&str> {
    let end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..end)?;
    let inner = tag.get(1..end - 1)?;
    let good = inner.chars().all(is_word) && !inner.starts_with(|c: char| c.is_ascii_digit());
    good.then_some(tag)
}

/// A statement of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'s> {
    /// Its text, from its first word to its semicolon.
    pub text: &'s str,
    /// On which line it begins, from 1 on.
    pub line: usize,
    /// Its pieces, but for white space and comments.
    pub tokens: Vec<Token<'s>>,
}

/// The statements of a script, in order. What stands between the `BEGIN` and the `END` of a trigger
/// belongs to it.
#[must_use]
pub fn statements(script: &str) -> Vec<Statement<'_>> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    let (mut start, mut place) = (0, 0);
    for token in tokens(script) {
        if open.is_empty() {
            start = place;
        }
        place += token.text.len();
        if matches!(token.kind, Kind::Space | Kind::Comment) {
            continue;
        }
        open.push(token);
        if token.is_mark(";") && !in_body(&open) {
            let text = script.get(start..place).unwrap_or_default();
            found.extend(statement(text, std::mem::take(&mut open)));
        }
    }
    found.extend(statement(
        script.get(start..).unwrap_or_default().trim_end(),
        open,
    ));
    found
}

fn statement<'s>(text: &'s str, tokens: Vec<Token<'s>>) -> Option<Statement<'s>> {
    let line = tokens.first()?.line;
    let empty = tokens.iter().all(|token| token.is_mark(";"));
    (!empty).then_some(Statement { text, line, tokens })
}

/// Whether a semicolon here is one inside of a trigger's body.
fn in_body(tokens: &[Token<'_>]) -> bool {
    let mut words = tokens.iter();
    if !words.next().is_some_and(|it| it.is("CREATE")) || !words.take(3).any(|it| it.is("TRIGGER"))
    {
        return false;
    }
    // `CASE … END` is the other one that ends so.
    let opens = |it: &&Token<'_>| it.is("BEGIN") || it.is("CASE");
    let opened = tokens.iter().filter(opens).count();
    opened > tokens.iter().filter(|it| it.is("END")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_script_are_the_script() {
        let script = "SELECT 'it''s' -- ;\n, \"a\"\"b\", `c`, [d e], a[1], $1, $$;$$, $x$ $y$ $x$, é::TEXT /* ;\n */;x '";
        let pieces: Vec<Token<'_>> = tokens(script).collect();
        let whole: String = pieces.iter().map(|it| it.text).collect();
        assert_eq!(whole, script);
        let of = |kind: Kind| -> Vec<&str> {
            let some = pieces.iter().filter(|it| it.kind == kind);
            some.map(|it| it.text).collect()
        };
        assert_eq!(of(Kind::Text), ["'it''s'", "$$;$$", "$x$ $y$ $x$", "'"]);
        assert_eq!(of(Kind::Name), ["\"a\"\"b\""]);
        assert_eq!(of(Kind::Foreign), ["`c`", "[d e]"]);
        assert_eq!(of(Kind::Comment), ["-- ;\n", "/* ;\n */"]);
        assert_eq!(of(Kind::Word), ["SELECT", "a", "1", "1", "é", "TEXT", "x"]);
        let lines: Vec<usize> = pieces.iter().map(|it| it.line).collect();
        assert_eq!((lines.first(), lines.last()), (Some(&1), Some(&3)));
        assert_eq!(pieces[5].name(), None);
        let names: Vec<String> = pieces.iter().filter_map(Token::name).collect();
        assert_eq!(names[1..3], ["a\"b", "c"]);
    }

    #[test]
    fn statements_have_their_lines_and_no_empty_one_counts() {
        let script = "-- first\nCREATE TABLE a (x TEXT);\n;\n\n-- second;\nDROP TABLE b; /* end */\nSELECT ';'";
        let found = statements(script);
        let told: Vec<(usize, &str)> = found.iter().map(|it| (it.line, it.text)).collect();
        assert_eq!(
            told,
            [
                (2, "CREATE TABLE a (x TEXT);"),
                (6, "DROP TABLE b;"),
                (7, "SELECT ';'")
            ]
        );
        assert!(statements(" -- nothing\n;").is_empty());
    }

    #[test]
    fn a_triggers_body_is_a_part_of_it() {
        let script = "CREATE TEMP TRIGGER t AFTER UPDATE ON a BEGIN
             UPDATE b SET x = CASE WHEN y THEN 1 ELSE 2 END;
             DELETE FROM c;
           END;
           BEGIN; COMMIT;";
        let found = statements(script);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].text.ends_with("END;"));
        assert_eq!((found[1].text, found[1].line), ("BEGIN;", 5));
    }
}
