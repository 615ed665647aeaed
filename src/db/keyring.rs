//! Which key file belongs to the database. Two daemons on one server, or a database that was put
//! beside another one's key file, would refuse each other's tokens as forged.

use super::{Db, Tx};
use crate::error::Result;
use crate::keys::Keys;
use crate::time::Timestamp;

/// Whether `keys` belong to what is stored in `db`. Whoever is first decides.
///
/// # Errors
/// Those of the database.
pub fn fits(db: &Db, keys: &Keys, now: Timestamp) -> Result<bool> {
    if let Some(stored) = db.look(fingerprint)? {
        return Ok(stored == keys.fingerprint);
    }
    let own = keys.fingerprint.clone();
    let stored = db.write(move |tx| {
        tx.run(
            "INSERT INTO keyring (id, fingerprint, since) VALUES (1, $1, $2)
             ON CONFLICT (id) DO NOTHING",
            &[own.as_str().into(), now.into()],
        )?;
        fingerprint(tx)
    })?;
    Ok(stored.as_ref() == Some(&keys.fingerprint))
}

/// Whether `keys` are not known to be others than those of `db`: it writes nothing.
///
/// # Errors
/// Those of the database.
pub fn may_fit(db: &Db, keys: &Keys) -> Result<bool> {
    let stored = db.look(fingerprint)?;
    Ok(stored.is_none_or(|stored| stored == keys.fingerprint))
}

/// The fingerprint of the key file with which the database was used first.
///
/// # Errors
/// Those of the database.
pub fn fingerprint(tx: &mut Tx<'_>) -> Result<Option<String>> {
    let row = tx.first("SELECT fingerprint FROM keyring WHERE id = 1", &[])?;
    row.map(|row| row.text("fingerprint")).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    #[test]
    fn the_first_key_file_is_the_one_and_every_other_is_refused() {
        let app = App::memory();
        let (first, second) = (Keys::ephemeral().unwrap(), Keys::ephemeral().unwrap());
        for (keys, expected) in [(&first, true), (&second, false), (&first, true)] {
            assert_eq!(fits(app.db(), keys, Timestamp(1)).unwrap(), expected);
        }
    }
}
