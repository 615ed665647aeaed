//! Deleting what has ended, while somebody gives it a new life: READ COMMITTED looks again at a
//! row that was changed meanwhile, but only at the condition of the statement that deletes it.

use super::server;
use crate::support::Shell;
use crate::support::cluster::wait_until;

#[test]
fn what_is_renewed_while_a_purge_is_about_to_delete_it_stays() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    shell.ok(&["token", "create"]);
    let (mut holder, mut watcher) = (shell.sql(), shell.sql());
    holder.run(
        "UPDATE tokens SET expires_at = 1;
         INSERT INTO idempotency_keys (digest, request, answer, created_at, expires_at)
         VALUES (randomblob(32), randomblob(32), randomblob(32), 0, 1)",
    );
    let pid = holder.count("SELECT CAST(pg_backend_pid() AS BIGINT)");
    let blocked =
        format!("SELECT COUNT(*) FROM pg_stat_activity WHERE {pid} = ANY(pg_blocking_pids(pid))");
    for (kind, table) in [("token", "tokens"), ("idempotency_key", "idempotency_keys")] {
        holder.run(&format!(
            "BEGIN; UPDATE {table} SET expires_at = 9000000000000"
        ));
        std::thread::scope(|scope| {
            let purge = scope.spawn(|| shell.ok(&["purge", "--only", kind, "--quiet"]));
            wait_until("the purge waits", || watcher.count(&blocked) > 0);
            holder.run("COMMIT");
            purge.join().unwrap();
        });
        let rows = format!("SELECT COUNT(*) FROM {table}");
        assert_eq!(watcher.count(&rows), 1, "{table}");
    }
}

#[test]
fn a_purge_beside_another_one_goes_on_until_nothing_is_left() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    shell.ok(&["token", "create"]);
    let (mut holder, mut watcher) = (shell.sql(), shell.sql());
    let columns = holder.texts(
        "SELECT string_agg(attname, ', ') FROM pg_attribute WHERE attrelid = 'tokens'::regclass
           AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'expires_at')",
    );
    let columns = &columns[0];
    holder.run(&format!(
        "INSERT INTO tokens (id, expires_at, {columns})
           SELECT n, n, {columns} FROM tokens, generate_series(1, 600) n"
    ));
    let pid = holder.count("SELECT CAST(pg_backend_pid() AS BIGINT)");
    let blocked =
        format!("SELECT COUNT(*) FROM pg_stat_activity WHERE {pid} = ANY(pg_blocking_pids(pid))");
    // As another purge does, which is at the very same rows.
    holder.run("BEGIN; DELETE FROM tokens WHERE id <= 250");
    std::thread::scope(|scope| {
        let purge = scope.spawn(|| shell.json(&["purge", "--only", "token", "--grace", "0s"]));
        wait_until("the purge waits", || watcher.count(&blocked) > 0);
        holder.run("COMMIT");
        let report = purge.join().unwrap();
        assert_eq!(report["complete"], true, "{report}");
    });
    let left = "SELECT COUNT(*) FROM tokens WHERE id <= 600";
    assert_eq!(watcher.count(left), 0);
}
