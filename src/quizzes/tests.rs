use std::fmt::Write as _;

use super::*;
use crate::app::{Actor, App, Who};
use crate::courses::Slug;
use crate::time::Timestamp;
use crate::users::{self, NewUser, Role};

pub(crate) const START: i64 = 1_795_000_000_000;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp(START + seconds * 1000)
}

/// A program with the published course `sql` of the author `anna`, in which `maria` and `ivan` are
/// enrolled and `boris` is not.
pub(crate) fn school() -> App {
    let app = App::memory();
    for name in ["anna", "maria", "ivan", "boris"] {
        let role = if name == "anna" {
            Role::Author
        } else {
            Role::User
        };
        let new = NewUser {
            roles: vec![role],
            ..NewUser::named(name.parse().unwrap())
        };
        users::create(&app, &Actor::operator(), new).unwrap();
    }
    script(
        &app,
        &format!(
            "INSERT INTO courses (id, slug, title, summary, words, state, visibility, enrolment, owner_id, version, created_at, updated_at)
             VALUES ('0198f3c2-7a41-7d1e-9c55-000000000001', 'sql', 'SQL', '', 'sql', 'published', 'enrolled', 'open', '{}', 1, 1, 1)",
            id(&app, "anna"),
        ),
    );
    for name in ["maria", "ivan"] {
        script(
            &app,
            &format!(
                "INSERT INTO enrolments (id, course_id, user_id, state, since, by_whom, created_at)
                 VALUES ('e-{name}', '0198f3c2-7a41-7d1e-9c55-000000000001', '{}', 'active', 1, 'test', 1)",
                id(&app, name),
            ),
        );
    }
    app
}

pub(crate) fn id(app: &App, name: &str) -> String {
    let name = name.to_owned();
    let user = app.read(&Actor::operator(), |cx| users::get(cx, &name));
    user.unwrap().id
}

pub(crate) fn script(app: &App, sql: &str) {
    let sql = sql.to_owned();
    app.db().write(move |tx| tx.script(&sql)).unwrap();
}

pub(crate) fn number(app: &App, sql: &str) -> i64 {
    let row = app.db().read(|tx| tx.first(sql, &[]));
    row.unwrap().unwrap().int("n").unwrap()
}

/// A session of this person.
pub(crate) fn session(app: &App, name: &str) -> Actor {
    let who = Who::Session {
        id: "0".into(),
        user: id(app, name),
        username: name.into(),
        roles: if name == "anna" { "author" } else { "user" }.into(),
        admin: false,
        authenticated_at: Timestamp(0),
    };
    Actor {
        who,
        ..Actor::anonymous()
    }
}

/// Takes the quiz `test` in as its author.
pub(crate) fn take_in(app: &App, now: Timestamp, toml: &str) -> Imported {
    let written = form::read(toml).unwrap();
    let slug: Slug = "test".parse().unwrap();
    let anna = session(app, "anna");
    app.at(now, &anna, move |cx| {
        import(cx, "sql", &slug, &written, false)
    })
    .unwrap()
}

pub(crate) const QUIZ: &str = r#"
title = "Test"
attempts = 2
time_limit = "10m"
passing = 60

[[question]]
name = "One"
text = "1 + 1?"
kind = "single"
points = 2
explanation = "Count."
choices = [{ text = "two", credit = 100, feedback = "yes" }, { text = "three" }, { text = "eleven" }]

[[question]]
name = "Word"
text = "SQL's word for reading?"
kind = "short"
answers = [{ text = "SELECT" }]
"#;

#[test]
fn a_quiz_that_is_taken_in_again_is_corrected_in_place() {
    let app = school();
    let first = take_in(&app, at(0), QUIZ);
    assert!(first.created);
    assert_eq!((first.added, first.kept), (2, 0));
    let again = take_in(&app, at(1), QUIZ);
    assert_eq!(
        (again.id.clone(), again.added, again.kept),
        (first.id, 0, 2)
    );
    let corrected = take_in(&app, at(2), &QUIZ.replace("eleven", "12"));
    assert_eq!((corrected.corrected, corrected.kept), (1, 1));
    // An answer to the first place would mean the second.
    let moved = QUIZ
        .replace("\"three\"", "\"12\"")
        .replace("\"eleven\"", "\"three\"");
    let moved = take_in(&app, at(3), &moved);
    assert_eq!((moved.retired, moved.added, moved.kept), (1, 1, 1));
    let shorter = QUIZ.split("[[question]]\nname = \"Word\"").next().unwrap();
    let shorter = take_in(&app, at(4), shorter);
    assert_eq!(shorter.retired, 2, "one is missing, one moved back");
    // Nobody was ever asked: nothing needs to stay.
    assert_eq!(
        number(&app, "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM questions"),
        1
    );
    let sql = "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM audit_events WHERE action LIKE 'quiz.%'";
    assert_eq!(number(&app, sql), 4);
}

#[test]
fn what_is_written_is_what_was_taken_in() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let written = form::read(QUIZ).unwrap();
    let anna = session(&app, "anna");
    let (settings, questions) = app.read(&anna, |cx| export(cx, "sql/test")).unwrap();
    assert_eq!(settings, written.settings);
    let questions: Vec<_> = questions.iter().collect();
    let same: Vec<_> = written.questions.iter().map(|it| &it.question).collect();
    assert_eq!(questions, same);
}

#[test]
fn who_does_not_manage_the_course_sees_no_question_and_changes_nothing() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let written = form::read(QUIZ).unwrap();
    for name in ["maria", "boris"] {
        let actor = session(&app, name);
        let asked = app.read(&actor, |cx| questions(cx, "sql/test"));
        assert!(matches!(asked, Err(Error::NotFound { .. })), "{name}");
        let exported = app.read(&actor, |cx| export(cx, "sql/test"));
        assert!(matches!(exported, Err(Error::NotFound { .. })), "{name}");
        let (slug, written) = ("test".parse::<Slug>().unwrap(), written.clone());
        let imported = app.at(at(1), &actor, move |cx| {
            import(cx, "sql", &slug, &written, false)
        });
        assert!(imported.is_err(), "{name}");
    }
    let maria = app
        .read(&session(&app, "maria"), |cx| get(cx, "sql/test"))
        .unwrap();
    assert_eq!((maria.questions, maria.slug.as_str()), (2, "test"));
    let boris = app.read(&session(&app, "boris"), |cx| get(cx, "sql/test"));
    assert!(matches!(boris, Err(Error::NotFound { .. })));
    script(&app, "UPDATE courses SET state = 'draft'");
    for text in ["sql/test", maria.id.as_str()] {
        let gone = app.read(&session(&app, "maria"), |cx| get(cx, text));
        assert!(matches!(gone, Err(Error::NotFound { .. })), "a draft");
    }
}

#[test]
fn who_is_invited_into_what_is_not_for_everybody_sees_no_quiz_before_they_accept() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let enrol = format!(
        "INSERT INTO enrolments (id, course_id, user_id, state, since, by_whom, created_at)
         SELECT 'e-boris', id, '{}', 'invited', 1, 'test', 1 FROM courses",
        id(&app, "boris"),
    );
    script(&app, &enrol);
    let boris = session(&app, "boris");
    let look = || {
        let shown = app.read(&boris, |cx| get(cx, "sql/test").map(drop));
        let listed = app.read(&boris, |cx| list(cx, "sql", None, 9).map(drop));
        [shown, listed]
    };
    for refused in look() {
        assert!(
            matches!(refused, Err(Error::NotFound { .. })),
            "{refused:?}"
        );
    }
    script(&app, "UPDATE enrolments SET state = 'active'");
    for seen in look() {
        seen.unwrap();
    }
    for name in ["boris", "anna"] {
        let may = app.read(&session(&app, name), |cx| may_take_in(cx, "sql"));
        assert_eq!(may.is_ok(), name == "anna", "{may:?}");
    }
}

#[test]
fn questions_are_asked_in_the_order_of_the_file_also_where_nothing_else_changed() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let parts: Vec<&str> = QUIZ.split("[[question]]").collect();
    let turned = format!(
        "{}[[question]]{}\n[[question]]{}",
        parts[0], parts[2], parts[1]
    );
    let done = take_in(&app, at(1), &turned);
    assert_eq!((done.kept, done.corrected, done.added), (2, 0, 0));
    let asked = app.read(&session(&app, "anna"), |cx| questions(cx, "sql/test"));
    let names: Vec<String> = asked
        .unwrap()
        .into_iter()
        .map(|it| it.question.name)
        .collect();
    assert_eq!(names, ["Word", "One"]);
}

#[test]
fn no_more_is_drawn_from_a_pool_than_there_is() {
    let pool = QUIZ.replace("points = 2", "points = 2\npool = \"p\"");
    for (count, good) in [(1, true), (2, false)] {
        let text = pool.replace(
            "passing = 60",
            &format!("passing = 60\ndraw = {{ p = {count} }}"),
        );
        let mut written = form::read(&text).unwrap();
        assert_eq!(check(&mut written, true).is_ok(), good, "{count}");
    }
}

#[test]
fn two_thousand_questions_are_taken_in_in_one_transaction() {
    let app = school();
    let mut gift = String::new();
    for n in 0..2000 {
        let _infallible = write!(gift, "::Q{n}:: What is {n} + 1? {{#{}}}\n\n", n + 1);
    }
    let mut written = Written {
        settings: Settings::titled("Many"),
        questions: gift::read(&gift).unwrap(),
    };
    check(&mut written, false).unwrap();
    let slug: Slug = "many".parse().unwrap();
    let done = app.import(&Actor::operator(), |cx| {
        import(cx, "sql", &slug, &written, false)
    });
    assert_eq!(done.unwrap().added, 2000);
}

#[test]
fn a_file_with_questions_without_number_is_refused_before_they_are_told_apart() {
    for partly in [false, true] {
        let many = "the same\n\n".repeat(5001);
        let refused = Source::Gift.read(&many, "t", partly).unwrap_err();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].message, "there are more than 5000 questions");
        let wrong = format!("good {{T}}\n\n{}", "bad {\n\n".repeat(9000));
        let refused = Source::Gift.read(&wrong, "t", partly).unwrap_err();
        assert_eq!(refused.len(), 5001);
    }
    let several = Source::Gift.read(&"x\n\n".repeat(5000), "t", false);
    let questions = several.unwrap().written.questions;
    assert_eq!(
        (
            &*questions[1].question.name,
            &*questions[4999].question.name
        ),
        ("x (2)", "x (5000)")
    );
}
