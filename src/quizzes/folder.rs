//! The quizzes in the folder of a course: `quiz/NAME.toml` or `quiz/NAME.gift`.
//!
//! Invariants: everything that is wrong with them is told before anything is changed; a quiz that
//! the folder does not have stays; what is written is TOML, which says all there is to say, also of
//! a quiz that came as GIFT.

use std::collections::BTreeMap;

use serde::Serialize;

use super::import::import_into;
use super::{Settings, Written, check, export, form, gift, list};
use crate::app::Cx;
use crate::courses::{self, Slug};
use crate::error::{Error, Fault, Result};
use crate::lessons::folder::Files;

const FOLDER: &str = "quiz/";

/// Quizzes looked up at once.
const PART: u32 = 200;

/// A quiz as its file tells it.
#[derive(Clone, Debug)]
pub struct Draft {
    slug: Slug,
    written: Written,
    /// Whether the file says how it is taken, too.
    has_settings: bool,
}

/// What taking the quizzes in did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Quizzes that are new.
    pub quizzes_created: u64,
    /// Quizzes that are different now.
    pub quizzes_updated: u64,
    /// Quizzes that were so already.
    pub quizzes_unchanged: u64,
    /// Quizzes of the course that the folder does not have: they stay.
    pub quizzes_kept: Vec<String>,
}

/// Reads the quizzes of a folder.
///
/// # Errors
/// [`Error::FilesRefused`] with everything that is wrong.
pub fn read(files: &Files) -> Result<Vec<Draft>> {
    let mut faults = Vec::new();
    let mut drafts: BTreeMap<String, Draft> = BTreeMap::new();
    for (path, bytes) in &files.0 {
        let Some(name) = path.strip_prefix(FOLDER) else {
            continue;
        };
        match quiz(path, name, bytes) {
            Ok(draft) => {
                let slug = draft.slug.as_str().to_owned();
                if drafts.insert(slug, draft).is_some() {
                    faults.push(Fault::new(
                        path,
                        0,
                        "is there in two forms: keep one of them",
                    ));
                }
            }
            Err(wrong) => faults.extend(wrong),
        }
    }
    if faults.is_empty() {
        Ok(drafts.into_values().collect())
    } else {
        Err(Error::FilesRefused { faults })
    }
}

fn quiz(path: &str, name: &str, bytes: &[u8]) -> Result<Draft, Vec<Fault>> {
    let whole = |reason: &str| vec![Fault::new(path, 0, reason)];
    let lines = |faults: Vec<gift::Fault>| -> Vec<Fault> {
        let fault = |it: gift::Fault| Fault::new(path, it.line, it.message);
        faults.into_iter().map(fault).collect()
    };
    let (stem, has_settings) = match name.rsplit_once('.') {
        Some((stem, "toml")) => (stem, true),
        Some((stem, "gift")) => (stem, false),
        Some(_) | None => {
            return Err(whole(
                "is no quiz: only quiz/NAME.toml and quiz/NAME.gift are",
            ));
        }
    };
    let slug: Slug = stem
        .parse()
        .map_err(|error: Error| whole(&error.to_string()))?;
    let text = std::str::from_utf8(bytes).map_err(|_| whole("is not in UTF-8"))?;
    let mut written = if has_settings {
        form::read(text).map_err(lines)?
    } else {
        Written {
            settings: Settings::titled(stem),
            questions: gift::read(text).map_err(lines)?,
        }
    };
    check(&mut written, has_settings).map_err(lines)?;
    Ok(Draft {
        slug,
        written,
        has_settings,
    })
}

/// Takes the quizzes of a folder in, or, if `dry`, only tells what that would do. The course is
/// `None` if it would have to be made first.
///
/// # Errors
/// As [`super::import()`].
pub fn apply(
    cx: &mut Cx<'_, '_>,
    course: Option<&str>,
    drafts: &[Draft],
    dry: bool,
) -> Result<Imported> {
    let Some(course) = course else {
        return Ok(Imported {
            quizzes_created: u64::try_from(drafts.len()).map_err(Error::internal)?,
            ..Imported::default()
        });
    };
    let gate = courses::manage(cx, course)?;
    let mut kept = slugs(cx, course)?;
    let mut told = Imported::default();
    for draft in drafts {
        let slug = draft.slug.as_str();
        let old = if kept.iter().any(|other| other == slug) {
            Some(export(cx, &format!("{course}/{slug}"))?)
        } else {
            None
        };
        kept.retain(|other| other != slug);
        let mut written = draft.written.clone();
        let Some((settings, questions)) = old else {
            told.quizzes_created += 1;
            import_into(cx, &gate, &draft.slug, &written, dry)?;
            continue;
        };
        if !draft.has_settings {
            // GIFT says nothing of them.
            written.settings.clone_from(&settings);
        }
        let asked = written.questions.iter().map(|it| &it.question);
        if settings == written.settings && questions.iter().eq(asked) {
            told.quizzes_unchanged += 1;
        } else {
            told.quizzes_updated += 1;
            import_into(cx, &gate, &draft.slug, &written, dry)?;
        }
    }
    told.quizzes_kept = kept;
    Ok(told)
}

/// Adds the quizzes of a course to its files.
///
/// # Errors
/// As [`export`].
pub fn write(cx: &mut Cx<'_, '_>, course: &str, files: &mut Files) -> Result<()> {
    for slug in slugs(cx, course)? {
        let (settings, questions) = export(cx, &format!("{course}/{slug}"))?;
        let text = form::write(&settings, questions.iter())?;
        files
            .0
            .insert(format!("{FOLDER}{slug}.toml"), text.into_bytes());
    }
    Ok(())
}

fn slugs(cx: &mut Cx<'_, '_>, course: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = list(cx, course, cursor.as_deref(), PART)?;
        found.extend(page.items.into_iter().map(|quiz| quiz.slug));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}
