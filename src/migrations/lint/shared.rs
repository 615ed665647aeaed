//! What SQLite and PostgreSQL do not share, told by its words.

use super::Rule;
use crate::db::script::{Kind, Statement, Token};

/// Functions that one engine alone has, or that mean another thing on the other.
const FUNCTIONS: [&str; 40] = [
    "array_agg",
    "changes",
    "char_length",
    "date",
    "date_trunc",
    "datetime",
    "extract",
    "format",
    "gen_random_uuid",
    "glob",
    "greatest",
    "group_concat",
    "hex",
    "ifnull",
    "iif",
    "instr",
    "json_extract",
    "jsonb_build_object",
    "julianday",
    "last_insert_rowid",
    "least",
    "nextval",
    "now",
    "printf",
    "quote",
    "random",
    "randomblob",
    "regexp_replace",
    "strftime",
    "string_agg",
    "time",
    "to_char",
    "to_timestamp",
    "total",
    "total_changes",
    "typeof",
    "unixepoch",
    "unnest",
    "uuidv7",
    "zeroblob",
];

/// Words that one engine alone has, or that mean another thing on the other.
const WORDS: [&str; 23] = [
    "AUTOINCREMENT",
    "AUTO_INCREMENT",
    "CLUSTER",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "EXTENSION",
    "FALSE",
    "FTS5",
    "GLOB",
    "GRANT",
    "IDENTITY",
    "ILIKE",
    "INCLUDE",
    "INDEXED",
    "MATERIALIZED",
    "NOCASE",
    "REVOKE",
    "ROWID",
    "SIMILAR",
    "TRUE",
    "TRUNCATE",
    "VIRTUAL",
];

/// Things that only PostgreSQL makes, or that it makes in another way.
const THINGS: [&str; 9] = [
    "DOMAIN",
    "FUNCTION",
    "POLICY",
    "PROCEDURE",
    "ROLE",
    "SCHEMA",
    "SEQUENCE",
    "TRIGGER",
    "TYPE",
];

pub(super) fn look(statement: &Statement<'_>, tell: &mut impl FnMut(Rule, usize, String)) {
    let tokens = &statement.tokens;
    let mut tell = |token: &Token<'_>, reason: String| tell(Rule::Shared, token.line, reason);
    for (place, token) in tokens.iter().enumerate() {
        let next = tokens.get(place + 1);
        let follows = |mark: &str| next.is_some_and(|it| it.is_mark(mark));
        let text = token.text;
        let quoted = next.is_some_and(|it| it.kind == Kind::Text && it.text.starts_with('\''));
        let known = |list: &[&str]| list.iter().any(|word| token.is(word));
        if token.is_mark("::") {
            tell(token, "`::` is PostgreSQL's: CAST(x AS TEXT)".into());
        } else if token.kind == Kind::Foreign {
            tell(
                token,
                format!("{text}: names stand in double quotes, or in none"),
            );
        } else if token.kind == Kind::Text && text.starts_with('$') {
            tell(token, "quoting by dollars is PostgreSQL's".into());
        } else if known(&["E", "X", "B"]) && quoted {
            tell(
                token,
                format!("{text}'…' is another thing on the other engine"),
            );
        } else if known(&FUNCTIONS) && follows("(") {
            tell(token, format!("{text}() is not the same on both engines"));
        } else if known(&WORDS) {
            tell(token, format!("{text} is not the same on both engines"));
        } else if known(&["INSERT", "UPDATE"]) && next.is_some_and(|it| it.is("OR")) {
            tell(token, format!("{text} OR … is SQLite's: ON CONFLICT … DO"));
        }
    }
    let Some(first) = tokens.first() else {
        return;
    };
    let second = tokens.get(1);
    let made = |word: &&&str| tokens.iter().skip(1).take(3).any(|it| it.is(word));
    if [
        "REPLACE", "COMMENT", "DO", "COPY", "ANALYZE", "REINDEX", "SET", "LOCK", "CALL", "REFRESH",
    ]
    .iter()
    .any(|word| first.is(word))
    {
        tell(
            first,
            format!("{} … is not the same on both engines", first.text),
        );
    } else if first.is("CREATE")
        && let Some(thing) = THINGS.iter().find(made)
    {
        tell(
            first,
            format!("CREATE {thing} is not the same on both engines"),
        );
    } else if first.is("ALTER") && second.is_some_and(|it| it.is("TABLE")) {
        let pairs = tokens.windows(2);
        let constraint = |pair: &&[Token<'_>]| {
            pair.first()
                .is_some_and(|it| it.is("DROP") || it.is("ADD") || it.is("ALTER"))
                && pair.get(1).is_some_and(|it| {
                    it.is("CONSTRAINT")
                        || it.is("COLUMN") && pair.first().is_some_and(|it| it.is("ALTER"))
                })
        };
        if let Some([what, of]) = pairs.into_iter().find(constraint) {
            tell(what, format!("{} {} is PostgreSQL's", what.text, of.text));
        }
    } else if first.is("CREATE")
        && second.is_some_and(|it| it.is("TABLE"))
        && !tokens.iter().any(|it| it.is("STRICT"))
    {
        tell(
            first,
            "without STRICT, SQLite puts anything into any column".into(),
        );
    }
}
