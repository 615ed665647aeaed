use super::*;
use crate::app::{Actor, App, Who};
use crate::enrolments;
use crate::time::Timestamp;
use crate::users::NewUser;

const START: Timestamp = Timestamp(1_795_000_000_000);

/// Somebody with this role, and as whom they ask.
pub(crate) fn person(app: &App, name: &str, role: Role) -> Actor {
    let new = NewUser {
        roles: vec![role],
        ..NewUser::named(name.parse().unwrap())
    };
    let id = users::create(app, &Actor::operator(), new).unwrap().id;
    let mut actor = Actor::in_session(&id, role == Role::Admin);
    if let Who::Session { roles, .. } = &mut actor.who {
        role.as_str().clone_into(roles);
    }
    actor
}

fn new(slug: &str) -> NewCourse {
    NewCourse::named(slug.parse().unwrap(), "A title".parse().unwrap())
}

fn make(app: &App, actor: &Actor, new: NewCourse) -> Result<Course> {
    app.at(START, actor, move |cx| create(cx, &new))
}

fn change(app: &App, actor: &Actor, slug: &str, changes: Changes) -> Result<Course> {
    let slug = slug.to_owned();
    app.at(START, actor, move |cx| update(cx, &slug, &changes))
}

fn sees(app: &App, actor: &Actor, slug: &str) -> bool {
    match app.read(actor, |cx| get(cx, slug)) {
        Ok(_) => true,
        Err(Error::NotFound { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

fn slugs(app: &App, actor: &Actor, filter: &Filter) -> Vec<String> {
    let page = app.read(actor, |cx| list(cx, filter, None, 50)).unwrap();
    page.items.into_iter().map(|course| course.slug).collect()
}

#[test]
fn a_course_is_there_for_those_whom_it_is_for_in_lists_and_alone() {
    let app = App::memory();
    let root = Actor::operator();
    let anna = person(&app, "anna", Role::Author);
    let boris = person(&app, "boris", Role::Author);
    let ivan = person(&app, "ivan", Role::User);
    for (slug, visibility, state) in [
        ("draft", Visibility::Public, State::Draft),
        ("old", Visibility::Public, State::Archived),
        ("public", Visibility::Public, State::Published),
        ("enrolled", Visibility::Enrolled, State::Published),
        ("authors", Visibility::Role(Role::Author), State::Published),
        ("users", Visibility::Role(Role::User), State::Published),
    ] {
        let course = NewCourse {
            visibility,
            ..new(slug)
        };
        make(&app, &anna, course).unwrap();
        change(&app, &anna, slug, Changes::to(state)).unwrap();
    }
    let all = ["users", "authors", "enrolled", "public", "old", "draft"];
    let seen = |actor: &Actor| {
        let alone: Vec<&str> = all
            .into_iter()
            .filter(|slug| sees(&app, actor, slug))
            .collect();
        let mut listed = slugs(&app, actor, &Filter::default());
        let mut sorted = alone.clone();
        sorted.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, sorted);
        alone
    };
    assert_eq!(seen(&root), all);
    assert_eq!(seen(&anna), all);
    assert_eq!(seen(&boris), ["authors", "public"]);
    assert_eq!(seen(&ivan), ["users", "public"]);
    assert_eq!(seen(&Actor::token("course:read")), all);
    app.at(START, &root, |cx| {
        enrolments::add(cx, "enrolled", Some("ivan"), false)
    })
    .unwrap();
    assert_eq!(seen(&ivan), ["users", "enrolled", "public"]);
    app.at(START, &ivan, |cx| {
        enrolments::withdraw(cx, "enrolled", None)
    })
    .unwrap();
    assert_eq!(seen(&ivan), ["users", "public"]);
    let refused = app.read(&Actor::token("user:read"), |cx| get(cx, "public"));
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
    let refused = app.read(&Actor::anonymous(), |cx| get(cx, "public"));
    assert!(matches!(refused, Err(Error::Unauthenticated)));
}

#[test]
fn an_author_manages_their_own_courses_and_a_student_none() {
    let app = App::memory();
    let (anna, boris) = (
        person(&app, "anna", Role::Author),
        person(&app, "boris", Role::Author),
    );
    let ivan = person(&app, "ivan", Role::User);
    let course = make(&app, &anna, new("sql")).unwrap();
    assert_eq!(course.owner.as_deref(), anna.user());
    change(&app, &anna, "sql", Changes::to(State::Published)).unwrap();
    let mut former = anna.clone();
    if let Who::Session { roles, .. } = &mut former.who {
        "user".clone_into(roles);
    }
    for other in [&boris, &ivan, &former, &Actor::token("course:read")] {
        let changed = change(&app, other, "sql", Changes::to(State::Draft));
        assert!(matches!(changed, Err(Error::Forbidden { .. })));
        let gone = app.at(START, other, |cx| delete_if(cx, "sql", |_| Ok(())));
        assert!(matches!(gone, Err(Error::Forbidden { .. })));
    }
    let refused = make(&app, &ivan, new("mine"));
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
    let theirs = NewCourse {
        owner: Some("boris".into()),
        ..new("gift")
    };
    assert!(matches!(
        make(&app, &anna, theirs.clone()),
        Err(Error::Forbidden { .. })
    ));
    assert_eq!(
        make(&app, &Actor::operator(), theirs)
            .unwrap()
            .owner
            .as_deref(),
        boris.user()
    );
    let nobody = NewCourse {
        owner: Some("ivan".into()),
        ..new("wrong")
    };
    assert!(matches!(
        make(&app, &Actor::operator(), nobody),
        Err(Error::Invalid { field: "owner", .. })
    ));
}

#[test]
fn every_change_makes_a_version_and_what_is_so_already_makes_none() {
    let app = App::memory();
    let root = Actor::operator();
    let first = make(&app, &root, new("sql")).unwrap();
    assert_eq!((first.version, first.state), (1, State::Draft));
    let same = Changes {
        title: Some("A title".parse().unwrap()),
        tags: Some(Vec::new()),
        ..Changes::default()
    };
    assert_eq!(change(&app, &root, "sql", same).unwrap(), first);
    let tags = ["b", "a"].map(|tag| tag.parse().unwrap()).to_vec();
    let other = Changes {
        tags: Some(tags),
        language: Change::Set("be".parse().unwrap()),
        ..Changes::to(State::Published)
    };
    let second = change(&app, &root, "sql", other).unwrap();
    assert_eq!(
        (second.version, second.tags.as_slice()),
        (2, &["a".to_owned(), "b".to_owned()][..])
    );
    assert_eq!(second.published_at, Some(START));
    let stale = app.at(START, &root, |cx| {
        update_if(cx, "sql", &Changes::to(State::Draft), |_| {
            Err(Error::PreconditionFailed)
        })
    });
    assert!(matches!(stale, Err(Error::PreconditionFailed)));
}

#[test]
fn a_slug_belongs_to_one_course_and_finds_it_before_an_id_does() {
    let app = App::memory();
    let root = Actor::operator();
    let first = make(&app, &root, new("sql")).unwrap();
    assert!(matches!(
        make(&app, &root, new("sql")),
        Err(Error::SlugTaken)
    ));
    // The beginning of an id can be the slug of another course.
    let prefix = &first.id[..8];
    let other = make(&app, &root, new(prefix)).unwrap();
    let found = |text: &str| app.read(&root, |cx| get(cx, text)).unwrap().id;
    assert_eq!(found(prefix), other.id);
    assert_eq!(found(&first.id), first.id);
    let taken = Changes {
        slug: Some("sql".parse().unwrap()),
        ..Changes::default()
    };
    assert!(matches!(
        change(&app, &root, prefix, taken),
        Err(Error::SlugTaken)
    ));
}

#[test]
fn a_list_is_cut_into_pages_and_found_by_state_tag_language_owner_and_words() {
    let app = App::memory();
    let root = Actor::operator();
    person(&app, "anna", Role::Author);
    for number in 0..5 {
        let course = NewCourse {
            summary: format!("About Ўсё {number}").parse().unwrap(),
            tags: vec![format!("tag-{}", number % 2).parse().unwrap()],
            language: (number == 1).then(|| "be".parse().unwrap()),
            owner: (number == 2).then(|| "anna".to_owned()),
            ..new(&format!("course-{number}"))
        };
        make(&app, &root, course).unwrap();
    }
    let all = slugs(&app, &root, &Filter::default());
    let mut paged = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let filter = Filter::default();
        let page = app
            .read(&root, |cx| list(cx, &filter, cursor.as_deref(), 2))
            .unwrap();
        paged.extend(page.items.into_iter().map(|course| course.slug));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((paged.len(), &paged), (5, &all));
    let found = |filter: Filter| slugs(&app, &root, &filter).len();
    assert_eq!(
        found(Filter {
            tag: "tag-0".parse().ok(),
            ..Filter::default()
        }),
        3
    );
    assert_eq!(
        found(Filter {
            language: "be".parse().ok(),
            ..Filter::default()
        }),
        1
    );
    assert_eq!(
        found(Filter {
            owner: Some("anna".into()),
            ..Filter::default()
        }),
        1
    );
    assert_eq!(
        found(Filter {
            q: Some("ўСЁ 3".into()),
            ..Filter::default()
        }),
        1
    );
    assert_eq!(
        found(Filter {
            q: Some("100%".into()),
            ..Filter::default()
        }),
        0
    );
    assert_eq!(
        found(Filter {
            state: Some(State::Published),
            ..Filter::default()
        }),
        0
    );
}

#[test]
fn a_page_has_the_same_tag_until_something_in_it_is_different() {
    let app = App::memory();
    let root = Actor::operator();
    let ivan = person(&app, "ivan", Role::User);
    person(&app, "anna", Role::Author);
    for number in 0..4 {
        let course = NewCourse {
            owner: (number == 3).then(|| "anna".to_owned()),
            visibility: if number == 0 {
                Visibility::Enrolled
            } else {
                Visibility::Public
            },
            ..new(&format!("course-{number}"))
        };
        make(&app, &root, course).unwrap();
    }
    let tag = |actor: &Actor, cursor: Option<&str>, limit| {
        let filter = Filter::default();
        let (stamp, page) = app
            .read(actor, |cx| {
                let stamp = page_stamp(cx, &filter, cursor, limit)?;
                Ok((stamp, list(cx, &filter, cursor, limit)?))
            })
            .unwrap();
        assert_eq!(stamp, PageStamp::of(&page));
        stamp
    };
    let mut seen = vec![
        tag(&ivan, None, 50),
        tag(&root, None, 50),
        tag(&root, None, 2),
    ];
    let mut differs = |what: &str, now: PageStamp| {
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    for number in 0..4 {
        let slug = format!("course-{number}");
        change(&app, &root, &slug, Changes::to(State::Published)).unwrap();
    }
    differs("they were published", tag(&root, None, 50));
    differs("they are there for a person", tag(&ivan, None, 50));
    let title = Changes {
        title: "Another".parse().ok(),
        ..Changes::default()
    };
    change(&app, &root, "course-3", title).unwrap();
    differs("one has another title", tag(&ivan, None, 50));
    app.at(START, &root, |cx| {
        enrolments::add(cx, "course-0", Some("ivan"), false)
    })
    .unwrap();
    differs("one more is there for a person", tag(&ivan, None, 50));
    let own = || app.read(&root, |cx| stamp(cx, "course-3")).unwrap();
    let mut versions = vec![own()];
    let erased = "UPDATE courses SET owner_id = NULL WHERE slug = 'course-3'";
    app.db().write(move |tx| tx.script(erased)).unwrap();
    differs("an owner was erased", tag(&ivan, None, 50));
    versions.push(own());
    // What a restore and as many changes come to: the same number, and another version.
    let later = "UPDATE courses SET updated_at = updated_at + 1 WHERE slug = 'course-3'";
    app.db().write(move |tx| tx.script(later)).unwrap();
    differs(
        "a version of the same number was made later",
        tag(&ivan, None, 50),
    );
    versions.push(own());
    versions.dedup_by_key(|it| it.to_string());
    assert_eq!(versions.len(), 3, "{versions:?}");
    assert_eq!(
        app.read(&root, |cx| get(cx, "course-3")).unwrap().stamp(),
        own()
    );
    let page = tag(&ivan, None, 4);
    app.at(START, &root, |cx| delete_if(cx, "course-0", |_| Ok(())))
        .unwrap();
    differs("one was deleted", tag(&ivan, None, 50));
    assert_ne!(page, tag(&ivan, None, 4));
    // The same courses, and nothing behind them any more.
    let last = slugs(&app, &root, &Filter::default()).pop().unwrap();
    let page = tag(&root, None, 2);
    app.at(START, &root, move |cx| delete_if(cx, &last, |_| Ok(())))
        .unwrap();
    assert_ne!(page, tag(&root, None, 2));
}
