//! What is wrong with members of a body, and with rows and files that were to be taken in.

/// What is wrong with a member, beside another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Which member.
    pub member: String,
    /// Why, as a sentence without its subject.
    pub reason: String,
}

pub(super) fn and_others(others: &[Flaw]) -> String {
    let others = others.iter();
    let told = others.map(|Flaw { member, reason }| format!("; {member}: {reason}"));
    told.collect()
}

/// Why a row of a file, or of another program's table, cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// On which line it begins; in a table, which row it is.
    pub line: u64,
    /// The member at fault.
    pub field: &'static str,
    /// Why, as a sentence without its subject.
    pub reason: String,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// Which.
    pub file: String,
    /// On which line, from 1; 0 if it is about the file as a whole.
    pub line: u64,
    /// What.
    pub reason: String,
}

impl Fault {
    /// Makes one.
    #[must_use]
    pub fn new(file: &str, line: u64, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            reason: reason.into(),
        }
    }
}

impl std::fmt::Display for Fault {
    /// As compilers say it: `file:line: message`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, line, reason } = self;
        match (file.as_str(), line) {
            ("", _) => f.write_str(reason),
            (file, 0) => write!(f, "{file}: {reason}"),
            (file, line) => write!(f, "{file}:{line}: {reason}"),
        }
    }
}

pub(super) fn refused_files(faults: &[Fault]) -> String {
    let same = |first: &Fault| faults.iter().all(|fault| fault.file == first.file);
    let one = faults.first().filter(|first| same(first));
    let files = match one {
        Some(fault) if !fault.file.is_empty() => fault.file.as_str(),
        Some(_) | None => "the files of the course",
    };
    match faults.len() {
        1 => format!("1 fault in {files}"),
        several => format!("{several} faults in {files}"),
    }
}

pub(super) fn refused_rows(refused: u64, rows: u64) -> String {
    match (refused, rows) {
        (_, 0) => "this cannot be imported".to_owned(),
        (refused, 1) => format!("{refused} of 1 row cannot be imported"),
        (refused, rows) => format!("{refused} of {rows} rows cannot be imported"),
    }
}
