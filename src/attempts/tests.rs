use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::*;
use crate::app::{Actor, App};
use crate::quizzes::tests::{QUIZ, at, id, number, school, script, session, take_in};

pub(super) fn begin(app: &App, now: i64, name: &str) -> Result<Sheet> {
    let actor = session(app, name);
    app.at(at(now), &actor, |cx| start(cx, "sql/test"))
}

/// Answers the question at this place of the sheet.
pub(super) fn give(
    app: &App,
    now: i64,
    name: &str,
    sheet: &Sheet,
    place: usize,
    seq: i64,
    json: Json,
) -> Result<Saved> {
    let (attempt, question) = (sheet.attempt.id.clone(), sheet.questions[place].id.clone());
    let actor = session(app, name);
    app.at(at(now), &actor, move |cx| {
        answer(cx, &attempt, &question, seq, &json)
    })
}

pub(super) fn hand_in(app: &App, now: i64, name: &str, sheet: &Sheet) -> Result<Sheet> {
    let attempt = sheet.attempt.id.clone();
    app.at(at(now), &session(app, name), move |cx| submit(cx, &attempt))
}

pub(super) fn look(app: &App, name: &str, sheet: &Sheet) -> Result<Sheet> {
    let attempt = sheet.attempt.id.clone();
    app.read(&session(app, name), |cx| get(cx, &attempt))
}

pub(super) fn close(app: &App, now: i64) -> u64 {
    app.at(at(now), &Actor::job("attempts.close"), |cx| {
        close_due(cx, 50)
    })
    .unwrap()
}

/// Points in hundredths.
pub(super) fn earned(sheet: &Sheet) -> Option<i64> {
    sheet.attempt.points.map(|points| points.stored().unwrap())
}

pub(super) fn audited(app: &App, action: &str) -> i64 {
    let sql =
        format!("SELECT CAST(COUNT(*) AS BIGINT) AS n FROM audit_events WHERE action = '{action}'");
    number(app, &sql)
}

#[test]
fn an_answer_that_came_back_is_graded_and_one_sent_again_changes_nothing() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let sheet = begin(&app, 0, "maria").unwrap();
    assert_eq!(sheet.attempt.deadline, Some(at(600)));
    let none = give(&app, 1, "maria", &sheet, 0, 0, json!(1));
    assert!(matches!(none, Err(Error::Invalid { field: "seq", .. })));
    let first = give(&app, 1, "maria", &sheet, 0, 1, json!(1)).unwrap();
    assert_eq!((first.seq, &first.answer), (1, &json!(1)));
    let newer = give(&app, 2, "maria", &sheet, 0, 5, json!(0)).unwrap();
    assert_eq!((newer.seq, &newer.answer), (5, &json!(0)));
    for seq in [1, 4, 5] {
        assert_eq!(
            give(&app, 3, "maria", &sheet, 0, seq, json!(2)).unwrap(),
            newer
        );
    }
    give(&app, 4, "maria", &sheet, 1, 1, json!("select")).unwrap();
    let over = hand_in(&app, 5, "maria", &sheet).unwrap();
    assert_eq!(
        (over.attempt.state, earned(&over)),
        (State::Submitted, Some(300))
    );
    let again = hand_in(&app, 9, "maria", &sheet).unwrap();
    assert_eq!(again.attempt.ended_at, Some(at(5)));
    assert_eq!(audited(&app, "attempt.submitted"), 1);
    let late = give(&app, 10, "maria", &sheet, 0, 6, json!(1));
    assert!(matches!(late, Err(Error::AttemptOver)));
    // Whose acknowledgement was lost may ask for it again.
    assert_eq!(
        give(&app, 10, "maria", &sheet, 0, 5, json!(0)).unwrap(),
        newer
    );
}

#[test]
fn a_list_by_state_holds_those_that_are_told_to_be_in_it() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    begin(&app, 0, "maria").unwrap();
    let done = begin(&app, 0, "ivan").unwrap();
    hand_in(&app, 1, "ivan", &done).unwrap();
    let listed = |now, state| {
        let filter = Filter {
            state,
            ..Filter::default()
        };
        let page = app.at(at(now), &Actor::operator(), move |cx| {
            list(cx, "sql/test", &filter, None, 9)
        });
        page.unwrap().items
    };
    let mut told = Vec::new();
    for now in [599, 600, 601] {
        let all = listed(now, None);
        for state in State::ALL {
            let these = all.iter().filter(|it| it.state == state);
            assert_eq!(listed(now, Some(state)), these.cloned().collect::<Vec<_>>());
        }
        told.push(all.iter().filter(|it| it.state == State::Overdue).count());
    }
    assert_eq!(told, [0, 0, 1]);
}

#[test]
fn what_is_right_is_told_only_when_the_attempt_is_over() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let sheet = begin(&app, 0, "maria").unwrap();
    give(&app, 1, "maria", &sheet, 0, 1, json!(0)).unwrap();
    for told in [
        &sheet,
        &begin(&app, 1, "maria").unwrap(),
        &look(&app, "maria", &sheet).unwrap(),
    ] {
        let told = serde_json::to_string(told).unwrap();
        for word in [
            "SELECT", "credit", "right", "yes", "Count", "earned", "review", "feedback",
        ] {
            assert!(!told.contains(word), "{word}: {told}");
        }
    }
    let over = hand_in(&app, 2, "maria", &sheet).unwrap();
    let review = over.review.unwrap();
    assert_eq!(review[0].right, json!(0));
    assert_eq!(review[0].feedback, ["yes"]);
    assert_eq!(review[0].explanation.as_deref(), Some("Count."));
    assert_eq!(review[1].right, json!("SELECT"));
}

#[test]
fn to_others_an_attempt_is_not_there() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let sheet = begin(&app, 0, "maria").unwrap();
    for name in ["ivan", "boris"] {
        assert!(matches!(
            look(&app, name, &sheet),
            Err(Error::NotFound { .. })
        ));
        assert!(matches!(
            hand_in(&app, 1, name, &sheet),
            Err(Error::NotFound { .. })
        ));
        let given = give(&app, 1, name, &sheet, 0, 1, json!(0));
        assert!(matches!(given, Err(Error::NotFound { .. })));
        let attempt = sheet.attempt.id.clone();
        let reopened = app.at(at(1), &session(&app, name), move |cx| {
            reopen(cx, &attempt, None)
        });
        assert!(matches!(reopened, Err(Error::NotFound { .. })));
    }
    assert!(matches!(
        begin(&app, 1, "boris"),
        Err(Error::NotFound { .. })
    ));
    for whose in [None, Some("maria")] {
        let filter = Filter {
            user: whose.map(str::to_owned),
            ..Filter::default()
        };
        let listed = app.read(&session(&app, "ivan"), |cx| {
            list(cx, "sql/test", &filter, None, 9)
        });
        match whose {
            None => assert!(listed.unwrap().items.is_empty()),
            Some(_) => assert!(matches!(listed, Err(Error::Forbidden { .. }))),
        }
    }
    // The author sees it, and answers for nobody.
    assert!(look(&app, "anna", &sheet).unwrap().review.is_some());
    let given = give(&app, 1, "anna", &sheet, 0, 1, json!(0));
    assert!(matches!(given, Err(Error::NotFound { .. })));
    assert!(matches!(
        begin(&app, 1, "anna"),
        Err(Error::Forbidden { .. })
    ));
    // Nor grades a student.
    let attempt = sheet.attempt.id.clone();
    let own = app.at(at(2), &session(&app, "maria"), move |cx| {
        reopen(cx, &attempt, None)
    });
    assert!(matches!(own, Err(Error::Forbidden { .. })));
    script(&app, "UPDATE courses SET state = 'draft'");
    assert!(matches!(
        look(&app, "maria", &sheet),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn an_attempt_ends_as_of_its_deadline_whenever_somebody_looks() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let sheet = begin(&app, 0, "maria").unwrap();
    give(&app, 600, "maria", &sheet, 0, 1, json!(0)).unwrap();
    let late = give(&app, 601, "maria", &sheet, 1, 1, json!("select"));
    assert!(matches!(late, Err(Error::AttemptOver)));
    assert_eq!(close(&app, 600), 0);
    // The daemon was down for a day.
    assert_eq!(close(&app, 86_400), 1);
    assert_eq!(close(&app, 86_400), 0);
    let over = look(&app, "maria", &sheet).unwrap();
    assert_eq!(
        (over.attempt.state, earned(&over)),
        (State::Submitted, Some(200))
    );
    assert_eq!(
        (over.attempt.ended_at, over.attempt.timed_out),
        (Some(at(600)), true)
    );
    assert_eq!(audited(&app, "attempt.timed_out"), 1);
    // Without the job, whoever hands in or begins anew finds it ended, too.
    let second = begin(&app, 90_000, "maria").unwrap();
    assert_eq!(second.attempt.number, 2);
    let over = hand_in(&app, 99_000, "maria", &second).unwrap();
    assert_eq!(
        (over.attempt.ended_at, over.attempt.timed_out),
        (Some(at(90_600)), true)
    );
    assert_eq!(earned(&over), Some(0));
}

#[test]
fn whoever_hands_in_at_the_very_deadline_is_not_late() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    for (name, now, timed_out) in [("maria", 600, false), ("ivan", 601, true)] {
        let sheet = begin(&app, 0, name).unwrap();
        let over = hand_in(&app, now, name, &sheet).unwrap();
        assert_eq!(over.attempt.ended_at, Some(at(600)));
        assert_eq!(over.attempt.timed_out, timed_out);
    }
    // Nor does it go on for who begins anew before a job has ended it.
    let last = begin(&app, 700, "maria").unwrap();
    assert_eq!(last.attempt.number, 2);
    assert!(matches!(
        begin(&app, 1301, "maria"),
        Err(Error::Invalid { .. })
    ));
}

#[test]
fn nobody_takes_a_quiz_of_a_course_that_is_not_published() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let enrol = format!(
        "INSERT INTO enrolments (id, course_id, user_id, state, since, by_whom, created_at)
         SELECT 'e-anna', id, '{}', 'active', 1, 'test', 1 FROM courses",
        id(&app, "anna"),
    );
    script(&app, &enrol);
    script(&app, "UPDATE courses SET state = 'draft'");
    let (author, student) = (begin(&app, 1, "anna"), begin(&app, 1, "maria"));
    assert!(matches!(author, Err(Error::Forbidden { .. })));
    assert!(matches!(student, Err(Error::NotFound { .. })));
    script(&app, "UPDATE courses SET state = 'published'");
    begin(&app, 1, "anna").unwrap();
}

#[test]
fn grace_takes_answers_for_a_while_and_an_abandoned_attempt_counts_for_nothing() {
    let app = school();
    let grace = QUIZ.replace("passing", "on_deadline = 'grace'\ngrace = '1m'\npassing");
    take_in(&app, at(0), &grace);
    let sheet = begin(&app, 0, "maria").unwrap();
    give(&app, 660, "maria", &sheet, 0, 1, json!(0)).unwrap();
    assert!(give(&app, 661, "maria", &sheet, 0, 2, json!(1)).is_err());
    assert_eq!((close(&app, 660), close(&app, 661)), (0, 1));
    assert_eq!(earned(&look(&app, "maria", &sheet).unwrap()), Some(200));
    take_in(
        &app,
        at(700),
        &QUIZ.replace("passing", "on_deadline = 'abandon'\npassing"),
    );
    let sheet = begin(&app, 700, "ivan").unwrap();
    give(&app, 701, "ivan", &sheet, 0, 1, json!(0)).unwrap();
    assert_eq!(close(&app, 1301), 1);
    let over = look(&app, "ivan", &sheet).unwrap();
    assert_eq!(
        (over.attempt.state, earned(&over)),
        (State::Abandoned, Some(0))
    );
}

#[test]
fn from_a_pool_everybody_gets_so_many_and_the_same_again_after_a_reload() {
    let app = school();
    let mut quiz = String::from("title = 'Pool'\nshuffle = true\n[draw]\nhard = 2\n");
    for n in 0..6 {
        let _infallible = writeln!(
            quiz,
            "[[question]]\nname = 'q{n}'\ntext = '{n}?'\nkind = 'numeric'\npool = 'hard'\nanswers = [{{ value = {n} }}]"
        );
    }
    quiz.push_str("[[question]]\nname = 'all'\ntext = '?'\nkind = 'true_false'\ncorrect = true\n");
    take_in(&app, at(0), &quiz);
    let sheet = begin(&app, 0, "maria").unwrap();
    assert_eq!(sheet.questions.len(), 3);
    assert_eq!(sheet.attempt.most, Points::whole(3));
    assert!(sheet.questions.iter().any(|it| it.kind == "true_false"));
    assert_eq!(
        look(&app, "maria", &sheet).unwrap().questions,
        sheet.questions
    );
}

#[test]
fn nobody_answers_twice_at_once_or_begins_two_attempts() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let maria = session(&app, "maria");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| app.at(at(0), &maria, |cx| start(cx, "sql/test")).unwrap());
        }
    });
    assert_eq!(
        number(&app, "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM attempts"),
        1
    );
    let sheet = begin(&app, 1, "maria").unwrap();
    std::thread::scope(|scope| {
        for seq in 1..=8 {
            let (app, sheet) = (&app, &sheet);
            scope.spawn(move || {
                give(app, 2, "maria", sheet, 1, seq, json!(seq.to_string())).unwrap()
            });
        }
    });
    let told = look(&app, "maria", &sheet).unwrap();
    assert_eq!(told.questions[1].saved.answer, json!("8"));
    assert!(!id(&app, "maria").is_empty());
}
