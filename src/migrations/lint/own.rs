//! What belongs to this program, and what a team's migration would do to it.

use std::sync::LazyLock;

use super::Rule;
use super::rules::{after, target};
use crate::db::script::{Statement, statements};
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
        }
    }
    if tokens.first().is_some_and(|it| it.is("DROP"))
        && let Some(name) = after(statement, 2)
        && is_own_index(&name)
    {
        let reason = format!("drops {name}, which belongs to provost");
        tell(Rule::OwnTable, statement.line, reason);
    }
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
