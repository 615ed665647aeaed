//! What the lint finds, and the one table of its rules.

use serde::{Serialize, Serializer};

use crate::error::Fault;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, from 1 on.
    pub line: usize,
    /// The rule.
    pub rule: Rule,
    /// What is the matter, as a sentence without its subject.
    pub reason: String,
    /// What to do.
    pub advice: &'static str,
    /// The comment that accepts it, where one can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
    /// The number of the migration; 0 for what is the matter with the folder.
    pub number: u32,
}

/// A rule of the lint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A table goes, with all of its rows.
    DropTable,
    /// A column goes, with what is in it.
    DropColumn,
    /// Every row of a table goes.
    DeleteRows,
    /// A column that existing rows cannot have.
    NotNull,
    /// Every row of a table is written anew while everybody waits.
    Rewrite,
    /// A foreign key whose columns no index begins with.
    ForeignKey,
    /// What the two engines do not share.
    Shared,
    /// What would end the migration's transaction, or cannot be in one.
    Transaction,
    /// A column of a type that one engine does not have.
    ColumnType,
    /// A table whose rows cannot be told apart.
    PrimaryKey,
    /// A table of this program in a team's migration.
    OwnTable,
    /// The engine refuses it.
    Engine,
    /// There is no way back, or it leads elsewhere.
    Down,
    /// A number is missing or taken twice.
    Number,
    /// A file that cannot be read as a migration.
    File,
    /// A comment that accepts nothing.
    Allow,
}

/// Every rule.
pub(super) const RULES: [Rule; 16] = [
    Rule::DropTable,
    Rule::DropColumn,
    Rule::DeleteRows,
    Rule::NotNull,
    Rule::Rewrite,
    Rule::ForeignKey,
    Rule::Shared,
    Rule::Transaction,
    Rule::ColumnType,
    Rule::PrimaryKey,
    Rule::OwnTable,
    Rule::Engine,
    Rule::Down,
    Rule::Number,
    Rule::File,
    Rule::Allow,
];

impl Rule {
    /// The one table: name, whether a comment can accept it, what to do.
    const fn spec(self) -> (&'static str, bool, &'static str) {
        match self {
            Self::DropTable => (
                "drop_table",
                true,
                "let one release pass in which nothing uses it, then say why nobody misses it",
            ),
            Self::DropColumn => (
                "drop_column",
                true,
                "let one release pass in which nothing uses it, then say why nobody misses it",
            ),
            Self::DeleteRows => (
                "delete_rows",
                true,
                "delete with a WHERE, or say why nobody misses them",
            ),
            Self::NotNull => (
                "not_null",
                true,
                "give it a DEFAULT, or add it without NOT NULL and fill it first",
            ),
            Self::Rewrite => (
                "rewrite",
                true,
                "add a column beside it and fill that in batches, or say why the table stays small",
            ),
            Self::ForeignKey => (
                "foreign_key",
                true,
                "create an index that begins with these columns: each deletion of a parent reads the whole table",
            ),
            Self::Shared => (
                "shared",
                true,
                "write it in words that SQLite and PostgreSQL share, or say on which one this runs",
            ),
            Self::Transaction => (
                "transaction",
                false,
                "leave it out: each migration is one transaction, which the program begins and ends",
            ),
            Self::ColumnType => (
                "column_type",
                false,
                "use INTEGER, TEXT or BLOB: times are INTEGER milliseconds, flags INTEGER CHECK (x IN (0, 1)), JSON is TEXT",
            ),
            Self::PrimaryKey => (
                "primary_key",
                false,
                "give it a PRIMARY KEY: db copy walks through every table in the order of its key",
            ),
            Self::OwnTable => (
                "own_table",
                false,
                "use a table of your own that REFERENCES it",
            ),
            Self::Engine => ("engine", false, "correct it: it would fail"),
            Self::Down => (
                "down",
                true,
                "write a .down.sql that undoes the .up.sql, in reverse order",
            ),
            Self::Number => (
                "number",
                false,
                "number the files 0001, 0002, … without a gap",
            ),
            Self::File => (
                "file",
                false,
                "correct the file; nothing in it was looked at",
            ),
            Self::Allow => (
                "allow",
                false,
                "write: -- lint: allow RULE: why this is no harm here",
            ),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().0
    }

    /// The finding that breaks it.
    pub(in crate::migrations) fn broken(
        self,
        file: &str,
        line: usize,
        reason: impl Into<String>,
    ) -> Finding {
        Finding {
            file: file.to_owned(),
            line,
            rule: self,
            reason: reason.into(),
            advice: self.spec().2,
            accept: self
                .can_be_meant()
                .then(|| format!("-- lint: allow {}: WHY", self.name())),
            number: 0,
        }
    }

    /// Whether a comment can accept what it finds.
    pub(super) const fn can_be_meant(self) -> bool {
        self.spec().1
    }
}

impl Finding {
    /// As an error tells it.
    pub(in crate::migrations) fn fault(&self) -> Fault {
        let (rule, reason, advice) = (self.rule.name(), &self.reason, self.advice);
        let accept = self.accept.as_ref();
        let accept = accept.map_or(String::new(), |comment| {
            format!("; meant so? in a line of its own: {comment}")
        });
        let line = u64::try_from(self.line).unwrap_or(0);
        Fault::new(
            &self.file,
            line,
            format!("{rule}: {reason}; {advice}{accept}"),
        )
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
