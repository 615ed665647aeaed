//! A script run statement by statement. The server takes a script as a whole, too, but says then
//! only of some mistakes where they are.

use tokio_postgres::error::ErrorPosition;

use super::Link;
use super::ddl::translate;
use crate::db::script::{Statement, statements};
use crate::db::steps::{Broken, Clocked, Step, line, may_stand};
use crate::error::Error;

impl Link {
    pub(in crate::db) fn steps(&mut self, script: &str) -> Result<Vec<Step>, Broken> {
        // Three words become others, and no line moves.
        let script = translate(script);
        let mut clocked = Clocked::start();
        for statement in statements(&script) {
            may_stand(statement.text).map_err(|source| clocked.broken(statement.line, source))?;
            if let Err(source) = self.script_as_is(statement.text) {
                return Err(clocked.broken(place(&source, &statement), source));
            }
            clocked.ran(statement.line);
        }
        Ok(clocked.done())
    }
}

/// The line on which the server found the mistake, or that on which the statement begins.
fn place(source: &Error, statement: &Statement<'_>) -> usize {
    let offset = position(source, statement.text).unwrap_or(0);
    line(statement.line, statement.text, offset)
}

/// Where in the statement the server found the mistake, in bytes.
fn position(source: &Error, statement: &str) -> Option<usize> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source);
    while let Some(under) = cause {
        if let Some(told) = under.downcast_ref::<tokio_postgres::Error>() {
            let Some(ErrorPosition::Original(at)) = told.as_db_error()?.position() else {
                return None;
            };
            let characters = usize::try_from(*at).ok()?.saturating_sub(1);
            return statement
                .char_indices()
                .nth(characters)
                .map(|(byte, _)| byte);
        }
        cause = under.source();
    }
    None
}
