//! `provost course …`, `lesson …`, `enrol …` and `progress …` as people at a shell meet them, and
//! the same courses over HTTP.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::engine::only_on_sqlite;
use crate::support::{Ran, Shell};

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
    let tag = listed.header("etag").unwrap();
    let known = format!("{ivan}If-None-Match: {tag}\r\n");
    for (query, status) in [("?q=afternoon&tag=provost", 304), ("?state=draft", 200)] {
        let again = client.must("GET", &format!("/api/v1/courses{query}"), &known, "");
        assert_eq!(again.status, status, "{again:?}");
        assert_eq!(again.header("etag") == Some(tag), status == 304);
    }

    let shown = client.must("GET", path, &ivan, "");
    let tag = shown.header("etag").unwrap().to_owned();
    let known = format!("{ivan}If-None-Match: {tag}\r\n");
    let again = client.must("GET", path, &known, "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), Some(tag.as_str()));

    let entered = client.must("POST", &format!("{path}/enrolments"), &ivan, "");
    assert_eq!(entered.text("state"), "active", "{entered:?}");
    for (order, status) in [("-created_at", 200), ("state", 422)] {
        let listed = format!("{path}/enrolments?sort={order}");
        let listed = client.must("GET", &listed, &ivan, "");
        assert_eq!(listed.status, status, "{listed:?}");
    }
    let lessons = client
        .must("GET", &format!("{path}/lessons"), &ivan, "")
        .json();
    let lessons = lessons["items"].as_array().unwrap();
    assert_eq!(lessons.len(), 9);
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
    let wrong = r#"{"slug":"No Slug","title":"SQL"}"#;
    let wrong = client.must("POST", "/api/v1/courses", &anna, wrong);
    assert_eq!(
        (wrong.status, wrong.text("code").as_str()),
        (422, "invalid")
    );
    assert_eq!(wrong.json()["errors"][0]["pointer"], "/slug", "{wrong:?}");

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
fn files_of_a_course_are_put_read_again_only_if_they_changed_and_deleted() {
    let shell = Shell::unthrottled().with("PROVOST_COURSES_ATTACHMENT_MAX", "1024");
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let anna = person(&shell, &mut client, "anna", "author");
    let ivan = person(&shell, &mut client, "ivan", "user");
    let body = r#"{"slug":"sql","title":"SQL"}"#;
    let made = client.must("POST", "/api/v1/courses", &anna, body);
    assert_eq!(made.status, 201, "{made:?}");
    client.must(
        "PATCH",
        "/api/v1/courses/sql",
        &anna,
        r#"{"state":"published"}"#,
    );
    let path = "/api/v1/courses/sql/attachments/page.html";
    let page = "<html><script>alert(1)</script></html>";
    let new = format!("{anna}If-None-Match: *\r\n");
    let put = client.must("PUT", path, &new, page);
    assert_eq!((put.status, put.header("location")), (201, Some(path)));
    assert_eq!(put.text("media_type"), "text/plain");
    assert_eq!(client.must("PUT", path, &new, "other").status, 412);
    assert_eq!(client.must("PUT", path, &ivan, page).status, 403);
    let large = client.must("PUT", path, &anna, &"x".repeat(1025));
    assert_eq!(
        (large.status, large.text("code").as_str()),
        (413, "payload_too_large")
    );
    let form = format!("{anna}Content-Type: multipart/form-data; boundary=x\r\n");
    let form = client.must("PUT", path, &form, "--x--");
    assert_eq!(form.status, 415, "{form:?}");

    let got = client.must("GET", path, &ivan, "");
    assert_eq!((got.status, got.body.as_str()), (200, page));
    assert_eq!(got.header("content-type"), Some("text/plain"));
    assert_eq!(got.header("cache-control"), Some("private, no-cache"));
    let tag = got.header("etag").unwrap().to_owned();
    assert_eq!(put.header("etag"), Some(tag.as_str()));
    let known = format!("{ivan}If-None-Match: {tag}\r\n");
    let again = client.must("GET", path, &known, "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let stale = format!("{anna}If-Match: \"x\"\r\n");
    assert_eq!(client.must("DELETE", path, &stale, "").status, 412);
    let current = format!("{anna}If-Match: {tag}\r\n");
    let replaced = client.must("PUT", path, &current, "plain");
    assert_eq!(replaced.status, 200, "{replaced:?}");
    assert_eq!(client.must("PUT", path, &current, "late").status, 412);
    let changed = client.must("GET", path, &known, "");
    assert_eq!((changed.status, changed.body.as_str()), (200, "plain"));

    // The shell sees the same, and the daemon what the shell does.
    let file = shell.path("map.png");
    std::fs::write(&file, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap();
    let file = file.to_str().unwrap();
    let added = shell.json(&["attachment", "add", "sql", file]);
    assert_eq!(added["media_type"], "image/png");
    shell.fails(2, &["attachment", "add", "sql", file, "--name", "../x"]);
    shell.fails(
        7,
        &[
            "attachment",
            "add",
            "sql",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ],
    );
    let listed = client.must("GET", "/api/v1/courses/sql/attachments?limit=1", &ivan, "");
    let listed = listed.json();
    assert_eq!(
        (&listed["items"][0]["name"], &listed["next"]),
        (&json!("map.png"), &json!("map.png"))
    );
    let copy = shell.path("copy.png");
    let copy = copy.to_str().unwrap();
    let line = ["attachment", "export", "sql", "map.png", "-o", copy];
    shell.ok(&line);
    assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(file).unwrap());
    shell.fails(6, &line);
    assert_eq!(
        shell.ok(&["attachment", "export", "sql", "page.html"]),
        "plain"
    );
    shell.fails(
        5,
        &["attachment", "delete", "sql", "map.png", "none", "--yes"],
    );
    shell.fails(2, &["attachment", "delete", "sql", "map.png"]);
    shell.ok(&["attachment", "delete", "sql", "map.png", "--yes"]);
    assert_eq!(client.must("DELETE", path, &anna, "").status, 204);
    assert_eq!(client.must("GET", path, &ivan, "").status, 404);
    assert_eq!(
        shell.json(&["attachment", "list", "sql"])["items"],
        json!([])
    );
    assert_eq!(daemon.stop().0, 0);
}

/// A course of so many lessons, each with a quiz of ten questions, as a folder.
fn large(folder: &Path, lessons: usize) {
    use std::fmt::Write as _;
    std::fs::create_dir_all(folder.join("quiz")).unwrap();
    let mut head = String::from("slug = \"large\"\ntitle = \"Large\"\n\n[modules]\n");
    for module in 0..lessons.div_ceil(10) {
        writeln!(head, "m{module} = \"Module {module}\"").unwrap();
        std::fs::create_dir(folder.join(format!("{:02}-m{module}", module + 1))).unwrap();
    }
    std::fs::write(folder.join("course.toml"), head).unwrap();
    for lesson in 0..lessons {
        let (module, place) = (lesson / 10, lesson % 10 + 1);
        let file = format!("{:02}-m{module}/{place:02}-l{lesson}.md", module + 1);
        let text = "A *paragraph* of what is to be learnt, with `code` and words.\n\n".repeat(40);
        let text = format!("+++\ntitle = \"Lesson {lesson}\"\n+++\n\n{text}");
        std::fs::write(folder.join(file), text).unwrap();
        let mut quiz = String::new();
        for question in 0..10 {
            writeln!(quiz, "::Q{question}:: How many? {{ =one ~two ~three }}\n").unwrap();
        }
        std::fs::write(folder.join(format!("quiz/l{lesson}.gift")), quiz).unwrap();
    }
}

/// Everything below a folder.
fn tree(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Takes a course in, writes it out, takes that in elsewhere, writes that out: both are the same.
/// Tells how long the first step took.
fn round_trip(lessons: usize) -> std::time::Duration {
    let (here, there) = (Shell::new(), Shell::new());
    let folder = here.path("large");
    large(&folder, lessons);
    let start = std::time::Instant::now();
    let told = here.json(&["course", "import", folder.to_str().unwrap()]);
    let took = start.elapsed();
    assert_eq!(
        (&told["lessons_created"], &told["quizzes_created"]),
        (&json!(lessons), &json!(lessons))
    );
    let (first, second) = (here.path("first"), there.path("second"));
    let out = first.to_str().unwrap();
    here.ok(&["course", "export", "large", out]);
    there.ok(&["course", "import", out]);
    there.ok(&["course", "export", "large", second.to_str().unwrap()]);
    let first = tree(&first);
    assert_eq!(first.len(), 2 * lessons + 1);
    assert!(first == tree(&second), "the second export differs");
    let again = here.json(&["course", "import", out]);
    assert_eq!(
        (&again["lessons_unchanged"], &again["quizzes_unchanged"]),
        (&json!(lessons), &json!(lessons))
    );
    took
}

#[test]
fn what_was_exported_and_taken_in_elsewhere_is_exported_the_same() {
    round_trip(12);
}

#[test]
#[ignore = "200 lessons with 2,000 questions: prints how long taking them in takes"]
fn a_course_of_two_hundred_lessons_and_two_thousand_questions_is_taken_in() {
    let took = round_trip(200);
    crate::support::cluster::say(&format!("200 lessons and 2,000 questions in {took:?}"));
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

/// The lines of the blocks of a page that are marked `sh`, block by block.
fn commands(page: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

/// Runs what is between two lines; tells the status.
#[track_caller]
fn runs(shell: &Shell, line: &str, statuses: &[i32]) {
    let ran = Ran::of(&mut shell.line(line));
    assert!(statuses.contains(&ran.status), "{line}: {ran:?}");
}

#[test]
fn every_command_of_the_sample_course_does_what_its_lesson_says() {
    if only_on_sqlite("a backup of a server is made with the server's own tools") {
        return;
    }
    let shell = Shell::new();
    runs(&shell, &format!("cp -r {} .", sample()), &[0]);
    std::fs::write(shell.path("week-1.gift"), "One? {T}\n").unwrap();
    let mut lessons: Vec<_> = tree(Path::new(&sample())).into_keys().collect();
    lessons.retain(|name| Path::new(name).extension().is_some_and(|it| it == "md"));
    let mut seen = 0;
    for lesson in lessons {
        for block in commands(&Path::new(&sample()).join(&lesson)) {
            for line in block.lines() {
                match line {
                    // Asks, waits for requests, and needs who waits.
                    "provost serve" | "provost health" => continue,
                    line if line.starts_with("provost init --admin") => {
                        runs(&shell, &format!("{line} --generate"), &[0]);
                    }
                    // No, and something found: both are what the lesson is about.
                    line if line.starts_with("provost can ") => runs(&shell, line, &[3]),
                    line if line.ends_with("--exit-code --quiet") => runs(&shell, line, &[0, 9]),
                    line => runs(&shell, line, &[0]),
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 35, "{seen}");
}

#[test]
fn the_page_on_courses_works_word_for_word() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/courses.md");
    let shell = Shell::new();
    let blocks = commands(&page);
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        runs(&shell, &format!("set -e\n{block}"), &[0]);
    }
    let told = std::fs::read_to_string(shell.path("statements.jsonl")).unwrap();
    assert_eq!(told, "", "nobody has learnt anything yet");
    // What it shows of a folder that is wrong.
    let text = std::fs::read_to_string(&page).unwrap();
    let shown = text
        .split("$ provost course import ./sql\n")
        .nth(1)
        .unwrap();
    let lesson = shell.path("sql/01-reading/01-select.md");
    let good = std::fs::read_to_string(&lesson).unwrap();
    std::fs::write(&lesson, good.replace("title = \"SELECT\"\n", "")).unwrap();
    let head = shell.path("sql/course.toml");
    let good = std::fs::read_to_string(&head).unwrap();
    let bad = good.replace("language = \"en\"", "colour = \"red\"");
    std::fs::write(&head, bad).unwrap();
    let sql = shell.path("sql");
    let told = shell.fails(7, &["course", "import", sql.to_str().unwrap()]);
    assert_eq!(told, shown.split("```").next().unwrap());
}

#[test]
fn what_people_have_learnt_is_handed_out_as_statements() {
    let shell = Shell::unthrottled();
    shell.ok(&["course", "import", &sample()]);
    shell.ok(&["course", "publish", "operating-provost"]);
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let ivan = person(&shell, &mut client, "ivan", "user");
    let path = "/api/v1/courses/operating-provost";
    client.must("POST", &format!("{path}/enrolments"), &ivan, "");
    let lessons = client.must("GET", &format!("{path}/lessons?limit=1"), &ivan, "");
    let lesson = lessons.json()["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let done = format!("/api/v1/lessons/{lesson}/progress");
    client.must("PUT", &done, &ivan, r#"{"state":"completed"}"#);
    let quiz = shell.json(&["quiz", "show", "operating-provost/check-yourself"]);
    let quiz = format!("/api/v1/quizzes/{}/attempts", quiz["id"].as_str().unwrap());
    let attempt = client.must("POST", &quiz, &ivan, "").text("id");
    client.must(
        "POST",
        &format!("/api/v1/attempts/{attempt}/submit"),
        &ivan,
        "",
    );
    assert_eq!(daemon.stop().0, 0);

    shell.fails(2, &["xapi", "export", "--jsonl"]);
    let base = ["--base", "https://learn.example.org"];
    shell.fails(2, &["xapi", "export", base[0], base[1]]);
    let told = shell.ok(&["xapi", "export", "--jsonl", base[0], base[1]]);
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Nothing was answered: no person has to grade anything.
    let verbs: Vec<&Value> = lines
        .iter()
        .map(|it| &it["verb"]["display"]["en"])
        .collect();
    assert_eq!(verbs, ["completed", "submitted", "scored"]);
    let object = format!("https://learn.example.org/api/v1/lessons/{lesson}");
    assert_eq!(lines[0]["object"]["id"], object.as_str());
    let shell = shell.with("PROVOST_SERVER_PUBLIC_URL", "https://learn.example.org");
    let document = shell.json(&["xapi", "export", "--course", "operating-provost"]);
    assert_eq!(document["items"], json!(lines));
    let later = shell.json(&["xapi", "export", "--since", "now"]);
    assert_eq!(later["items"], json!([]));
    shell.fails(5, &["xapi", "export", "--jsonl", "--course", "none"]);
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
