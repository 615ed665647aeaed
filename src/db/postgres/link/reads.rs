//! Telling what only reads from what changes something.

/// Whether `sql` surely changes nothing: rows are also what `UPDATE … RETURNING` gives. Who is in
/// doubt says no, which costs another try and never a half of a failed unit of work.
pub(super) fn only_reads(sql: &str) -> bool {
    let verb = sql.trim_start().get(..6);
    verb.is_some_and(|verb| verb.eq_ignore_ascii_case("SELECT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_gives_rows_counts_as_a_change_unless_it_surely_only_reads() {
        for reads in ["SELECT 1", "\n  select a FROM t"] {
            assert!(only_reads(reads), "{reads}");
        }
        let returning = "UPDATE t SET a = 1 RETURNING a";
        for changes in [returning, "WITH x AS (DELETE FROM t) SELECT 1", "é", ""] {
            assert!(!only_reads(changes), "{changes}");
        }
    }
}
