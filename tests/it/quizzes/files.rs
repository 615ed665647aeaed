//! Quizzes as files: at the shell, and over HTTP.

use std::fs;

use serde_json::{Value, json};

use super::{PASSWORD, QUIZ, begin, log_in, quiz, school};
use crate::support::Shell;
use crate::support::client::{Answer, Client};

fn fixture(path: &str) -> String {
    format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_quiz_goes_through_files_unchanged_and_what_is_wrong_with_one_is_told_by_line() {
    let shell = school(1);
    let gift = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/gift/every-sort.gift"
    );
    let told = shell.json(&["quiz", "import", gift, "--course", "sql", "--dry-run"]);
    assert_eq!((&told["added"], &told["id"]), (&json!(22), &Value::Null));
    let told = shell.json(&["quiz", "import", gift, "--course", "sql"]);
    assert_eq!(told["slug"], "every-sort");
    let (first, second) = (shell.path("first.toml"), shell.path("second.toml"));
    shell.ok(&[
        "quiz",
        "export",
        "sql/every-sort",
        "-o",
        first.to_str().unwrap(),
    ]);
    let again = [
        "quiz",
        "import",
        first.to_str().unwrap(),
        "--course",
        "sql",
        "--slug",
        "every-sort",
    ];
    let again = shell.json(&again);
    assert_eq!(
        (&again["kept"], &again["added"], &again["corrected"]),
        (&json!(22), &json!(0), &json!(0))
    );
    shell.ok(&[
        "quiz",
        "export",
        "sql/every-sort",
        "-o",
        second.to_str().unwrap(),
    ]);
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let bad = shell.path("bad.gift");
    fs::write(&bad, "One {=a ~b\n\nTwo {T}\n\nThree {#x}\n").unwrap();
    let told = shell.fails(
        7,
        &["quiz", "import", bad.to_str().unwrap(), "--course", "sql"],
    );
    assert!(
        told.contains("bad.gift:1: the answers are not closed"),
        "{told}"
    );
    assert!(told.contains("bad.gift:5: \"x\" is no number"), "{told}");
    assert!(told.contains("nothing was changed"), "{told}");
}

#[test]
fn questions_of_moodle_come_in_and_what_cannot_is_told_and_left_out_on_request() {
    let shell = school(1);
    let xml = fixture("moodle/every-sort.xml");
    let ran = shell.run(&[
        "quiz", "import", &xml, "--course", "sql", "--title", "Moodle's",
    ]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        ran.stderr.contains("every-sort.xml:90: units are left out"),
        "{ran:?}"
    );
    let shown = shell.json(&["quiz", "show", "sql/every-sort"]);
    assert_eq!(
        (&shown["title"], &shown["questions"]),
        (&json!("Moodle's"), &json!(9))
    );
    let again = shell.json(&["quiz", "import", &xml, "--course", "sql"]);
    assert_eq!(
        (&again["kept"], &again["corrected"]),
        (&json!(9), &json!(0)),
        "{again}"
    );
    assert_eq!(again["notes"][0]["line"], 76, "{again}");
    assert_eq!(shell.json(&["quiz", "show", "sql/every-sort"]), shown);

    let bad = shell.path("bad.xml");
    let text = fs::read_to_string(&xml).unwrap();
    fs::write(&bad, text.replace("\"shortanswer\"", "\"cloze\"")).unwrap();
    let line = ["quiz", "import", bad.to_str().unwrap(), "--course", "sql"];
    let told = shell.fails(7, &line);
    let fault = "bad.xml:59: a question of the sort \"cloze\" cannot be taken in";
    assert!(told.contains(fault), "{told}");
    assert!(told.contains("1 fault in "), "{told}");
    shell.fails(5, &["quiz", "show", "sql/bad"]);
    let told = shell.json(&[&line[..], &["--partly"]].concat());
    assert_eq!(told["added"], 8, "{told}");
    let notes = told["notes"].to_string();
    assert!(notes.contains("left out: a question of the sort"), "{told}");
    shell.fails(
        2,
        &["quiz", "import", "x.toml", "--course", "sql", "--partly"],
    );
    shell.fails(
        2,
        &["quiz", "import", "-", "--course", "sql", "--slug", "x"],
    );
}

#[test]
fn grades_are_written_as_csv_and_as_a_workbook() {
    let shell = school(1);
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let bearer = log_in(&mut client, "p0");
    begin(&mut client, &bearer, &quiz(&shell));
    let path = shell.path("grades.xlsx");
    let out = path.to_str().unwrap();
    shell.ok(&["grade", "export", "sql", "-o", out]);
    assert!(fs::read(&path).unwrap().starts_with(b"PK"));
    shell.fails(6, &["grade", "export", "sql", "-o", out]);
    shell.fails(2, &["grade", "export", "sql", "--csv", "--xlsx"]);
    let csv = shell.ok(&["grade", "export", "sql", "--csv"]);
    assert_eq!(
        csv,
        "user,quiz,attempts,ungraded,points,most,percent,passed\np0,week-1,1,0,,3,,"
    );
    let listed = shell.ok(&["grade", "list", "sql", "--jsonl", "--fields", "user,most"]);
    assert_eq!(listed, r#"{"user":"p0","most":3}"#);
    assert_eq!(daemon.stop().0, 0);
}

const TOML: &str = "application/toml";

/// Puts a quiz of the course.
fn put(client: &mut Client, who: &str, kind: &str, path: &str, body: &str) -> Answer {
    let headers = format!("{who}Content-Type: {kind}\r\n");
    let path = format!("/api/v1/courses/sql/quizzes/{path}");
    client.must("PUT", &path, &headers, body)
}

/// The course with an author and a student, both logged in.
fn author_and_student(shell: &Shell, client: &mut Client) -> (String, String) {
    let line = [
        "user",
        "create",
        "anna",
        "--role",
        "author",
        "--password-stdin",
    ];
    assert_eq!(shell.run_with(&line, PASSWORD).status, 0);
    shell.ok(&["course", "update", "sql", "--owner", "anna"]);
    (log_in(client, "anna"), log_in(client, "p0"))
}

#[test]
fn an_author_puts_a_quiz_over_http_and_is_told_what_is_wrong_with_it() {
    let shell = school(1);
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let (anna, student) = author_and_student(&shell, &mut client);
    let mut put = |who: &str, kind, path, body| put(&mut client, who, kind, path, body);
    let dry = put(&anna, TOML, "exam?dry_run=true", QUIZ);
    assert_eq!(
        (dry.status, &dry.json()["id"]),
        (200, &Value::Null),
        "{dry:?}"
    );
    let made = put(&anna, TOML, "exam", QUIZ);
    assert_eq!(made.status, 201, "{made:?}");
    let quiz = made.text("id");
    assert_eq!(
        made.header("location"),
        Some(&*format!("/api/v1/quizzes/{quiz}"))
    );
    let again = put(&anna, TOML, "exam", QUIZ);
    assert_eq!((again.status, &again.json()["kept"]), (200, &json!(3)));
    let gift = put(
        &anna,
        "text/x-gift; charset=utf-8",
        "gift?title=Gift",
        "::A:: a {T}\n\n::B:: b {=\n",
    );
    assert_eq!(
        (gift.status, gift.text("code").as_str()),
        (422, "files_refused")
    );
    let fault = &gift.json()["errors"][0];
    assert_eq!(fault["pointer"], "/body/3", "{gift:?}");
    let part = put(
        &anna,
        "text/x-gift",
        "gift?title=Gift&partly=true",
        "::A:: a {T}\n\n::B:: b {=\n",
    );
    assert_eq!(
        (part.status, &part.json()["notes"][0]["line"]),
        (201, &json!(3))
    );
    for (who, kind, path, status) in [
        (&student, TOML, "exam", 403),
        (&student, "application/json", "exam", 403),
        (&anna, "application/json", "exam", 415),
        (&anna, "multipart/form-data; boundary=x", "exam", 415),
        (&anna, TOML, "exam?title=x", 422),
        (&anna, TOML, "exam?partly=true", 422),
        (&anna, TOML, "Not%20a%20slug", 422),
        (&anna, "application/xml", "exam", 422),
    ] {
        let refused = put(who, kind, path, QUIZ);
        assert_eq!(refused.status, status, "{kind} {path}: {refused:?}");
    }
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn an_author_corrects_and_regrades_a_quiz_over_http() {
    let shell = school(1);
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let (anna, student) = author_and_student(&shell, &mut client);
    let quiz = put(&mut client, &anna, TOML, "exam", QUIZ).text("id");
    let sheet = begin(&mut client, &student, &quiz);
    let attempt = format!("/api/v1/attempts/{}", sheet["id"].as_str().unwrap());
    let question = sheet["questions"][2]["id"].as_str().unwrap();
    let answer = format!("{attempt}/answers/{question}");
    client.must("PUT", &answer, &student, r#"{"seq":1,"answer":"0.25"}"#);
    let over = client.must("POST", &format!("{attempt}/submit"), &student, "");
    assert_eq!(over.json()["points"], 0, "{over:?}");
    let path = format!("/api/v1/quizzes/{quiz}");
    let file = client.must("GET", &format!("{path}/export"), &anna, "");
    assert_eq!(file.header("content-type"), Some(TOML));
    assert_eq!(
        file.header("content-disposition"),
        Some("attachment; filename=\"exam.toml\"")
    );
    assert_eq!(
        format!("{}\n", shell.ok(&["quiz", "export", "sql/exam"])),
        file.body
    );
    let tag = client.must("GET", &path, &anna, "");
    let headers = format!("{anna}Content-Type: {TOML}\r\nIf-Match: \"old\"\r\n");
    let exam = "/api/v1/courses/sql/quizzes/exam";
    let stale = client.must("PUT", exam, &headers, &file.body);
    assert_eq!(stale.status, 412, "{stale:?}");
    let headers = headers.replace("\"old\"", tag.header("etag").unwrap());
    let corrected = file.body.replace("0.125", "0.25");
    let corrected = client.must(
        "PUT",
        "/api/v1/courses/sql/quizzes/exam",
        &headers,
        &corrected,
    );
    assert_eq!(corrected.json()["corrected"], 1, "{corrected:?}");
    let refused = client.must("POST", &format!("{path}/regrade"), &student, "");
    assert_eq!(refused.status, 403);
    let whose = |who: &str| format!("{path}/attempts?user={who}");
    let of_anna = client.must("GET", &whose("anna"), &anna, "").json();
    assert_eq!(of_anna["items"], json!([]));
    let of_student = client.must("GET", &whose("p0"), &anna, "").json();
    assert_eq!(of_student["items"][0]["user"], "p0");
    let shown = shell.ok(&[
        "attempt",
        "show",
        of_student["items"][0]["id"].as_str().unwrap(),
    ]);
    for line in [
        "3.  1 / 8?",
        "numeric  0 of 1",
        "answered  0.25",
        "right     0.25",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let done = client.must("POST", &format!("{path}/regrade"), &anna, "");
    assert_eq!(done.json(), json!({ "attempts": 1, "changed": 1 }));
    assert_eq!(
        client.must("GET", &attempt, &student, "").json()["points"],
        1
    );
    for action in ["attempt.regraded", "quiz.regraded"] {
        let rows = shell.json(&["audit", "list", "--action", action]);
        let rows = rows["items"].as_array().unwrap().clone();
        assert_eq!(rows.len(), 1, "{action}: {rows:?}");
        assert!(
            rows[0]["actor"].as_str().unwrap().contains("user:"),
            "{rows:?}"
        );
    }
    let allowance = format!("{path}/allowances/p0");
    client.must(
        "PUT",
        &allowance,
        &anna,
        r#"{"extra_time":"15m","extra_attempts":0}"#,
    );
    shell.ok(&["quiz", "allow", "sql/exam", "p0", "--extra-attempts", "1"]);
    let told = client.must("GET", &allowance, &anna, "");
    assert_eq!(
        told.json(),
        json!({ "extra_time": "15m", "extra_attempts": 1 })
    );
    shell.fails(2, &["quiz", "allow", "sql/exam", "p0"]);
    assert_eq!(daemon.stop().0, 0);
}
