//! Reads of a daemon, whose answers are a round trip away.

use provost::db::Looked;

use super::server;
use super::together::app;
use crate::support::{Shell, operator};

#[test]
fn a_point_read_goes_on_at_the_instant_at_which_it_began() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    let app = app(&shell);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let since = |cx: &mut provost::app::Cx<'_, '_>| {
        let sql = "SELECT CAST($1 AS BIGINT) AS now";
        let row = cx.tx.first(sql, &[cx.now.into()])?.unwrap();
        Ok((cx.now, row.time("now")?))
    };
    let began = app.clock().now();
    let Looked::Asks(question) = app.look_now(&operator(), since) else {
        panic!("it did not ask");
    };
    let asked = app.clock().now();
    let answer = runtime.block_on(app.db().ask(question)).unwrap();
    while app.clock().now() == asked {
        std::thread::yield_now();
    }
    let (now, row) = app.look_again(&operator(), answer, since).unwrap();
    assert_eq!(now, row);
    assert!(began <= now && now <= asked, "{began:?} {now:?} {asked:?}");
}
