//! From text to types: each value is parsed here, or refused with its origin.

use std::path::PathBuf;

use super::settings::Kind;
use super::sources::{Layers, Origin};
use super::{absolute, values};
use crate::error::{Error, Result};
use crate::time::Period;

impl Layers {
    /// The one value of `name`.
    pub(super) fn one<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let (setting, given) = self.given(name)?;
        let text = given.values.first().map_or("", String::as_str);
        parse(text).ok_or_else(|| Self::refuse(setting, &given.origin, text))
    }

    /// The one value of `name`, where empty is none.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        self.one(name, |text| {
            if text.is_empty() {
                Some(None)
            } else {
                parse(text).map(Some)
            }
        })
    }

    /// All values of `name`.
    pub(super) fn list<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
        let (setting, given) = self.given(name)?;
        if given.values.is_empty() && matches!(setting.kind, Kind::Addresses) {
            return Err(Error::Config(format!(
                "{}: {name} must have at least one address",
                given.origin
            )));
        }
        let parse =
            |text: &String| parse(text).ok_or_else(|| Self::refuse(setting, &given.origin, text));
        given.values.iter().map(parse).collect()
    }

    /// A number within the setting's range.
    pub(super) fn number<T: TryFrom<u64>>(&self, name: &str) -> Result<T> {
        let (setting, _) = self.given(name)?;
        self.one(name, |text| {
            let number: u64 = text.parse().ok()?;
            let fits = matches!(setting.kind, Kind::Number { min, max }
                if (min..=max).contains(&number));
            T::try_from(number).ok().filter(|_| fits)
        })
    }

    /// A length of time within the setting's range.
    pub(super) fn period(&self, name: &str) -> Result<Period> {
        let (setting, _) = self.given(name)?;
        self.one(name, |text| {
            let period: Period = text.parse().ok()?;
            let fits = matches!(setting.kind, Kind::Period { min, max }
                if (min..=max).contains(&period.0));
            Some(period).filter(|_| fits)
        })
    }

    /// A path, absolute; `None` if it is left to the default.
    pub(super) fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        match self.optional(name, values::path)? {
            Some(path) => self.place(name, path).map(Some),
            None => Ok(None),
        }
    }

    /// Makes a path of `name` absolute: from the folder of the file that says it, or else from the
    /// current folder, so that a file means the same wherever the program is started.
    pub(super) fn place(&self, name: &str, path: PathBuf) -> Result<PathBuf> {
        let (_, given) = self.given(name)?;
        match &given.origin {
            Origin::File { path: file, .. } => {
                let folder = file.parent().unwrap_or(file);
                absolute(folder.join(path))
            }
            Origin::Default | Origin::Variable(_) | Origin::VariableFile(..) | Origin::Flag(_) => {
                absolute(path)
            }
        }
    }

    /// The origin to name when settings contradict each other: the first that somebody chose.
    pub(super) fn blame(&self, names: &[&str]) -> Result<&Origin> {
        let mut blamed = &Origin::Default;
        for name in names {
            let (_, given) = self.given(name)?;
            if *blamed == Origin::Default {
                blamed = &given.origin;
            }
        }
        Ok(blamed)
    }
}
