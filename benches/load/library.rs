//! The library on a data folder that no daemon has open.

use std::path::Path;

use provost::app::App;
use provost::config::{Config, DbUrl, Environment, Sources};
use provost::db::{Db, Role};
use provost::keys::Keys;

use crate::Outcome;
use crate::server::DATABASE;

/// Opens the folder as the daemon or as a command does.
pub(crate) fn open(folder: &Path, role: Role) -> Outcome<App> {
    let config = Config::load(&Sources::default(), &Environment::bare(folder))?;
    let keys = Keys::load(&folder.join("provost.key"))?;
    let db = Db::open(&DbUrl::Sqlite(folder.join(DATABASE)), role)?;
    Ok(App::new(config, keys, db))
}
