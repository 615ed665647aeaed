//! What belongs to this program, and what a team's migration would do to it.

use std::sync::LazyLock;

use super::Rule;
use super::rules::{after, target};
use crate::db::script::{Statement, Token, statements};
use crate::migrations::story::ALL;

/// A team's migration may read what belongs to this program and point to it, and no more.
pub(super) fn look(statement: &Statement<'_>, tell: &mut impl FnMut(Rule, usize, String)) {
    let tokens = &statement.tokens;
    let index = tokens.first().is_some_and(|it| it.is("CREATE"))
        && tokens
            .iter()
            .skip(1)
            .take(3)
            .any(|it| it.is("INDEX") || it.is("TRIGGER"));
    let mut told = false;
    for (place, token) in tokens.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|it| tokens.get(it));
        let touches = ["TABLE", "INTO", "UPDATE", "TRUNCATE"]
            .iter()
            .any(|word| token.is(word))
            || token.is("FROM") && before.is_some_and(|it| it.is("DELETE"))
            || token.is("ON") && index;
        if !touches {
            continue;
        }
        if let Some(name) = after(statement, place + 1)
            && is_own(&name)
        {
            let reason = format!("changes {name}, which belongs to provost");
            tell(Rule::OwnTable, token.line, reason);
            told = true;
        }
    }
    // The words above are not all ways in which a trigger can say it.
    if index
        && !told
        && let Some(name) = written(tokens)
    {
        let reason = format!("writes to {name}, which belongs to provost");
        tell(Rule::OwnTable, statement.line, reason);
    }
    if tokens.first().is_some_and(|it| it.is("DROP"))
        && let Some(name) = after(statement, 2)
        && is_own_index(&name)
    {
        let reason = format!("drops {name}, which belongs to provost");
        tell(Rule::OwnTable, statement.line, reason);
    }
}

/// The table of this program to which a trigger of others writes, as far as SQLite lets it be said:
/// `UPDATE OR IGNORE 'users'`, too. Of a text that SQLite may cut into other words than we do (`a$b$`,
/// `[1']`) nobody can tell.
pub(in crate::migrations) fn writes(trigger: &str) -> Option<String> {
    let parts = statements(trigger);
    let mut all = parts.iter().flat_map(|part| &part.tokens);
    if all.any(|it| it.text.starts_with(['$', '['])) {
        return Some("a table that nobody can tell".to_owned());
    }
    parts.iter().find_map(|part| written(&part.tokens))
}

fn written(tokens: &[Token<'_>]) -> Option<String> {
    let otherwise = ["ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"];
    tokens.iter().enumerate().find_map(|(place, token)| {
        let name = token.text.trim_matches(['\'', '"', '`', '[', ']']);
        let mut before = tokens.iter().take(place).rev();
        let mut word = before.next()?;
        if otherwise.iter().any(|it| word.is(it)) && before.next()?.is("OR") {
            word = before.next()?;
        }
        let writes = word.is("INTO")
            || word.is("UPDATE")
            || word.is("FROM") && before.next().is_some_and(|it| it.is("DELETE"));
        (writes && is_own(name)).then(|| name.to_owned())
    })
}

/// What the migrations of this program have made, and what keeps their history.
static OWN: LazyLock<[Vec<String>; 2]> = LazyLock::new(|| {
    let histories = [
        "migrations",
        "team_migrations",
        "sqlite_schema",
        "sqlite_master",
    ];
    let mut tables = histories.map(str::to_owned).to_vec();
    tables.extend(created("TABLE"));
    [tables, created("INDEX")]
});

/// What the migrations of this program create, by the word that says what it is.
fn created(sort: &str) -> Vec<String> {
    let scripts = ALL.iter().flat_map(|migration| statements(&migration.up));
    let made = scripts.filter_map(|statement| {
        let first = statement.tokens.first()?;
        let such = statement.tokens.iter().take(3).any(|it| it.is(sort));
        (first.is("CREATE") && such).then(|| target(&statement, sort))?
    });
    made.collect()
}

/// Whether a table belongs to this program.
pub(in crate::migrations) fn is_own(name: &str) -> bool {
    let [tables, _] = &*OWN;
    tables.iter().any(|own| own.eq_ignore_ascii_case(name))
}

fn is_own_index(name: &str) -> bool {
    let [_, indexes] = &*OWN;
    indexes.iter().any(|own| own.eq_ignore_ascii_case(name))
}
