//! The rules that the text of a statement is enough for.

use super::{Finding, Rule};
use super::{columns, own, shared};
use crate::db::script::{Kind, Statement, Token, statements};
use crate::db::steps::outside;
use crate::migrations::story::Whose;

/// Which way a file leads, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Up(Whose),
    Down(Whose),
}

/// What is the matter with the statements of a file.
pub(super) fn look(file: &str, text: &str, side: Side) -> Vec<Finding> {
    let statements = statements(text);
    let mut found = Vec::new();
    for statement in &statements {
        let mut tell = |rule: Rule, line: usize, reason: String| {
            found.push(rule.broken(file, line, reason));
        };
        if let Some(word) = outside(statement) {
            let reason = format!("{word} cannot be a part of a transaction");
            tell(Rule::Transaction, statement.line, reason);
        }
        shared::look(statement, &mut tell);
        columns::look(statement, &mut tell);
        if let Side::Up(Whose::Team) | Side::Down(Whose::Team) = side {
            own::look(statement, &mut tell);
        }
        // The way back takes away what the way there has made.
        if let Side::Up(_) = side {
            losses(statement, &mut tell);
        }
    }
    if let Side::Up(_) = side {
        copies(&statements, |line, table| {
            let reason = format!("copies the table {table} and puts the copy in its place");
            found.push(Rule::Rewrite.broken(file, line, reason));
        });
    }
    found
}

/// The table that a statement is about: the name after `word`, without its schema.
pub(super) fn after(statement: &Statement<'_>, place: usize) -> Option<String> {
    let skipped = ["IF", "NOT", "EXISTS", "ONLY", "TABLE", "INTO", "FROM"];
    let mut rest = statement.tokens.iter().skip(place).peekable();
    while rest
        .next_if(|it| skipped.iter().any(|word| it.is(word)))
        .is_some()
    {}
    let mut name = rest.next()?.name()?;
    while rest.next_if(|it| it.is_mark(".")).is_some() {
        name = rest.next()?.name()?;
    }
    Some(name)
}

/// The name after the first of the statement's `words`.
pub(super) fn target(statement: &Statement<'_>, word: &str) -> Option<String> {
    let place = statement.tokens.iter().position(|it| it.is(word))?;
    after(statement, place + 1)
}

/// What goes, what cannot be, and what is written anew.
fn losses(statement: &Statement<'_>, tell: &mut impl FnMut(Rule, usize, String)) {
    let tokens = &statement.tokens;
    let line = statement.line;
    let begins = |words: &[&str]| {
        let mut pairs = words.iter().zip(tokens);
        pairs.all(|(word, token)| token.is(word))
    };
    let whole = !tokens.iter().any(|it| it.is("WHERE"));
    if begins(&["DROP", "TABLE"]) {
        let name = target(statement, "TABLE").unwrap_or_default();
        tell(
            Rule::DropTable,
            line,
            format!("drops the table {name} with every row in it"),
        );
    } else if begins(&["DELETE", "FROM"]) && whole {
        let name = target(statement, "FROM").unwrap_or_default();
        tell(
            Rule::DeleteRows,
            line,
            format!("deletes every row of {name}"),
        );
    } else if begins(&["UPDATE"]) && whole {
        let name = target(statement, "UPDATE").unwrap_or_default();
        tell(
            Rule::Rewrite,
            line,
            format!("writes every row of {name} anew"),
        );
    } else if begins(&["ALTER", "TABLE"]) {
        alterations(statement, tell);
    }
}

fn alterations(statement: &Statement<'_>, tell: &mut impl FnMut(Rule, usize, String)) {
    let table = target(statement, "TABLE").unwrap_or_default();
    for action in columns::actions(statement) {
        let Some(first) = action.first() else {
            continue;
        };
        let has = |word: &str| action.iter().any(|it| it.is(word));
        let named = action.iter().skip(1).find(|it| !it.is("COLUMN"));
        let column = named.and_then(Token::name).unwrap_or_default();
        let no_column = ["CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK"];
        let is_column = !no_column
            .iter()
            .any(|word| named.is_some_and(|it| it.is(word)));
        if first.is("DROP") && is_column {
            let reason = format!("drops the column {table}.{column} with all that is in it");
            tell(Rule::DropColumn, first.line, reason);
        } else if first.is("ADD") && is_column {
            let mandatory = action.windows(2).any(|pair| {
                pair.first().is_some_and(|it| it.is("NOT"))
                    && pair.get(1).is_some_and(|it| it.is("NULL"))
            });
            let default = action.iter().position(|it| it.is("DEFAULT"));
            if mandatory && default.is_none() && !has("GENERATED") {
                let reason = format!(
                    "{table}.{column} is NOT NULL without a DEFAULT: no row that is there can have it"
                );
                tell(Rule::NotNull, first.line, reason);
            }
            if default.is_some_and(|place| computed(action.get(place + 1..).unwrap_or_default())) {
                let reason = format!(
                    "the DEFAULT of {table}.{column} is computed for each row that is there"
                );
                tell(Rule::Rewrite, first.line, reason);
            }
        } else if first.is("ALTER") && has("TYPE") {
            let reason = format!("{table}.{column} gets another type: every row is written anew");
            tell(Rule::Rewrite, first.line, reason);
        }
    }
}

/// Whether a default is more than a literal.
fn computed(default: &[Token<'_>]) -> bool {
    let call = |pair: &[Token<'_>]| {
        pair.first().is_some_and(|it| it.kind == Kind::Word)
            && pair.get(1).is_some_and(|it| it.is_mark("("))
    };
    let first = default.first();
    first.is_some_and(|it| it.is_mark("(") || it.text.to_ascii_uppercase().starts_with("CURRENT_"))
        || default.get(..2).is_some_and(call)
}

/// Tables that are dropped and come back as another one that gets their name.
fn copies(statements: &[Statement<'_>], mut tell: impl FnMut(usize, String)) {
    let mut dropped = Vec::new();
    for statement in statements {
        let starts = |words: [&str; 2]| {
            words
                .iter()
                .zip(&statement.tokens)
                .all(|(word, token)| token.is(word))
        };
        if starts(["DROP", "TABLE"]) {
            dropped.extend(target(statement, "TABLE"));
        } else if starts(["ALTER", "TABLE"])
            && statement.tokens.iter().any(|it| it.is("RENAME"))
            && let Some(name) = target(statement, "TO")
            && dropped.contains(&name)
        {
            tell(statement.line, name);
        }
    }
}
