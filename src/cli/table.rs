//! Tables for people: cells made from JSON values, laid out by comfy-table page by page.
//!
//! Invariants: no cell holds a control character; off a terminal a row is exactly one line, its
//! columns parted by two or more spaces, and nothing is cut or wrapped.

use comfy_table::{
    Attribute, ColumnConstraint, ContentArrangement, LineStyle, TableStyle, Width, presets,
};
use comfy_table::{Cell, Table};
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
    if !(name.ends_with("_at") || name == "not_before") {
        return None;
    }
    let at: Timestamp = text.parse().ok()?;
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

/// `last_used_at` → `LAST USED AT`.
fn heading(name: &str) -> String {
    escape::line(name).replace('_', " ").to_uppercase()
}

/// How a table may look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Frames and wrapping, for a terminal of this many columns.
    pub(super) framed: bool,
    /// The terminal's width, where it is known.
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

/// Space between the columns of a plain table.
const GAP: u16 = 2;

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
        table.add_rows(rows);
        self.dress(&mut table);
        if !first {
            self.keep_widths(&mut table);
        }
        let text = text_of(&table);
        if first {
            self.widths = self.measure(&table, &text);
        }
        text
    }

    /// What closes the table.
    pub(super) fn end(&self) -> String {
        if !self.look.framed {
            return String::new();
        }
        // comfy-table draws no border without a row: draw one, and keep the border only.
        let mut table = Table::new();
        table.add_row(self.columns.iter().map(|_| ""));
        self.dress(&mut table);
        table.style_mut().bottom_border = presets::UTF8_FULL_CONDENSED.bottom_border;
        self.keep_widths(&mut table);
        text_of(&table)
            .lines()
            .last()
            .map(|border| format!("{border}\n"))
            .unwrap_or_default()
    }

    fn dress(&self, table: &mut Table) {
        // What the terminal can do was found out once, in `Terminal`; comfy-table must not guess.
        table.force_no_tty();
        if self.look.colour {
            table.enforce_styling();
        }
        if self.look.framed {
            let style: TableStyle = presets::UTF8_FULL_CONDENSED;
            table.load_style(style.bottom_border(LineStyle::none()));
            if let Some(width) = self.look.width {
                table.set_width(width);
                table.set_content_arrangement(ContentArrangement::Dynamic);
            }
            if !self.widths.is_empty() {
                table.style_mut().top_border = LineStyle::none();
            }
        } else {
            table.load_style(presets::NOTHING);
            for column in table.column_iter_mut() {
                column.set_padding((0, GAP));
            }
        }
    }

    fn keep_widths(&self, table: &mut Table) {
        let framed = self.look.framed;
        table.set_constraints(self.widths.iter().map(|width| {
            let width = Width::Fixed(*width);
            if framed {
                ColumnConstraint::Absolute(width)
            } else {
                ColumnConstraint::LowerBoundary(width)
            }
        }));
    }

    /// The widths of the columns with their padding, as they came out.
    fn measure(&self, table: &Table, text: &str) -> Vec<u16> {
        if !self.look.framed {
            let widths = table.column_max_content_widths();
            return widths.iter().map(|w| w.saturating_add(GAP)).collect();
        }
        // Only the drawing itself tells what comfy-table made of the terminal's width.
        let border = text.lines().next().unwrap_or_default();
        border
            .trim_matches(['┌', '┐'])
            .split('┬')
            .map(|part| u16::try_from(part.chars().count()).unwrap_or(u16::MAX))
            .collect()
    }
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
        assert_eq!(text("created_at", at.clone()), "2026-11-20 08:31 (3m ago)");
        assert_eq!(
            cell("created_at", Some(&at), NOW, true),
            "2026-11-20T08:31:00.000Z (3m ago)"
        );
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
        assert_eq!(page, "ID  LAST USED AT\n1   now\n22  a rather long cell\n");
        assert_eq!(grid.page(rows(&[&["3", "x"]])), "3   x\n");
        assert_eq!(grid.page(rows(&[&["4444", "x"]])), "4444  x\n");
        assert_eq!(grid.end(), "");
    }

    #[test]
    fn on_a_terminal_pages_join_into_one_frame() {
        let mut grid = grid(Look {
            framed: true,
            width: Some(40),
            colour: false,
        });
        let mut text = grid.page(rows(&[&["1", "now"]]));
        text.push_str(&grid.page(rows(&[&["2", "then"]])));
        text.push_str(&grid.end());
        assert_eq!(
            text,
            "┌────┬──────────────┐\n\
             │ ID ┆ LAST USED AT │\n\
             ╞════╪══════════════╡\n\
             │ 1  ┆ now          │\n\
             │ 2  ┆ then         │\n\
             └────┴──────────────┘\n"
        );
    }

    #[test]
    fn a_frame_never_grows_wider_than_the_terminal() {
        let mut grid = grid(Look {
            framed: true,
            width: Some(30),
            colour: false,
        });
        let mut text = grid.page(rows(&[&[
            "1",
            "a cell that is far longer than thirty columns",
        ]]));
        text.push_str(&grid.page(rows(&[&["a longer one", "than before"]])));
        text.push_str(&grid.end());
        let first = text.lines().next().unwrap().chars().count();
        assert!(first <= 30);
        assert!(
            text.lines().all(|line| line.chars().count() == first),
            "{text}"
        );
    }

    #[test]
    fn an_empty_table_still_shows_its_columns() {
        let mut grid = grid(Look::default());
        assert_eq!(grid.page(Vec::new()), "ID  LAST USED AT\n");
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
