//! Where things are and who asks: the flags that every command has besides how to print.

use std::path::PathBuf;

use super::flags::EVERYWHERE;
use super::operator::Operator;
use super::output::Output;
use crate::config::{Config, Environment, Sources};
use crate::error::{Error, Result};
use crate::escape;

/// Where things are and who asks.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Site {
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE", help = CONFIG)]
    config: Option<PathBuf>,
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "URL", help = DB)]
    db: Option<String>,
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "DIR", help = DATA_DIR)]
    data_dir: Option<PathBuf>,
    /// Name in the audit log on whose behalf this is done [default: nobody]
    #[arg(long = "as", global = true, help_heading = EVERYWHERE, value_name = "USER", value_parser = printable)]
    on_behalf_of: Option<String>,
}

const CONFIG: &str = "Settings file [env: PROVOST_CONFIG] [default: /etc/provost/provost.toml for \
    root, ~/.config/provost/provost.toml for others]";
const DB: &str = "Database: a path, sqlite:PATH or postgres://USER@HOST/NAME [env: PROVOST_DB] \
    [default: provost.db in the data folder]";
const DATA_DIR: &str = "Data folder, with the database and the key file [env: PROVOST_DATA_DIR] \
    [default: /var/lib/provost for root, ~/.local/share/provost for others]";

/// A short text that cannot be mistaken for several lines of a log, for `value_parser`.
///
/// # Errors
/// The rule that the text breaks.
pub fn printable(text: &str) -> Result<String, String> {
    let good = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    good.then(|| text.to_owned())
        .ok_or_else(|| "must have 1 to 200 printable characters".to_owned())
}

impl Site {
    /// Reads the settings, and tells on standard error what the operator should know of them.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn config(&self, out: &mut Output) -> Result<Config> {
        self.config_listening(Vec::new(), out)
    }

    /// The same for a daemon that was told where to listen.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn config_listening(&self, listen: Vec<String>, out: &mut Output) -> Result<Config> {
        let sources = Sources {
            config: self.config.clone(),
            db: self.db.clone(),
            data_dir: self.data_dir.clone(),
            listen,
        };
        let config = Config::load(&sources, &Environment::read()?)?;
        for warning in &config.warnings {
            out.warn(warning)?;
        }
        Ok(config)
    }

    /// The settings, and why they cannot be used as they are: then they are those of the flags and the
    /// environment, or none. For who has to go on whatever is broken.
    #[must_use]
    pub fn settings(&self) -> (Option<Config>, Option<Error>) {
        let sources = Sources {
            config: self.config.clone(),
            db: self.db.clone(),
            data_dir: self.data_dir.clone(),
            listen: Vec::new(),
        };
        let environment = match Environment::read() {
            Ok(environment) => environment,
            Err(error) => return (None, Some(error)),
        };
        match Config::load(&sources, &environment) {
            Ok(config) => (Some(config), None),
            Err(error) => {
                let without = Sources {
                    config: Some("/dev/null".into()),
                    ..sources
                };
                (Config::load(&without, &environment).ok(), Some(error))
            }
        }
    }

    /// Opens the database, whose schema must fit this binary.
    ///
    /// # Errors
    /// As [`Operator::open`].
    pub fn operator(&self, out: &mut Output) -> Result<Operator> {
        Operator::open(self.config(out)?, self.on_behalf_of.clone())
    }

    /// Opens the database whatever its schema.
    ///
    /// # Errors
    /// As [`Operator::open_any_schema`].
    pub fn operator_any_schema(&self, out: &mut Output) -> Result<Operator> {
        Operator::open_any_schema(self.config(out)?, self.on_behalf_of.clone())
    }

    /// The flags that lead another command to the same place, for commands that are suggested.
    #[must_use]
    pub fn flags(&self) -> String {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let given = [
            ("--config", path(&self.config)),
            ("--db", self.db.clone()),
            ("--data-dir", path(&self.data_dir)),
        ];
        given
            .into_iter()
            .filter_map(|(flag, value)| Some(format!(" {flag} {}", escape::word(&value?))))
            .collect()
    }

    /// The person named by `--as`.
    #[must_use]
    pub fn on_behalf_of(&self) -> Option<String> {
        self.on_behalf_of.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_command_leads_to_the_same_place() {
        let site = Site {
            data_dir: Some("/srv/my data".into()),
            db: Some("x.db".into()),
            ..Site::default()
        };
        assert_eq!(site.flags(), " --db x.db --data-dir '/srv/my data'");
    }
}
