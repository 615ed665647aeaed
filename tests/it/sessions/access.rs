//! Who may call what: every route that the daemon describes, for nobody, for an ordinary user, for
//! a page of another site, and, so that the refusals mean something, for an administrator.

use serde_json::{Value, json};

use super::{PASSWORD, Tokens, ask, end, house, log_in, people};
use crate::support::Shell;
use crate::support::client::{Answer, Client};

/// A route that wants a credential.
#[derive(Debug)]
struct Route {
    method: String,
    path: String,
    body: String,
    /// Whether the body is one that the route takes, so that only the credential is at fault.
    whole: bool,
}

/// Bodies that would do something.
fn body(method: &str, path: &str) -> Option<Value> {
    Some(match (method, path) {
        ("POST", "/api/v1/courses") => json!({ "slug": "mine", "title": "Mine" }),
        ("PATCH", "/api/v1/courses/{id}") | ("POST", "/api/v1/courses/{id}/lessons") => {
            json!({ "title": "Mallory" })
        }
        ("PATCH", "/api/v1/lessons/{id}") => json!({ "source": "Mallory" }),
        ("PUT", "/api/v1/courses/{id}/attachments/{name}") => json!("Dig here."),
        ("PUT", "/api/v1/lessons/{id}/progress") => json!({ "state": "completed" }),
        ("PUT", "/api/v1/attempts/{id}/answers/{question}") => json!({ "seq": 1, "answer": true }),
        ("PUT", "/api/v1/attempts/{id}/answers/{question}/points") => json!({ "points": 1 }),
        ("PUT", "/api/v1/quizzes/{id}/allowances/{user}") => {
            json!({ "extra_time": "1h", "extra_attempts": 1 })
        }
        ("POST", "/api/v1/bans") => json!({ "network": "203.0.113.0/24" }),
        ("POST", "/api/v1/introspect" | "/api/v1/revoke" | "/api/v1/tokens/consume") => {
            json!({ "token": "TEXT" })
        }
        ("POST", "/api/v1/purge") => json!({ "dry_run": true }),
        ("POST", "/api/v1/tokens") => json!({ "kind": "temporary" }),
        ("POST", "/api/v1/tokens/{id}/renew") => json!({ "ttl": "1h" }),
        ("POST", "/api/v1/users") => json!({ "username": "anna", "roles": ["admin"] }),
        ("PATCH", "/api/v1/users/{id}") => json!({ "name": "Mallory" }),
        ("POST", "/api/v1/users/{id}/disable") => json!({ "reason": "no reason" }),
        _ => return None,
    })
}

/// What stands for the parts of paths: things that are there, of somebody else.
#[derive(Debug)]
struct Things {
    user: String,
    session: String,
    token: String,
    /// The lesson of a course that is a draft.
    lesson: String,
    /// The quiz of a course that is for those alone who are enrolled.
    quiz: String,
    question: String,
    attempt: String,
    /// The token itself, for routes that take it.
    text: String,
}

impl Things {
    fn fill(&self, path: &str) -> String {
        let id = if path.contains("/courses/") {
            "secret-plans"
        } else if path.contains("/lessons/") {
            &self.lesson
        } else if path.contains("/quizzes/") {
            &self.quiz
        } else if path.contains("/attempts/") {
            &self.attempt
        } else if path.contains("/users/") {
            &self.user
        } else if path.contains("/sessions/") {
            &self.session
        } else {
            &self.token
        };
        path.replace("{id}", id)
            .replace("{key}", &self.user)
            .replace("{user}", &self.user)
            .replace("{question}", &self.question)
            .replace("{role}", "user")
            .replace("{slug}", "last")
            .replace("attachments/{name}", "attachments/map.txt")
            .replace("{name}", "purge")
            .replace("{network}", "192.0.2.0%2F24")
            .replace("{token}", &self.token)
    }
}

/// The routes with a credential, as the daemon describes itself, the deleting ones last.
fn routes(client: &mut Client) -> Vec<Route> {
    let described = client.must("GET", "/openapi.json", "", "").json();
    let mut found = Vec::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["security"].as_array().is_none_or(Vec::is_empty) {
                continue;
            }
            let method = method.to_uppercase();
            let body = body(&method, path);
            found.push(Route {
                whole: body.is_some() || operation.get("requestBody").is_none(),
                body: body.map_or_else(String::new, |body| body.to_string()),
                method,
                path: path.clone(),
            });
        }
    }
    found.sort_by_key(|route| route.method == "DELETE");
    assert!(found.len() > 35, "{}", found.len());
    found
}

/// Makes a course that nobody but its keepers may see; returns the id of its lesson.
fn draft(shell: &Shell) -> String {
    let folder = shell.path("plans");
    for (name, text) in [
        (
            "course.toml",
            "slug = \"secret-plans\"\ntitle = \"Plans\"\n",
        ),
        (
            "01-one/01-first.md",
            "+++\ntitle = \"First\"\n+++\n\nDig.\n",
        ),
        ("assets/map.txt", "X marks the spot\n"),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    shell.ok(&["course", "import", folder.to_str().unwrap()]);
    let lesson = shell.json(&["lesson", "show", "secret-plans/first"]);
    lesson["id"].as_str().unwrap().to_owned()
}

/// Makes a course for those who are enrolled, `petra` and `maria`; returns the ids of its quiz and of
/// the question there.
fn exam(shell: &Shell) -> (String, String) {
    shell.ok(&[
        "course",
        "create",
        "exam",
        "--title",
        "Exam",
        "--visibility",
        "enrolled",
    ]);
    let quiz = shell.path("last.gift");
    std::fs::write(&quiz, "::One:: Water is wet. {T}\n").unwrap();
    shell.ok(&["quiz", "import", quiz.to_str().unwrap(), "--course", "exam"]);
    shell.ok(&["course", "publish", "exam"]);
    for name in ["petra", "maria"] {
        shell.ok(&["enrol", "add", "exam", name]);
    }
    let quiz = shell.json(&["quiz", "show", "exam/last"]);
    let questions = shell.json(&["quiz", "show", "exam/last", "--questions"]);
    let id = |of: &Value| of["id"].as_str().unwrap().to_owned();
    (id(&quiz), id(&questions[0]))
}

/// Routes that answer everybody, each with what is there for them.
fn is_for_everybody(route: &Route) -> bool {
    route.method == "GET" && route.path == "/api/v1/courses"
}

/// Routes with a path of their own person, which the rest of these tests is about.
fn is_own(route: &Route) -> bool {
    route.path.starts_with("/api/v1/me") || route.path.starts_with("/api/v1/auth/")
}

fn call(client: &mut Client, route: &Route, things: &Things, headers: &str) -> Answer {
    let body = route.body.replace("TEXT", &things.text);
    let path = things.fill(&route.path);
    ask(client, &route.method, &path, headers, &body)
}

/// Rows of every table in which a route of these could change something.
fn rows(shell: &Shell) -> Vec<String> {
    let mut database = shell.sql();
    let mut found = Vec::new();
    for (table, columns) in [
        ("users", "username || state || updated_at || security_epoch"),
        ("user_roles", "user_id || role"),
        (
            "tokens",
            "id || COALESCE(CAST(revoked_at AS TEXT), '-') || used",
        ),
        (
            "sessions",
            "id || generation || COALESCE(CAST(revoked_at AS TEXT), '-')",
        ),
        ("courses", "slug || version || state"),
        ("attachments", "name || sha256"),
        ("lessons", "slug || version"),
        ("enrolments", "user_id || state"),
        ("progress", "user_id || state"),
        ("quizzes", "slug || updated_at"),
        ("allowances", "quiz_id || user_id || extra_attempts"),
        ("attempts", "id || state"),
        (
            "answers",
            "attempt_id || seq || COALESCE(CAST(points AS TEXT), '-')",
        ),
        ("bans", "network"),
        ("job_runs", "job"),
    ] {
        let sql = format!("SELECT '{table} ' || {columns} FROM {table} ORDER BY 1");
        found.extend(database.texts(&sql));
    }
    found
}

/// A home with a third user, who has one of everything.
fn things(shell: &Shell, client: &mut Client) -> Things {
    let line = ["user", "create", "petra", "--password-stdin"];
    assert_eq!(shell.run_with(&line, PASSWORD).status, 0);
    let token = shell.json(&["token", "create", "--owner", "petra"]);
    shell.ok(&["ban", "add", "192.0.2.0/24"]);
    let (quiz, question) = exam(shell);
    let petra = log_in(client, "petra");
    let path = format!("/api/v1/quizzes/{quiz}/attempts");
    let attempt = ask(client, "POST", &path, &petra.bearer(), "");
    assert_eq!(attempt.status, 201, "{attempt:?}");
    let attempt = attempt.json()["id"].as_str().unwrap().to_owned();
    Things {
        user: "petra".into(),
        lesson: draft(shell),
        quiz,
        question,
        attempt,
        session: petra.id,
        token: token["id"].as_str().unwrap().to_owned(),
        text: token["token"].as_str().unwrap().to_owned(),
    }
}

#[test]
fn what_is_the_administrators_is_refused_to_everybody_else_on_every_route() {
    // Jobs would change rows by themselves meanwhile.
    let shell = house().with("PROVOST_JOBS_ENABLED", "false");
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let things = things(&shell, &mut client);
    let (ivan, maria) = (log_in(&mut client, "ivan"), log_in(&mut client, "maria"));
    let own = Things {
        user: "ivan".into(),
        session: ivan.id.clone(),
        token: things.token.clone(),
        lesson: things.lesson.clone(),
        quiz: things.quiz.clone(),
        question: things.question.clone(),
        attempt: things.attempt.clone(),
        text: things.text.clone(),
    };
    let bare = shell.ok(&[
        "token",
        "create",
        "--owner",
        "maria",
        "--scope",
        "none:none",
        "-q",
    ]);
    let routes = routes(&mut client);
    let before = rows(&shell);
    for route in &routes {
        let nobody = call(&mut client, route, &things, "");
        assert_eq!(nobody.status, 401, "{route:?}: {nobody:?}");
        assert_eq!(
            nobody.header("www-authenticate"),
            Some("Bearer"),
            "{route:?}"
        );
        let forged = call(&mut client, route, &things, &super::bearer("x.y.z"));
        assert_eq!(forged.status, 401, "{route:?}: {forged:?}");
        if is_own(route) || is_for_everybody(route) {
            continue;
        }
        for headers in [
            ivan.bearer(),
            ivan.jar().with_header(),
            super::bearer(&bare),
        ] {
            for things in [&things, &own] {
                let answer = call(&mut client, route, things, &headers);
                let refused = [401, 403, 404].contains(&answer.status);
                let unread = !route.whole && [400, 415, 422].contains(&answer.status);
                assert!(refused || unread, "{route:?}: {answer:?}");
            }
        }
        if route.method != "GET" {
            // A page of another site has the administrator's browser ask.
            let answer = call(&mut client, route, &things, &maria.jar().line());
            assert_eq!(answer.text("code"), "cross_site", "{route:?}");
        }
    }
    assert_eq!(rows(&shell), before);
    administrator(&mut client, &routes, &things, &maria);
    end(daemon);
}

/// The same requests are let in: nothing but who asked was at fault.
fn administrator(client: &mut Client, routes: &[Route], things: &Things, maria: &Tokens) {
    for route in routes.iter().filter(|route| !is_own(route)) {
        let answer = call(client, route, things, &maria.bearer());
        assert!(
            ![401, 403].contains(&answer.status),
            "{route:?}: {answer:?}"
        );
        assert!(answer.status < 500, "{route:?}: {answer:?}");
        if route.whole && route.method == "GET" {
            assert_eq!(answer.status, 200, "{route:?}: {answer:?}");
        }
    }
}

#[test]
fn a_session_makes_no_more_requests_than_a_token_may_and_others_do_not_wait_for_it() {
    let limits = [("API_PER_SECOND", "1"), ("API_BURST", "2")];
    let shell = limits
        .iter()
        .fold(Shell::unthrottled(), |shell, (name, value)| {
            shell.with(&format!("PROVOST_THROTTLE_{name}"), value)
        });
    let shell = people(shell);
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let (one, two) = (log_in(&mut client, "ivan"), log_in(&mut client, "ivan"));
    let mut statuses = |headers: &str| -> Vec<u16> {
        let show = |_| ask(&mut client, "GET", "/api/v1/me", headers, "").status;
        (0..20).map(show).collect()
    };
    let asked = statuses(&one.bearer());
    assert_eq!(asked[..2], [200, 200]);
    assert!(asked.contains(&429), "{asked:?}");
    assert_eq!(statuses(&two.jar().line())[..2], [200, 200]);
    end(daemon);
}
