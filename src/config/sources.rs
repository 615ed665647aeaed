//! The four layers: defaults, `provost.toml`, the environment, flags; each wins over those before.
//!
//! Invariant: whatever layer a value comes from, it is text with its origin until `Config` reads
//! it, so the same rule holds for all of them and each refusal can say where to look.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::file;
use super::settings::{self, Kind, SETTINGS, Setting};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Variables with the prefix that other parts of the program or its tests read.
const OTHER_VARIABLES: &[&str] = &[
    "PROVOST_CONFIG",
    "PROVOST_TEST_CLIENTS",
    "PROVOST_TEST_POSTGRES",
];
const SECRET_KEY: &str = "SECRET_KEY";
const MAX_VALUE_FILE: u64 = 64 * 1024;

/// The words of the command line, the program's name first: surroundings, too, and read nowhere
/// else.
pub fn arguments() -> std::env::ArgsOs {
    std::env::args_os()
}

/// The server on which rule tests run instead of in memory.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests have no settings")]
pub(crate) fn test_server() -> Option<String> {
    std::env::var("PROVOST_TEST_POSTGRES").ok()
}

/// What was given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// `--db URL`.
    pub db: Option<String>,
    /// `--data-dir DIR`.
    pub data_dir: Option<PathBuf>,
    /// `--listen ADDR`, as often as it was given.
    pub listen: Vec<String>,
}

/// What the program may know of its surroundings, taken once; tests make their own.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    pub(super) data_dir: Option<PathBuf>,
    config_file: Option<PathBuf>,
    user: u32,
}

/// Names only: the values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("data_dir", &self.data_dir)
            .field("config_file", &self.config_file)
            .field("user", &self.user)
            .finish()
    }
}

impl Environment {
    /// The process's own surroundings. The only reader of the environment.
    ///
    /// # Errors
    /// [`Error::Config`] if a variable of ours is not UTF-8.
    pub fn read() -> Result<Self> {
        let mut variables = BTreeMap::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the environment"
        )]
        let all = std::env::vars_os();
        for (name, value) in all {
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else {
                continue;
            };
            let value = value
                .into_string()
                .map_err(|_| Error::Config(format!("{name} is not UTF-8")))?;
            variables.insert(name.to_owned(), value);
        }
        let user = rustix::process::geteuid().as_raw();
        let (data_dir, config_file) = if user == 0 {
            let root = |path: &str| Some(PathBuf::from(path));
            (root("/var/lib/provost"), root("/etc/provost/provost.toml"))
        } else {
            let folders = directories::ProjectDirs::from("", "", "provost");
            (
                folders.as_ref().map(|to| to.data_dir().to_owned()),
                folders
                    .as_ref()
                    .map(|to| to.config_dir().join("provost.toml")),
            )
        };
        Ok(Self {
            variables,
            data_dir,
            config_file,
            user,
        })
    }

    /// Surroundings without any variable, where the usual data folder is `data_dir` and the usual
    /// file is `provost.toml` in it.
    #[must_use]
    pub fn bare(data_dir: &Path) -> Self {
        Self {
            variables: BTreeMap::new(),
            data_dir: Some(data_dir.to_owned()),
            config_file: Some(data_dir.join("provost.toml")),
            user: rustix::process::geteuid().as_raw(),
        }
    }

    /// The same, with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A variable's value; an empty one counts as not set, as compose files cannot leave one out.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// The value of `NAME`, or of the file that `NAME_FILE` names.
    fn value(&self, name: &str) -> Result<Option<(String, Origin)>> {
        let by_file = format!("{name}_FILE");
        match (self.get(name), self.get(&by_file)) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Error::Config(format!(
                "{name} and {by_file} are both set; keep one"
            ))),
            (Some(value), None) => {
                let origin = Origin::Variable(name.to_owned());
                Ok(Some((value.trim().to_owned(), origin)))
            }
            (None, Some(path)) => {
                let value = read_value(&by_file, path)?;
                let origin = Origin::VariableFile(by_file, path.into());
                Ok(Some((value, origin)))
            }
        }
    }
}

fn is_ours(name: &str) -> bool {
    let plain = name.strip_suffix("_FILE").unwrap_or(name);
    let mut aliases = SETTINGS.iter().filter_map(|setting| setting.alias);
    name.starts_with("PROVOST_") || plain == SECRET_KEY || aliases.any(|alias| alias.name == plain)
}

fn read_value(variable: &str, path: &str) -> Result<String> {
    use std::io::Read as _;
    let reading = || format!("read {path}, which {variable} names");
    let mut text = String::new();
    std::fs::File::open(path)
        .map_err(Error::io(reading()))?
        .take(MAX_VALUE_FILE)
        .read_to_string(&mut text)
        .map_err(Error::io(reading()))?;
    Ok(text.trim().to_owned())
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A file named by an environment variable.
    VariableFile(String, PathBuf),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::VariableFile(name, path) => write!(f, "{name} ({})", path.display()),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value as it was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// Exactly one text, unless the setting is a list.
    pub(super) values: Vec<String>,
    pub(super) origin: Origin,
}

/// All layers on top of each other: a value for every setting.
#[derive(Debug)]
pub(super) struct Layers {
    given: BTreeMap<&'static str, Given>,
    pub(super) config_file: Option<PathBuf>,
    pub(super) readable_by_others: bool,
    /// `SECRET_KEY`: not a setting, so that `config show` cannot show it.
    pub(super) secret_key: Option<(Secret<String>, Origin)>,
    pub(super) warnings: Vec<String>,
}

impl Layers {
    pub(super) fn gather(sources: &Sources, environment: &Environment) -> Result<Self> {
        let mut layers = Self {
            given: BTreeMap::new(),
            config_file: None,
            readable_by_others: false,
            secret_key: None,
            warnings: Vec::new(),
        };
        for setting in SETTINGS {
            layers.put(setting, setting.default, Origin::Default);
        }
        layers.add_file(sources, environment)?;
        layers.add_environment(environment)?;
        layers.add_flags(sources)?;
        Ok(layers)
    }

    /// What was given for `setting`.
    pub(super) fn given(&self, name: &str) -> Result<(&'static Setting, &Given)> {
        let found = settings::find(name).zip(self.given.get(name));
        found.ok_or_else(|| Error::internal(format!("no setting {name}")))
    }

    fn put(&mut self, setting: &'static Setting, text: &str, origin: Origin) {
        let values = if setting.kind.is_list() {
            settings::items(text).map(str::to_owned).collect()
        } else {
            vec![text.to_owned()]
        };
        self.given.insert(setting.name, Given { values, origin });
    }

    fn add_file(&mut self, sources: &Sources, environment: &Environment) -> Result<()> {
        let named = match &sources.config {
            Some(path) => Some((path.clone(), Origin::Flag("--config"))),
            None => environment.get("PROVOST_CONFIG").map(|path| {
                let origin = Origin::Variable("PROVOST_CONFIG".into());
                (PathBuf::from(path), origin)
            }),
        };
        let path = named.as_ref().map(|(path, _)| path);
        let Some(path) = path.or(environment.config_file.as_ref()) else {
            return Ok(());
        };
        let path = std::path::absolute(path).map_err(Error::io("find the current folder"))?;
        match (file::read(&path, environment.user)?, named) {
            (Some(read), _) => {
                self.readable_by_others = read.readable_by_others;
                for (setting, given) in read.given {
                    self.given.insert(setting.name, given);
                }
                self.config_file = Some(path);
            }
            (None, Some((_, origin))) => {
                return Err(Error::Config(format!(
                    "{origin}: there is no file {}",
                    path.display()
                )));
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn add_environment(&mut self, environment: &Environment) -> Result<()> {
        for setting in SETTINGS {
            let own = environment.value(&setting.variable())?;
            let other = match setting.alias {
                None => None,
                Some(alias) => environment.value(alias.name)?.map(|found| (alias, found)),
            };
            match (own, other) {
                (Some((text, origin)), other) => {
                    if let Some((_, (_, unused))) = other {
                        self.warnings
                            .push(format!("{unused} is not used: {origin} is set, too"));
                    }
                    self.put(setting, &text, origin);
                }
                (None, Some((alias, (text, origin)))) => {
                    let text = match alias.unit {
                        None => text,
                        Some(unit) if text.parse::<u32>().is_ok() => format!("{text}{unit}"),
                        Some(_) => {
                            return Err(Error::Config(format!(
                                "{origin}: must be a whole number of minutes, without a unit"
                            )));
                        }
                    };
                    self.put(setting, &text, origin);
                }
                (None, None) => {}
            }
        }
        let secret = environment.value(SECRET_KEY)?;
        self.secret_key = secret.map(|(text, origin)| (Secret::new(text), origin));
        self.warn_of_unknown(environment);
        Ok(())
    }

    fn warn_of_unknown(&mut self, environment: &Environment) {
        let mut known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        known.extend(OTHER_VARIABLES.iter().map(|name| (*name).to_owned()));
        let names = environment.variables.keys();
        for name in names.filter(|name| name.starts_with("PROVOST_")) {
            let plain = name.strip_suffix("_FILE").unwrap_or(name);
            let by_file = OTHER_VARIABLES.contains(&plain) && plain != name;
            if !by_file && known.iter().any(|known| known == name || known == plain) {
                continue;
            }
            let near = settings::nearest(plain, known.iter().map(String::as_str));
            let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
            let name = name.escape_debug();
            self.warnings
                .push(format!("unknown environment variable {name}{hint}"));
        }
    }

    fn add_flags(&mut self, sources: &Sources) -> Result<()> {
        let mut put = |name: &str, flag: &'static str, values: Vec<String>| {
            if let Some(setting) = settings::find(name)
                && !values.is_empty()
            {
                let origin = Origin::Flag(flag);
                self.given.insert(setting.name, Given { values, origin });
            }
        };
        put("server.listen", "--listen", sources.listen.clone());
        put("db", "--db", sources.db.clone().into_iter().collect());
        if let Some(folder) = &sources.data_dir {
            let text = folder
                .to_str()
                .ok_or_else(|| Error::Config("--data-dir: must be UTF-8".into()))?;
            put("data_dir", "--data-dir", vec![text.to_owned()]);
        }
        Ok(())
    }

    /// The refusal of a value: where it comes from, and what it must be.
    pub(super) fn refuse(setting: &Setting, origin: &Origin, value: &str) -> Error {
        // What a file holds may be anything, if the variable names the wrong one.
        let hidden =
            matches!(setting.kind, Kind::Database) || matches!(origin, Origin::VariableFile(..));
        let not = if hidden {
            String::new()
        } else {
            let short: String = value.chars().take(64).collect();
            format!(", not {short:?}")
        };
        Error::Config(format!(
            "{origin}: {} must be {}{not}",
            setting.name,
            setting.kind.allowed()
        ))
    }
}
