//! What who manages a course does with attempts, and what others see of them.

use serde_json::json;

use super::tests::{audited, begin, close, earned, give, hand_in, look};
use super::*;
use crate::app::{Actor, App};
use crate::quizzes::tests::{QUIZ, at, number, school, session, take_in};

#[test]
fn one_person_may_be_allowed_more_time_and_more_attempts() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let under_way = begin(&app, 0, "maria").unwrap();
    let allowance = Allowance {
        extra_time: "5m".parse().unwrap(),
        extra_attempts: 1,
    };
    let anna = session(&app, "anna");
    app.at(at(10), &anna, move |cx| {
        allow(cx, "sql/test", "maria", &allowance)
    })
    .unwrap();
    let again = begin(&app, 20, "maria").unwrap();
    assert_eq!(
        (&again.attempt.id, again.attempt.deadline),
        (&under_way.attempt.id, Some(at(900)))
    );
    for number in 1..=3 {
        let sheet = begin(&app, 30 * number, "maria").unwrap();
        assert_eq!(i64::from(sheet.attempt.number), number);
        // Also of those that began after it was said.
        let began = if number == 1 { 0 } else { 30 * number };
        assert_eq!(sheet.attempt.deadline, Some(at(began + 900)));
        hand_in(&app, 30 * number + 1, "maria", &sheet).unwrap();
    }
    assert!(matches!(
        begin(&app, 200, "maria"),
        Err(Error::Invalid { .. })
    ));
    let maria = session(&app, "maria");
    let own = app.at(at(10), &maria, move |cx| {
        allow(cx, "sql/test", "maria", &allowance)
    });
    assert!(matches!(own, Err(Error::Forbidden { .. })));
    let told = |name: &str| {
        let actor = session(&app, name);
        app.read(&actor, |cx| super::allowance(cx, "sql/test", "maria"))
    };
    assert_eq!(told("anna").unwrap(), allowance);
    assert!(matches!(told("maria"), Err(Error::Forbidden { .. })));
}

#[test]
fn a_corrected_question_is_graded_anew_and_that_is_written_down() {
    let app = school();
    let quiz = take_in(&app, at(0), QUIZ).id.unwrap();
    let sheet = begin(&app, 0, "maria").unwrap();
    give(&app, 1, "maria", &sheet, 1, 1, json!("fetch")).unwrap();
    hand_in(&app, 2, "maria", &sheet).unwrap();
    take_in(
        &app,
        at(3),
        &QUIZ.replace(
            "{ text = \"SELECT\" }",
            "{ text = \"SELECT\" }, { text = \"FETCH\" }",
        ),
    );
    let anna = session(&app, "anna");
    assert_eq!(
        earned(&look(&app, "maria", &sheet).unwrap()),
        Some(0),
        "not by itself"
    );
    let one = quiz.clone();
    let done = app
        .at(at(4), &anna, move |cx| regrade(cx, &one, None, 50))
        .unwrap();
    assert_eq!((done.attempts, done.changed, done.last), (1, 1, None));
    assert_eq!(earned(&look(&app, "maria", &sheet).unwrap()), Some(100));
    let done = app
        .at(at(5), &anna, move |cx| regrade(cx, &quiz, None, 50))
        .unwrap();
    assert_eq!((done.attempts, done.changed), (1, 0));
    assert_eq!(audited(&app, "attempt.regraded"), 1);
    // What could be earned changes with it.
    let dearer = QUIZ.replace("points = 2", "points = 4");
    take_in(&app, at(6), &dearer);
    regrade_all(&app, &anna, "sql/test").unwrap();
    let told = look(&app, "maria", &sheet).unwrap();
    assert_eq!(told.attempt.most, Points::whole(5));
}

#[test]
fn all_attempts_are_graded_anew_however_many_there_are() {
    let app = school();
    take_in(&app, at(0), &QUIZ.replace("attempts = 2\n", ""));
    for number in 0..120 {
        let sheet = begin(&app, number, "maria").unwrap();
        give(&app, number, "maria", &sheet, 1, 1, json!("fetch")).unwrap();
        hand_in(&app, number, "maria", &sheet).unwrap();
    }
    let right = QUIZ
        .replace("attempts = 2\n", "")
        .replace("SELECT", "FETCH");
    take_in(&app, at(200), &right);
    let maria = regrade_all(&app, &session(&app, "maria"), "sql/test");
    assert!(matches!(maria, Err(Error::Forbidden { .. })));
    let done = regrade_all(&app, &session(&app, "anna"), "sql/test").unwrap();
    assert_eq!((done.attempts, done.changed), (120, 120));
    let sql = "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM attempts WHERE points = 100";
    assert_eq!(number(&app, sql), 120);
    assert_eq!(audited(&app, "attempt.regraded"), 120);
    assert_eq!(audited(&app, "quiz.regraded"), 1);
}

#[test]
fn a_question_that_became_another_still_counts_where_it_was_asked() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let sheet = begin(&app, 0, "maria").unwrap();
    let corrected = QUIZ.replace(
        "kind = \"short\"\nanswers = [{ text = \"SELECT\" }]",
        "kind = \"true_false\"\ncorrect = true",
    );
    assert_eq!(take_in(&app, at(1), &corrected).retired, 1);
    give(&app, 2, "maria", &sheet, 1, 1, json!("SELECT")).unwrap();
    assert_eq!(
        earned(&hand_in(&app, 3, "maria", &sheet).unwrap()),
        Some(100)
    );
    let next = begin(&app, 4, "maria").unwrap();
    assert_eq!(next.questions[1].kind, "true_false");
}

#[test]
fn an_essay_waits_for_a_person_whom_no_rule_contradicts() {
    let app = school();
    let quiz = format!(
        "{QUIZ}\n[[question]]\nname = \"Why\"\ntext = \"Why?\"\nkind = \"essay\"\npoints = 5\n"
    );
    let quiz = take_in(&app, at(0), &quiz).id.unwrap();
    let sheet = begin(&app, 0, "maria").unwrap();
    give(&app, 1, "maria", &sheet, 2, 1, json!("Because.")).unwrap();
    let anna = session(&app, "anna");
    let (attempt, question) = (sheet.attempt.id.clone(), sheet.questions[2].id.clone());
    let early = app.at(at(1), &anna, move |cx| {
        mark(cx, &attempt, &question, Points::whole(1), None)
    });
    assert!(matches!(early, Err(Error::Invalid { .. })), "not handed in");
    assert_eq!(earned(&hand_in(&app, 2, "maria", &sheet).unwrap()), None);
    let give_points = |points: &str| {
        let (attempt, question) = (sheet.attempt.id.clone(), sheet.questions[2].id.clone());
        let points: Points = points.parse().unwrap();
        app.at(at(3), &anna, move |cx| {
            mark(cx, &attempt, &question, points, Some("Short."))
        })
    };
    assert!(matches!(give_points("5.01"), Err(Error::Invalid { .. })));
    assert_eq!(give_points("4.5").unwrap().points, Some(Points::of(450)));
    app.at(at(4), &anna, move |cx| regrade(cx, &quiz, None, 50))
        .unwrap();
    let over = look(&app, "maria", &sheet).unwrap();
    assert_eq!(earned(&over), Some(450));
    assert_eq!(over.review.unwrap()[2].comment.as_deref(), Some("Short."));
    let page = app.read(&anna, |cx| grades(cx, "sql", None, 50)).unwrap();
    assert_eq!(page.items.len(), 1);
    let grade = &page.items[0];
    assert_eq!(
        (grade.user.as_str(), grade.passed, grade.ungraded),
        ("maria", Some(false), 0)
    );
    assert_eq!(grade.percent.unwrap().to_string(), "56.25");
    let maria = app.read(&session(&app, "maria"), |cx| grades(cx, "sql", None, 50));
    assert!(matches!(maria, Err(Error::Forbidden { .. })));
}

const ESSAY: &str = "\n[[question]]\nname = 'Why'\ntext = 'Why?'\nkind = 'essay'\npoints = 5\n";

/// Whose attempts a list has, with their numbers.
fn listed(app: &App, now: i64, actor: &Actor, filter: &Filter) -> Vec<String> {
    let asked = filter.clone();
    let page = app.at(at(now), actor, move |cx| {
        list(cx, "sql/test", &asked, None, 9)
    });
    let told = page.unwrap().items.into_iter();
    told.map(|it| {
        assert!(filter.state.is_none_or(|state| state == it.state), "{it:?}");
        format!("{} {} {}", it.user, it.number, it.waiting)
    })
    .collect()
}

#[test]
fn a_list_tells_what_waits_for_a_person_and_finds_it_by_its_state() {
    let app = school();
    take_in(&app, at(0), &format!("{QUIZ}{ESSAY}"));
    let anna = session(&app, "anna");
    for name in ["maria", "ivan"] {
        let sheet = begin(&app, 1, name).unwrap();
        give(&app, 2, name, &sheet, 2, 1, json!("Because.")).unwrap();
        let over = hand_in(&app, 3, name, &sheet).unwrap();
        assert!(over.attempt.waiting);
        if name == "ivan" {
            let (attempt, question) = (sheet.attempt.id.clone(), sheet.questions[2].id.clone());
            let marked = app.at(at(4), &anna, move |cx| {
                mark(cx, &attempt, &question, Points::whole(1), None)
            });
            assert!(!marked.unwrap().waiting);
        }
    }
    begin(&app, 5, "maria").unwrap();
    let found = |now, state, waiting| {
        let filter = Filter {
            state,
            waiting,
            ..Filter::default()
        };
        listed(&app, now, &anna, &filter)
    };
    let whole = ["maria 2 false", "ivan 1 false", "maria 1 true"];
    let mut all = found(5, None, false);
    all.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(all, ["maria 2 false", "maria 1 true", "ivan 1 false"]);
    assert_eq!(found(5, None, true), [whole[2]]);
    assert_eq!(found(605, Some(State::InProgress), false), [whole[0]]);
    assert!(found(605, Some(State::Overdue), false).is_empty());
    assert_eq!(found(606, Some(State::Overdue), false), [whole[0]]);
    assert!(found(606, Some(State::InProgress), false).is_empty());
    assert_eq!(found(5, Some(State::Submitted), false).len(), 2);
    assert!(found(5, Some(State::Abandoned), false).is_empty());
    assert!(found(5, Some(State::Abandoned), true).is_empty());
    take_in(&app, at(700), &QUIZ.replace("time_limit = \"10m\"\n", ""));
    begin(&app, 701, "ivan").unwrap();
    let endless = found(9_999_999, Some(State::InProgress), false);
    assert_eq!(endless, ["ivan 2 false"]);
}

#[test]
fn a_program_that_reads_courses_lists_attempts_and_sees_no_answer() {
    let app = school();
    let quiz = take_in(&app, at(0), QUIZ).id.unwrap();
    let sheet = begin(&app, 0, "maria").unwrap();
    let (attempt, question) = (sheet.attempt.id.clone(), sheet.questions[0].id.clone());
    let program = Actor::token("course:read");
    let of = |user: &str| Filter {
        user: Some(user.to_owned()),
        ..Filter::default()
    };
    let maria = ["maria 1 false"];
    assert_eq!(listed(&app, 1, &program, &Filter::default()), maria);
    assert_eq!(listed(&app, 1, &program, &of("maria")), maria);
    assert!(listed(&app, 1, &program, &of("ivan")).is_empty());
    let needs = |refused: Result<()>| match refused {
        Err(Error::Forbidden { needs }) => needs,
        other => panic!("{other:?}"),
    };
    let stranger = Actor::token("user:read");
    let refused = app.read(&stranger, |cx| {
        list(cx, &quiz, &Filter::default(), None, 9).map(drop)
    });
    assert_eq!(needs(refused), "course:read");
    let refused = app.at(at(1), &program, |cx| start(cx, "sql/test").map(drop));
    assert_eq!(needs(refused), "a session");
    hand_in(&app, 2, "maria", &sheet).unwrap();
    let id = attempt.clone();
    let seen = app.read(&program, |cx| get(cx, &id).map(drop));
    let marked = app.at(at(3), &program, move |cx| {
        mark(cx, &attempt, &question, Points::whole(1), None).map(drop)
    });
    for refused in [seen, marked] {
        assert!(
            matches!(refused, Err(Error::NotFound { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn grades_are_told_page_by_page() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    for name in ["maria", "ivan"] {
        let sheet = begin(&app, 0, name).unwrap();
        hand_in(&app, 1, name, &sheet).unwrap();
    }
    let anna = session(&app, "anna");
    let first = app.read(&anna, |cx| grades(cx, "sql", None, 1)).unwrap();
    let second = app
        .read(&anna, |cx| grades(cx, "sql", first.next.as_deref(), 1))
        .unwrap();
    let mut users = [&first, &second].map(|page| page.items[0].user.clone());
    users.sort_unstable();
    assert_eq!(users, ["ivan", "maria"]);
    assert_eq!(second.next, None);
}

#[test]
fn an_attempt_that_is_opened_once_more_takes_answers_until_its_new_end() {
    let app = school();
    take_in(&app, at(0), QUIZ);
    let sheet = begin(&app, 0, "maria").unwrap();
    let open = |now, time: Option<&str>| {
        let (attempt, time) = (
            sheet.attempt.id.clone(),
            time.map(|time| time.parse().unwrap()),
        );
        app.at(at(now), &session(&app, "anna"), move |cx| {
            reopen(cx, &attempt, time)
        })
    };
    assert!(
        matches!(open(1, None), Err(Error::Invalid { .. })),
        "in progress"
    );
    hand_in(&app, 2, "maria", &sheet).unwrap();
    assert_eq!(open(3, Some("1m")).unwrap().deadline, Some(at(63)));
    assert!(look(&app, "maria", &sheet).unwrap().review.is_none());
    give(&app, 63, "maria", &sheet, 0, 1, json!(0)).unwrap();
    assert_eq!(close(&app, 64), 1);
    assert_eq!(earned(&look(&app, "maria", &sheet).unwrap()), Some(200));
    // Of what it came to and how it ended nothing is left.
    let again = open(70, None).unwrap();
    assert_eq!((again.timed_out, again.points), (false, None));
    assert_eq!((again.ended_at, again.deadline), (None, None));
    hand_in(&app, 80, "maria", &sheet).unwrap();
    begin(&app, 81, "maria").unwrap();
    let refused = open(82, None);
    assert!(
        matches!(refused, Err(Error::Invalid { .. })),
        "another one is under way"
    );
}

#[test]
fn an_attempt_that_is_opened_once_more_has_the_grace_that_it_had() {
    let app = school();
    let grace = QUIZ.replace("passing", "on_deadline = 'grace'\ngrace = '1m'\npassing");
    take_in(&app, at(0), &grace);
    let sheet = begin(&app, 0, "maria").unwrap();
    hand_in(&app, 1, "maria", &sheet).unwrap();
    let attempt = sheet.attempt.id.clone();
    app.at(at(2), &session(&app, "anna"), move |cx| {
        reopen(cx, &attempt, "1m".parse().ok())
    })
    .unwrap();
    give(&app, 122, "maria", &sheet, 0, 1, json!(0)).unwrap();
    assert_eq!((close(&app, 122), close(&app, 123)), (0, 1));
}
