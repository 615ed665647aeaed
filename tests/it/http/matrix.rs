//! Who sees and does what with a course: every route of courses, lessons and quizzes that the daemon
//! describes, for everybody there is, in every state that a course can have.

use http::Method;
use provost::courses::{Slug, State};
use provost::quizzes::{self, form};
use provost::users::{self, NewPassword, NewUser, Role};
use serde_json::{Value, json};

use super::site::{Answer, Site, bearer, is_ok, request};
use crate::support::operator;

const PASSWORD: &str = "correct horse battery staple";

/// What only who reads the course may see, what only who manages it, and what one person wrote.
const LESSON: &str = "sentinel-of-the-lesson";
const RIGHT: &str = "sentinel-of-what-is-right";
const ESSAY: &str = "sentinel-of-petra";

const QUIZ: &str = r#"
title = "Exam"

[[question]]
name = "Word"
text = "Which word?"
kind = "short"
explanation = "sentinel-of-what-is-right"
answers = [{ text = "sentinel-of-what-is-right", feedback = "sentinel-of-what-is-right" }]

[[question]]
name = "Essay"
text = "Write."
kind = "essay"
"#;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Nobody who could be known.
    Anonymous,
    /// A program that may do something else.
    Stranger,
    /// A person who is not enrolled.
    Outsider,
    /// The author of another course.
    OtherAuthor,
    /// A person who is enrolled.
    Student,
    /// A program that may read courses.
    Reader,
    /// The author.
    Author,
    Administrator,
    /// A program that may change courses.
    Keeper,
}

impl Who {
    fn manages(self) -> bool {
        matches!(self, Self::Author | Self::Administrator | Self::Keeper)
    }

    /// Whether the course, which is for those who are enrolled, is there for them.
    fn sees(self, state: State) -> bool {
        self.manages() || self == Self::Reader || self == Self::Student && state == State::Published
    }
}

/// What a route is for. A new route is for who manages the course, until it is told here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// For everybody, with what is there for them.
    Everybody,
    /// For who may read the course.
    Read,
    /// For persons who may read the course, about themselves.
    Own,
    /// For who may see what everybody did.
    Oversee,
    /// For who manages the course.
    Manage,
    /// The attempt of somebody else, which managers see, too.
    SeeTheirs,
    /// The same, where not even they may do anything.
    DoTheirs,
}

fn sort(method: &str, path: &str) -> Sort {
    match (method, path) {
        ("GET", "/api/v1/courses") => Sort::Everybody,
        (
            "GET",
            "/api/v1/courses/{id}"
            | "/api/v1/courses/{id}/attachments"
            | "/api/v1/courses/{id}/attachments/{name}"
            | "/api/v1/courses/{id}/lessons"
            | "/api/v1/courses/{id}/quizzes"
            | "/api/v1/lessons/{id}"
            | "/api/v1/quizzes/{id}",
        ) => Sort::Read,
        (
            _,
            "/api/v1/courses/{id}/enrolments"
            | "/api/v1/courses/{id}/progress"
            | "/api/v1/lessons/{id}/progress",
        )
        | ("GET" | "POST", "/api/v1/quizzes/{id}/attempts") => Sort::Own,
        ("GET", "/api/v1/courses/{id}/grades") => Sort::Oversee,
        ("GET", "/api/v1/attempts/{id}") => Sort::SeeTheirs,
        ("PUT", "/api/v1/attempts/{id}/answers/{question}")
        | ("POST", "/api/v1/attempts/{id}/submit") => Sort::DoTheirs,
        _ => Sort::Manage,
    }
}

/// Bodies that would do something.
fn body(method: &str, path: &str) -> Option<Value> {
    Some(match (method, path) {
        ("POST", "/api/v1/courses") => json!({ "title": "Mine" }),
        ("PATCH", "/api/v1/courses/{id}") | ("POST", "/api/v1/courses/{id}/lessons") => {
            json!({ "title": "Mallory" })
        }
        ("PATCH", "/api/v1/lessons/{id}") => json!({ "source": "Mallory" }),
        ("PUT", "/api/v1/courses/{id}/attachments/{name}") => json!({}),
        ("PUT", "/api/v1/lessons/{id}/progress") => json!({ "state": "completed" }),
        ("PUT", "/api/v1/attempts/{id}/answers/{question}") => json!({ "seq": 9, "answer": "x" }),
        ("PUT", "/api/v1/attempts/{id}/answers/{question}/points") => json!({ "points": 1 }),
        ("PUT", "/api/v1/quizzes/{id}/allowances/{user}") => {
            json!({ "extra_time": "1h", "extra_attempts": 1 })
        }
        _ => return None,
    })
}

/// Routes that need no course: whoever may make one is told by other tests.
fn is_about_a_course(method: &str, path: &str) -> bool {
    (method, path) != ("POST", "/api/v1/courses")
}

fn account(site: &Site, name: &str, role: Role) -> String {
    let new = NewUser {
        roles: vec![role],
        password: NewPassword::Text(PASSWORD.parse().unwrap()),
        ..NewUser::named(name.parse().unwrap())
    };
    users::create(&site.app, &operator(), new).unwrap();
    let body = json!({ "login": name, "password": PASSWORD }).to_string();
    let answer = site.post("/api/v1/auth/login", &body);
    is_ok(&answer);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn call(site: &Site, method: &str, token: &str, path: &str, json: &str) -> Answer {
    let method: Method = method.parse().unwrap();
    let request = request(method, path, json);
    site.send(if token.is_empty() {
        request
    } else {
        bearer(request, token)
    })
}

/// A course of anna's with one of everything, its parts by their places in paths.
struct School {
    site: Site,
    credentials: Vec<(Who, String)>,
    lesson: String,
    quiz: String,
    question: String,
    attempt: String,
}

impl School {
    fn token(&self, who: Who) -> &str {
        let mut all = self.credentials.iter();
        &all.find(|(it, _)| *it == who).unwrap().1
    }

    fn fill(&self, path: &str) -> String {
        let id = if path.contains("/courses/") {
            "sql"
        } else if path.contains("/lessons/") {
            &self.lesson
        } else if path.contains("/quizzes/") {
            &self.quiz
        } else {
            &self.attempt
        };
        path.replace("{id}", id)
            .replace("{name}", "map.txt")
            .replace("{user}", "petra")
            .replace("{slug}", "exam")
            .replace("{question}", &self.question)
    }

    fn set(&self, state: State) {
        let body = json!({ "state": state }).to_string();
        let anna = self.token(Who::Author);
        is_ok(&call(
            &self.site,
            "PATCH",
            anna,
            "/api/v1/courses/sql",
            &body,
        ));
    }
}

fn school() -> School {
    let off = [
        ("PROVOST_THROTTLE_API_PER_SECOND", "0"),
        ("PROVOST_THROTTLE_LOGIN_PER_MINUTE", "0"),
    ];
    let site = Site::with(&off);
    let credentials = vec![
        (Who::Anonymous, String::new()),
        (Who::Stranger, site.token("user:*")),
        (Who::Outsider, account(&site, "ivan", Role::User)),
        (Who::OtherAuthor, account(&site, "boris", Role::Author)),
        (Who::Student, account(&site, "maria", Role::User)),
        (Who::Reader, site.token("course:read")),
        (Who::Author, account(&site, "anna", Role::Author)),
        (Who::Administrator, account(&site, "root", Role::Admin)),
        (Who::Keeper, site.token("course:*")),
    ];
    let petra = account(&site, "petra", Role::User);
    let mut school = School {
        site,
        credentials,
        lesson: String::new(),
        quiz: String::new(),
        question: String::new(),
        attempt: String::new(),
    };
    let anna = school.token(Who::Author).to_owned();
    let done = |method: &str, token: &str, path: &str, body: &str| {
        let answer = call(
            &school.site,
            method,
            token,
            &format!("/api/v1/{path}"),
            body,
        );
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        answer.json()
    };
    let course = r#"{"slug":"sql","title":"SQL","visibility":"enrolled","enrolment":"closed"}"#;
    done("POST", &anna, "courses", course);
    let lesson = json!({ "title": "First", "source": LESSON }).to_string();
    let lesson = done("POST", &anna, "courses/sql/lessons", &lesson);
    done("PUT", &anna, "courses/sql/attachments/map.txt", LESSON);
    done("PATCH", &anna, "courses/sql", r#"{"state":"published"}"#);
    for name in ["maria", "petra"] {
        let who = json!({ "user": name }).to_string();
        done("POST", &anna, "courses/sql/enrolments", &who);
    }
    let (slug, written) = ("exam".parse::<Slug>().unwrap(), form::read(QUIZ).unwrap());
    let quiz = school.site.app.write(&operator(), move |cx| {
        quizzes::import(cx, "sql", &slug, &written, false)
    });
    let quiz = quiz.unwrap().id.unwrap();
    let attempt = done("POST", &petra, &format!("quizzes/{quiz}/attempts"), "");
    let text = |of: &Value| of["id"].as_str().unwrap().to_owned();
    let (attempt, question) = (text(&attempt), text(&attempt["questions"][1]));
    let essay = json!({ "seq": 1, "answer": ESSAY }).to_string();
    done(
        "PUT",
        &petra,
        &format!("attempts/{attempt}/answers/{question}"),
        &essay,
    );
    let lesson = text(&lesson);
    let path = format!("lessons/{lesson}/progress");
    done("PUT", &petra, &path, r#"{"state":"completed"}"#);
    (school.lesson, school.quiz) = (lesson, quiz);
    (school.attempt, school.question) = (attempt, question);
    school
}

/// Statuses of which one must come, and none if the request would change what the others ask for.
#[expect(
    clippy::match_same_arms,
    reason = "the first that fits decides: they are read from the top"
)]
fn wanted(who: Who, sort: Sort, method: &str, state: State) -> Option<&'static [u16]> {
    let sees = who.sees(state);
    Some(match (who, sort) {
        (Who::Anonymous, _) => &[401],
        (Who::Stranger, _) => &[403],
        (_, Sort::Everybody) => &[200],
        (_, Sort::DoTheirs) => &[403, 404],
        (Who::Author | Who::Administrator | Who::Keeper, _) if method != "GET" => return None,
        (_, Sort::SeeTheirs) if !who.manages() => &[404],
        (_, Sort::SeeTheirs) => &[200],
        (_, _) if !sees => &[404],
        (_, Sort::Read) => &[200],
        // A program without an owner has no progress of its own, and takes nothing.
        (Who::Reader, Sort::Own) if method != "GET" => &[403],
        (Who::Reader | Who::Keeper | Who::Administrator | Who::Author, Sort::Own) => {
            &[200, 403, 422]
        }
        (_, Sort::Own) => &[200, 201],
        (Who::Student, Sort::Oversee | Sort::Manage) => &[403, 404],
        (Who::Reader, Sort::Manage) => &[403, 404],
        (_, Sort::Oversee | Sort::Manage) => &[200],
    })
}

/// What must not stand in an answer.
fn hidden(who: Who, state: State) -> Vec<&'static str> {
    let mut words = Vec::new();
    if !who.manages() {
        words.extend([RIGHT, ESSAY]);
    }
    if !who.sees(state) {
        words.extend([LESSON, "SQL", "Exam"]);
    }
    if !who.manages() && who != Who::Reader {
        words.push("petra");
    }
    words
}

#[test]
fn nobody_sees_or_does_more_with_a_course_than_they_may_on_any_route_in_any_state() {
    let school = school();
    let described = school.site.get("/openapi.json").json();
    let mut routes: Vec<(String, String, bool)> = Vec::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            let method = method.to_uppercase();
            if ["courses", "lessons", "quizzes"].contains(&tag) && is_about_a_course(&method, path)
            {
                let whole = operation.get("requestBody").is_none() || body(&method, path).is_some();
                routes.push((method, path.clone(), whole));
            }
        }
    }
    // What takes maria out of the course comes last.
    routes.sort_by_key(|(method, ..)| method == "DELETE");
    assert!(routes.len() > 28, "{}", routes.len());
    let mut asked = 0;
    for state in [State::Draft, State::Archived, State::Published] {
        school.set(state);
        for (method, path, whole) in &routes {
            let sort = sort(method, path);
            let body = body(method, path).map_or_else(String::new, |body| body.to_string());
            for (who, token) in &school.credentials {
                let Some(wanted) = wanted(*who, sort, method, state) else {
                    continue;
                };
                let answer = call(&school.site, method, token, &school.fill(path), &body);
                let unread = !whole && [400, 415, 422].contains(&answer.status);
                assert!(
                    wanted.contains(&answer.status) || unread,
                    "{who:?} {method} {path} {state:?}: {answer:?}"
                );
                for word in hidden(*who, state) {
                    let told = answer.body.contains(word);
                    assert!(
                        !told,
                        "{word}: {who:?} {method} {path} {state:?}: {answer:?}"
                    );
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 600, "{asked}");
    // Whoever manages the course finds all of it as it was.
    let anna = school.token(Who::Author);
    let seen = |path: &str| {
        let answer = school.site.get_as(anna, &school.fill(path));
        is_ok(&answer);
        answer.body
    };
    assert!(seen("/api/v1/lessons/{id}").contains(LESSON));
    assert!(seen("/api/v1/courses/{id}/attachments/{name}").contains(LESSON));
    assert!(seen("/api/v1/attempts/{id}").contains(ESSAY));
    assert!(seen("/api/v1/quizzes/{id}/questions").contains(RIGHT));
    assert!(seen("/api/v1/courses/{id}/enrolments").contains("petra"));
}
