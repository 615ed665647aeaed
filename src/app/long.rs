//! Units of work that may take long: of commands that fill a database, or try something with all of
//! it.

use super::{Actor, App, Cx};
use crate::error::Result;
use crate::metrics::Counts;

impl App {
    /// Runs `f` as `actor`, however long it takes, and commits if it returns `Ok`: for a command
    /// that fills the whole database.
    ///
    /// # Errors
    /// What `f` returns, or as [`crate::db::Db::import`].
    pub fn import<T>(
        &self,
        actor: &Actor,
        f: impl FnOnce(&mut Cx<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        self.may_write()?;
        let inner = &*self.0;
        let mut counts = Counts::default();
        let result = inner
            .db
            .import(|tx| f(&mut inner.cx(tx, actor, &mut counts)));
        counts.settle(result.is_ok());
        result
    }

    /// [`App::import`] without the rules of foreign keys.
    ///
    /// # Errors
    /// As [`crate::db::Db::import_loosely`].
    pub fn import_loosely<T>(
        &self,
        actor: &Actor,
        f: impl FnOnce(&mut Cx<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        self.may_write()?;
        let inner = &*self.0;
        let mut counts = Counts::default();
        let result = inner
            .db
            .import_loosely(|tx| f(&mut inner.cx(tx, actor, &mut counts)));
        counts.settle(result.is_ok());
        result
    }

    /// Runs `f` as `actor`, however long it takes, and keeps nothing of what it does: for a look at
    /// what would come of it.
    ///
    /// # Errors
    /// What `f` returns, or as [`crate::db::Db::export`].
    pub fn rehearse<T>(
        &self,
        actor: &Actor,
        f: impl FnOnce(&mut Cx<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let inner = &*self.0;
        let mut counts = Counts::default();
        inner
            .db
            .export(|tx| f(&mut inner.cx(tx, actor, &mut counts)))
    }
}
