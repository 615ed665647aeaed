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
