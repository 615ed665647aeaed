//! What one statement of one request does to all others: nothing.

use serde_json::json;

use super::server;
use super::writers::bearer;
use crate::support::Shell;
use crate::support::client::Client;

#[test]
fn what_the_server_says_besides_is_not_in_the_log() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    shell.sql().run(
        "CREATE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE WARNING 'by the way'; RETURN NEW; END $$;
         CREATE TRIGGER talk BEFORE INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION talk();",
    );
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
    let (_, log) = daemon.stop();
    assert!(!log.contains("by the way"), "{log}");
}

#[test]
fn a_statement_that_the_server_never_takes_is_refused_and_no_other() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let bearer = bearer(&shell);
    for code in ["0A000", "25006", "26000"] {
        // An answer that comes in pieces.
        shell.sql().run(&format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.label = 'bad' THEN
                 RAISE EXCEPTION 'never' USING ERRCODE = '{code}', DETAIL = repeat('so ', 100000);
               END IF;
               RETURN NEW; END $$;
             DROP TRIGGER IF EXISTS refuse ON tokens;
             CREATE TRIGGER refuse BEFORE INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION refuse();",
        ));
        let daemon = shell.serve();
        let body = |label: &str| json!({ "kind": "temporary", "label": label }).to_string();
        let issue = |label: &str| {
            let mut client = Client::connect(&daemon.address).unwrap();
            client.must("POST", "/api/v1/tokens", &bearer, &body(label))
        };
        std::thread::scope(|scope| {
            for n in 0..16 {
                let (issue, daemon) = (&issue, &daemon);
                scope.spawn(move || {
                    for _ in 0..20 {
                        let (label, wanted) = if n == 0 { ("bad", 500) } else { ("good", 201) };
                        let answer = issue(label);
                        assert_eq!(
                            answer.status,
                            wanted,
                            "{code}: {answer:?}\n{}",
                            daemon.log()
                        );
                    }
                });
            }
        });
        let told = shell.fails(1, &["token", "create", "--label", "bad"]);
        assert!(told.contains("never"), "{told}");
        let (status, log) = daemon.stop();
        assert_eq!(status, 0, "{log}");
        assert!(!log.contains("database lost"), "{log}");
    }
}

#[test]
fn a_row_that_a_rule_of_its_table_refuses_is_a_fault_and_no_outage() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
    let only = "CHECK (kind <> 'temporary') NOT VALID";
    let mut database = shell.sql();
    database.run(&format!("ALTER TABLE tokens ADD CONSTRAINT never {only}"));
    let answer = client.must("POST", "/app/token", "", "");
    assert_eq!(answer.status, 500, "{answer:?} {}", daemon.log());
    database.run("ALTER TABLE tokens DROP CONSTRAINT never");
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
    let (_, log) = daemon.stop();
    assert!(log.contains("never"), "{log}");
}
