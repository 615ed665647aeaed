//! Rows of a file, with the line on which each begins: CSV (RFC 4180) with a header, or one JSON
//! object a line.
//!
//! Invariant: however the file looks, no more of it than one row of bounded length is in memory.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::Value as Json;

use super::fields::{Field, Given};
use super::{Found, Record, Source};
use crate::error::{Error, Refusal, Result};
use crate::users::formulas;

mod breaks;

use breaks::Breaks;

/// The longest row, in bytes.
const LONGEST: usize = 64 * 1024;

/// In which form the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Columns under a header.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Form {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Csv, Self::Jsonl];

    /// The word, as typed and as files end.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// A file of accounts.
pub struct Lines<R>(Inner<R>);

enum Inner<R> {
    Csv(Box<Table<R>>),
    Jsonl(Objects<R>),
}

impl<R> fmt::Debug for Lines<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.form().as_str())
    }
}

impl<R> Lines<R> {
    const fn form(&self) -> Form {
        match &self.0 {
            Inner::Csv(_) => Form::Csv,
            Inner::Jsonl(_) => Form::Jsonl,
        }
    }
}

impl<R: Read> Lines<R> {
    /// Begins to read. Of CSV the header is read at once.
    ///
    /// # Errors
    /// [`Error::RowsRefused`] for a header that names what cannot be taken, with every such name;
    /// [`Error::Io`].
    pub fn new(file: R, form: Form) -> Result<Self> {
        let mut file = BufReader::with_capacity(64 * 1024, file);
        let start = file.fill_buf().map_err(unreadable())?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            let reason = "is in UTF-16; save it in UTF-8";
            return Err(refused(vec![refusal(1, "file", reason)]));
        }
        if start.starts_with(b"\xef\xbb\xbf") {
            file.consume(3);
        }
        Ok(Self(match form {
            Form::Csv => Inner::Csv(Box::new(Table::new(file)?)),
            Form::Jsonl => Inner::Jsonl(Objects { file, line: 0 }),
        }))
    }
}

impl<R: Read> Source for Lines<R> {
    fn kind(&self) -> &'static str {
        self.form().as_str()
    }

    fn next(&mut self) -> Result<Option<Record>> {
        match &mut self.0 {
            Inner::Csv(table) => table.next(),
            Inner::Jsonl(objects) => objects.next(),
        }
    }
}

fn unreadable() -> impl FnOnce(io::Error) -> Error {
    Error::io("read the accounts")
}

fn refusal(line: u64, field: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal {
        line,
        field,
        reason: reason.into(),
    }
}

fn refused(errors: Vec<Refusal>) -> Error {
    Error::RowsRefused {
        rows: 0,
        refused: 0,
        errors,
    }
}

fn broken(line: u64, reason: impl Into<String>) -> Record {
    let found = Found::Broken(refusal(line, "row", reason));
    Record { line, found }
}

const NOT_UTF_8: &str = "is not UTF-8";

struct Table<R> {
    reader: csv::Reader<Breaks<BufReader<R>>>,
    columns: Vec<Field>,
    row: csv::ByteRecord,
}

impl<R: Read> Table<R> {
    fn new(mut file: BufReader<R>) -> Result<Self> {
        let start = file.fill_buf().map_err(unreadable())?;
        let delimiter = delimiter(start);
        let mut table = Self {
            reader: csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .delimiter(delimiter)
                .from_reader(Breaks::new(file, LONGEST)),
            columns: Vec::new(),
            row: csv::ByteRecord::new(),
        };
        let line = match table.row()? {
            Some(Ok(line)) => line,
            Some(Err(fault)) => return Err(refused(vec![fault])),
            None => {
                let reason = "is empty: its first line has to name the columns";
                return Err(refused(vec![refusal(1, "file", reason)]));
            }
        };
        let mut faults = Vec::new();
        for name in &table.row {
            match Field::named(&String::from_utf8_lossy(name)) {
                Ok(field) if table.columns.contains(&field) => {
                    let reason = format!("{} is given twice", field.as_str());
                    faults.push(refusal(line, "column", reason));
                }
                Ok(field) => table.columns.push(field),
                Err(reason) => faults.push(refusal(line, "column", reason)),
            }
        }
        if faults.is_empty() && !table.columns.contains(&Field::Username) {
            faults.push(refusal(line, "column", "username is missing"));
        }
        if faults.is_empty() {
            Ok(table)
        } else {
            Err(refused(faults))
        }
    }

    /// Reads the next row; returns on which line it begins, or why it cannot be read on.
    fn row(&mut self) -> Result<Option<Result<u64, Refusal>>> {
        let before = self.reader.position().line();
        self.reader.get_mut().allow();
        match self.reader.read_byte_record(&mut self.row) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) if self.reader.get_ref().is_spent() => {
                drop(error);
                let reason = format!(
                    "is longer than {LONGEST} bytes: is a quotation mark missing at its end?"
                );
                return Ok(Some(Err(refusal(before, "row", reason))));
            }
            Err(error) => return Err(unreadable()(error.into())),
        }
        // The library says where it began to look, which can be an empty line before.
        let after = self.reader.position();
        let within = self.row.iter().flatten().filter(|byte| **byte == b'\n');
        let within = u64::try_from(within.count()).unwrap_or(0);
        let own = u64::from(!self.reader.get_ref().ends_open_at(after.byte()));
        Ok(Some(Ok(after.line().saturating_sub(within + own).max(1))))
    }

    fn next(&mut self) -> Result<Option<Record>> {
        let line = match self.row()? {
            None => return Ok(None),
            Some(Ok(line)) => line,
            Some(Err(fault)) => {
                let line = fault.line;
                let found = Found::Cut(fault);
                return Ok(Some(Record { line, found }));
            }
        };
        let (has, wants) = (self.row.len(), self.columns.len());
        if has != wants {
            let reason = format!("has {has} fields under {wants} columns");
            return Ok(Some(broken(line, reason)));
        }
        let mut members = Vec::with_capacity(wants);
        for (field, bytes) in self.columns.iter().zip(&self.row) {
            let Ok(text) = std::str::from_utf8(bytes) else {
                let found = Found::Broken(refusal(line, field.as_str(), NOT_UTF_8));
                return Ok(Some(Record { line, found }));
            };
            members.push((*field, Given::Text(formulas::plain(text).to_owned())));
        }
        let found = Found::Members(members);
        Ok(Some(Record { line, found }))
    }
}

/// What separates the columns: a comma, or what spreadsheets write where a comma is in numbers.
fn delimiter(start: &[u8]) -> u8 {
    let header = start.iter().take_while(|byte| !b"\r\n".contains(byte));
    let count = |wanted: u8| header.clone().filter(|byte| **byte == wanted).count();
    let mut best = b',';
    for other in [b';', b'\t'] {
        if count(other) > count(best) {
            best = other;
        }
    }
    best
}

struct Objects<R> {
    file: BufReader<R>,
    line: u64,
}

impl<R: Read> Objects<R> {
    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let Some(text) = self.line()? else {
                return Ok(None);
            };
            let line = self.line;
            let text = match text {
                Ok(text) => text,
                Err(reason) => return Ok(Some(broken(line, reason))),
            };
            let Ok(text) = std::str::from_utf8(&text) else {
                return Ok(Some(broken(line, NOT_UTF_8)));
            };
            if text.trim().is_empty() {
                continue;
            }
            return Ok(Some(match object(text) {
                Ok(found) => Self::record(line, found),
                Err(reason) => broken(line, reason),
            }));
        }
    }

    fn record(line: u64, given: Vec<(String, Json)>) -> Record {
        let mut members: Vec<(Field, Given)> = Vec::with_capacity(given.len());
        for (name, value) in given {
            let field = match Field::named(&name) {
                Ok(field) => field,
                Err(reason) => {
                    let found = Found::Broken(refusal(line, "member", reason));
                    return Record { line, found };
                }
            };
            if members.iter().any(|(other, _)| *other == field) {
                let reason = format!("{} is given twice", field.as_str());
                let found = Found::Broken(refusal(line, "member", reason));
                return Record { line, found };
            }
            members.push((field, Given::Json(value)));
        }
        let found = Found::Members(members);
        Record { line, found }
    }

    /// The next line, or how it cannot be one.
    fn line(&mut self) -> Result<Option<Result<Vec<u8>, String>>> {
        let mut text = Vec::new();
        let longest = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let mut short = (&mut self.file).take(longest.saturating_add(1));
        if short.read_until(b'\n', &mut text).map_err(unreadable())? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if text.len() <= LONGEST || text.ends_with(b"\n") {
            return Ok(Some(Ok(text)));
        }
        self.file.skip_until(b'\n').map_err(unreadable())?;
        Ok(Some(Err(format!("is longer than {LONGEST} bytes"))))
    }
}

/// The members of an object, in order and with those that are there twice.
fn object(text: &str) -> Result<Vec<(String, Json)>, String> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Json)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader.deserialize_map(Members);
    let whole = members.and_then(|members| reader.end().map(|()| members));
    // The library's own words can repeat the value, which may be a password.
    whole.map_err(|error| {
        if error.is_data() {
            "is not a JSON object".to_owned()
        } else {
            format!("is not JSON, at column {}", error.column())
        }
    })
}

#[cfg(test)]
mod tests;
