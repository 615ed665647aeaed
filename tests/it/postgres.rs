//! The program on PostgreSQL: several daemons on one database, servers that stop, hang or are
//! replaced, and answers that are lost. Each test has a server of its own or a schema of its own.

use std::sync::Arc;

use crate::support::cluster::{Cluster, Mode};
use crate::support::{Shell, engine};

mod crashes;
mod ended;
mod hosts;
mod locks;
mod lost;
mod people;
mod proxy;
mod reads;
mod refusals;
mod serving;
mod silence;
mod standby;
mod statements;
mod together;
mod writers;

/// The URL of a server on which a test may have schemas, as long as it keeps the first: the one
/// that all tests were told to use, or one of these tests' own.
pub(crate) fn server() -> Option<(Option<Arc<Cluster>>, String)> {
    if let Some(url) = engine::url() {
        return Some((None, url));
    }
    let cluster = Cluster::shared()?;
    let url = cluster.url("postgres");
    Some((Some(cluster), url))
}

#[test]
fn homes_on_one_server_have_nothing_in_common_and_leave_nothing_behind() {
    let Some((_cluster, url)) = server() else {
        return;
    };
    let (one, two) = (Shell::on(&url), Shell::on(&url));
    let tables = "SELECT tablename::text FROM pg_tables WHERE tablename = 'mine'
                  AND schemaname = ANY(current_schemas(false))";
    one.sql().run("CREATE TABLE mine AS SELECT 1 AS n");
    assert_eq!(one.sql().texts(tables), ["mine"]);
    assert_eq!(two.sql().texts(tables), [""; 0]);
    let schema = one.sql().texts("SELECT current_schema()::text").remove(0);
    drop(one);
    let left = format!("SELECT COUNT(*) FROM pg_namespace WHERE nspname = '{schema}'");
    assert_eq!(two.sql().count(&left), 0);
}

#[test]
fn what_a_server_committed_outlives_its_crash_and_is_on_its_standby() {
    let Some(mut primary) = Cluster::start(&[]) else {
        return;
    };
    primary.sql("CREATE TABLE kept AS SELECT 1 AS n");
    drop(primary.freeze());
    primary.crash_and_restart();
    let mut standby = primary.standby();
    primary.sql("INSERT INTO kept VALUES (2)");
    primary.stop(Mode::Immediate);
    standby.promote();
    assert_eq!(standby.sql("SELECT COUNT(*)::text FROM kept"), "2");
    standby.stop(Mode::Fast);
    standby.start_again();
}
