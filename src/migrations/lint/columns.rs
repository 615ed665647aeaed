//! The columns that a statement makes, and their types.

use super::Rule;
use crate::db::script::{Statement, Token};

/// What both engines have; `db::postgres` translates two of them.
const TYPES: [&str; 3] = ["INTEGER", "TEXT", "BLOB"];

/// Words that begin what is no column.
const RULES: [&str; 7] = [
    "PRIMARY",
    "FOREIGN",
    "UNIQUE",
    "CHECK",
    "CONSTRAINT",
    "EXCLUDE",
    "LIKE",
];

/// Looks at the type of every column that the statement makes.
pub(super) fn look(statement: &Statement<'_>, tell: &mut impl FnMut(Rule, usize, String)) {
    let first = statement.tokens.first();
    let makes = first.is_some_and(|it| it.is("CREATE"))
        && statement.tokens.iter().take(4).any(|it| it.is("TABLE"));
    let definitions = if makes {
        parts(body(&statement.tokens))
    } else if first.is_some_and(|it| it.is("ALTER")) {
        let added = actions(statement)
            .into_iter()
            .filter(|it| it.first().is_some_and(|it| it.is("ADD")));
        added
            .map(|action| without(action, &["ADD", "COLUMN", "IF", "NOT", "EXISTS"]))
            .collect()
    } else {
        Vec::new()
    };
    for definition in definitions {
        let Some(name) = definition.first() else {
            continue;
        };
        if RULES.iter().any(|word| name.is(word)) {
            continue;
        }
        let sort = definition.get(1);
        if sort.is_some_and(|it| TYPES.iter().any(|known| it.is(known))) {
            continue;
        }
        let column = name.name().unwrap_or_default();
        let sort = sort.and_then(Token::name);
        let reason = sort.map_or_else(
            || format!("the column {column} has no type"),
            |sort| {
                format!("the column {column} has the type {sort}, which one engine does not have")
            },
        );
        tell(Rule::ColumnType, name.line, reason);
    }
}

/// What an `ALTER TABLE` does, one after the other.
pub(super) fn actions<'t, 's>(statement: &'t Statement<'s>) -> Vec<&'t [Token<'s>]> {
    let verbs = [
        "ADD", "DROP", "ALTER", "RENAME", "SET", "RESET", "OWNER", "ENABLE", "DISABLE", "VALIDATE",
    ];
    let tokens = statement.tokens.as_slice();
    let begins = |it: &Token<'_>| verbs.iter().any(|word| it.is(word));
    // Past `ALTER TABLE` and the table's name.
    let start = tokens
        .iter()
        .skip(3)
        .position(begins)
        .map_or(tokens.len(), |place| place + 3);
    parts(tokens.get(start..).unwrap_or_default())
}

/// What stands in the outermost parentheses.
fn body<'t, 's>(tokens: &'t [Token<'s>]) -> &'t [Token<'s>] {
    let start = tokens
        .iter()
        .position(|it| it.is_mark("("))
        .map_or(tokens.len(), |place| place + 1);
    let rest = tokens.get(start..).unwrap_or_default();
    let mut depth = 1_usize;
    let end = rest.iter().position(|it| {
        depth = deeper(depth, it);
        depth == 0
    });
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

/// What stands between the commas outside of parentheses.
fn parts<'t, 's>(tokens: &'t [Token<'s>]) -> Vec<&'t [Token<'s>]> {
    let mut depth = 0;
    let separates = |it: &Token<'s>| {
        depth = deeper(depth, it);
        depth == 0 && (it.is_mark(",") || it.is_mark(";"))
    };
    let parts = tokens.split(separates);
    parts.filter(|part| !part.is_empty()).collect()
}

fn deeper(depth: usize, token: &Token<'_>) -> usize {
    if token.is_mark("(") {
        depth + 1
    } else if token.is_mark(")") {
        depth.saturating_sub(1)
    } else {
        depth
    }
}

fn without<'t, 's>(tokens: &'t [Token<'s>], words: &[&str]) -> &'t [Token<'s>] {
    let skipped = tokens
        .iter()
        .take_while(|it| words.iter().any(|word| it.is(word)));
    tokens.get(skipped.count()..).unwrap_or_default()
}
