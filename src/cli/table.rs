//! Tables for people: cells made from JSON values, laid out by comfy-table page by page.
//!
//! Invariants: no cell holds a control character; columns are parted by two or more spaces. Off a
//! terminal a row is exactly one line, and nothing is cut or wrapped; on a terminal cells wrap
//! where a row would be wider than it.

use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde_json::Value;

use crate::escape;
use crate::time::{Timestamp, relative};

/// The text of one cell. `exact` shows instants in full, as `show` commands do.
pub(super) fn cell(name: &str, value: Option<&Value>, now: Timestamp, exact: bool) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => {
            instant(name, text, now, exact).unwrap_or_else(|| escape::line(text).into_owned())
        }
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) => {
            let cells = items.iter().map(|item| cell(name, Some(item), now, exact));
            cells.collect::<Vec<_>>().join(",")
        }
        Some(object @ Value::Object(_)) => escape::line(&object.to_string()).into_owned(),
    }
}

/// An RFC 3339 member as people read it: `2026-11-20 08:34 (3m ago)`, in UTC.
fn instant(name: &str, text: &str, now: Timestamp, exact: bool) -> Option<String> {
    if !(name.ends_with("_at") || matches!(name, "at" | "since" | "not_before")) {
        return None;
    }
    let at: Timestamp = text.parse().ok()?;
    if name == "at" {
        // A log's column: one under the other, to the second.
        let (day, time) = text.split_once('T')?;
        return (!exact).then(|| format!("{day} {}", time.get(..8).unwrap_or(time)));
    }
    let far = relative(at, now);
    let full = at.to_string();
    match (exact, full.split_once('T')) {
        (false, Some((day, time))) => {
            let minute = time.get(..5)?;
            Some(format!("{day} {minute} ({far})"))
        }
        _ => Some(format!("{full} ({far})")),
    }
}

/// Whether a column holds ids or instants.
fn is_whole(name: &str) -> bool {
    matches!(name, "id" | "at" | "since" | "not_before") || name.ends_with("_at")
}

/// `last_used_at` → `LAST USED`.
fn heading(name: &str) -> String {
    let name = name.strip_suffix("_at").unwrap_or(name);
    escape::line(name).replace('_', " ").to_uppercase()
}

/// How a table may look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// No line may be longer: the width of a terminal.
    pub(super) width: Option<u16>,
    /// Whether escape sequences for colour and weight are welcome.
    pub(super) colour: bool,
}

/// A table that is written page by page, all in the widths of its first page.
#[derive(Debug)]
pub(super) struct Grid {
    columns: Vec<String>,
    look: Look,
    widths: Vec<u16>,
}

/// Space between the columns.
const GAP: u16 = 2;

/// A column gives up no more than this for the others: below it, nothing can be read.
const NARROWEST: u16 = 8;

/// A word up to this long is not broken while there is another way: the longest name of a job.
const WORD: u16 = 16;

impl Grid {
    pub(super) fn new(columns: Vec<String>, look: Look) -> Self {
        Self {
            columns,
            look,
            widths: Vec::new(),
        }
    }

    /// The names of the JSON members shown.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next rows, under a heading if they are the first; every line ends in a line break.
    pub(super) fn page(&mut self, rows: Vec<Vec<String>>) -> String {
        let first = self.widths.is_empty();
        let mut table = Table::new();
        if first {
            table.set_header(self.columns.iter().map(|name| {
                let cell = Cell::new(heading(name));
                if self.look.colour {
                    cell.add_attribute(Attribute::Bold)
                } else {
                    cell
                }
            }));
        } else if rows.is_empty() {
            return String::new();
        }
        let words = longest_words(&rows, self.columns.len());
        table.add_rows(rows);
        // What the terminal can do was found out once, in `Terminal`; comfy-table must not guess.
        table.force_no_tty();
        if self.look.colour {
            table.enforce_styling();
        }
        table.load_style(presets::NOTHING);
        for (column, gap) in table.column_iter_mut().zip(self.gaps()) {
            column.set_padding((0, gap));
        }
        if first {
            self.widths = self.fitting(&table, &words);
        }
        let cut = self.look.width.is_some();
        table.set_constraints(self.widths.iter().map(|width| {
            let width = Width::Fixed(*width);
            if cut {
                ColumnConstraint::Absolute(width)
            } else {
                ColumnConstraint::LowerBoundary(width)
            }
        }));
        if cut {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        text_of(&table)
    }

    /// The widths that the columns have, gap included. Where all of them together are too wide,
    /// the widest ones give way: first where words part, then within words that are long anyway.
    /// Ids and instants come last: broken in two they can neither be copied nor read.
    fn fitting(&self, table: &Table, words: &[u16]) -> Vec<u16> {
        let gaps = self.gaps();
        let natural = table.column_max_content_widths();
        let widths = natural.iter().zip(&gaps);
        let mut widths: Vec<u16> = widths.map(|(w, gap)| w.saturating_add(*gap)).collect();
        let Some(most) = self.look.width.map(u32::from) else {
            return widths;
        };
        for (whole, word) in [(true, WORD), (false, WORD), (false, NARROWEST)] {
            let floors = words.iter().zip(&gaps);
            let floors = floors.map(|(longest, gap)| (*longest).clamp(NARROWEST, word) + gap);
            let floors: Vec<u16> = floors.collect();
            while widths.iter().copied().map(u32::from).sum::<u32>() > most {
                let columns = self.columns.iter().zip(&floors).zip(&mut widths);
                let may = columns.filter(|((name, floor), width)| {
                    **width > **floor && !(whole && is_whole(name))
                });
                match may.map(|(_, width)| width).max() {
                    Some(widest) => *widest -= 1,
                    None => break,
                }
            }
        }
        widths
    }

    /// The space after each column; nothing follows the last one.
    fn gaps(&self) -> Vec<u16> {
        let last = self.columns.len().saturating_sub(1);
        (0..self.columns.len())
            .map(|at| if at == last { 0 } else { GAP })
            .collect()
    }
}

/// The longest word of each column.
fn longest_words(rows: &[Vec<String>], columns: usize) -> Vec<u16> {
    let longest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        let words = cells.flat_map(|cell| cell.split(' '));
        words.map(|word| word.chars().count()).max().unwrap_or(0)
    };
    (0..columns)
        .map(|at| u16::try_from(longest(at)).unwrap_or(u16::MAX))
        .collect()
}

fn text_of(table: &Table) -> String {
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_163_640_000);

    fn text(name: &str, value: impl Into<Value>) -> String {
        cell(name, Some(&value.into()), NOW, false)
    }

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect()
    }

    fn grid(look: Look) -> Grid {
        Grid::new(vec!["id".into(), "last_used_at".into()], look)
    }

    #[test]
    fn cells_read_as_people_write() {
        assert_eq!(text("label", json!(null)), "-");
        assert_eq!(text("scopes", json!([])), "-");
        assert_eq!(text("scopes", json!(["a", "b"])), "a,b");
        assert_eq!(text("enabled", json!(true)), "yes");
        assert_eq!(text("uses", json!(3)), "3");
        assert_eq!(text("meta", json!({"a": 1})), r#"{"a":1}"#);
        assert_eq!(cell("gone", None, NOW, false), "-");
    }

    #[test]
    fn instants_say_how_far_away_they_are() {
        let at = json!("2026-11-20T08:31:00.000Z");
        for name in ["created_at", "since"] {
            assert_eq!(text(name, at.clone()), "2026-11-20 08:31 (3m ago)");
        }
        assert_eq!(
            cell("created_at", Some(&at), NOW, true),
            "2026-11-20T08:31:00.000Z (3m ago)"
        );
        assert_eq!(text("at", at.clone()), "2026-11-20 08:31:00");
        assert_eq!(cell("at", Some(&at), NOW, true), "2026-11-20T08:31:00.000Z");
        assert_eq!(text("label", at), "2026-11-20T08:31:00.000Z");
        assert_eq!(text("created_at", json!("soon")), "soon");
    }

    #[test]
    fn no_cell_can_steer_the_terminal() {
        assert_eq!(text("label", json!("a\x1b[31m\n")), "a\\u{1b}[31m\\n");
        assert_eq!(
            text("meta", json!({"k": "\u{202e}"})),
            "{\"k\":\"\\u{202e}\"}"
        );
        assert_eq!(text("created_at", json!("\x1b")), "\\u{1b}");
    }

    #[test]
    fn off_a_terminal_a_row_is_one_line_of_columns_two_spaces_apart() {
        let mut grid = grid(Look::default());
        let page = grid.page(rows(&[&["1", "now"], &["22", "a rather long cell"]]));
        assert_eq!(page, "ID  LAST USED\n1   now\n22  a rather long cell\n");
        assert_eq!(grid.page(rows(&[&["3", "x"]])), "3   x\n");
        assert_eq!(grid.page(rows(&[&["4444", "x"]])), "4444  x\n");
    }

    #[test]
    fn on_a_terminal_that_is_wide_enough_it_looks_the_same() {
        let mut grid = grid(Look {
            width: Some(40),
            colour: false,
        });
        let mut text = grid.page(rows(&[&["1", "now"], &["22", "日本"]]));
        text.push_str(&grid.page(rows(&[&["3", "then"]])));
        assert_eq!(text, "ID  LAST USED\n1   now\n22  日本\n3   then\n");
    }

    #[test]
    fn a_row_never_grows_wider_than_the_terminal() {
        let mut grid = grid(Look {
            width: Some(30),
            colour: false,
        });
        let mut text = grid.page(rows(&[&[
            "1",
            "日本語の名前 that is far longer than thirty columns",
        ]]));
        text.push_str(&grid.page(rows(&[&["a longer one", "than before"]])));
        for line in text.lines() {
            let wide = line.chars().filter(|sign| *sign > '\u{2e80}').count();
            assert!(line.chars().count() + wide <= 30, "{text}");
        }
        assert!(text.lines().count() > 4, "{text}");
    }

    #[test]
    fn the_widest_column_gives_way_and_the_others_stay_whole() {
        let look = Look {
            width: Some(30),
            colour: false,
        };
        let mut grid = grid(look);
        let page = grid.page(rows(&[&["0LqP3xYz8Ab", "one two three four five"]]));
        assert_eq!(
            page,
            "ID           LAST USED\n0LqP3xYz8Ab  one two three\n             four five\n"
        );
        let columns = ["label", "created_at"].map(str::to_owned).to_vec();
        let mut grid = Grid::new(columns, look);
        let page = grid.page(rows(&[&["one two three four", "2026-11-20 08:31"]]));
        let page: Vec<_> = page.lines().collect();
        assert_eq!(page[1], "one two       2026-11-20 08:31");
        assert_eq!(page[2].trim_end(), "three four");
        // Bold text is padded to the end: it must not run over the edge of the terminal either.
        let mut bold = Grid::new(
            vec!["label".into()],
            Look {
                colour: true,
                ..look
            },
        );
        let page = bold.page(rows(&[&["a cell that is longer than thirty columns"]]));
        let heading = page.lines().next().unwrap();
        let (start, end) = (
            heading.find("LABEL").unwrap(),
            heading.rfind('\u{1b}').unwrap(),
        );
        assert!(end - start <= 30, "{heading:?}");
    }

    #[test]
    fn an_empty_table_still_shows_its_columns() {
        let mut grid = grid(Look::default());
        assert_eq!(grid.page(Vec::new()), "ID  LAST USED\n");
    }

    #[test]
    fn headings_are_bold_only_where_colour_is_welcome() {
        let mut bold = grid(Look {
            colour: true,
            ..Look::default()
        });
        assert!(bold.page(Vec::new()).contains("\u{1b}[1m"));
    }
}
