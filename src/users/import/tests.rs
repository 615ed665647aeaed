//! Rules of taking in accounts, and of handing them out again, in memory.

use std::fmt::Write as _;

use super::*;
use crate::password::PasswordHash;
use crate::time::Timestamp;
use crate::users::export::{self, Options};
use crate::users::{self, NewUser, State};

const PASSWORD: &str = "correct horse battery staple";

// Made with argon2-cffi 25.1, bcrypt 4.0 and passlib 1.7.4.
const HASHES: [&str; 6] = [
    "$2a$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
    "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
    "$2y$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
    "$argon2i$v=19$m=4096,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$VBRqg4+btGy7IwGibYuU9f0M9kmWU0rIiVedJHJJyHI",
    "$pbkdf2-sha256$29000$./..MDEyMzQ1Njc4OWFiYw$o3UhwYUtbPIB3mjjcA9In8tVtrI/IYstYEgAl5b1g98",
    "$pbkdf2-sha256$1000$./..MDEyMzQ1Njc4OWFiYw$A3yjbvJT.yCA6Zd9kbXP9Vo6xHdA7viscK.yrs97v6g",
];

/// What came of it, and every refusal as `line: field: reason`.
fn try_take(app: &App, form: Form, text: &str, keep_going: bool) -> (Result<Report>, Vec<String>) {
    let mut told = Vec::new();
    let mut hear = |it: Told<'_>| {
        if let Told::Refused(refusal) = it {
            let Refusal {
                line,
                field,
                reason,
            } = refusal;
            told.push(format!("{line}: {field}: {reason}"));
        }
        Ok(())
    };
    let actor = Actor::operator();
    let mut lines = Lines::new(text.as_bytes(), form).unwrap();
    let report = check(app, &actor, &mut lines, &mut hear)
        .and_then(|checked| write(app, &actor, checked, keep_going, &mut hear));
    (report, told)
}

fn take(app: &App, form: Form, text: &str) -> Report {
    let (report, told) = try_take(app, form, text, false);
    report.unwrap_or_else(|error| panic!("{error}: {told:?}"))
}

fn find(app: &App, name: &str) -> Option<users::User> {
    let name = name.to_owned();
    app.read(&Actor::operator(), |cx| users::get(cx, &name))
        .ok()
}

fn actions(app: &App) -> Vec<String> {
    let all = app.read(&Actor::operator(), |cx| {
        audit::list(cx, &audit::Filter::default(), None, 1000)
    });
    let mut all = all.unwrap().items;
    all.retain(|entry| entry.action.starts_with("user."));
    all.reverse();
    all.into_iter().map(|entry| entry.action).collect()
}

fn handed(app: &App, form: Form, hashes: bool) -> String {
    let mut text = Vec::new();
    let options = Options { form, hashes };
    export::export(app, &Actor::operator(), options, &mut |piece, _| {
        text.extend_from_slice(piece);
        Ok(())
    })
    .unwrap();
    String::from_utf8(text).unwrap()
}

fn add(app: &App, name: &str, email: Option<&str>) {
    let new = NewUser {
        email: email.map(|email| email.parse().unwrap()),
        ..NewUser::named(name.parse().unwrap())
    };
    users::create(app, &Actor::operator(), new).unwrap();
}

#[test]
fn an_account_of_an_older_program_is_taken_in_with_all_that_it_has() {
    let app = App::memory();
    let text = format!(
        "id,username,email,phone,hashed_password,fio,created_at,is_superuser,is_verified\n\
         42,Maria,Maria@Example.org,+375 29 123-45-67,{},Мария Петрова,2024-01-02 03:04:05+00,t,true\n",
        HASHES[1]
    );
    assert_eq!(take(&app, Form::Csv, &text).imported, 1);
    let user = find(&app, "maria").unwrap();
    assert_eq!(user.username, "Maria");
    assert_eq!(user.email.as_deref(), Some("maria@example.org"));
    assert_eq!(user.phone.as_deref(), Some("+375291234567"));
    assert_eq!(user.name.as_deref(), Some("Мария Петрова"));
    assert_eq!(user.roles, [Role::Admin]);
    assert_eq!(user.created_at, Timestamp(1_704_164_645_000));
    assert!(user.has_password);
    let all = handed(&app, Form::Jsonl, false);
    assert!(all.contains(r#""email_verified":true"#), "{all}");
    assert!(all.contains(r#""meta":{"old_id":"42"}"#), "{all}");
}

#[test]
fn every_form_of_hash_lets_its_owner_in_and_is_replaced_by_ours_then() {
    let app = App::memory();
    let mut text = String::new();
    for (at, hash) in HASHES.iter().enumerate() {
        writeln!(
            text,
            "{{\"username\":\"u{at}\",\"password_hash\":\"{hash}\"}}"
        )
        .unwrap();
    }
    take(&app, Form::Jsonl, &text);
    let all = handed(&app, Form::Jsonl, true);
    let mut seen = 0;
    for line in all.lines() {
        let account: serde_json::Value = serde_json::from_str(line).unwrap();
        let hash = account["password_hash"].as_str().unwrap();
        assert!(HASHES.contains(&hash));
        let stored = PasswordHash::stored(hash.to_owned());
        let verify = |password: &str| {
            let password = password.parse().unwrap();
            app.kit().hasher.verify(&password, Some(&stored)).unwrap()
        };
        let right = verify(PASSWORD);
        assert!(right.matches, "{hash}");
        let ours = right.rehashed.unwrap();
        assert!(ours.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(!verify("Correct horse battery staple").matches);
        seen += 1;
    }
    assert_eq!(seen, HASHES.len());
}

#[test]
fn hashes_of_other_forms_or_beyond_the_ceilings_are_refused_without_being_shown() {
    let app = App::memory();
    let costly = HASHES[1].replace("$04$", "$17$");
    let text = format!(
        "username,password_hash\na1,{costly}\na2,hunter2\na3,$1$salt$hash\na4,$2b$04$short\na5,\n"
    );
    let (report, told) = try_take(&app, Form::Csv, &text, false);
    assert!(matches!(
        report,
        Err(Error::RowsRefused {
            rows: 5,
            refused: 4,
            ..
        })
    ));
    assert_eq!(told.len(), 4);
    assert!(told[0].contains("has a bcrypt cost that is not between 4 and 16"));
    let all = format!("{told:?}");
    assert!(!all.contains("hunter2") && !all.contains("$2b$"));
    assert!(find(&app, "a5").is_none());
}

#[test]
fn names_that_collide_are_told_with_both_lines_and_with_the_account_that_is_there() {
    let app = App::memory();
    add(&app, "ivan", Some("ivan@example.org"));
    let ivan = find(&app, "ivan").unwrap().id;
    let text = "username,email,phone\nAnna,a@x.org,+375291234567\nboris,,\nANNA,A@X.org,+375 29 1234567\n\
         IVAN,,\nvera,Ivan@Example.ORG,\nBoris,not an address,\n";
    let (report, told) = try_take(&app, Form::Csv, text, false);
    let there = format!("belongs to an account that is there already: {ivan}");
    assert_eq!(
        told,
        [
            "4: username: the same user name, but perhaps for case, is on line 2".to_owned(),
            "4: email: the same address, but perhaps for case, is on line 2".to_owned(),
            "4: phone: the same number is on line 2".to_owned(),
            format!("5: username: {there}"),
            format!("6: email: {there}"),
            "7: email: must be an address like name@example.org".to_owned(),
            "7: username: the same user name, but perhaps for case, is on line 3".to_owned(),
        ]
    );
    let told = report.unwrap_err();
    assert_eq!(
        (told.spec().exit, told.to_string().as_str()),
        (7, "4 of 6 rows cannot be imported; nothing was changed")
    );
    assert!(find(&app, "anna").is_none() && find(&app, "boris").is_none());
    assert_eq!(actions(&app), ["user.created"]);
}

#[test]
fn who_keeps_going_gets_every_good_row_and_no_other() {
    let app = App::memory();
    let mut text = String::from("username,email\n");
    for n in 0..350 {
        let email = if n % 7 == 3 { "none" } else { "" };
        writeln!(text, "user-{n},{email}").unwrap();
    }
    let (report, told) = try_take(&app, Form::Csv, &text, true);
    let report = report.unwrap();
    assert_eq!(
        (report.rows, report.imported, report.refused),
        (350, 300, 50)
    );
    assert!(report.complete);
    assert_eq!(told.len(), 50);
    assert!(find(&app, "user-3").is_none() && find(&app, "user-349").is_some());
    let log = actions(&app);
    let made = log.iter().filter(|action| *action == "user.created");
    assert_eq!(made.count(), 300);
    assert_eq!(log.last().unwrap(), "user.imported");
}

#[test]
fn a_row_that_is_not_made_for_no_reason_that_is_known_undoes_the_import() {
    for keep_going in [false, true] {
        let app = App::memory();
        let odd = |tx: &mut crate::db::Tx<'_>| {
            tx.script("CREATE UNIQUE INDEX users_odd ON users (locale)")
        };
        app.db().write(odd).unwrap();
        let text = "username,locale\nanna,be\nboris,be\n";
        let (report, told) = try_take(&app, Form::Csv, text, keep_going);
        assert!(matches!(report, Err(Error::Internal(_))), "{report:?}");
        assert_eq!(told, [""; 0]);
        assert!(find(&app, "anna").is_none());
        assert_eq!(actions(&app), [""; 0]);
    }
}

#[test]
fn no_name_is_a_formula_in_a_spreadsheet_and_all_come_back_as_they_were() {
    let app = App::memory();
    let text = "username,name,phone\nanna,=1+1,+375291234567\nboris,''@x,\n";
    take(&app, Form::Csv, text);
    let form = Form::Csv;
    let text = handed(&app, form, false);
    assert!(
        text.contains(",'=1+1,") && text.contains(",''@x,"),
        "{text}"
    );
    assert!(text.contains(",+375291234567,"), "a number: {text}");
    let other = App::memory();
    take(&other, form, &text);
    assert_eq!(handed(&other, form, false), text);
    let name = |name| find(&other, name).unwrap().name.unwrap();
    assert_eq!((name("anna"), name("boris")), ("=1+1".into(), "'@x".into()));
}

#[test]
fn each_account_has_its_row_in_the_log_and_the_import_one_more() {
    let app = App::memory();
    take(&app, Form::Csv, "username\nanna\nboris\n");
    assert_eq!(
        actions(&app),
        ["user.created", "user.created", "user.imported"]
    );
    let entries = app.read(&Actor::operator(), |cx| {
        audit::list(cx, &audit::Filter::default(), None, 2)
    });
    let entries = entries.unwrap().items;
    assert_eq!(
        entries[0].details.as_ref().unwrap().to_string(),
        r#"{"from":"csv","rows":2,"imported":2,"refused":0,"complete":true}"#
    );
    let id = find(&app, "boris").unwrap().id;
    assert_eq!(entries[1].object, format!("user:{id}"));
}

#[test]
fn a_name_that_is_taken_between_looking_and_writing_stops_all_or_only_its_own_row() {
    for keep_going in [false, true] {
        let app = App::memory();
        let actor = Actor::operator();
        let mut refused = Vec::new();
        let mut hear = |told: Told<'_>| {
            if let Told::Refused(refusal) = told {
                refused.push((refusal.line, refusal.field));
            }
            Ok(())
        };
        let text = "username,email\nanna,a@x.org\nboris,b@x.org\n";
        let mut lines = Lines::new(text.as_bytes(), Form::Csv).unwrap();
        let checked = check(&app, &actor, &mut lines, &mut hear).unwrap();
        add(&app, "other", Some("B@x.org"));
        let done = write(&app, &actor, checked, keep_going, &mut hear);
        assert_eq!(refused, [(3, "email")]);
        assert_eq!(find(&app, "anna").is_some(), keep_going);
        assert!(find(&app, "boris").is_none());
        match done {
            Ok(report) => assert_eq!((report.imported, report.refused), (1, 1)),
            Err(error) => assert_eq!(error.spec().code, "rows_refused"),
        }
    }
}

#[test]
fn whoever_is_stopped_leaves_nothing_behind_or_says_how_far_they_came() {
    let names: Vec<String> = (0..350).map(|n| format!("user-{n}\n")).collect();
    let text = format!("username\n{}", names.concat());
    for keep_going in [false, true] {
        let app = App::memory();
        let mut written = 0;
        let mut hear = |told: Told<'_>| {
            if let Told::Written(rows) = told {
                written += rows;
            }
            if written > 150 {
                Err(Error::Cancelled)
            } else {
                Ok(())
            }
        };
        let actor = Actor::operator();
        let mut lines = Lines::new(text.as_bytes(), Form::Csv).unwrap();
        let checked = check(&app, &actor, &mut lines, &mut hear).unwrap();
        let done = write(&app, &actor, checked, keep_going, &mut hear);
        if keep_going {
            let report = done.unwrap();
            assert_eq!((report.imported, report.last_line), (200, Some(201)));
            assert!(!report.complete && find(&app, "user-199").is_some());
            assert_eq!(actions(&app).last().unwrap(), "user.imported");
        } else {
            assert!(matches!(done, Err(Error::Cancelled)));
            assert!(find(&app, "user-0").is_none() && actions(&app).is_empty());
        }
    }
}

#[test]
fn an_account_that_is_disabled_comes_disabled() {
    let app = App::memory();
    let text = "username,state,disabled_reason,is_active\nanna,disabled,left,\nboris,,,false\nvera,active,,true\n";
    take(&app, Form::Csv, text);
    let anna = find(&app, "anna").unwrap();
    assert_eq!(
        (anna.state, anna.disabled_reason.as_deref()),
        (State::Disabled, Some("left"))
    );
    assert_eq!(find(&app, "boris").unwrap().state, State::Disabled);
    assert_eq!(find(&app, "vera").unwrap().state, State::Active);
}

#[test]
fn what_is_handed_out_makes_the_same_accounts_elsewhere() {
    let app = App::memory();
    let text = format!(
        "{{\"id\":7,\"username\":\"Maria\",\"email\":\"m@x.org\",\"is_verified\":true,\"fio\":\"=1+1, \\\"M\\\"\",\
         \"roles\":[\"admin\",\"user\"],\"password_hash\":\"{}\",\"created_at\":\"2024-01-02T03:04:05.678Z\",\
         \"locale\":\"be-BY\",\"meta\":{{\"a\":[1,\"x\\ny\"]}}}}\n\
         {{\"username\":\"ivan\",\"phone\":\"+375291234567\",\"state\":\"disabled\",\"disabled_reason\":\"a, b\"}}\n\
         {{\"username\":\"李雷\"}}\n",
        HASHES[0]
    );
    take(&app, Form::Jsonl, &text);
    for n in 0..5 {
        add(&app, &format!("more{n}"), None);
    }
    for form in Form::ALL {
        let text = handed(&app, form, true);
        let other = App::memory();
        assert_eq!(take(&other, form, &text).imported, 8);
        for form in Form::ALL {
            assert_eq!(handed(&other, form, true), handed(&app, form, true));
        }
    }
    let without = handed(&app, Form::Csv, false) + &handed(&app, Form::Jsonl, false);
    assert!(!without.contains("$2a$") && !without.contains("password_hash"));
    let again = App::memory();
    assert_eq!(
        take(&again, Form::Csv, &handed(&app, Form::Csv, false)).imported,
        8
    );
}

#[test]
fn pages_of_accounts_join_without_a_gap() {
    let app = App::memory();
    let rows = (0..2100).map(|n| format!("user-{n},2024-01-02T03:04:05Z\n"));
    let rows: Vec<String> = rows.collect();
    let text = format!("username,created_at\n{}", rows.concat());
    take(&app, Form::Csv, &text);
    let all = handed(&app, Form::Csv, false);
    let mut names: Vec<&str> = all
        .lines()
        .skip(1)
        .map(|it| it.split(',').nth(1).unwrap())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 2100);
}

#[test]
fn handing_out_is_written_down_and_deleted_accounts_stay() {
    let app = App::memory();
    add(&app, "anna", None);
    add(&app, "gone", None);
    app.db()
        .write(|tx| {
            tx.script("UPDATE users SET state = 'deleted', deleted_at = 1 WHERE username = 'gone'")
        })
        .unwrap();
    let all = handed(&app, Form::Jsonl, true);
    assert!(all.contains("anna") && !all.contains("gone"));
    assert_eq!(export::count(&app, &Actor::operator()).unwrap(), 1);
    assert_eq!(actions(&app).last().unwrap(), "user.exported");
}

#[test]
fn both_ask_for_their_scopes() {
    let app = App::memory();
    let nothing = |_: Told<'_>| Ok(());
    let take = |actor: &Actor| {
        let mut lines = Lines::new(&b"username\nanna\n"[..], Form::Csv).unwrap();
        check(&app, actor, &mut lines, &mut { nothing }).map(drop)
    };
    let hand = |actor: &Actor, hashes| {
        let form = Form::Csv;
        export::export(&app, actor, Options { form, hashes }, &mut |_, _| Ok(())).map(drop)
    };
    let (reader, writer) = (Actor::token("user:read"), Actor::token("user:write"));
    assert!(take(&reader).is_err() && take(&writer).is_ok());
    assert!(hand(&reader, false).is_ok() && hand(&reader, true).is_err());
    assert!(hand(&writer, false).is_err() && hand(&Actor::token("user:*"), true).is_ok());
    assert!(take(&Actor::anonymous()).is_err() && hand(&Actor::anonymous(), false).is_err());
}
