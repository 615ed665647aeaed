use super::*;
use crate::app::{Actor, App};
use crate::courses::tests::person;
use crate::courses::{Changes, NewCourse};
use crate::users::Role;

const START: Timestamp = Timestamp(1_795_000_000_000);

/// A program with the published course `sql` of the author `anna`, which admits people so; and
/// `anna`, `ivan` and `boris`.
fn school(admission: Admission) -> (App, [Actor; 3]) {
    let app = App::memory();
    let anna = person(&app, "anna", Role::Author);
    let students = ["ivan", "boris"].map(|name| person(&app, name, Role::User));
    app.at(START, &anna, move |cx| {
        let new = NewCourse {
            enrolment: admission,
            ..NewCourse::named("sql".parse()?, "SQL".parse()?)
        };
        courses::create(cx, &new)?;
        courses::update(cx, "sql", &Changes::to(courses::State::Published))
    })
    .unwrap();
    let [ivan, boris] = students;
    (app, [anna, ivan, boris])
}

fn enter(app: &App, who: &Actor, user: Option<&'static str>, invite: bool) -> Result<State> {
    let entered = app.at(START, who, move |cx| add(cx, "sql", user, invite));
    entered.map(|it| it.state)
}

fn leave(app: &App, who: &Actor, user: Option<&'static str>) -> Result<State> {
    let left = app.at(START, who, move |cx| withdraw(cx, "sql", user));
    left.map(|it| it.state)
}

fn seen(app: &App, who: &Actor) -> Vec<String> {
    let page = app.read(who, |cx| list(cx, "sql", Filter::default(), None, 50));
    let mut names: Vec<String> = page
        .unwrap()
        .items
        .into_iter()
        .map(|it| it.username)
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn the_course_says_who_gets_in() {
    for admission in Admission::ALL {
        let (app, [anna, ivan, boris]) = school(admission);
        let by_themselves = enter(&app, &ivan, None, false);
        if admission == Admission::Open {
            assert_eq!(by_themselves.unwrap(), State::Active);
        } else {
            assert!(
                matches!(
                    by_themselves,
                    Err(Error::Invalid {
                        field: "course",
                        ..
                    })
                ),
                "{admission:?}: {by_themselves:?}"
            );
        }
        // Whom the author asks may accept, and whom the author brings is in.
        assert_eq!(
            enter(&app, &anna, Some("boris"), true).unwrap(),
            State::Invited
        );
        assert_eq!(enter(&app, &boris, None, false).unwrap(), State::Active);
        assert_eq!(
            enter(&app, &anna, Some("ivan"), false).unwrap(),
            State::Active
        );
        // Who is in it is not asked again.
        assert_eq!(
            enter(&app, &anna, Some("boris"), true).unwrap(),
            State::Active
        );
    }
}

#[test]
fn only_who_manages_the_course_brings_others_takes_them_out_and_sees_them() {
    let (app, [anna, ivan, boris]) = school(Admission::Open);
    enter(&app, &ivan, None, false).unwrap();
    for refused in [
        enter(&app, &ivan, Some("boris"), false),
        enter(&app, &ivan, Some("boris"), true),
        leave(&app, &boris, Some("ivan")),
    ] {
        assert!(
            matches!(refused, Err(Error::Forbidden { .. })),
            "{refused:?}"
        );
    }
    assert!(seen(&app, &boris).is_empty());
    enter(&app, &anna, Some("boris"), false).unwrap();
    assert_eq!(seen(&app, &ivan), ["ivan"]);
    assert_eq!(seen(&app, &boris), ["boris"]);
    assert_eq!(seen(&app, &anna), ["boris", "ivan"]);
    assert_eq!(leave(&app, &anna, Some("ivan")).unwrap(), State::Withdrawn);
}

#[test]
fn who_left_comes_back_to_the_same_enrolment_and_a_disabled_account_does_not() {
    let (app, [anna, ivan, _]) = school(Admission::Open);
    let missing = leave(&app, &ivan, None);
    assert!(
        matches!(missing, Err(Error::NotFound { .. })),
        "{missing:?}"
    );
    enter(&app, &ivan, None, false).unwrap();
    let id = |state| {
        let filter = Filter { state: Some(state) };
        let page = app.read(&anna, |cx| list(cx, "sql", filter, None, 50));
        page.unwrap().items.remove(0).id
    };
    let first = id(State::Active);
    assert_eq!(leave(&app, &ivan, None).unwrap(), State::Withdrawn);
    assert_eq!(id(State::Withdrawn), first);
    assert_eq!(enter(&app, &ivan, None, false).unwrap(), State::Active);
    assert_eq!(id(State::Active), first);
    app.at(START, &Actor::operator(), |cx| {
        users::disable(cx, "boris", None)
    })
    .unwrap();
    let disabled = enter(&app, &anna, Some("boris"), false);
    assert!(
        matches!(disabled, Err(Error::Invalid { field: "user", .. })),
        "{disabled:?}"
    );
}
