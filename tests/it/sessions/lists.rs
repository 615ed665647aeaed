//! Looking through sessions over HTTP and ending them: one's own, and, for administrators, anybody's.

use serde_json::{Value, json};

use super::{PASSWORD, Tokens, ask, end, house, is_open, is_over, log_in};
use crate::support::client::Client;

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn people_see_their_own_sessions_and_end_one_the_others_or_all() {
    const MINE: &str = "/api/v1/me/sessions";
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let agent =
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n";
    let body = json!({ "login": "ivan", "password": PASSWORD }).to_string();
    let one = Tokens::of(&ask(
        &mut client,
        "POST",
        "/api/v1/auth/login",
        agent,
        &body,
    ));
    let (two, three) = (log_in(&mut client, "ivan"), log_in(&mut client, "ivan"));
    let maria = log_in(&mut client, "maria");
    let list = ask(&mut client, "GET", MINE, &two.bearer(), "").json();
    assert_eq!(ids(&list), [&three.id, &two.id, &one.id].map(String::clone));
    let items = list["items"].as_array().unwrap();
    assert_eq!(items[1]["current"], true);
    assert_eq!(
        (&items[0]["current"], &items[2]["current"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        (&items[2]["client"], &items[2]["ip"]),
        (&json!("Firefox, Linux"), &json!("127.0.0.1"))
    );
    assert_eq!(items[2]["methods"], json!(["password"]));
    // Somebody else's is as unknown as one that never was.
    for id in [&maria.id, &maria.id[..8], &three.id[..35], "x", "%00"] {
        let answer = ask(
            &mut client,
            "DELETE",
            &format!("{MINE}/{id}"),
            &two.bearer(),
            "",
        );
        assert_eq!(
            (answer.status, answer.text("code").as_str()),
            (404, "not_found"),
            "{id}"
        );
    }
    is_open(&mut client, &maria);
    let path = format!("{MINE}/{}", three.id);
    for _ in 0..2 {
        let answer = ask(&mut client, "DELETE", &path, &two.bearer(), "");
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        is_over(&mut client, &three);
    }
    let wrong = ask(
        &mut client,
        "DELETE",
        &format!("{MINE}?except=all"),
        &two.bearer(),
        "",
    );
    assert_eq!(wrong.status, 400);
    let others = ask(
        &mut client,
        "DELETE",
        &format!("{MINE}?except=current"),
        &two.bearer(),
        "",
    );
    assert_eq!((others.status, others.json()), (200, json!({ "ended": 1 })));
    is_over(&mut client, &one);
    is_open(&mut client, &two);
    let four = log_in(&mut client, "ivan");
    let all = ask(&mut client, "DELETE", MINE, &two.bearer(), "");
    assert_eq!((all.status, all.json()), (200, json!({ "ended": 2 })));
    is_over(&mut client, &two);
    is_over(&mut client, &four);
    is_open(&mut client, &maria);
    end(daemon);
}

#[test]
fn administrators_see_everybodys_sessions_and_end_them() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let maria = log_in(&mut client, "maria");
    let (one, two) = (log_in(&mut client, "ivan"), log_in(&mut client, "ivan"));
    let admin = maria.bearer();
    let get = |client: &mut Client, path: &str| {
        let answer = ask(client, "GET", path, &admin, "");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let all = get(&mut client, "/api/v1/sessions");
    assert_eq!(ids(&all), [&two.id, &one.id, &maria.id].map(String::clone));
    for secret in [&one.access, &one.refresh, &one.csrf] {
        assert!(!all.to_string().contains(secret));
    }
    for query in [
        "user=ivan",
        "user=ivan@example.org",
        "ip=127.0.0.0/8&user=IVAN&state=active",
    ] {
        let found = get(&mut client, &format!("/api/v1/sessions?{query}"));
        assert_eq!(
            ids(&found),
            [&two.id, &one.id].map(String::clone),
            "{query}"
        );
    }
    for query in [
        "ip=10.0.0.0/8",
        "client=Firefox*",
        "state=revoked",
        "idle_since=2001-01-01T00:00:00Z",
        "created_before=2001-01-01T00:00:00Z",
    ] {
        let found = get(&mut client, &format!("/api/v1/sessions?{query}"));
        assert_eq!(ids(&found), [""; 0], "{query}");
    }
    let page = get(&mut client, "/api/v1/sessions?limit=1");
    let cursor = page["next"].as_str().unwrap();
    let rest = get(&mut client, &format!("/api/v1/sessions?cursor={cursor}"));
    assert_eq!(ids(&rest), [&one.id, &maria.id].map(String::clone));
    let of_ivan = get(&mut client, "/api/v1/users/ivan/sessions");
    assert_eq!(ids(&of_ivan), [&two.id, &one.id].map(String::clone));
    let shown = get(&mut client, &format!("/api/v1/sessions/{}", one.id));
    assert_eq!(
        (&shown["user"], &shown["state"]),
        (&json!("ivan"), &json!("active"))
    );
    let path = format!("/api/v1/sessions/{}", one.id);
    for _ in 0..2 {
        assert_eq!(ask(&mut client, "DELETE", &path, &admin, "").status, 204);
    }
    is_over(&mut client, &one);
    is_open(&mut client, &two);
    assert_eq!(get(&mut client, &path)["state"], "revoked");
    let ended = ask(
        &mut client,
        "DELETE",
        "/api/v1/users/ivan/sessions",
        &admin,
        "",
    );
    assert_eq!((ended.status, ended.json()), (200, json!({ "ended": 1 })));
    is_over(&mut client, &two);
    for path in ["/api/v1/users/nobody/sessions", "/api/v1/sessions/00000000"] {
        assert_eq!(ask(&mut client, "GET", path, &admin, "").status, 404);
        assert_eq!(ask(&mut client, "DELETE", path, &admin, "").status, 404);
    }
    is_open(&mut client, &maria);
    end(daemon);
}
