//! The forms in which a quiz comes as a file: one way in for the shell and for HTTP.

use super::gift::{self, Fault, Found};
use super::import::MOST;
use super::{Settings, Written, check, form, moodle};

/// In which form a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// GIFT: questions, as people type them.
    Gift,
    /// Moodle XML: questions, as Moodle hands them out.
    Moodle,
    /// TOML: questions, and how the quiz is taken.
    Toml,
}

/// What was read of a file without settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// The questions that can be asked.
    pub(super) questions: Vec<Found>,
    /// Why others cannot.
    pub(super) faults: Vec<Fault>,
    /// What is not quite as it is in the file.
    pub(super) notes: Vec<Fault>,
}

impl Read {
    /// Whether it is over the limit already, so that the rest need not be read.
    pub(super) fn is_full(&self) -> bool {
        self.questions.len() > MOST || self.faults.len() > MOST
    }
}

/// A quiz that is ready to be taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// How it is taken, and what is asked.
    pub written: Written,
    /// Whether the file says how it is taken.
    pub has_settings: bool,
    /// What was taken otherwise than it stands in the file, or left out.
    pub notes: Vec<Fault>,
}

impl Source {
    /// All there are, in the order in which help texts name them.
    pub const ALL: [Self; 3] = [Self::Gift, Self::Moodle, Self::Toml];

    /// The word, as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gift => "gift",
            Self::Moodle => "moodle",
            Self::Toml => "toml",
        }
    }

    /// As the name of a file ends.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "gift" | "txt" => Some(Self::Gift),
            "xml" => Some(Self::Moodle),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }

    /// As a request says it.
    #[must_use]
    pub fn of_media_type(name: &str) -> Option<Self> {
        match name {
            "text/x-gift" => Some(Self::Gift),
            "application/xml" | "text/xml" => Some(Self::Moodle),
            "application/toml" => Some(Self::Toml),
            _ => None,
        }
    }

    /// Reads a quiz; `title` is that of one whose file has none. With `partly` questions that cannot
    /// be taken in are left out, and that is noted.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of lines.
    pub fn read(self, text: &str, title: &str, partly: bool) -> Result<Draft, Vec<Fault>> {
        let mut read = match self {
            Self::Toml => {
                let mut written = form::read(text)?;
                check(&mut written, true)?;
                return Ok(Draft {
                    written,
                    has_settings: true,
                    notes: Vec::new(),
                });
            }
            Self::Gift => gift::part(text),
            Self::Moodle => moodle::read(text).map_err(|fault| vec![fault])?,
        };
        if !read.faults.is_empty() {
            // Of nothing no quiz is made: one that is there would lose all of its questions. And what
            // was not read to its end is not taken in.
            if !partly || read.questions.is_empty() || read.is_full() {
                return Err(read.faults);
            }
            let left_out = read.faults.into_iter().map(|fault| Fault {
                message: format!("left out: {}", fault.message),
                ..fault
            });
            read.notes.extend(left_out);
            read.notes.sort_by_key(|note| note.line);
        }
        let mut written = Written {
            settings: Settings::titled(title),
            questions: read.questions,
        };
        check(&mut written, false)?;
        Ok(Draft {
            written,
            has_settings: false,
            notes: read.notes,
        })
    }
}
