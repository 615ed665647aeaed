//! What proxies and other services ask: who is it, may it pass, and with which keys are tokens
//! signed.

use serde_json::json;

use super::{ask, bearer, end, house, is_in, log_in, problem, refresh, unauthenticated};
use crate::support::client::{Answer, Client};

const VERIFY: &str = "/api/v1/auth/verify";

fn told(answer: &Answer) -> Vec<(&str, &str)> {
    let headers = answer.headers.iter();
    let ours = headers.filter(|(name, _)| name.starts_with("x-auth-"));
    ours.map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn forbidden(needs: &str) -> String {
    let detail = format!("not permitted: this needs the scope {needs}");
    problem(403, "Forbidden", "forbidden", &detail)
}

#[test]
fn a_proxy_is_told_who_it_is_and_refused_what_the_person_may_not() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let (ivan, maria) = (log_in(&mut client, "ivan"), log_in(&mut client, "maria"));
    let id = shell.ok(&["user", "show", "ivan", "--quiet"]);
    let forged = "X-Auth-User: root\r\nX-Auth-Roles: admin\r\nX-Auth-Scopes: a:b\r\n";
    for credential in [ivan.bearer(), ivan.jar().line()] {
        let answer = ask(
            &mut client,
            "GET",
            VERIFY,
            &format!("{credential}{forged}"),
            "",
        );
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(
            told(&answer),
            [
                ("x-auth-user-id", id.as_str()),
                ("x-auth-user", "ivan"),
                ("x-auth-roles", "user"),
                ("x-auth-session", ivan.id.as_str()),
            ]
        );
    }
    let nobody = ask(&mut client, "GET", VERIFY, forged, "");
    assert_eq!(
        (nobody.status, nobody.body.as_str()),
        (401, unauthenticated().as_str())
    );
    assert_eq!(told(&nobody), []);
    for (person, query, status, body) in [
        (&ivan, "role=user", 200, String::new()),
        (&ivan, "role=admin", 403, forbidden("role:admin")),
        (&ivan, "scope=user:read", 403, forbidden("user:read")),
        (
            &ivan,
            "scope=course:read&role=user",
            403,
            forbidden("course:read"),
        ),
        (&maria, "role=admin", 200, String::new()),
        (&maria, "role=admin&scope=course:read", 200, String::new()),
        (&maria, "role=user", 403, forbidden("role:user")),
    ] {
        let path = format!("{VERIFY}?{query}");
        let answer = ask(&mut client, "GET", &path, &person.bearer(), "");
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, body.as_str()),
            "{query}"
        );
        assert_eq!(told(&answer).is_empty(), status != 200, "{query}");
    }
    for query in [
        "role=root",
        "role=",
        "scope=x",
        "scope=",
        "as=maria",
        "role=user&role=admin",
    ] {
        let path = format!("{VERIFY}?{query}");
        let answer = ask(&mut client, "GET", &path, &maria.bearer(), "");
        assert!([400, 422].contains(&answer.status), "{query}: {answer:?}");
    }
    // What the database says now, not what the token said when it was signed.
    shell.ok(&["user", "role", "add", "ivan", "admin"]);
    let path = format!("{VERIFY}?role=admin");
    let now = log_in(&mut client, "ivan");
    assert_eq!(
        ask(&mut client, "GET", &path, &now.bearer(), "").status,
        200
    );
    shell.ok(&["user", "role", "remove", "ivan", "admin"]);
    assert_ne!(
        ask(&mut client, "GET", &path, &now.bearer(), "").status,
        200
    );
    end(daemon);
}

#[test]
fn an_api_token_passes_by_its_scopes_and_not_by_what_its_owner_is() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let make = |owner: &[&str], scope: &str| {
        let line = [&["token", "create", "--scope", scope], owner].concat();
        let made = shell.json(&line);
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        (text("id"), bearer(&text("token")))
    };
    let (id, narrow) = make(&["--owner", "maria"], "course:read,post:*");
    let maria = shell.ok(&["user", "show", "maria", "--quiet"]);
    let answer = ask(&mut client, "GET", VERIFY, &narrow, "");
    assert_eq!(answer.status, 200);
    let said = told(&answer);
    for pair in [
        ("x-auth-user-id", maria.as_str()),
        ("x-auth-user", "maria"),
        ("x-auth-token", id.as_str()),
        ("x-auth-scopes", "course:read post:*"),
    ] {
        assert!(said.contains(&pair), "{said:?}");
    }
    // Its owner is an administrator; whoever finds the token is none.
    assert!(
        !said.iter().any(|(_, value)| value.contains("admin")),
        "{said:?}"
    );
    assert!(
        !said.iter().any(|(name, _)| *name == "x-auth-session"),
        "{said:?}"
    );
    let (_, ownerless) = make(&[], "course:read");
    for (credential, query, status) in [
        (&narrow, "scope=course:read", 200),
        (&narrow, "scope=post:write", 200),
        (&narrow, "scope=course:write", 403),
        (&narrow, "scope=user:read", 403),
        (&narrow, "role=admin", 403),
        (&narrow, "role=user", 403),
        (&narrow, "scope=course:read&role=admin", 403),
        (&ownerless, "scope=course:read", 200),
        (&ownerless, "role=user", 403),
    ] {
        let path = format!("{VERIFY}?{query}");
        let answer = ask(&mut client, "GET", &path, credential, "");
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(told(&answer).is_empty(), status != 200, "{query}");
    }
    shell.ok(&["token", "revoke", &id]);
    assert_eq!(
        ask(&mut client, "GET", VERIFY, &narrow, "").body,
        unauthenticated()
    );
    end(daemon);
}

#[test]
fn the_public_keys_are_those_that_sign_now_and_soon_and_those_that_still_count() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let kids = |client: &mut Client| -> Vec<String> {
        let answer = ask(client, "GET", "/.well-known/jwks.json", "", "");
        assert_eq!(answer.status, 200, "{answer:?}");
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        for key in &keys {
            let mut members: Vec<&String> = key.as_object().unwrap().keys().collect();
            members.sort_unstable();
            // The private half is called d.
            assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
            assert_eq!((&key["alg"], &key["kty"]), (&json!("EdDSA"), &json!("OKP")));
        }
        let id = |key: &serde_json::Value| key["kid"].as_str().unwrap().to_owned();
        keys.iter().map(id).collect()
    };
    let tokens = log_in(&mut client, "ivan");
    let known = |kid: &str| {
        shell.json(&["key", "list"])["items"]
            .to_string()
            .contains(kid)
    };
    let [old] = kids(&mut client).try_into().unwrap();
    let rotation = shell.json(&["key", "rotate"]);
    let new = rotation["id"].as_str().unwrap().to_owned();
    // Published before it signs; what the old one signs is good until it has expired.
    assert_eq!(kids(&mut client), [new.clone(), old.clone()]);
    let next = super::Tokens::of(&refresh(&mut client, &tokens.refresh));
    assert!(is_in(&mut client, &tokens.bearer()) && is_in(&mut client, &next.bearer()));
    let told = shell.fails(7, &["key", "rotate"]);
    assert!(told.contains("is on its way"), "{told}");
    let told = shell.fails(2, &["key", "rotate", "--compromised"]);
    assert!(told.contains("--yes"), "{told}");
    let rotation = shell.json(&["key", "rotate", "--compromised", "--yes"]);
    assert_eq!(kids(&mut client), [rotation["id"].as_str().unwrap()]);
    assert!(known(&old) && known(&new));
    super::is_over(&mut client, &next);
    let again = log_in(&mut client, "ivan");
    assert!(is_in(&mut client, &again.bearer()));
    end(daemon);
}
