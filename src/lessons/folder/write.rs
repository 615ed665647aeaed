//! Writing a course as files: the same course gives the same bytes.

use std::fmt::Write as _;

use toml::Value;

use super::Files;
use crate::app::Cx;
use crate::courses::{self, Course, attachments};
use crate::error::Result;
use crate::lessons::Lesson;

/// The files of the course that `text` names, without its quizzes.
///
/// # Errors
/// As [`courses::gate`]; [`Error::Forbidden`](crate::error::Error::Forbidden) for who does not
/// oversee it.
pub fn write(cx: &mut Cx<'_, '_>, text: &str) -> Result<Files> {
    let gate = courses::gate(cx, text)?;
    let course = courses::get(cx, &gate.id)?;
    let lessons = crate::lessons::all(cx, &gate)?;
    let mut files = Files::default();
    let mut folders: Vec<(String, String)> = Vec::new();
    for (lesson, _) in &lessons {
        if folders
            .last()
            .is_none_or(|(slug, _)| *slug != lesson.module)
        {
            folders.push((lesson.module.clone(), lesson.module_title.clone()));
        }
    }
    let wide = width(folders.len());
    for (lesson, source) in &lessons {
        let module = folders.iter().position(|(slug, _)| *slug == lesson.module);
        let module = module.map_or(0, |place| place.saturating_add(1));
        let most = lessons
            .iter()
            .filter(|(other, _)| other.module == lesson.module);
        let narrow = width(most.count());
        let name = format!(
            "{module:0wide$}-{}/{:0narrow$}-{}.md",
            lesson.module, lesson.position, lesson.slug
        );
        files.0.insert(name, page(lesson, source).into_bytes());
    }
    for file in attachments::all(cx, &gate)? {
        files.0.insert(format!("assets/{}", file.0), file.1);
    }
    let head = head(&course, &folders);
    files.0.insert("course.toml".into(), head.into_bytes());
    Ok(files)
}

/// Digits that so many numbers need; two at least, so that most folders look alike.
fn width(count: usize) -> usize {
    count.to_string().len().max(2)
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn page(lesson: &Lesson, source: &str) -> String {
    format!("+++\ntitle = {}\n+++\n\n{source}", quoted(&lesson.title))
}

fn head(course: &Course, folders: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _infallible = writeln!(text, "{key} = {}", quoted(value));
    };
    line("slug", &course.slug);
    line("title", &course.title);
    if !course.summary.is_empty() {
        line("summary", &course.summary);
    }
    if let Some(language) = &course.language {
        line("language", language);
    }
    line("visibility", course.visibility.as_str());
    line("enrolment", course.enrolment.as_str());
    if !course.tags.is_empty() {
        let tags: Vec<String> = course.tags.iter().map(|tag| quoted(tag)).collect();
        let _infallible = writeln!(text, "tags = [{}]", tags.join(", "));
    }
    if !folders.is_empty() {
        text.push_str("\n[modules]\n");
        for (slug, title) in folders {
            let _infallible = writeln!(text, "{slug} = {}", quoted(title));
        }
    }
    text
}
