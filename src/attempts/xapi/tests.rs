use serde_json::json;

use super::*;
use crate::app::{Actor, App};
use crate::attempts::{answer, regrade, start, submit};
use crate::lessons::{NewLesson, Place, Step};
use crate::quizzes::tests::{QUIZ, at, school, session, take_in};

const BASE: &str = "https://learn.example.org";

fn told(app: &App, actor: &Actor, course: Option<&str>, during: (i64, i64)) -> Vec<Statement> {
    let mut walk = Walk::new(Wanted {
        course: course.map(str::to_owned),
        during: (at(during.0), at(during.1)),
        base: BASE.into(),
    });
    let mut all = Vec::new();
    while let Some(some) = app.read(actor, |cx| walk.next(cx)).unwrap() {
        all.extend(some);
    }
    all
}

fn words(statements: &[Statement]) -> Vec<String> {
    let word = |it: &Statement| {
        let (who, did) = (&it.actor["name"], &it.verb["display"]["en"]);
        format!("{} {}", who.as_str().unwrap(), did.as_str().unwrap())
    };
    statements.iter().map(word).collect()
}

/// A course in which maria has completed a lesson at 10 and handed in a quiz at 30, with ivan still
/// at it.
fn taught() -> App {
    let app = school();
    take_in(&app, at(0), QUIZ);
    app.at(at(0), &session(&app, "anna"), |cx| {
        let new = NewLesson {
            slug: "select".parse()?,
            title: "SELECT".parse()?,
            source: "*text*".parse()?,
            place: Place::default(),
        };
        lessons::create(cx, "sql", &new)
    })
    .unwrap();
    app.at(at(10), &session(&app, "maria"), |cx| {
        lessons::mark(cx, "sql/select", None, Step::Completed)
    })
    .unwrap();
    app.at(at(20), &session(&app, "maria"), |cx| {
        let sheet = start(cx, "sql/test")?;
        let question = sheet.questions[1].id.clone();
        answer(cx, &sheet.attempt.id, &question, 1, &json!("select"))
    })
    .unwrap();
    app.at(at(30), &session(&app, "maria"), |cx| {
        let sheet = start(cx, "sql/test")?;
        submit(cx, &sheet.attempt.id)
    })
    .unwrap();
    app.at(at(40), &session(&app, "ivan"), |cx| {
        lessons::mark(cx, "sql/select", None, Step::InProgress)?;
        start(cx, "sql/test")
    })
    .unwrap();
    app
}

#[test]
fn what_people_have_done_is_told_to_who_oversees_the_course() {
    let app = taught();
    for name in ["maria", "ivan"] {
        let mut walk = Walk::new(Wanted {
            course: Some("sql".into()),
            during: (at(0), at(99)),
            base: BASE.into(),
        });
        let mut next = || app.read(&session(&app, name), |cx| walk.next(cx).map(drop));
        // The course is there for them; what is told inside of it is not.
        next().unwrap();
        assert!(matches!(next(), Err(Error::Forbidden { .. })));
    }
    let program = Actor::token("course:read");
    assert!(!told(&app, &program, Some("sql"), (0, 99)).is_empty());
}

#[test]
fn what_was_completed_handed_in_and_scored_is_told_with_the_same_ids_each_time() {
    let app = taught();
    let root = Actor::operator();
    let all = told(&app, &root, None, (0, 100));
    assert_eq!(
        words(&all),
        ["maria completed", "maria submitted", "maria scored"]
    );
    assert_eq!(told(&app, &root, Some("sql"), (0, 100)), all);
    let scored = serde_json::to_value(&all[2]).unwrap();
    let score = json!({ "scaled": 0.3333, "raw": 1.0, "min": 0, "max": 3.0 });
    assert_eq!(
        scored["result"],
        json!({ "score": score, "success": false }),
        "{scored}"
    );
    assert_eq!(scored["actor"]["account"]["homePage"], BASE);
    assert_eq!(scored["timestamp"], json!(at(30)));
    assert_eq!(all[1].result["duration"], "PT10.00S");
    assert_eq!(
        all[1].context["registration"],
        all[2].context["registration"]
    );
    for one in &all {
        let id = uuid::Uuid::parse_str(&one.id).unwrap();
        assert_eq!(id.get_version_num(), 5, "a store may know no later ones");
    }
    assert_eq!(
        words(&told(&app, &root, None, (0, 30))),
        ["maria completed"]
    );
    assert_eq!(told(&app, &root, None, (30, 31)), all[1..]);
}

#[test]
fn points_that_became_others_are_another_statement_and_nothing_else_is() {
    let app = taught();
    let root = Actor::operator();
    let before = told(&app, &root, None, (0, 100));
    take_in(&app, at(50), &QUIZ.replace("SELECT", "FETCH"));
    app.at(at(60), &root, |cx| regrade(cx, "sql/test", None, 50))
        .unwrap();
    let after = told(&app, &root, None, (0, 100));
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[2].id, after[2].id);
    assert_eq!(after[2].result["score"]["raw"], 0.0);
}

#[test]
fn who_does_not_oversee_a_course_is_told_nothing_of_what_people_did_there() {
    let app = taught();
    for name in ["maria", "boris"] {
        let mut walk = Walk::new(Wanted {
            course: None,
            during: (at(0), at(100)),
            base: BASE.into(),
        });
        let actor = session(&app, name);
        loop {
            match app.read(&actor, |cx| walk.next(cx)) {
                Ok(Some(some)) => assert_eq!(some, []),
                Ok(None) => break,
                Err(refused) => {
                    assert!(matches!(refused, Error::Forbidden { .. }), "{refused}");
                    break;
                }
            }
        }
    }
    let anna = session(&app, "anna");
    assert_eq!(told(&app, &anna, Some("sql"), (0, 100)).len(), 3);
}
