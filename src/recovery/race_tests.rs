//! Links of accounts that change while one is made or used.

use super::tests::{app, come, is_bad, let_in, number, script};
use super::*;

/// Has everything of everybody end at the next `change` of a token, as if somebody else did it at
/// that moment.
fn end_everything_at(app: &App, change: &str) {
    let end = "UPDATE users SET security_epoch = security_epoch + 1;";
    let when = format!("CREATE TRIGGER meanwhile AFTER {change} ON tokens");
    if crate::config::test_server().is_some() {
        script(
            app,
            &format!(
                "CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN {end} RETURN NULL; END $$;
                 {when} FOR EACH ROW EXECUTE FUNCTION meanwhile();"
            ),
        );
    } else {
        script(app, &format!("{when} BEGIN {end} END;"));
    }
}

#[test]
fn a_link_that_is_made_while_all_of_its_owner_ends_opens_nothing() {
    let app = app();
    end_everything_at(&app, "INSERT");
    let token = let_in(&app);
    assert!(is_bad(come(&app, &token, None)));
}

#[test]
fn a_link_that_is_used_while_all_of_its_owner_ends_opens_no_session() {
    let app = app();
    let token = let_in(&app);
    end_everything_at(&app, "UPDATE OF used");
    assert!(is_bad(come(&app, &token, None)));
    assert_eq!(number(&app, "SELECT COUNT(*) AS n FROM sessions"), 0);
}
