use std::collections::BTreeSet;

use super::*;
use crate::app::Who;
use crate::app::{Actor, App};
use crate::users::NewUser;

/// A session of a user who logged in then.
fn fresh(id: &str, now: Timestamp) -> Actor {
    Actor {
        who: Who::Session {
            id: "0".into(),
            user: id.into(),
            username: "x".into(),
            roles: "user".into(),
            admin: false,
            authenticated_at: now,
        },
        ..Actor::anonymous()
    }
}

/// The beginning of a step.
const START: i64 = 1_795_000_020_000;
const STEP: i64 = 30_000;

struct Person {
    app: App,
    id: String,
}

/// An app where `maria` has an account.
fn person() -> Person {
    let app = App::memory();
    let id = add(&app, "maria");
    Person { app, id }
}

fn add(app: &App, name: &str) -> String {
    let new = NewUser::named(name.parse().unwrap());
    let user = users::create(app, &Actor::operator(), new);
    user.unwrap().id
}

impl Person {
    fn at<T: Send + 'static>(
        &self,
        steps: i64,
        f: impl FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let now = Timestamp(START + steps * STEP);
        self.app.at(now, &fresh(&self.id, now), f)
    }

    fn enrolled(&self) -> Vec<u8> {
        let enrolment = self.at(0, enrol).unwrap();
        let secret = totp_rs::Secret::try_from_base32(enrolment.secret.expose());
        secret.unwrap().as_bytes().to_vec()
    }

    fn confirmed(&self) -> (Vec<u8>, Vec<String>) {
        let secret = self.enrolled();
        let code = code(&secret, 0);
        let codes = self.at(0, move |cx| confirm(cx, &code)).unwrap();
        let codes = codes.iter().map(|code| code.expose().clone()).collect();
        (secret, codes)
    }

    fn takes(&self, steps: i64, code: &str) -> bool {
        let (id, code) = (self.id.clone(), code.to_owned());
        self.at(steps, move |cx| take(cx, &id, &code)).unwrap()
    }

    fn required(&self) -> bool {
        let id = self.id.clone();
        self.at(0, move |cx| required(cx, &id)).unwrap()
    }

    fn epoch(&self) -> i64 {
        let sql = format!(
            "SELECT security_epoch AS n FROM users WHERE id = '{}'",
            self.id
        );
        let row = self.app.db().read(|tx| tx.first(&sql, &[]));
        row.unwrap().unwrap().int("n").unwrap()
    }

    fn log(&self) -> Vec<String> {
        let log = self
            .app
            .read(&Actor::operator(), |cx| {
                audit::list(cx, &audit::Filter::default(), None, 200)
            })
            .unwrap();
        log.items
            .iter()
            .rev()
            .map(|row| serde_json::to_string(row).unwrap())
            .collect()
    }
}

/// The code of the step that begins then.
fn code(secret: &[u8], steps: i64) -> String {
    totp::code(secret, Timestamp(START + steps * STEP))
}

/// Removes the factor, and tells the answer.
fn without(app: &App, actor: &Actor, code: &str) -> Result<()> {
    let code = code.to_owned();
    app.write(actor, move |cx| disable(cx, &code))?
}

#[test]
fn a_factor_is_asked_for_only_after_a_code_of_it_was_shown() {
    let maria = person();
    let secret = maria.enrolled();
    assert!(!maria.required());
    assert!(!maria.takes(0, &code(&secret, 0)), "not confirmed");
    let wrong = maria.at(0, |cx| confirm(cx, "000000"));
    assert!(matches!(wrong, Err(Error::Invalid { field: "code", .. })));
    assert!(!maria.required());
    let right = code(&secret, 0);
    let codes = maria.at(0, move |cx| confirm(cx, &right)).unwrap();
    assert!(maria.required());
    let different: BTreeSet<_> = codes.iter().map(|code| code.expose().clone()).collect();
    assert_eq!(different.len(), 10);
    let factor = maria.at(0, own).unwrap().unwrap();
    assert_eq!(
        (factor.username.as_str(), factor.recovery_codes),
        ("maria", 10)
    );
}

#[test]
fn setting_up_again_replaces_what_was_never_confirmed_and_nothing_else() {
    let maria = person();
    let first = maria.enrolled();
    let second = maria.enrolled();
    let old = code(&first, 0);
    assert!(maria.at(0, move |cx| confirm(cx, &old)).is_err());
    let new = code(&second, 0);
    maria.at(0, move |cx| confirm(cx, &new)).unwrap();
    let again = maria.at(0, enrol).unwrap_err();
    assert!(again.to_string().contains("is there already"), "{again}");
    let twice = code(&second, 1);
    assert!(maria.at(1, move |cx| confirm(cx, &twice)).is_err());
}

#[test]
fn no_code_is_taken_twice_and_none_of_an_earlier_step() {
    let maria = person();
    let (secret, _) = maria.confirmed();
    assert!(
        !maria.takes(0, &code(&secret, 0)),
        "it confirmed the factor"
    );
    assert!(maria.takes(5, &code(&secret, 5)));
    assert!(!maria.takes(5, &code(&secret, 5)), "the same once more");
    assert!(!maria.takes(5, &code(&secret, 4)), "the step before");
    assert!(maria.takes(5, &code(&secret, 6)), "a clock that goes ahead");
    assert!(!maria.takes(6, &code(&secret, 5)));
    assert!(!maria.takes(20, &code(&secret, 18)), "too late");
    assert!(maria.takes(20, &format!(" {} ", code(&secret, 19))));
}

#[test]
fn a_recovery_code_is_good_once_and_for_its_owner_alone() {
    let maria = person();
    let (_, codes) = maria.confirmed();
    let ivan = Person {
        app: maria.app.clone(),
        id: add(&maria.app, "ivan"),
    };
    ivan.confirmed();
    assert!(!ivan.takes(0, &codes[0]));
    for code in &codes {
        assert!(maria.takes(1, &code.to_uppercase().replace('-', " ")));
        assert!(!maria.takes(1, code), "the same once more");
    }
    assert_eq!(maria.at(1, own).unwrap().unwrap().recovery_codes, 0);
}

#[test]
fn new_recovery_codes_replace_the_old_ones() {
    let maria = person();
    assert!(maria.at(0, renew_codes).is_err(), "there is no factor");
    let (_, old) = maria.confirmed();
    let new = maria.at(1, renew_codes).unwrap();
    assert!(!maria.takes(1, &old[0]));
    assert!(maria.takes(1, new[0].expose()));
}

#[test]
fn of_many_who_show_one_code_at_once_one_is_let_in() {
    let maria = person();
    let (secret, codes) = maria.confirmed();
    for shown in [code(&secret, 3), codes[3].clone()] {
        let taken = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..20)
                .map(|_| scope.spawn(|| maria.takes(3, &shown)))
                .collect();
            let taken = tries.into_iter().filter(|_| true);
            taken
                .map(|one| one.join().unwrap())
                .filter(|one| *one)
                .count()
        });
        assert_eq!(taken, 1, "{shown}");
    }
}

#[test]
fn a_secret_that_was_moved_to_somebody_elses_row_does_not_open() {
    let maria = person();
    let (secret, _) = maria.confirmed();
    let ivan = Person {
        app: maria.app.clone(),
        id: add(&maria.app, "ivan"),
    };
    ivan.confirmed();
    let sql = format!(
        "UPDATE totp_factors SET secret = (SELECT secret FROM totp_factors WHERE user_id = '{}')
         WHERE user_id = '{}'",
        maria.id, ivan.id
    );
    maria.app.db().write(move |tx| tx.script(&sql)).unwrap();
    let (id, shown) = (ivan.id.clone(), code(&secret, 4));
    let moved = ivan.at(4, move |cx| take(cx, &id, &shown));
    assert!(matches!(moved, Err(Error::Internal(_))));
    assert!(maria.takes(4, &code(&secret, 4)));
}

#[test]
fn removing_needs_a_code_and_ends_what_is_open() {
    let maria = person();
    let (_, codes) = maria.confirmed();
    let actor = Actor::in_session(&maria.id, false);
    let before = maria.epoch();
    assert!(without(&maria.app, &actor, "000000").is_err());
    assert!(maria.required());
    assert_eq!(maria.epoch(), before);
    assert!(maria.log().last().unwrap().contains("denied"));
    without(&maria.app, &actor, &codes[0]).unwrap();
    assert!(!maria.required());
    assert_eq!(maria.epoch(), before + 1);
    assert!(!maria.takes(0, &codes[1]));
    assert!(
        without(&maria.app, &actor, &codes[1]).is_err(),
        "there is none"
    );
}

#[test]
fn an_administrator_resets_a_factor_and_what_was_open_ends() {
    let maria = person();
    maria.confirmed();
    let before = maria.epoch();
    let as_actor = |actor: Actor| maria.app.write(&actor, |cx| reset(cx, "maria"));
    let refused = as_actor(Actor::in_session(&maria.id, false));
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
    assert!(as_actor(Actor::token("user:write")).unwrap());
    assert!(!maria.required());
    assert_eq!(maria.epoch(), before + 1);
    assert!(!as_actor(Actor::operator()).unwrap(), "there is none");
    assert_eq!(maria.epoch(), before + 1);
}

#[test]
fn no_token_resets_the_factor_of_an_administrator() {
    let maria = person();
    maria.confirmed();
    let operator = Actor::operator();
    let give = |cx: &mut Cx<'_, '_>| users::grant(cx, "maria", users::Role::Admin);
    maria.app.write(&operator, give).unwrap();
    let refused = maria
        .app
        .write(&Actor::token("user:write"), |cx| reset(cx, "maria"));
    assert!(matches!(refused, Err(Error::Forbidden { needs }) if needs == "role:admin"));
    assert!(maria.required());
}

#[test]
fn an_old_session_neither_sets_up_a_factor_nor_gets_recovery_codes() {
    let maria = person();
    maria.confirmed();
    let now = Timestamp(START);
    let old = fresh(&maria.id, now.minus(std::time::Duration::from_mins(11)));
    for refused in [
        maria.app.at(now, &old, |cx| enrol(cx).map(|_| ())),
        maria.app.at(now, &old, |cx| renew_codes(cx).map(|_| ())),
    ] {
        assert!(matches!(refused, Err(Error::ReauthenticationNeeded)));
    }
}

#[test]
fn a_factor_is_a_persons_and_nobody_elses() {
    let maria = person();
    for actor in [
        Actor::operator(),
        Actor::token("user:write"),
        Actor::anonymous(),
    ] {
        assert!(maria.app.write(&actor, enrol).is_err(), "{actor}");
        assert!(maria.app.write(&actor, own).is_err(), "{actor}");
        assert!(maria.app.write(&actor, renew_codes).is_err(), "{actor}");
        assert!(without(&maria.app, &actor, "000000").is_err(), "{actor}");
    }
}

#[test]
fn the_operator_lists_factors_page_by_page() {
    let maria = person();
    maria.confirmed();
    for name in ["anna", "ivan"] {
        let person = Person {
            app: maria.app.clone(),
            id: add(&maria.app, name),
        };
        person.enrolled();
    }
    let page = |cursor: Option<String>| {
        let read = |cx: &mut Cx<'_, '_>| list(cx, None, cursor.as_deref(), 2);
        maria.app.read(&Actor::operator(), read).unwrap()
    };
    let first = page(None);
    assert_eq!(first.items.len(), 2);
    let second = page(first.next.clone());
    assert_eq!((second.items.len(), second.next), (1, None));
    let one = |cx: &mut Cx<'_, '_>| list(cx, Some("ivan"), None, 2);
    let one = maria.app.read(&Actor::operator(), one).unwrap();
    assert_eq!(one.items[0].confirmed_at, None);
}

#[test]
fn neither_secret_nor_code_is_in_the_log_or_shown_by_accident() {
    let maria = person();
    let enrolment = maria.at(0, enrol).unwrap();
    assert!(!format!("{enrolment:?}").contains(enrolment.secret.expose()));
    let (secret, codes) = maria.confirmed();
    maria.takes(1, &codes[0]);
    maria.takes(2, &code(&secret, 2));
    let log = maria.log().join("\n");
    assert!(log.contains("factor.confirmed") && log.contains("factor.code_used"));
    for hidden in codes
        .iter()
        .chain([enrolment.secret.expose(), &code(&secret, 2)])
    {
        assert!(!log.contains(hidden), "{hidden}");
    }
}

#[test]
fn after_a_restore_only_the_codes_are_good_that_were_not_used_or_replaced_since() {
    let maria = person();
    let (_, codes) = maria.confirmed();
    let good = maria.at(1, unused).unwrap();
    let kept = good[..9].to_vec();
    let spent = maria.at(1, move |cx| still_taken(cx, Some(&kept)));
    assert_eq!(spent.unwrap(), 1);
    assert_eq!(maria.at(1, unused).unwrap().len(), 9);
    assert_eq!(maria.at(1, |cx| still_taken(cx, None)).unwrap(), 9);
    assert!(!codes.iter().any(|code| maria.takes(2, code)));
}
