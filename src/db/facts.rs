//! What the engine within this program is, before any database is opened.

/// The `SQLite` that is compiled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Its version.
    pub version: &'static str,
    /// Whether several processes can safely work on one file with it (security.md, rule 54).
    pub safe: bool,
    /// The options that it should have been built with and was not.
    pub missing: Vec<&'static str>,
}

/// The `SQLite` that is compiled in.
#[must_use]
pub fn sqlite() -> Engine {
    super::sqlite::compiled()
}
