//! `provost init`: from nothing to a working installation in one command.

use std::borrow::Cow;
use std::os::unix::fs::MetadataExt as _;

use serde::Serialize;

use super::output::{Output, Record};
use super::password::{self, Generated, PasswordArgs};
use super::{Operator, Outcome, Site, operator, setup};
use crate::error::{Error, Result};
use crate::users::{self, Email, NewUser, Role, User, Username};
use crate::{migrations, recovery};

/// Set up the data folder, the key file, the database and the first administrator
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What exists already is kept as it is: repeating the command does no harm.

Examples:
  provost init
  provost init --admin maria --email maria@example.org --password-stdin < password.txt
  provost init --data-dir /srv/provost --admin maria --generate --json")]
pub(super) struct Init {
    /// Make an administrator of this name, unless there is one; asks for the password unless told
    /// how to get one [default: make nobody]
    #[arg(long, value_name = "NAME")]
    admin: Option<Username>,
    /// The administrator's e-mail address
    #[arg(long, value_name = "ADDRESS", requires = "admin")]
    email: Option<Email>,
    #[command(flatten)]
    password: PasswordArgs,
}

/// What is in place now.
#[derive(Debug, Serialize)]
struct Report {
    data_dir: String,
    data_dir_mode: String,
    key_file: String,
    key_file_new: bool,
    database: String,
    database_new: bool,
    schema: u32,
    engine: String,
    durability: &'static str,
    administrators: Vec<User>,
    #[serde(skip)]
    hint: Option<String>,
}

impl Record for Report {
    const COLUMNS: &'static [&'static str] = &[];

    fn id(&self) -> Cow<'_, str> {
        let first = self.administrators.first();
        first.map_or("".into(), |user| user.id.as_str().into())
    }
}

impl Init {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        if self.admin.is_none() && self.password.any() {
            return Err(Error::Usage(
                "a password belongs to somebody: add --admin NAME".into(),
            ));
        }
        let config = site.config(out)?;
        let actor = operator::actor(site.on_behalf_of());
        let setup = setup::prepare(&config, &actor)?;
        let operator = Operator::open(config, site.on_behalf_of())?;
        let (app, config) = (operator.app(), operator.app().config());
        let generated = self.administrator(&operator, out)?;
        let mode = std::fs::metadata(&config.data_dir).map_or(0, |folder| folder.mode() & 0o7777);
        let facts = app.db().facts();
        let report = Report {
            data_dir: config.data_dir.display().to_string(),
            data_dir_mode: format!("{mode:04o}"),
            key_file: config.key_file.display().to_string(),
            key_file_new: setup.new_key,
            database: config.db.place(),
            database_new: setup.new_database,
            schema: migrations::needed(),
            engine: facts.engine,
            durability: facts.durability,
            administrators: setup::administrators(app, operator.actor())?,
            hint: setup::no_administrator(app, operator.actor(), site)?,
        };
        if mode & 0o077 != 0 {
            let folder = &report.data_dir;
            out.warn(format_args!(
                "other users may look into {folder} (mode {mode:04o}); run: chmod 700 {folder}"
            ))?;
        }
        report.print(generated, out)?;
        Ok(Outcome::Done)
    }

    /// Makes the administrator that was asked for; one who is there already stays as they are.
    fn administrator(self, operator: &Operator, out: &mut Output) -> Result<Option<Generated>> {
        let Some(username) = self.admin else {
            return Ok(None);
        };
        let name = username.as_str().to_owned();
        match operator.read(|cx| users::resolve(cx, &name)) {
            Ok(user) if user.roles.contains(&Role::Admin) => {
                if self.password.any() {
                    out.message(format_args!(
                        "{} is an administrator already and keeps the password",
                        user.username
                    ))?;
                }
                return Ok(None);
            }
            Ok(_) => return Err(Error::UsernameTaken),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let (password, generated) = self.password.read(out)?;
        let new = NewUser {
            email: self.email,
            roles: vec![Role::Admin],
            password,
            ..NewUser::named(username)
        };
        recovery::create(operator.app(), operator.actor(), new)?;
        Ok(generated)
    }
}

impl Report {
    fn print(self, generated: Option<Generated>, out: &mut Output) -> Result<()> {
        if out.format().json || out.format().quiet {
            if self.administrators.is_empty() && !out.format().json {
                return Ok(());
            }
            return password::print(&self, generated, out);
        }
        let new = |new| if new { ", new" } else { "" };
        out.line(format!(
            "data folder    {}  ({})",
            self.data_dir, self.data_dir_mode
        ))?;
        out.line(format!(
            "key file       {}  (0600{})",
            self.key_file,
            new(self.key_file_new)
        ))?;
        out.line(format!(
            "database       {}  schema {}, {}, {}{}",
            self.database,
            self.schema,
            self.engine,
            self.durability,
            new(self.database_new)
        ))?;
        for user in &self.administrators {
            out.line(format!("administrator  {} ({})", user.username, user.id))?;
        }
        if let Some(hint) = &self.hint {
            out.line("administrator  none")?;
            out.message(hint)?;
        }
        password::reveal(generated, out)
    }
}
