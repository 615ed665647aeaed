use super::folder::{Files, apply, plan, read, write};
use super::*;
use crate::app::{Actor, App, Who};
use crate::courses::NewCourse;
use crate::enrolments;
use crate::time::Timestamp;
use crate::users::{self, NewUser};

const START: Timestamp = Timestamp(1_795_000_000_000);

fn student(app: &App, name: &str) -> Actor {
    let new = NewUser::named(name.parse().unwrap());
    let id = users::create(app, &Actor::operator(), new).unwrap().id;
    let mut actor = Actor::in_session(&id, false);
    if let Who::Session { roles, .. } = &mut actor.who {
        "user".clone_into(roles);
    }
    actor
}

/// A course with lessons `a`, `b` and `c`.
fn course(app: &App) {
    app.at(START, &Actor::operator(), |cx| {
        let new = NewCourse::named("sql".parse()?, "SQL".parse()?);
        courses::create(cx, &new)?;
        for slug in ["a", "b", "c"] {
            let new = NewLesson {
                slug: slug.parse()?,
                title: slug.parse()?,
                source: "*text*".parse()?,
                place: Place::default(),
            };
            create(cx, "sql", &new)?;
        }
        Ok(())
    })
    .unwrap();
}

fn publish(app: &App) {
    let to = courses::Changes::to(courses::State::Published);
    app.at(START, &Actor::operator(), move |cx| {
        courses::update(cx, "sql", &to)
    })
    .unwrap();
}

fn order(app: &App) -> Vec<String> {
    let page = app
        .read(&Actor::operator(), |cx| list(cx, "sql", None, 100))
        .unwrap();
    let lessons = page.items.into_iter();
    lessons
        .map(|it| format!("{}/{}{}", it.module, it.position, it.slug))
        .collect()
}

#[test]
fn lessons_stay_in_order_without_gaps_wherever_they_are_moved() {
    let app = App::memory();
    course(&app);
    let root = Actor::operator();
    let to = |text: &'static str, module: Option<&'static str>, position| {
        app.at(START, &root, move |cx| {
            let place = Place {
                module: module.map(str::parse).transpose()?,
                module_title: None,
                position,
            };
            move_to(cx, text, &place)
        })
        .unwrap()
    };
    assert_eq!(order(&app), ["lessons/1a", "lessons/2b", "lessons/3c"]);
    to("sql/c", None, Some(1));
    assert_eq!(order(&app), ["lessons/1c", "lessons/2a", "lessons/3b"]);
    to("sql/a", Some("more"), None);
    assert_eq!(order(&app), ["lessons/1c", "lessons/2b", "more/1a"]);
    app.at(START, &root, |cx| delete_if(cx, "sql/c", |_| Ok(())))
        .unwrap();
    assert_eq!(order(&app), ["lessons/1b", "more/1a"]);
    let taken = Changes {
        slug: Some("a".parse().unwrap()),
        ..Changes::default()
    };
    let refused = app.at(START, &root, move |cx| {
        update_if(cx, "sql/b", &taken, |_| Ok(()))
    });
    assert!(matches!(refused, Err(Error::SlugTaken)));
}

#[test]
fn progress_is_counted_in_percent_kept_when_somebody_leaves_and_forgotten_when_told() {
    let app = App::memory();
    course(&app);
    let ivan = student(&app, "ivan");
    let of_draft = app.at(START, &ivan, |cx| mark(cx, "sql/a", None, Step::Completed));
    assert!(matches!(of_draft, Err(Error::NotFound { .. })));
    publish(&app);
    let percent = |actor: &Actor, user: Option<&str>| {
        let found = app.read(actor, |cx| progress(cx, "sql", user)).unwrap();
        (found.completed, found.percent)
    };
    app.at(START, &ivan, |cx| enrolments::add(cx, "sql", None, false))
        .unwrap();
    app.at(START, &ivan, |cx| {
        mark(cx, "sql/a", None, Step::Completed)?;
        mark(cx, "sql/b", None, Step::InProgress)
    })
    .unwrap();
    assert_eq!(percent(&ivan, None), (1, 33));
    assert_eq!(percent(&Actor::operator(), Some("ivan")), (1, 33));
    let anna = student(&app, "anna");
    let peeked = app.read(&anna, |cx| progress(cx, "sql", Some("ivan")));
    assert!(matches!(peeked, Err(Error::Forbidden { .. })));
    app.at(START, &ivan, |cx| enrolments::withdraw(cx, "sql", None))
        .unwrap();
    assert_eq!(percent(&ivan, None), (1, 33));
    app.at(START, &Actor::operator(), |cx| reset(cx, "sql", "ivan"))
        .unwrap();
    assert_eq!(percent(&ivan, None), (0, 0));
}

#[test]
fn a_program_notes_progress_for_its_owner_or_for_whom_it_names() {
    let app = App::memory();
    course(&app);
    publish(&app);
    let (ivan, anna) = (student(&app, "ivan"), student(&app, "anna"));
    let program = |scopes: &str, owner: Option<&Actor>| {
        let mut actor = Actor::token(scopes);
        if let Who::Token { owner: of, .. } = &mut actor.who {
            *of = owner.and_then(|it| it.user()).map(str::to_owned);
        }
        actor
    };
    let done = |actor: &Actor, user: Option<&'static str>| {
        app.at(START, actor, move |cx| {
            mark(cx, "sql/a", user, Step::Completed)
        })
    };
    let percent = |actor: &Actor, user: Option<&str>| {
        let found = app.read(actor, |cx| progress(cx, "sql", user)).unwrap();
        found.percent
    };
    for refused in [
        done(&program("course:read", Some(&ivan)), None),
        done(&program("course:read", Some(&ivan)), Some("ivan")),
        done(&ivan, Some("anna")),
    ] {
        assert!(matches!(refused, Err(Error::Forbidden { .. })));
    }
    let nobody = done(&program("course:*", None), None);
    assert!(matches!(nobody, Err(Error::Invalid { field: "user", .. })));
    assert_eq!((percent(&ivan, None), percent(&anna, None)), (0, 0));
    let owned = program("course:*", Some(&ivan));
    done(&owned, None).unwrap();
    assert_eq!((percent(&ivan, None), percent(&anna, None)), (33, 0));
    assert_eq!(percent(&owned, None), 33);
    done(&owned, Some("anna")).unwrap();
    assert_eq!(percent(&owned, Some("anna")), 33);
    let gone = done(&owned, Some("nobody"));
    assert!(matches!(gone, Err(Error::NotFound { .. })));
    let enter = |user: Option<&'static str>| {
        app.at(START, &owned, move |cx| {
            enrolments::add(cx, "sql", user, false)
        })
        .unwrap()
    };
    assert_eq!(Some(enter(None).user.as_str()), ivan.user());
    assert_eq!(Some(enter(Some("anna")).user.as_str()), anna.user());
    let left = app.at(START, &owned, |cx| enrolments::withdraw(cx, "sql", None));
    assert_eq!(left.unwrap().state, enrolments::State::Withdrawn);
}

#[test]
fn whatever_is_shown_of_a_lesson_changes_its_tag() {
    let app = App::memory();
    course(&app);
    let root = Actor::operator();
    let tag = || app.read(&root, |cx| stamp(cx, "sql/b")).unwrap();
    let mut seen = vec![tag()];
    let mut changed = |what: &str| {
        let now = tag();
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    app.at(START, &root, |cx| {
        let first = Place {
            position: Some(1),
            ..Place::default()
        };
        move_to(cx, "sql/c", &first)
    })
    .unwrap();
    changed("another lesson came before it");
    app.db()
        .write(|tx| tx.script("UPDATE modules SET title = 'Other'"))
        .unwrap();
    changed("its module has another title");
    app.at(START, &root, |cx| {
        let other = Changes {
            title: Some("B".parse()?),
            ..Changes::default()
        };
        update_if(cx, "sql/b", &other, |_| Ok(()))
    })
    .unwrap();
    changed("it has another title");
    let before = tag();
    let renamed = courses::Changes {
        slug: Some("sequel".parse().unwrap()),
        ..courses::Changes::default()
    };
    app.at(START, &root, move |cx| courses::update(cx, "sql", &renamed))
        .unwrap();
    let after = app.read(&root, |cx| stamp(cx, "sequel/b")).unwrap();
    assert_ne!(before, after, "its course has another slug");
}

#[test]
fn who_is_invited_sees_the_course_and_reads_it_once_they_accept() {
    let app = App::memory();
    course(&app);
    publish(&app);
    let closed = courses::Changes {
        visibility: Some(courses::Visibility::Enrolled),
        enrolment: Some(courses::Admission::Invitation),
        ..courses::Changes::default()
    };
    app.at(START, &Actor::operator(), move |cx| {
        courses::update(cx, "sql", &closed)
    })
    .unwrap();
    let (ivan, anna) = (student(&app, "ivan"), student(&app, "anna"));
    let enter = |actor: &Actor| app.at(START, actor, |cx| enrolments::add(cx, "sql", None, false));
    assert!(matches!(enter(&anna), Err(Error::NotFound { .. })));
    app.at(START, &Actor::operator(), |cx| {
        enrolments::add(cx, "sql", Some("ivan"), true)
    })
    .unwrap();
    app.read(&ivan, |cx| courses::get(cx, "sql")).unwrap();
    assert!(app.read(&ivan, |cx| get(cx, "sql/a")).is_err());
    assert!(app.read(&ivan, |cx| list(cx, "sql", None, 50)).is_err());
    assert_eq!(enter(&ivan).unwrap().state, enrolments::State::Active);
    let reading = app.read(&ivan, |cx| get(cx, "sql/a")).unwrap();
    assert_eq!(reading.html, "<p><em>text</em></p>\n");
    let id = reading.lesson.id;
    assert!(matches!(
        app.read(&anna, |cx| get(cx, &id)),
        Err(Error::NotFound { .. })
    ));
    let listed = app.read(&ivan, |cx| {
        enrolments::list(cx, "sql", enrolments::Filter::default(), None, 50)
    });
    assert_eq!(listed.unwrap().items.len(), 1);
}

#[test]
fn only_who_manages_the_course_changes_lessons_and_looks_at_what_others_did() {
    let app = App::memory();
    course(&app);
    publish(&app);
    let ivan = student(&app, "ivan");
    app.at(START, &ivan, |cx| {
        enrolments::add(cx, "sql", None, false)?;
        mark(cx, "sql/a", None, Step::Completed)
    })
    .unwrap();
    let anna = student(&app, "anna");
    let refused = |what: &str, done: Result<()>| {
        assert!(
            matches!(done, Err(Error::Forbidden { .. })),
            "{what}: {done:?}"
        );
    };
    for who in [&ivan, &anna, &Actor::token("course:read")] {
        let title = Changes {
            title: "Mine".parse().ok(),
            ..Changes::default()
        };
        refused(
            "update",
            app.at(START, who, move |cx| {
                update_if(cx, "sql/a", &title, |_| Ok(())).map(drop)
            }),
        );
        refused(
            "move",
            app.at(START, who, |cx| {
                move_to(cx, "sql/a", &Place::default()).map(drop)
            }),
        );
        refused(
            "delete",
            app.at(START, who, |cx| {
                delete_if(cx, "sql/a", |_| Ok(())).map(drop)
            }),
        );
        refused(
            "reset",
            app.at(START, who, |cx| reset(cx, "sql", "ivan").map(drop)),
        );
    }
    for who in [&ivan, &anna] {
        let when = (Timestamp(0), Timestamp(i64::MAX));
        refused(
            "completions",
            app.read(who, |cx| completions(cx, "sql/a", when, "", 9).map(drop)),
        );
        refused(
            "all",
            app.read(who, |cx| {
                let gate = courses::gate(cx, "sql")?;
                all(cx, &gate).map(drop)
            }),
        );
    }
    let left = app.read(&ivan, |cx| progress(cx, "sql", None)).unwrap();
    assert_eq!(left.completed, 1);
}

/// The sample without its quizzes, which are not of this slice.
fn sample() -> Files {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/courses/operating-provost"
    );
    let mut files = Files::open(std::path::Path::new(folder)).unwrap();
    files.0.retain(|name, _| !name.starts_with("quiz/"));
    files
}

fn taken_in(app: &App, files: &Files) -> folder::Imported {
    let draft = read(files, 1 << 20).unwrap();
    app.at(START, &Actor::operator(), move |cx| apply(cx, &draft))
        .unwrap()
}

#[test]
fn a_course_that_is_exported_taken_in_elsewhere_and_exported_again_is_the_same() {
    let (here, there) = (App::memory(), App::memory());
    let files = sample();
    let told = taken_in(&here, &files);
    assert_eq!(
        (told.created, told.lessons_created, told.files_written),
        (true, 9, 1)
    );
    let written = |app: &App| {
        app.read(&Actor::operator(), |cx| write(cx, "operating-provost"))
            .unwrap()
    };
    let first = written(&here);
    assert_eq!(first, files);
    taken_in(&there, &first);
    assert_eq!(written(&there), first);
}

#[test]
fn taking_a_course_in_again_changes_it_in_its_place_and_keeps_what_people_did() {
    let app = App::memory();
    let mut files = sample();
    taken_in(&app, &files);
    let root = Actor::operator();
    let slug = "operating-provost";
    let to = courses::Changes::to(courses::State::Published);
    app.at(START, &root, move |cx| courses::update(cx, slug, &to))
        .unwrap();
    let ivan = student(&app, "ivan");
    app.at(START, &ivan, |cx| {
        mark(cx, "operating-provost/setting-up", None, Step::Completed)
    })
    .unwrap();
    let old = files
        .0
        .remove("01-getting-started/02-setting-up.md")
        .unwrap();
    files.0.insert(
        "02-every-day/09-setting-up.md".into(),
        [&old[..], b"More.\n"].concat(),
    );
    files
        .0
        .remove("03-when-something-is-wrong/02-the-database.md");
    let draft = read(&files, 1 << 20).unwrap();
    let planned = app.read(&root, |cx| plan(cx, &draft));
    let told = taken_in(&app, &files);
    assert_eq!(
        folder::Imported {
            dry_run: true,
            ..told.clone()
        },
        planned.unwrap()
    );
    // One was changed and moved, one moved up.
    assert_eq!((told.lessons_created, told.lessons_updated), (0, 2));
    assert_eq!(
        (told.lessons_kept.as_slice(), told.files_unchanged),
        (&["the-database".to_owned()][..], 1)
    );
    let found = app.read(&ivan, |cx| progress(cx, slug, None)).unwrap();
    assert_eq!((found.lessons, found.completed), (9, 1));
    let reading = app
        .read(&ivan, |cx| get(cx, "operating-provost/setting-up"))
        .unwrap();
    assert!(reading.source.ends_with("More.\n") && reading.lesson.module == "every-day");
}

#[test]
fn everything_that_is_wrong_with_the_files_is_told_with_file_and_line() {
    let files = Files(
        [
            (
                "course.toml",
                "title = \"\"\nslug = \"A b\"\n\ncolour = \"red\"\ntags = [\"ok\", \"not ok\"]\n",
            ),
            ("01-one/01-a.md", "no front matter\n"),
            (
                "01-one/02-b.md",
                "+++\ntitle = \"B\"\nmood = \"good\"\n+++\n\nText\n\n![x](../assets/none.png)\n",
            ),
            ("01-one/03-c.md", "+++\ntitle = \n+++\n\nText\n"),
            ("02-two/01-b.md", "+++\ntitle = \"B\"\n+++\n\nText\n"),
            ("notes.txt", "x"),
            ("assets/a b.png", "x"),
        ]
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .into(),
    );
    let Err(Error::FilesRefused { faults }) = read(&files, 100) else {
        panic!("taken");
    };
    let places: Vec<String> = faults
        .iter()
        .map(|it| format!("{}:{}", it.file, it.line))
        .collect();
    assert_eq!(
        places,
        [
            "01-one/01-a.md:1",
            "01-one/02-b.md:3",
            "01-one/02-b.md:8",
            "01-one/03-c.md:2",
            "02-two/01-b.md:0",
            "assets/a b.png:0",
            "course.toml:1",
            "course.toml:2",
            "course.toml:4",
            "course.toml:5",
            "notes.txt:0",
        ]
    );
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn an_archive_is_read_as_its_folder_and_one_that_leads_out_or_swells_is_refused() {
    let files = sample();
    let inside: Vec<(String, &[u8])> = files
        .0
        .iter()
        .map(|(name, bytes)| (format!("course/{name}"), bytes.as_slice()))
        .collect();
    let inside: Vec<(&str, &[u8])> = inside
        .iter()
        .map(|(name, bytes)| (name.as_str(), *bytes))
        .collect();
    assert_eq!(Files::archive(&zip(&inside)).unwrap(), files);
    for bad in ["../course.toml", "/etc/passwd", "a/../../b", "C:\\x"] {
        let refused = Files::archive(&zip(&[(bad, b"x")]));
        assert!(matches!(refused, Err(Error::FilesRefused { .. })), "{bad}");
    }
    let bomb = vec![0; 8 << 20];
    let refused = Files::archive(&zip(&[("assets/a", &bomb)]));
    assert!(matches!(refused, Err(Error::FilesRefused { .. })));
    assert!(Files::archive(b"not an archive").is_err());
}
