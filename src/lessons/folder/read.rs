//! Reading the files of a course: all that is wrong with them, or what they say.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;

use toml::{Table, Value};

use super::Files;
use crate::courses::attachments::{BYTES, FILES};
use crate::courses::{Admission, AttachmentName, NewCourse, Slug, Summary, Tag, Title, Visibility};
use crate::error::{Error, Fault, Result};
use crate::lessons::{Source, markdown};
use crate::users::Locale;

/// A course as its files tell it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The course itself.
    pub new: NewCourse,
    /// Its modules in order.
    pub chapters: Vec<Chapter>,
    /// Its files.
    pub assets: BTreeMap<AttachmentName, Vec<u8>>,
}

/// A module with its lessons in order.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// Its name in addresses and files.
    pub slug: Slug,
    /// What it is called.
    pub title: Title,
    /// Its lessons.
    pub texts: Vec<Text>,
}

/// A lesson.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its name in addresses and files.
    pub slug: Slug,
    /// What it is called.
    pub title: Title,
    /// What it says.
    pub source: Source,
}

impl Draft {
    /// Every lesson with its module and its place there.
    pub fn texts(&self) -> impl Iterator<Item = (&Chapter, u32, &Text)> {
        self.chapters.iter().flat_map(|chapter| {
            let texts = (1_u32..).zip(&chapter.texts);
            texts.map(move |(position, text)| (chapter, position, text))
        })
    }
}

/// What was found so far.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, file: &str, line: u64, reason: impl AsRef<str>) {
        self.0.push(Fault::new(file, line, reason.as_ref()));
    }

    /// The value, or why there is none.
    fn take<T>(&mut self, file: &str, line: u64, value: Result<T>) -> Option<T> {
        value
            .map_err(|error| self.add(file, line, error.to_string()))
            .ok()
    }
}

const COURSE: &str = "course.toml";
const KEYS: [&str; 8] = [
    "slug",
    "title",
    "summary",
    "language",
    "visibility",
    "enrolment",
    "tags",
    "modules",
];

/// Reads the files of a course; no file of it may be larger than `largest` bytes.
///
/// # Errors
/// [`Error::FilesRefused`] with everything that is wrong.
pub fn read(files: &Files, largest: usize) -> Result<Draft> {
    let mut faults = Faults::default();
    let mut titles = Table::new();
    let new = if let Some(bytes) = files.0.get(COURSE) {
        course(bytes, &mut titles, &mut faults)
    } else {
        faults.add(COURSE, 0, "is missing");
        None
    };
    let mut found: BTreeMap<(u32, String), BTreeMap<u32, Text>> = BTreeMap::new();
    let mut slugs: BTreeMap<String, String> = BTreeMap::new();
    let mut assets = BTreeMap::new();
    let mut folders = HashSet::new();
    let mut links = Vec::new();
    for (name, bytes) in &files.0 {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            // The one was read, the other is read by the quizzes.
            [COURSE] | ["quiz", ..] => {}
            ["assets", file] => {
                if bytes.len() > largest {
                    let reason = format!("is larger than {largest} bytes (courses.attachment_max)");
                    faults.add(name, 0, reason);
                }
                if let Some(file) = faults.take(name, 0, file.parse()) {
                    assets.insert(file, bytes.clone());
                }
            }
            [folder, file] if file.strip_suffix(".md").and_then(numbered).is_some() => {
                let Some((module, slug)) = numbered(folder) else {
                    let rule = "is in a folder that is not called like 01-name";
                    faults.add(name, 0, rule);
                    continue;
                };
                folders.insert(slug);
                let place = file.strip_suffix(".md").and_then(numbered);
                let Some((position, own)) = place else {
                    continue;
                };
                let Some(text) = lesson(name, own, bytes, &mut links, &mut faults) else {
                    continue;
                };
                if let Some(other) = slugs.insert(own.to_owned(), name.clone()) {
                    faults.add(name, 0, format!("has the same slug as {other}"));
                }
                let module = found.entry((module, slug.to_owned())).or_default();
                if module.insert(position, text).is_some() {
                    faults.add(name, 0, "has the same number as another lesson");
                }
            }
            _ => faults.add(
                name,
                0,
                "is no part of a course: only course.toml, NN-module/NN-lesson.md, assets/NAME and quiz/… are",
            ),
        }
    }
    too_many(&assets, &mut faults);
    missing(links, &assets, &mut faults);
    let mut chapters: Vec<Chapter> = Vec::new();
    for ((number, slug), texts) in found {
        let folder = format!("{number:02}-{slug}");
        if chapters.iter().any(|it| it.slug.as_str() == slug) {
            faults.add(&folder, 0, "is there with two numbers");
        }
        let title = match titles.remove(&slug) {
            Some(Value::String(title)) => title,
            Some(_) => {
                faults.add(COURSE, 0, format!("modules.{slug} must be a string"));
                continue;
            }
            None => slug.clone(),
        };
        let slug = faults.take(&folder, 0, slug.parse());
        let title = faults.take(COURSE, 0, title.parse());
        if let (Some(slug), Some(title)) = (slug, title) {
            let texts = texts.into_values().collect();
            chapters.push(Chapter { slug, title, texts });
        }
    }
    // A folder is there, too, if something is wrong with all of its lessons: that was told.
    for name in titles
        .keys()
        .filter(|name| !folders.contains(name.as_str()))
    {
        faults.add(
            COURSE,
            0,
            format!("modules.{name}: there is no folder NN-{name} with lessons"),
        );
    }
    match (new, faults.0) {
        (Some(new), faults) if faults.is_empty() => Ok(Draft {
            new,
            chapters,
            assets,
        }),
        (_, mut faults) => {
            faults.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            Err(Error::FilesRefused { faults })
        }
    }
}

/// Files that lessons name and that are not there.
fn missing(
    links: Vec<(&str, u64, AttachmentName)>,
    assets: &BTreeMap<AttachmentName, Vec<u8>>,
    faults: &mut Faults,
) {
    for (file, line, asset) in links {
        if !assets.contains_key(&asset) {
            faults.add(file, line, format!("there is no file assets/{asset}"));
        }
    }
}

/// Files beyond what a course may have.
fn too_many(assets: &BTreeMap<AttachmentName, Vec<u8>>, faults: &mut Faults) {
    let within = |size: usize, most: i64| i64::try_from(size).is_ok_and(|size| size <= most);
    if !within(assets.len(), FILES) {
        faults.add("assets", 0, format!("holds more than {FILES} files"));
    }
    if !within(assets.values().map(Vec::len).sum(), BYTES) {
        faults.add("assets", 0, format!("holds more than {BYTES} bytes"));
    }
}

/// `01-name` as its number and its name.
fn numbered(text: &str) -> Option<(u32, &str)> {
    let (number, name) = text.split_once('-')?;
    let good = (1..=6).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    Some((number.parse().ok().filter(|_| good)?, name))
}

/// A table, or where it stops being one.
fn table(file: &str, text: &str, before: u64, faults: &mut Faults) -> Option<Table> {
    text.parse::<Table>()
        .map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = line_of(text, at).saturating_add(before);
            faults.add(file, line, error.message().replace('\n', " "));
        })
        .ok()
}

fn line_of(text: &str, at: usize) -> u64 {
    let ends = text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    u64::try_from(ends).unwrap_or(0).saturating_add(1)
}

/// The line on which `key` is given.
fn line_of_key(text: &str, key: &str) -> u64 {
    let given = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    (1_u64..)
        .zip(text.lines())
        .find(|(_, line)| given(line))
        .map_or(1, |(number, _)| number)
}

fn utf8<'a>(file: &str, bytes: &'a [u8], faults: &mut Faults) -> Option<&'a str> {
    // Some editors begin with a mark of the order of bytes, which UTF-8 does not have.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes)
        .map_err(|error| {
            let before = bytes.iter().take(error.valid_up_to());
            let ends = before.filter(|byte| **byte == b'\n').count();
            let line = u64::try_from(ends).unwrap_or(0).saturating_add(1);
            faults.add(file, line, "is not UTF-8");
        })
        .ok()
}

/// Values of a table by their keys, and the lines on which they stand.
struct Given<'a> {
    file: &'a str,
    text: &'a str,
    before: u64,
    table: Table,
}

impl Given<'_> {
    fn line(&self, key: &str) -> u64 {
        line_of_key(self.text, key).saturating_add(self.before)
    }

    fn known(&self, keys: &[&str], faults: &mut Faults) {
        for key in self
            .table
            .keys()
            .filter(|key| !keys.contains(&key.as_str()))
        {
            let reason = format!("unknown key {key:?}: the keys are {}", keys.join(", "));
            faults.add(self.file, self.line(key), reason);
        }
    }

    /// The value of a key that need not be there.
    fn maybe<T: FromStr<Err = Error>>(&self, key: &str, faults: &mut Faults) -> Option<T> {
        let line = self.line(key);
        if let Value::String(text) = self.table.get(key)? {
            faults.take(self.file, line, text.trim_end_matches('\n').parse())
        } else {
            faults.add(self.file, line, format!("{key} must be a string"));
            None
        }
    }

    /// The value of a key that must be there.
    fn must<T: FromStr<Err = Error>>(&self, key: &str, faults: &mut Faults) -> Option<T> {
        if !self.table.contains_key(key) {
            let line = self.before.saturating_add(1);
            faults.add(self.file, line, format!("{key} is missing"));
        }
        self.maybe(key, faults)
    }
}

fn course(bytes: &[u8], titles: &mut Table, faults: &mut Faults) -> Option<NewCourse> {
    let text = utf8(COURSE, bytes, faults)?;
    let table = table(COURSE, text, 0, faults)?;
    let given = Given {
        file: COURSE,
        text,
        before: 0,
        table,
    };
    given.known(&KEYS, faults);
    let slug = given.must::<Slug>("slug", faults);
    let title = given.must::<Title>("title", faults);
    let summary = given.maybe::<Summary>("summary", faults);
    let language = given.maybe::<Locale>("language", faults);
    let visibility = given.maybe::<Visibility>("visibility", faults);
    let enrolment = given.maybe::<Admission>("enrolment", faults);
    let tags = tags(&given, faults);
    match given.table.get("modules") {
        Some(Value::Table(modules)) => titles.clone_from(modules),
        Some(_) => faults.add(COURSE, given.line("modules"), "modules must be a table"),
        None => {}
    }
    Some(NewCourse {
        summary: summary.unwrap_or_default(),
        language,
        visibility: visibility.unwrap_or(Visibility::Public),
        enrolment: enrolment.unwrap_or(Admission::Open),
        tags,
        ..NewCourse::named(slug?, title?)
    })
}

fn tags(given: &Given<'_>, faults: &mut Faults) -> Vec<Tag> {
    let line = given.line("tags");
    let Some(value) = given.table.get("tags") else {
        return Vec::new();
    };
    let Value::Array(words) = value else {
        faults.add(COURSE, line, "tags must be an array of strings");
        return Vec::new();
    };
    let mut tags = Vec::new();
    for word in words {
        if let Value::String(word) = word {
            tags.extend(faults.take(COURSE, line, word.parse::<Tag>()));
        } else {
            faults.add(COURSE, line, "tags must be an array of strings");
        }
    }
    if tags.len() > Tag::MOST {
        faults.add(COURSE, line, format!("tags must be at most {}", Tag::MOST));
    }
    tags
}

/// A lesson: between two lines `+++` what it is called, below them what it says.
/// The files of the course that it names are told to `links`.
fn lesson<'f>(
    file: &'f str,
    slug: &str,
    bytes: &[u8],
    links: &mut Vec<(&'f str, u64, AttachmentName)>,
    faults: &mut Faults,
) -> Option<Text> {
    let text = utf8(file, bytes, faults)?.replace("\r\n", "\n");
    let slug = faults.take(file, 0, slug.parse());
    let rest = text.strip_prefix("+++\n");
    let parts = rest.and_then(|rest| match rest.strip_prefix("+++\n") {
        Some(body) => Some(("", body)),
        None => rest.split_once("\n+++\n"),
    });
    let Some((head, body)) = parts else {
        let rule = "must begin with a line +++, then title = \"…\", then another line +++";
        faults.add(file, 1, rule);
        return None;
    };
    let table = table(file, head, 1, faults)?;
    let given = Given {
        file,
        text: head,
        before: 1,
        table,
    };
    given.known(&["title"], faults);
    let title = given.must("title", faults);
    let body = body.strip_prefix('\n').unwrap_or(body);
    let line = line_of(&text, text.len().saturating_sub(body.len()));
    let source = faults.take(file, line, body.parse::<Source>())?;
    for (below, asset) in markdown::files(source.as_str()) {
        let line = line.saturating_add(below).saturating_sub(1);
        links.push((file, line, asset));
    }
    Some(Text {
        slug: slug?,
        title: title?,
        source,
    })
}
