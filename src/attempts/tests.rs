use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::*;
use crate::app::{Actor, App};
use crate::quizzes::tests::{QUIZ, at, id, number, school, script, session, take_in};

fn begin(app: &App, now: i64, name: &str) -> Result<Sheet> {
    let actor = session(app, name);
    app.at(at(now), &actor, |cx| start(cx, "sql/test"))
}

/// Answers the question at this place of the sheet.
fn give(
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

fn hand_in(app: &App, now: i64, name: &str, sheet: &Sheet) -> Result<Sheet> {
    let attempt = sheet.attempt.id.clone();
    app.at(at(now), &session(app, name), move |cx| submit(cx, &attempt))
}

fn look(app: &App, name: &str, sheet: &Sheet) -> Result<Sheet> {
    let attempt = sheet.attempt.id.clone();
    app.read(&session(app, name), |cx| get(cx, &attempt))
}

fn close(app: &App, now: i64) -> u64 {
    app.at(at(now), &Actor::job("attempts.close"), |cx| {
        close_due(cx, 50)
    })
    .unwrap()
}

/// Points in hundredths.
fn earned(sheet: &Sheet) -> Option<i64> {
    sheet.attempt.points.map(|points| points.stored().unwrap())
}

fn audited(app: &App, action: &str) -> i64 {
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
    assert_eq!(earned(&hand_in(&app, 2, "maria", &sheet).unwrap()), None);
    let anna = session(&app, "anna");
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
    let filter = filter.clone();
    let page = app.at(at(now), actor, move |cx| {
        list(cx, "sql/test", &filter, None, 9)
    });
    let told = page.unwrap().items.into_iter();
    told.map(|it| format!("{} {} {}", it.user, it.number, it.waiting))
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
fn a_program_that_reads_courses_sees_attempts_and_neither_grades_nor_takes_them() {
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
    let told = app.read(&program, |cx| get(cx, &attempt)).unwrap();
    assert!(told.review.is_none());
    let needs = |refused: Result<()>| match refused {
        Err(Error::Forbidden { needs }) => needs.to_string(),
        other => panic!("{other:?}"),
    };
    let stranger = Actor::token("user:read");
    let refused = app.read(&stranger, |cx| {
        list(cx, &quiz, &Filter::default(), None, 9).map(drop)
    });
    assert_eq!(needs(refused), "course:read");
    let refused = app.at(at(1), &program, |cx| start(cx, "sql/test").map(drop));
    assert_eq!(needs(refused), "a session");
    let id = attempt.clone();
    let refused = app.at(at(1), &program, move |cx| submit(cx, &id).map(drop));
    assert_eq!(needs(refused), "a session");
    hand_in(&app, 2, "maria", &sheet).unwrap();
    let id = attempt.clone();
    let refused = app.at(at(3), &program, move |cx| {
        mark(cx, &id, &question, Points::whole(1), None).map(drop)
    });
    assert_eq!(needs(refused), "course:write");
    let refused = app.at(at(3), &program, move |cx| {
        reopen(cx, &attempt, None).map(drop)
    });
    assert_eq!(needs(refused), "course:write");
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
