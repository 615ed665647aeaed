//! `migrate plan`: what would be applied.

use std::borrow::Cow;

use super::Of;
use super::change::rows;
use crate::cli::Site;
use crate::cli::output::{Output, Record};
use crate::error::Result;
use crate::migrations::Planned;

/// The flags of `plan`.
#[derive(Debug, clap::Args)]
pub struct Plan {
    /// Whose migrations.
    #[command(flatten)]
    of: Of,
    /// The schema to come to [default: the newest that this program knows]
    #[arg(long, value_name = "N")]
    to: Option<u32>,
    /// Print the SQL itself, file by file
    #[arg(long)]
    sql: bool,
}

impl Record for Planned {
    const COLUMNS: &'static [&'static str] = &["name", "file", "tables"];

    fn id(&self) -> Cow<'_, str> {
        self.name.as_str().into()
    }
}

impl Plan {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<()> {
        let operator = site.operator_any_schema(out)?;
        let db = operator.app().db();
        let story = self.of.story(db)?;
        let planned = story.plan(db, self.to)?;
        if out.format().json || (out.format().quiet && !self.sql) {
            return out.table(planned);
        }
        if planned.is_empty() {
            return out.message(format_args!(
                "nothing is pending: schema {}",
                super::at(&story, db)?
            ));
        }
        for migration in planned {
            if self.sql {
                out.line(format!("-- {}", migration.file))?;
                out.line(migration.sql.trim_end())?;
                continue;
            }
            let tables = migration.tables.iter();
            let tables: Vec<String> = tables
                .map(|it| format!("{} ({})", it.table, rows(it.rows)))
                .collect();
            let tables = if tables.is_empty() {
                "names no table that is there".to_owned()
            } else {
                tables.join(", ")
            };
            out.line(format!("{}  {tables}", migration.name))?;
        }
        Ok(())
    }
}
