use super::*;
use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::db::Value;
use crate::secret::SignKey;
use serde_json::json;

/// After every wall clock, so that nothing else decides.
const NOW: Timestamp = Timestamp(4_000_000_000_000);

/// The blocks of the log below and the rows of each, but for the first, which holds more.
const BLOCKS: i64 = 8;
const ROWS: i64 = 6;

/// A log of which all is sealed, no two rows alike.
fn log() -> App {
    let app = App::memory();
    for block in 0..BLOCKS {
        app.at(
            NOW.plus(std::time::Duration::from_secs(1)),
            &Actor::operator(),
            move |cx| {
                for n in block * ROWS..(block + 1) * ROWS {
                    let event = Event::new("x.made", format!("x:{n}"));
                    audit::record(cx, event.with(json!({ "n": n, "b": [n] })))?;
                }
                Ok(())
            },
        )
        .unwrap();
        audit::seal(&app, &Actor::operator(), &|| false).unwrap();
    }
    app
}

/// What is found after `how` was done to the log, which is then as it was.
fn after(app: &App, how: impl FnOnce(&mut Tx<'_>) -> Result<()> + Send + 'static) -> Vec<Finding> {
    let key = block::name(&app.kit().keys.audit().unwrap());
    let (to, told) = std::sync::mpsc::channel();
    let mut how = Some(how);
    let undone: Result<()> = app.db().write(move |tx| {
        how.take().unwrap()(tx)?;
        let mut walk = Walk::new(Some(key.clone()));
        while walk.step(tx, None)?.0 {}
        to.send(walk.told.findings).unwrap();
        Err(Error::Cancelled)
    });
    assert!(matches!(undone, Err(Error::Cancelled)), "{undone:?}");
    told.recv().unwrap()
}

fn run(tx: &mut Tx<'_>, sql: &str, values: &[Value]) -> Result<()> {
    assert_ne!(tx.run(sql, values)?, 0, "{sql}");
    Ok(())
}

/// The rows of which each has a value in every column that may be empty.
fn ids(app: &App) -> Vec<i64> {
    let sql = "SELECT id FROM audit_events WHERE id > $1 AND action = 'x.made' ORDER BY id";
    let rows = app.db().read(|tx| tx.all(sql, &[0_i64.into()])).unwrap();
    rows.iter().map(|row| row.int("id").unwrap()).collect()
}

/// The same numbers in each run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn pick(&mut self, ids: &[i64]) -> i64 {
        ids[self.roll(ids.len())]
    }

    /// Two different ones, the lower one first.
    fn pair(&mut self, ids: &[i64]) -> (i64, i64) {
        loop {
            let (one, other) = (self.pick(ids), self.pick(ids));
            if one < other {
                return (one, other);
            }
        }
    }
}

/// What is not an id, the columns that can be changed one by one, and another value of each.
fn changes(dice: &mut Dice) -> (&'static str, Value) {
    let n = i64::try_from(dice.roll(1_000_000)).unwrap();
    let text = Value::from(format!("other {n}"));
    let all = [
        ("at", Value::Int(n)),
        ("actor", text.clone()),
        ("ip", "192.0.2.1".into()),
        // Nothing and an empty text are not the same.
        ("ip", "".into()),
        ("request_id", text.clone()),
        ("request_id", "".into()),
        ("action", "x.made ".into()),
        ("action", "X.made".into()),
        ("object", text.clone()),
        ("result", "failed".into()),
        ("details", Value::Null),
        ("details", text),
        // The same to a reader of JSON.
        ("details", "{\"n\": 1,\"b\":[1]}".into()),
    ];
    let place = dice.roll(all.len());
    all[place].clone()
}

type Change = Box<dyn FnOnce(&mut Tx<'_>) -> Result<()> + Send>;

/// One of the ways in which rows can be changed, its name, and the first row that is then wrong.
fn way(dice: &mut Dice, ids: &[i64]) -> (&'static str, i64, Change) {
    const COPY: &str = "INSERT INTO audit_events
         SELECT $1, at, actor, ip, request_id, action, object, result, details
         FROM audit_events WHERE id = $2";
    const MOVE: &str = "UPDATE audit_events SET id = $1 WHERE id = $2";
    const DELETE: &str = "DELETE FROM audit_events WHERE id = $1";
    let id = dice.pick(ids);
    let (low, high) = dice.pair(ids);
    match dice.roll(10) {
        0..3 => {
            let (column, value) = changes(dice);
            let sql = format!("UPDATE audit_events SET {column} = $1 WHERE id = $2");
            (
                "a column",
                id,
                Box::new(move |tx| run(tx, &sql, &[value, id.into()])),
            )
        }
        3 => (
            "deleted",
            id,
            Box::new(move |tx| run(tx, DELETE, &[id.into()])),
        ),
        4 => {
            let first = ids[0];
            (
                "the first deleted",
                first,
                Box::new(move |tx| run(tx, DELETE, &[first.into()])),
            )
        }
        5 => {
            let last = ids[ids.len() - 1];
            (
                "the last deleted",
                last,
                Box::new(move |tx| run(tx, DELETE, &[last.into()])),
            )
        }
        6 => {
            // Before all others, between two, or one that is sealed with another id.
            let free = [ids[0] - 5, 0, -7, low + 1][dice.roll(4)];
            let free = if ids.contains(&free) { -8 } else { free };
            let insert = move |tx: &mut Tx<'_>| run(tx, COPY, &[free.into(), high.into()]);
            ("inserted", free, Box::new(insert))
        }
        7 => {
            // To another block, or out of all.
            let free = [ids[0] - 1, -3, ids[ids.len() - 1] + 1][dice.roll(3)];
            let moved = move |tx: &mut Tx<'_>| run(tx, MOVE, &[free.into(), id.into()]);
            ("moved", id.min(free), Box::new(moved))
        }
        8 => {
            let swap = move |tx: &mut Tx<'_>| {
                run(tx, MOVE, &[(-1_i64).into(), low.into()])?;
                run(tx, MOVE, &[low.into(), high.into()])?;
                run(tx, MOVE, &[high.into(), (-1_i64).into()])
            };
            ("two ids swapped", low, Box::new(swap))
        }
        _ => {
            let swap = move |tx: &mut Tx<'_>| {
                run(tx, COPY, &[(-1_i64).into(), low.into()])?;
                for (to, from) in [(low, high), (high, -1)] {
                    let sql = "UPDATE audit_events SET object =
                         (SELECT f.object FROM audit_events f WHERE f.id = $2) WHERE id = $1";
                    run(tx, sql, &[to.into(), from.into()])?;
                }
                run(tx, DELETE, &[(-1_i64).into()])
            };
            ("two contents swapped", low, Box::new(swap))
        }
    }
}

#[test]
fn five_hundred_ways_of_changing_rows_are_found_and_the_first_bad_row_is_named() {
    let app = log();
    assert_eq!(after(&app, |_| Ok(())), []);
    let ids = ids(&app);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut found = 0;
    for _ in 0..500 {
        let (name, first, change) = way(&mut dice, &ids);
        let findings = after(&app, change);
        assert_eq!(
            findings.first().map(|it| it.id),
            Some(first),
            "{name}: {findings:?}"
        );
        found += 1;
    }
    assert_eq!(found, 500);
    assert_eq!(after(&app, |_| Ok(())), []);
}

#[test]
fn what_is_wrong_with_a_row_is_told() {
    let app = log();
    let id = ids(&app)[20];
    let faults = |sql: &'static str| {
        let findings = after(&app, move |tx| run(tx, sql, &[id.into()]));
        let faults: Vec<_> = findings.iter().map(|it| (it.id - id, it.fault)).collect();
        faults
    };
    let altered = faults("UPDATE audit_events SET object = 'x' WHERE id = $1");
    assert_eq!(altered, [(0, Fault::Altered)]);
    let missing = faults("DELETE FROM audit_events WHERE id = $1");
    assert_eq!(missing, [(0, Fault::Missing)]);
    let moved = faults("UPDATE audit_events SET id = id - 1048576 WHERE id = $1");
    assert_eq!(moved, [(-1_048_576, Fault::Added), (0, Fault::Missing)]);
}

/// The statements that somebody without the key could run on the blocks, and what is found first.
#[test]
fn blocks_that_are_changed_removed_or_forged_are_found() {
    let app = log();
    let faults = |sql: &str| {
        let sql = sql.to_owned();
        let findings = after(&app, move |tx| tx.script(&sql));
        findings.first().map(|it| (it.block, it.fault))
    };
    let changed = |sql: &str, fault| {
        let sql = format!("UPDATE audit_blocks SET {sql} WHERE number = 3");
        assert_eq!(faults(&sql), Some((3, fault)), "{sql}");
    };
    changed("first_id = first_id - 1", Fault::Block);
    changed("entries = entries + 1", Fault::Block);
    changed("rows_sha256 = previous", Fault::Block);
    changed("sealed_at = sealed_at + 1", Fault::Block);
    changed("previous = rows_sha256", Fault::Block);
    changed("hash = rows_sha256", Fault::Block);
    changed("sealed_by = 'x'", Fault::Signature);
    changed("signature = hash", Fault::Signature);
    changed("marks = NULL", Fault::Block);
    changed("marks = hash", Fault::Block);
    changed("last_id = last_id - 1", Fault::Block);
    changed("number = 30", Fault::Block);
    let last = ids(&app)[usize::try_from(6 * ROWS).unwrap()];
    for (sql, block, fault) in [
        (
            "DELETE FROM audit_blocks WHERE number = 1".to_owned(),
            1,
            Fault::Block,
        ),
        (
            "DELETE FROM audit_blocks WHERE number = 4".to_owned(),
            4,
            Fault::Block,
        ),
        (
            "DELETE FROM audit_blocks WHERE number > 6".to_owned(),
            7,
            Fault::Head,
        ),
        (
            format!(
                "DELETE FROM audit_blocks WHERE number > 6; DELETE FROM audit_events WHERE id >= {last}"
            ),
            7,
            Fault::Head,
        ),
        ("DELETE FROM audit_blocks".to_owned(), 1, Fault::Head),
        ("DELETE FROM audit_head".to_owned(), BLOCKS, Fault::Head),
        (
            "UPDATE audit_head SET hash = signature".to_owned(),
            BLOCKS,
            Fault::Signature,
        ),
        (
            "UPDATE audit_head SET signature = hash".to_owned(),
            BLOCKS,
            Fault::Signature,
        ),
        (
            "UPDATE audit_head SET sealed_by = 'x'".to_owned(),
            BLOCKS,
            Fault::Signature,
        ),
        (
            "UPDATE audit_head SET last_id = last_id + 1".to_owned(),
            BLOCKS,
            Fault::Signature,
        ),
        (
            "UPDATE audit_head SET dropped = 8; DELETE FROM audit_events".to_owned(),
            8,
            Fault::Signature,
        ),
        (
            "DELETE FROM audit_blocks WHERE number = 8; UPDATE audit_head SET number = 7"
                .to_owned(),
            7,
            Fault::Signature,
        ),
    ] {
        assert_eq!(faults(&sql), Some((block, fault)), "{sql}");
    }
}

/// Removes a row and does everything right but for the key.
fn forge(tx: &mut Tx<'_>, key: &SignKey, id: i64) -> Result<()> {
    run(tx, "DELETE FROM audit_events WHERE id = $1", &[id.into()])?;
    let blocks = store::page(tx, 0, 100)?;
    tx.script("DELETE FROM audit_blocks; DELETE FROM audit_head")?;
    let mut state = State::default();
    for block in blocks {
        let lines = store::lines(tx, state.last_id, block.last_id, 1000)?;
        let block = Block::seal(&state, &lines, block.sealed_at, key).unwrap();
        store::insert(tx, &block)?;
        state = state.after(&block);
    }
    store::set_state(tx, &state.signed(key))
}

#[test]
fn a_chain_that_was_forged_as_a_whole_shows_by_its_key_or_by_a_head_that_was_noted() {
    let app = log();
    let id = ids(&app)[20];
    let noted = app.db().read(audit::head).unwrap();
    let thief = Keys::ephemeral().unwrap().audit().unwrap();
    let findings = after(&app, move |tx| forge(tx, &thief, id));
    assert_eq!(findings[0].fault, Fault::Signature);
    // Now with the key, which who has the machine has.
    let own = app.kit().keys.audit().unwrap();
    let mut own = Some(own);
    app.db()
        .write(move |tx| forge(tx, &own.take().unwrap(), id))
        .unwrap();
    let check = |head: Option<Head>| {
        let options = Options {
            keys: Some(&app.kit().keys),
            head,
        };
        verify(app.db(), &options, &mut |_, _| Ok(())).unwrap()
    };
    assert!(check(None).ok);
    let told = check(noted);
    assert_eq!((told.ok, told.findings[0].fault), (false, Fault::Head));
}

#[test]
fn a_log_that_was_cut_off_shows_by_a_head_that_was_noted() {
    let app = log();
    let noted = app.db().read(audit::head).unwrap();
    app.db()
        .write(|tx| tx.script("DELETE FROM audit_blocks; DELETE FROM audit_head"))
        .unwrap();
    let options = Options {
        keys: Some(&app.kit().keys),
        head: noted,
    };
    let told = verify(app.db(), &options, &mut |_, _| Ok(())).unwrap();
    assert_eq!((told.ok, told.findings[0].block), (false, BLOCKS));
    assert_eq!(told.findings[0].fault, Fault::Head);
}

#[test]
fn without_the_key_file_it_says_that_signatures_prove_nothing() {
    let app = log();
    let told = verify(app.db(), &Options::default(), &mut |_, _| Ok(())).unwrap();
    assert_eq!((told.ok, told.signatures), (true, Trust::Unproven));
    let other = Keys::ephemeral().unwrap();
    let options = Options {
        keys: Some(&other),
        head: None,
    };
    let told = verify(app.db(), &options, &mut |_, _| Ok(())).unwrap();
    assert_eq!((told.ok, told.findings[0].fault), (false, Fault::Signature));
}

#[test]
fn a_row_that_cannot_even_be_read_is_named() {
    let app = log();
    if app.db().has_many_writers() {
        // Text is looked at there before it is stored.
        return;
    }
    let id = ids(&app)[20];
    let sql = "UPDATE audit_events SET actor = CAST(x'ff' AS TEXT) WHERE id = $1";
    let findings = after(&app, move |tx| run(tx, sql, &[id.into()]));
    assert_eq!((findings[0].id, findings[0].fault), (id, Fault::Altered));
}

#[test]
fn a_database_from_before_the_first_block_has_nothing_that_could_be_wrong() {
    let told = verify(&Db::fresh(), &Options::default(), &mut |_, _| Ok(())).unwrap();
    assert_eq!((told.ok, told.blocks, told.head), (true, 0, None));
}

#[test]
fn whoever_waits_hears_of_each_step_and_can_end_it() {
    let app = log();
    let mut heard = Vec::new();
    let all = verify(app.db(), &Options::default(), &mut |done, of| {
        heard.push((done, of));
        Ok(())
    });
    assert!(all.unwrap().ok);
    assert_eq!(heard, [(8, 8), (8, 8)]);
    let ended = verify(app.db(), &Options::default(), &mut |_, _| {
        Err(Error::Cancelled)
    });
    assert!(matches!(ended, Err(Error::Cancelled)));
}

#[test]
fn a_row_with_an_id_that_none_can_have_is_found_as_added() {
    let app = log();
    for id in [i64::MIN, -1, 0] {
        let found = after(&app, move |tx| {
            let sql = "INSERT INTO audit_events (id, at, actor, action, object, result)
                       VALUES ($1, 1, 'x', 'x.planted', 'x:1', 'ok')";
            run(tx, sql, &[id.into()])
        });
        let found: Vec<_> = found.iter().map(|found| (found.id, found.fault)).collect();
        assert_eq!(found, [(id, Fault::Added)]);
    }
}

#[test]
fn where_all_blocks_are_gone_no_id_is_named_that_no_row_has() {
    let app = log();
    let found = after(&app, |tx| run(tx, "DELETE FROM audit_blocks", &[]));
    assert!(!found.is_empty());
    assert!(found.iter().all(|found| found.id >= 0), "{found:?}");
}
