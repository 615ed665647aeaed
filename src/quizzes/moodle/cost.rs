//! What a parser of XML may be made to work on for hours: told before it begins.

/// Attributes of one element.
const ATTRIBUTES: usize = 64;

/// Namespaces of a file.
const SPACES: usize = 8;

/// Whether the parser would work far longer on `text` than it is long: it compares each attribute
/// with all others of its element, and copies namespaces to every element below that has its own.
/// No file of Moodle's has more than a few of either.
pub(super) fn is_costly(text: &str) -> bool {
    let (mut rest, mut spaces) = (text, 0);
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(behind) = behind_other(after) {
            rest = behind;
            continue;
        }
        let (mut tag, mut attributes) = (after, 0);
        rest = loop {
            let Some((before, behind)) = tag.split_once(['>', '"', '\'']) else {
                // Not well-formed: the parser says so at once.
                return false;
            };
            let quote = match tag.as_bytes().get(before.len()) {
                Some(b'"') => '"',
                Some(b'\'') => '\'',
                Some(_) | None => break behind,
            };
            attributes += 1;
            spaces += usize::from(before.contains("xmlns"));
            if attributes > ATTRIBUTES || spaces > SPACES {
                return true;
            }
            tag = behind.split_once(quote).map_or("", |(_, behind)| behind);
        };
    }
    false
}

/// What stands behind a section, a comment or an instruction that begins here.
fn behind_other(after: &str) -> Option<&str> {
    let others = [("![CDATA[", "]]>"), ("!--", "-->"), ("?", "?>")];
    others.into_iter().find_map(|(begin, end)| {
        let inner = after.strip_prefix(begin)?;
        Some(inner.split_once(end).map_or("", |(_, behind)| behind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moodle_writes_costs_no_more_than_its_length() {
        let text = r#"<?xml version="1.0"?><!-- a="b" --><quiz><question type='essay' id="1">
            <text><![CDATA[<p a="1" b="2">]]></text><x a="one > two"/></question></quiz>"#;
        assert!(!is_costly(&text.repeat(1000)));
        assert!(!is_costly("<a b=\"c"));
        assert!(!is_costly("2 < 3"));
    }

    #[test]
    fn many_attributes_of_one_element_and_many_namespaces_are_told() {
        let attributes = " a='b'".repeat(65);
        assert!(is_costly(&format!("<quiz><x{attributes}/></quiz>")));
        assert!(is_costly(&"<x xmlns:a=\"b\">".repeat(9)));
        assert!(!is_costly(&"<x a='b'/>".repeat(65)));
    }
}
