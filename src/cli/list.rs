//! Lists: page by page, in every form that cli.md names. Never more than one page is held.

use serde::Serialize;
use serde_json::{Map, Value};

use super::flags::{ListArgs, choose};
use super::json;
use super::output::{Output, Record};
use super::table::{Grid, Look, cell};
use crate::error::{Error, Result};
use crate::page::Page;

/// Objects fetched at once under `--all`.
const BATCH: u32 = 1000;

/// How the objects of a list are written.
enum Form {
    Json { any: bool },
    Lines,
    Ids,
    Table(Grid),
}

impl Output {
    /// Prints a list that is complete and short by nature (jobs, migrations), as [`Output::list`].
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn table<T: Record>(&mut self, items: Vec<T>) -> Result<()> {
        let mut items = Some(items);
        self.list(&ListArgs::default(), |_, _| {
            let items = items.take().unwrap_or_default();
            Ok(Page { items, next: None })
        })
    }

    /// Prints a list page by page. `page` gets a cursor and how many objects to fetch.
    ///
    /// # Errors
    /// [`Error::Usage`] for flags that exclude each other or a field that does not exist, whatever
    /// `page` refuses, or if standard output cannot be written to.
    pub fn list<T: Record>(
        &mut self,
        args: &ListArgs,
        mut page: impl FnMut(Option<&str>, u32) -> Result<Page<T>>,
    ) -> Result<()> {
        args.check(self.format)?;
        let limit = if args.all { BATCH } else { args.limit };
        // The first page comes before the first byte: an early error must leave stdout empty.
        let mut got = page(args.cursor.as_deref(), limit)?;
        let fields = choose::<T>(&args.fields, got.items.first())?;
        let mut form = self.begin::<T>(args, fields.as_deref());
        let mut shown = 0_usize;
        loop {
            self.items(&mut form, fields.as_deref(), &got.items)?;
            shown = shown.saturating_add(got.items.len());
            match got.next {
                Some(cursor) if args.all => got = page(Some(&cursor), limit)?,
                next => return self.end(&form, shown, next),
            }
        }
    }

    fn begin<T: Record>(&mut self, args: &ListArgs, fields: Option<&[String]>) -> Form {
        if args.jsonl {
            Form::Lines
        } else if self.format.json {
            self.buffer.extend_from_slice(b"{\"items\":[");
            Form::Json { any: false }
        } else if self.format.quiet {
            Form::Ids
        } else {
            let columns = fields.map_or_else(
                || T::COLUMNS.iter().map(|name| (*name).to_owned()).collect(),
                <[String]>::to_vec,
            );
            let look = Look {
                width: self.terminal.width.filter(|_| self.terminal.stdout),
                colour: self.format.color.on_stdout(self.terminal),
            };
            Form::Table(Grid::new(columns, look))
        }
    }

    fn items<T: Record>(
        &mut self,
        form: &mut Form,
        fields: Option<&[String]>,
        items: &[T],
    ) -> Result<()> {
        match form {
            Form::Ids => {
                for item in items {
                    self.line(item.id())?;
                }
            }
            Form::Lines => {
                for item in items {
                    self.object(fields, item)?;
                    self.end_line()?;
                }
            }
            Form::Json { any } => {
                for item in items {
                    let before: &[u8] = if *any { b",\n" } else { b"\n" };
                    self.put(before)?;
                    self.object(fields, item)?;
                    *any = true;
                }
            }
            Form::Table(grid) => {
                let rows: Result<Vec<_>> = items
                    .iter()
                    .map(|item| self.row(grid.columns(), item))
                    .collect();
                let text = grid.page(rows?);
                self.put(text.as_bytes())?;
            }
        }
        if self.terminal.stdout {
            self.flush()?;
        }
        Ok(())
    }

    fn end(&mut self, form: &Form, shown: usize, next: Option<String>) -> Result<()> {
        match form {
            Form::Json { any } => {
                self.put(if *any {
                    b"\n],\"next\":"
                } else {
                    b"],\"next\":"
                })?;
                json::append(&mut self.buffer, &next)?;
                self.put(b"}\n")?;
                // The document says itself that there is more.
                return Ok(());
            }
            Form::Table(_) | Form::Lines | Form::Ids => {}
        }
        if let Some(cursor) = next {
            // Even under --quiet: a list that is cut short must not look complete.
            self.say(
                None,
                format_args!("{shown} shown; more: --all, or --cursor {cursor}"),
            )?;
        }
        Ok(())
    }

    fn object<T: Serialize>(&mut self, fields: Option<&[String]>, item: &T) -> Result<()> {
        let Some(fields) = fields else {
            return json::append(&mut self.buffer, item);
        };
        let mut members = members(item)?;
        let chosen: Map<String, Value> = fields
            .iter()
            .map(|name| (name.clone(), members.remove(name).unwrap_or(Value::Null)))
            .collect();
        json::append(&mut self.buffer, &chosen)
    }

    fn row<T: Serialize>(&self, columns: &[String], item: &T) -> Result<Vec<String>> {
        let members = members(item)?;
        let cells = columns.iter();
        Ok(cells
            .map(|name| {
                let value = members.get(name);
                let text = cell(name, value, self.now, false);
                if self.terminal.stdout && matches!(value, Some(Value::Array(_))) {
                    // Words, so that a narrow column need not break a scope in two.
                    text.replace(',', ", ")
                } else {
                    text
                }
            })
            .collect())
    }
}

fn members<T: Serialize>(item: &T) -> Result<Map<String, Value>> {
    match serde_json::to_value(item).map_err(Error::internal)? {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Error::internal("a record must be a JSON object"))
        }
    }
}
