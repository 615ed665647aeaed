//! What is right leaves by no route before an attempt is over: everything that is right, or is said to
//! an answer, has a word in it, and no answer of the daemon to a student has that word.

use std::fs;

use serde_json::{Value, json};

use super::{begin, log_in, school};
use crate::support::client::{Answer, Client};

const QUIZ: &str = r#"
title = "Secrets"
shuffle = true

[[question]]
name = "xyzzy single"
text = "Single?"
kind = "single"
explanation = "xyzzy"
pool = "xyzzy"
choices = [{ text = "a", credit = 100, feedback = "xyzzy" }, { text = "b", feedback = "xyzzy" }]

[[question]]
name = "xyzzy multiple"
text = "Multiple?"
kind = "multiple"
explanation = "xyzzy"
choices = [{ text = "a", credit = 100, feedback = "xyzzy" }, { text = "b", credit = -33.25 }]

[[question]]
name = "xyzzy flag"
text = "Flag?"
kind = "true_false"
correct = true
if_true = "xyzzy"
if_false = "xyzzy"

[[question]]
name = "xyzzy number"
text = "Number?"
kind = "numeric"
otherwise = "xyzzy"
answers = [{ value = 987654.25, tolerance = 33.25, feedback = "xyzzy" }]

[[question]]
name = "xyzzy words"
text = "Words?"
kind = "short"
answers = [{ text = "xyzzy" }, { wildcard = "*xyzzy*", credit = 33.25 }, { regex = "xyzz?y", feedback = "xyzzy" }]

[[question]]
name = "xyzzy pairs"
text = "Pairs?"
kind = "matching"
explanation = "xyzzy"
pairs = [{ prompt = "one", answer = "1" }, { prompt = "two", answer = "2" }]

[[question]]
name = "xyzzy order"
text = "Order?"
kind = "ordering"
explanation = "xyzzy"
items = ["first", "second", "third"]

[[question]]
name = "xyzzy essay"
text = "Essay?"
kind = "essay"
explanation = "xyzzy"
"#;

/// Nothing that is right is told here.
#[track_caller]
fn clean(what: &str, answer: &Answer) {
    for word in [
        "xyzzy",
        "987654",
        "33.25",
        "\"credit\"",
        "\"right\"",
        "\"correct\"",
        "\"review\"",
        "\"pairs\"",
    ] {
        let told = answer.body.contains(word)
            || answer.headers.iter().any(|(_, value)| value.contains(word));
        assert!(!told, "{what} tells {word}: {answer:?}");
    }
}

/// Asks every route that reads, as the daemon describes itself.
fn read_everything(client: &mut Client, quiz: &str, attempt: &str, who: &[&str]) {
    let described = client.must("GET", "/openapi.json", "", "").json();
    let mut read = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        if methods.get("get").is_none() || path == "/api/v1/auth/verify" {
            continue;
        }
        let id = match path.split('/').nth(3) {
            Some("courses") => "sql",
            Some("attempts") => attempt,
            _ => quiz,
        };
        let path = path.replace("{id}", id).replace("{user}", "p0");
        for bearer in who {
            clean(&path, &client.must("GET", &path, bearer, ""));
            read += 1;
        }
    }
    assert!(read > 90, "{read}");
}

#[test]
fn no_route_tells_what_is_right_before_the_attempt_is_over() {
    let shell = school(2);
    let file = shell.path("secrets.toml");
    fs::write(&file, QUIZ).unwrap();
    let quiz = shell.json(&["quiz", "import", file.to_str().unwrap(), "--course", "sql"]);
    let quiz = quiz["id"].as_str().unwrap();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let (maria, ivan) = (log_in(&mut client, "p0"), log_in(&mut client, "p1"));
    let keyed = format!("{maria}Idempotency-Key: once\r\n");
    let path = format!("/api/v1/quizzes/{quiz}/attempts");
    let begun = client.must("POST", &path, &keyed, "");
    clean("start", &begun);
    clean("start again", &client.must("POST", &path, &keyed, ""));
    let sheet = begun.json();
    let attempt = sheet["id"].as_str().unwrap();

    read_everything(&mut client, quiz, attempt, &[&maria, &ivan, ""]);

    // Answers, good and bad, and what only others may do.
    let mut answers = Vec::new();
    for question in sheet["questions"].as_array().unwrap() {
        let path = format!(
            "/api/v1/attempts/{attempt}/answers/{}",
            question["id"].as_str().unwrap()
        );
        for answer in [
            json!(0),
            json!([0]),
            json!(true),
            json!("words"),
            json!([0, 1]),
            json!([2, 1, 0]),
            json!({}),
            json!(99),
            json!(null),
        ] {
            let seq = answers.len() + 1;
            let body = json!({ "seq": seq, "answer": answer }).to_string();
            let told = client.must("PUT", &path, &maria, &body);
            clean(&path, &told);
            answers.push(told.status);
        }
        let points = client.must("PUT", &format!("{path}/points"), &maria, r#"{"points":1}"#);
        assert_eq!(points.status, 403, "{points:?}");
        clean("points", &points);
    }
    assert!(
        answers.contains(&200) && answers.contains(&422),
        "{answers:?}"
    );
    let toml = format!("{maria}Content-Type: application/toml\r\n");
    for (method, path, headers, body, status) in [
        ("POST", format!("quizzes/{quiz}/regrade"), &maria, "", 403),
        ("GET", format!("quizzes/{quiz}/export"), &maria, "", 404),
        ("GET", format!("quizzes/{quiz}/questions"), &maria, "", 404),
        (
            "PUT",
            "courses/sql/quizzes/secrets?dry_run=true".into(),
            &toml,
            QUIZ,
            403,
        ),
        (
            "PUT",
            "courses/sql/quizzes/other?dry_run=true".into(),
            &toml,
            "title = 1",
            403,
        ),
        ("GET", format!("attempts/{attempt}"), &ivan, "", 404),
        ("POST", format!("attempts/{attempt}/submit"), &ivan, "", 404),
    ] {
        let answer = client.must(method, &format!("/api/v1/{path}"), headers, body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        clean(&path, &answer);
    }

    // An attempt of one's own that is over tells all, and that of the other still nothing.
    let other = begin(&mut client, &ivan, quiz);
    let submit = format!("/api/v1/attempts/{attempt}/submit");
    let over = client.must("POST", &submit, &maria, "");
    assert!(
        over.body.contains("xyzzy") && over.body.contains("\"review\""),
        "{over:?}"
    );
    let path = format!("/api/v1/attempts/{}", other["id"].as_str().unwrap());
    clean(&path, &client.must("GET", &path, &ivan, ""));
    clean(
        "list",
        &client.must(
            "GET",
            &format!("/api/v1/quizzes/{quiz}/attempts"),
            &ivan,
            "",
        ),
    );
    // Opened once more it tells nothing again.
    shell.ok(&["attempt", "reopen", attempt]);
    let path = format!("/api/v1/attempts/{attempt}");
    clean(&path, &client.must("GET", &path, &maria, ""));
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("xyzzy"), "{log}");
    let audit: Value = shell.json(&["audit", "list", "--limit", "1000"]);
    assert!(!audit.to_string().contains("xyzzy"), "{audit}");
}
