//! Markdown as HTML that can be shown: rendered, then cleaned of whatever could run.

use std::borrow::Cow;
use std::sync::LazyLock;

use ammonia::Builder;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, html};

use crate::courses::AttachmentName;

/// What is understood beyond the common form of Markdown.
const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_FOOTNOTES);

/// What may stay. Beyond the library's own choice only the language of a block of code.
static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::default();
    builder.add_tag_attributes("code", ["class"]);
    builder.attribute_filter(|element, attribute, value| match (element, attribute) {
        ("code", "class") if !is_language(value) => None,
        _ => Some(Cow::Borrowed(value)),
    });
    builder
});

fn is_language(class: &str) -> bool {
    let name = class.strip_prefix("language-").unwrap_or_default();
    let word = |b: u8| b.is_ascii_alphanumeric() || b"+-_".contains(&b);
    (1..=32).contains(&name.len()) && name.bytes().all(word)
}

/// `source` as HTML. Files of the course are written as `assets/NAME`, and found below its address.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all but addresses is written as it is"
)]
pub(super) fn html(source: &str, course: &str) -> String {
    let events = Parser::new_ext(source, OPTIONS).map(|event| match event {
        Event::Start(Tag::Image {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Image {
            link_type,
            dest_url: address(dest_url, course),
            title,
            id,
        }),
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url: address(dest_url, course),
            title,
            id,
        }),
        other => other,
    });
    let mut page = String::with_capacity(source.len().saturating_mul(2));
    html::push_html(&mut page, events);
    CLEANER.clean(&page).to_string()
}

fn address<'a>(url: CowStr<'a>, course: &str) -> CowStr<'a> {
    match asset(&url) {
        Some((_, name)) => format!("/api/v1/courses/{course}/attachments/{name}").into(),
        None => url,
    }
}

/// The file of the course to which an address leads, and the same with the place in it that may
/// follow. What leads elsewhere is no name of a file.
fn asset(url: &str) -> Option<(AttachmentName, &str)> {
    let below = url.strip_prefix("../").unwrap_or(url);
    let name = below.strip_prefix("assets/")?;
    let file = name.split(['#', '?']).next()?;
    Some((file.parse().ok()?, name))
}

/// The files of the course that `source` names, each with its line.
pub(super) fn files(source: &str) -> Vec<(u64, AttachmentName)> {
    let mut found = Vec::new();
    // Events come in the order of the text: each line is counted once.
    let (mut at, mut line) = (0, 1_u64);
    for (event, place) in Parser::new_ext(source, OPTIONS).into_offset_iter() {
        if let Event::Start(Tag::Image { dest_url, .. } | Tag::Link { dest_url, .. }) = event
            && let Some((file, _)) = asset(&dest_url)
        {
            let between = source.as_bytes().get(at..place.start).unwrap_or_default();
            let ends = memchr::memchr_iter(b'\n', between).count();
            line = line.saturating_add(u64::try_from(ends).unwrap_or(0));
            at = at.max(place.start);
            found.push((line, file));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_is_gone_and_what_is_text_stays() {
        for bad in [
            "<script>alert(1)</script>ok",
            "<img src=x onerror=alert(1)>ok",
            "[ok](javascript:alert(1))",
            "<iframe src=\"https://example.org\"></iframe>ok",
            "<a href=\"data:text/html,x\" style=\"position:fixed\">ok</a>",
            "<code class=\"language-x onclick\">ok</code>",
        ] {
            let html = html(bad, "c");
            assert!(html.contains("ok"), "{html}");
            for word in ["script", "onerror", "iframe", "data:", "style", "onclick"] {
                assert!(!html.contains(word), "{html}");
            }
        }
    }

    #[test]
    fn tables_code_and_files_of_the_course_are_shown() {
        let html = html(
            "|a|b|\n|-|-|\n|1|2|\n\n```sh\nls\n```\n\n![Map](../assets/map.png)\n",
            "c",
        );
        assert!(html.contains("<table>"), "{html}");
        assert!(html.contains("class=\"language-sh\""), "{html}");
        assert!(
            html.contains("src=\"/api/v1/courses/c/attachments/map.png\""),
            "{html}"
        );
    }

    #[test]
    fn an_address_that_leads_out_of_the_files_is_left_alone() {
        let html = html(
            "[a](assets/../../../users) [b](../assets/a.pdf#page=2)",
            "c",
        );
        assert!(html.contains("href=\"assets/../../../users\""), "{html}");
        let place = "href=\"/api/v1/courses/c/attachments/a.pdf#page=2\"";
        assert!(html.contains(place), "{html}");
    }
}
