use super::*;
use crate::app::{Actor, App};
use crate::courses::tests::person;
use crate::courses::{Changes, NewCourse, State, create, update};
use crate::users::Role;

const START: Timestamp = Timestamp(1_795_000_000_000);
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

fn school(variables: &[(&str, &str)]) -> (App, Actor) {
    let app = App::with(variables);
    let anna = person(&app, "anna", Role::Author);
    app.at(START, &anna, |cx| {
        create(cx, &NewCourse::named("sql".parse()?, "SQL".parse()?))
    })
    .unwrap();
    (app, anna)
}

fn store(app: &App, actor: &Actor, name: &str, bytes: &'static [u8]) -> Result<(Attachment, bool)> {
    let name: AttachmentName = name.parse()?;
    app.at(START, actor, move |cx| {
        put_if(cx, "sql", &name, bytes, |_| Ok(()))
    })
}

#[test]
fn what_sort_of_file_it_is_is_found_in_its_bytes() {
    let (app, anna) = school(&[]);
    for (name, bytes, sort) in [
        ("map.txt", PNG, "image/png"),
        (
            "page.html",
            &b"<html><script>alert(1)</script>"[..],
            "text/plain",
        ),
        (
            "map.svg",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "text/plain",
        ),
        ("notes.png", b"only words", "text/plain"),
        ("empty", b"", "text/plain"),
        ("core", b"\0\x01\x02", "application/octet-stream"),
    ] {
        let (file, new) = store(&app, &anna, name, bytes).unwrap();
        assert_eq!((file.media_type.as_str(), new), (sort, true), "{name}");
    }
    let (_, new) = store(&app, &anna, "core", b"\0").unwrap();
    assert!(!new);
    for bad in ["", ".hidden", "a/b", "..", "a b", "ü.png"] {
        assert!(bad.parse::<AttachmentName>().is_err(), "{bad}");
    }
}

#[test]
fn files_are_there_for_readers_of_the_course_and_changed_by_who_manages_it() {
    let (app, anna) = school(&[]);
    store(&app, &anna, "map.png", PNG).unwrap();
    let (boris, ivan) = (
        person(&app, "boris", Role::Author),
        person(&app, "ivan", Role::User),
    );
    let read = |actor: &Actor| app.read(actor, |cx| get(cx, "sql", "map.png"));
    for actor in [&boris, &ivan] {
        assert!(matches!(read(actor), Err(Error::NotFound { .. })));
        let put = store(&app, actor, "map.png", b"x");
        assert!(matches!(put, Err(Error::NotFound { .. })));
    }
    let to = Changes::to(State::Published);
    app.at(START, &anna, move |cx| update(cx, "sql", &to))
        .unwrap();
    assert_eq!(read(&ivan).unwrap().1, PNG);
    for actor in [&boris, &ivan, &Actor::token("course:read")] {
        let put = store(&app, actor, "map.png", b"x");
        assert!(matches!(put, Err(Error::Forbidden { .. })));
        let gone = app.at(START, actor, |cx| {
            delete_if(cx, "sql", "map.png", |_| Ok(()))
        });
        assert!(matches!(gone, Err(Error::Forbidden { .. })));
    }
    app.at(START, &anna, |cx| {
        delete_if(cx, "sql", "map.png", |_| Ok(()))
    })
    .unwrap();
    assert!(matches!(read(&anna), Err(Error::NotFound { .. })));
}

#[test]
fn a_course_has_no_larger_files_than_it_may_and_no_more_of_them() {
    let (app, anna) = school(&[("PROVOST_COURSES_ATTACHMENT_MAX", "1024")]);
    let large = store(&app, &anna, "large", &[b'x'; 1025]);
    assert!(matches!(large, Err(Error::PayloadTooLarge { limit: 1024 })));
    // As many as there may be, without the work of putting each there.
    let course = app.read(&anna, |cx| gate(cx, "sql")).unwrap().id;
    app.db()
        .write(move |tx| {
            for n in 0..FILES {
                let file = Attachment {
                    id: n.to_string(),
                    name: format!("f{n}"),
                    media_type: "text/plain".into(),
                    size: 1,
                    sha256: String::new(),
                    created_at: START,
                };
                super::store::put(tx, &course, &file, b"x")?;
            }
            Ok(())
        })
        .unwrap();
    let more = store(&app, &anna, "more", b"x");
    assert!(matches!(more, Err(Error::Invalid { .. })));
    assert!(!store(&app, &anna, "f1", b"other").unwrap().1);
    let listed = app.read(&anna, |cx| list(cx, "sql", None, 2)).unwrap();
    assert_eq!(listed.next.as_deref(), Some("f1"));
    let next = app
        .read(&anna, |cx| list(cx, "sql", Some("f1"), 2))
        .unwrap();
    assert_eq!(next.items[0].name, "f10");
    let full = format!("UPDATE attachments SET size = {BYTES} WHERE name = 'f2'");
    app.db().write(move |tx| tx.script(&full)).unwrap();
    assert!(matches!(
        store(&app, &anna, "f1", b"again"),
        Err(Error::Invalid { .. })
    ));
}
