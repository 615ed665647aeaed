//! `provost course …`, `lesson …`, `enrol …` and `progress …` as people at a shell meet them, and
//! the same courses over HTTP.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::Shell;
use crate::support::client::{Answer, Client};

const PASSWORD: &str = "correct horse battery staple";

fn sample() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/courses");
    folder
        .join("operating-provost")
        .to_str()
        .unwrap()
        .to_owned()
}

/// Makes an account and logs in; the header with its access token.
fn person(shell: &Shell, client: &mut Client, name: &str, role: &str) -> String {
    let line = ["user", "create", name, "--role", role, "--password-stdin"];
    assert_eq!(shell.run_with(&line, PASSWORD).status, 0);
    let body = json!({ "login": name, "password": PASSWORD }).to_string();
    let answer = client.must("POST", "/api/v1/auth/login", "", &body);
    format!("Authorization: Bearer {}\r\n", answer.text("access_token"))
}

fn slugs(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let page = answer.json();
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["slug"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_course_goes_from_a_folder_to_a_person_who_completes_it() {
    let shell = Shell::unthrottled();
    let told = shell.json(&["course", "import", &sample(), "--dry-run"]);
    assert_eq!(
        (&told["created"], &told["dry_run"]),
        (&json!(true), &json!(true))
    );
    shell.fails(5, &["course", "show", "operating-provost"]);
    shell.ok(&["course", "import", &sample()]);
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let ivan = person(&shell, &mut client, "ivan", "user");
    assert_eq!(
        slugs(&client.must("GET", "/api/v1/courses", &ivan, "")),
        [""; 0]
    );
    let path = "/api/v1/courses/operating-provost";
    assert_eq!(client.must("GET", path, &ivan, "").status, 404);
    shell.ok(&["course", "publish", "operating-provost"]);
    let listed = client.must("GET", "/api/v1/courses?q=afternoon&tag=provost", &ivan, "");
    assert_eq!(slugs(&listed), ["operating-provost"]);

    let shown = client.must("GET", path, &ivan, "");
    let tag = shown.header("etag").unwrap().to_owned();
    let known = format!("{ivan}If-None-Match: {tag}\r\n");
    let again = client.must("GET", path, &known, "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), Some(tag.as_str()));

    let entered = client.must("POST", &format!("{path}/enrolments"), &ivan, "");
    assert_eq!(entered.text("state"), "active", "{entered:?}");
    let lessons = client
        .must("GET", &format!("{path}/lessons"), &ivan, "")
        .json();
    let lessons = lessons["items"].as_array().unwrap();
    assert_eq!(lessons.len(), 7);
    for lesson in lessons {
        let path = format!("/api/v1/lessons/{}", lesson["id"].as_str().unwrap());
        let read = client.must("GET", &path, &ivan, "");
        assert!(read.text("html").starts_with("<p>"), "{read:?}");
        let marked = client.must(
            "PUT",
            &format!("{path}/progress"),
            &ivan,
            r#"{"state":"completed"}"#,
        );
        assert_eq!(marked.status, 200, "{marked:?}");
    }
    let progress = client.must("GET", &format!("{path}/progress"), &ivan, "");
    assert_eq!(progress.json()["percent"], 100);
    let progress = shell.json(&["progress", "show", "operating-provost", "ivan"]);
    assert_eq!(progress["percent"], 100);
    let enrolled = shell.json(&["enrol", "list", "operating-provost"]);
    assert_eq!(enrolled["items"][0]["username"], "ivan");

    let file = client.must("GET", &format!("{path}/attachments/parts.txt"), &ivan, "");
    assert_eq!(file.header("content-type"), Some("text/plain"));
    assert_eq!(
        file.header("content-disposition"),
        Some("attachment; filename=\"parts.txt\"")
    );
    assert!(
        file.header("content-security-policy")
            .unwrap()
            .contains("sandbox")
    );
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn an_author_makes_and_changes_a_course_over_http_and_nobody_else_does() {
    let shell = Shell::unthrottled();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let anna = person(&shell, &mut client, "anna", "author");
    let ivan = person(&shell, &mut client, "ivan", "user");
    let body = r#"{"title":"Introduction to SQL","tags":["Databases"]}"#;
    let keyed = format!("{anna}Idempotency-Key: k1\r\n");
    let made = client.must("POST", "/api/v1/courses", &keyed, body);
    assert_eq!(
        (made.status, made.text("slug").as_str()),
        (201, "introduction-to-sql")
    );
    let replayed = client.must("POST", "/api/v1/courses", &keyed, body);
    assert_eq!(replayed.json(), made.json());
    let taken = client.must("POST", "/api/v1/courses", &anna, body);
    assert_eq!(
        (taken.status, taken.text("code").as_str()),
        (409, "slug_taken")
    );
    let refused = client.must("POST", "/api/v1/courses", &ivan, body);
    assert_eq!(refused.status, 403, "{refused:?}");

    let path = "/api/v1/courses/introduction-to-sql";
    let lesson = r#"{"title":"SELECT","source":"<script>alert(1)</script>*all*"}"#;
    let lesson = client.must("POST", &format!("{path}/lessons"), &anna, lesson);
    assert_eq!(lesson.status, 201, "{lesson:?}");
    assert!(!lesson.text("html").contains("script"), "{lesson:?}");
    let read = format!("/api/v1/lessons/{}", lesson.text("id"));
    assert_eq!(client.must("GET", &read, &ivan, "").status, 404);

    let stale = format!("{anna}If-Match: \"{}.9\"\r\n", made.text("id"));
    let published = r#"{"state":"published"}"#;
    assert_eq!(client.must("PATCH", path, &stale, published).status, 412);
    let current = format!("{anna}If-Match: {}\r\n", made.header("etag").unwrap());
    let changed = client.must("PATCH", path, &current, published);
    assert_eq!(
        (changed.status, &changed.json()["version"]),
        (200, &json!(2))
    );
    assert_eq!(client.must("GET", &read, &ivan, "").status, 200);
    assert_eq!(client.must("PATCH", path, &ivan, published).status, 403);
    let unknown = client.must("PATCH", path, &anna, r#"{"colour":"red"}"#);
    assert_eq!(unknown.text("code"), "unknown_field");
    assert_eq!(client.must("DELETE", path, &anna, "").status, 204);
    assert_eq!(client.must("GET", path, &anna, "").status, 404);
    let actions = shell.json(&["audit", "list", "--action", "course.*"]);
    let actions: Vec<&Value> = actions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["action"])
        .collect();
    assert_eq!(
        actions,
        ["course.deleted", "course.published", "course.created"]
    );
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn what_is_wrong_with_a_folder_is_told_completely_and_nothing_is_changed() {
    let shell = Shell::new();
    let folder = shell.path("wrong");
    std::fs::create_dir_all(folder.join("01-one")).unwrap();
    std::fs::write(
        folder.join("course.toml"),
        "slug = \"wrong\"\ncolour = \"red\"\n",
    )
    .unwrap();
    std::fs::write(folder.join("01-one/01-a.md"), "no front matter\n").unwrap();
    std::fs::create_dir(folder.join("quiz")).unwrap();
    std::fs::write(folder.join("quiz/q.gift"), "One? {T}\n\nTwo? {=\n").unwrap();
    std::fs::write(folder.join("quiz/q.xlsx"), "PK").unwrap();
    let folder = folder.to_str().unwrap();
    let told = shell.fails(7, &["course", "import", folder]);
    for line in [
        "01-one/01-a.md:1: must begin with",
        "course.toml:1: title is missing",
        "course.toml:2: unknown key \"colour\"",
        "quiz/q.gift:3: ",
        "quiz/q.xlsx: is no quiz",
        "error: 5 faults in the files of the course; nothing was changed",
    ] {
        assert!(told.contains(line), "{told}");
    }
    let problem = shell.run(&["--json", "course", "import", folder]);
    let problem: Value = serde_json::from_str(&problem.stderr).unwrap();
    assert_eq!(
        (
            &problem["code"],
            problem["errors"].as_array().unwrap().len()
        ),
        (&json!("files_refused"), 5)
    );
    assert_eq!(shell.json(&["course", "list"])["items"], json!([]));
}

#[test]
fn the_quizzes_of_a_folder_come_and_go_with_it_and_are_changed_in_their_place() {
    let shell = Shell::new();
    let told = shell.json(&["course", "import", &sample(), "--dry-run"]);
    assert_eq!(told["quizzes_created"], 1, "{told}");
    shell.ok(&["course", "import", &sample()]);
    let quiz = ["quiz", "show", "operating-provost/check-yourself"];
    let before = shell.json(&quiz);
    let folder = shell.path("out");
    let out = folder.to_str().unwrap();
    shell.ok(&["course", "export", "operating-provost", out]);
    let file = "quiz/check-yourself.toml";
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let first = std::fs::read_to_string(Path::new(&sample()).join(file)).unwrap();
    assert_eq!(text, first);

    std::fs::write(
        folder.join(file),
        text.replace("passing = 75", "passing = 50"),
    )
    .unwrap();
    std::fs::write(folder.join("quiz/more.gift"), "::Wet:: Is it? {T}\n").unwrap();
    let told = shell.json(&["course", "import", out, "--dry-run"]);
    let counts = |told: &Value| {
        ["created", "updated", "unchanged"].map(|it| told[format!("quizzes_{it}")].clone())
    };
    assert_eq!(counts(&told), [json!(1), json!(1), json!(0)], "{told}");
    assert_eq!(shell.json(&quiz), before);
    shell.ok(&["course", "import", out]);
    let after = shell.json(&quiz);
    assert_eq!(
        (&after["id"], &after["passing"]),
        (&before["id"], &json!(50))
    );
    let again = shell.json(&["course", "import", out]);
    assert_eq!(counts(&again), [json!(0), json!(0), json!(2)], "{again}");
    // What a folder does not have stays.
    let told = shell.json(&["course", "import", &sample()]);
    assert_eq!(told["quizzes_kept"], json!(["more"]), "{told}");
}

#[test]
fn a_course_is_made_changed_exported_and_deleted_at_the_shell() {
    let shell = Shell::new();
    shell.ok(&[
        "course",
        "create",
        "sql",
        "--title",
        "SQL",
        "--tag",
        "databases",
    ]);
    shell.fails(6, &["course", "create", "sql", "--title", "Again"]);
    shell.fails(5, &["course", "update", "sql", "--owner", "nobody"]);
    shell.ok(&[
        "course",
        "update",
        "sql",
        "--summary",
        "All of it",
        "--language",
        "en",
    ]);
    let text = "# Joins\n\nTwo tables.\n";
    let line = [
        "lesson", "create", "sql", "joins", "--title", "Joins", "--file", "-",
    ];
    assert_eq!(shell.run_with(&line, text).status, 0);
    shell.ok(&["lesson", "create", "sql", "select", "--title", "SELECT"]);
    shell.ok(&["lesson", "move", "sql/select", "--position", "1"]);
    let order = shell.ok(&["lesson", "list", "sql", "--jsonl", "--fields", "slug"]);
    assert_eq!(order, "{\"slug\":\"select\"}\n{\"slug\":\"joins\"}");
    assert_eq!(
        shell.ok(&["lesson", "show", "sql/joins", "--source"]),
        text.trim_end()
    );
    let folder = shell.path("sql");
    let folder = folder.to_str().unwrap();
    shell.ok(&["course", "export", "sql", folder]);
    assert!(Path::new(folder).join("01-lessons/02-joins.md").exists());
    shell.fails(6, &["course", "export", "sql", folder]);
    let told = shell.json(&["course", "import", folder]);
    assert_eq!(
        (&told["lessons_unchanged"], &told["lessons_updated"]),
        (&json!(2), &json!(0))
    );
    shell.fails(2, &["course", "delete", "sql"]);
    shell.ok(&["lesson", "delete", "sql/select", "--yes"]);
    shell.ok(&["course", "delete", "sql", "--yes=1"]);
    shell.fails(5, &["course", "show", "sql"]);
}
