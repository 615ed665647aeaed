use super::super::tests::{add, admin, as_operator, find, new};
use crate::app::{Actor, App};
use crate::error::Error;
use crate::users::{Filter, NewUser, Role, State, User, disable, list, spelling};

#[test]
fn an_account_is_found_by_each_of_its_names_in_any_spelling() {
    let app = App::memory();
    let user = add(
        &app,
        0,
        NewUser {
            email: "maria.p@example.org".parse().ok(),
            phone: "+375291234567".parse().ok(),
            ..new("Maria")
        },
    );
    let id = user.id.as_str();
    for text in [
        "maria",
        "MARIA",
        "ｍaria",
        "Maria.P@Example.org",
        "+375 (29) 123-45-67",
        id,
        &id.to_uppercase(),
        &id[..6],
        &id[..13],
        &id.replace('-', ""),
    ] {
        assert_eq!(find(&app, text).unwrap().id, user.id, "{text}");
    }
    for text in [
        "",
        "mari",
        &id[..5],
        &format!("-{}", &id[..5]),
        "x@example.org",
        "+375291234560",
        "ffffff",
        "a b",
        "%",
    ] {
        assert!(
            matches!(find(&app, text), Err(Error::NotFound { noun: "user", .. })),
            "{text}"
        );
    }
}

/// For each kind of name some of its spellings.
const SPELLINGS: [&[&str]; 3] = [
    &["maria", " MARIA\t", "ｍaria", "\u{a0}Maria\u{3000}"],
    &[
        "maria.p@example.org",
        "Maria.P@EXAMPLE.org ",
        "ｍaria.p@example.org",
        "maria.p＠example.org",
    ],
    &[
        "+375291234567",
        "+375 (29) 123-45-67",
        "＋３７５ 29\u{a0}1234567",
        "+375-29-1234567 ",
    ],
];

#[test]
fn the_spellings_that_find_an_account_are_counted_as_one_where_nobody_has_the_name() {
    let named = |app: &App, text: &'static str| {
        app.read(&Actor::operator(), |cx| crate::users::credentials(cx, text))
            .unwrap()
            .is_some()
    };
    let (nobody, app) = (App::memory(), App::memory());
    add(
        &app,
        0,
        NewUser {
            email: "maria.p@example.org".parse().ok(),
            phone: "+375291234567".parse().ok(),
            ..new("Maria")
        },
    );
    for spellings in SPELLINGS {
        for text in spellings {
            assert!(named(&app, text) && !named(&nobody, text), "{text:?}");
            assert_eq!(spelling(text), spellings[0], "{text:?}");
        }
    }
    for text in ["", "a b", "no\0body", "@", "0198f3c2-7a41"] {
        assert_eq!(spelling(text), text);
    }
    assert_eq!(spelling(" A  B"), "a  b");
}

#[test]
fn a_prefix_that_fits_two_ids_is_ambiguous() {
    let app = App::memory();
    let (one, two) = (add(&app, 0, new("a")), add(&app, 1, new("b")));
    assert!(matches!(
        find(&app, &one.id[..6]),
        Err(Error::Ambiguous { .. })
    ));
    assert_eq!(find(&app, &two.id).unwrap(), two);
}

fn names(app: &App, filter: Filter) -> Vec<String> {
    let page = as_operator(app, 0, move |cx| list(cx, &filter, None, 50)).unwrap();
    page.items.into_iter().map(|user| user.username).collect()
}

#[test]
fn accounts_are_listed_by_role_state_and_a_part_of_a_name() {
    let app = App::memory();
    add(&app, 0, admin("root"));
    let name = "Élodie Ивановна".parse().ok();
    add(&app, 1, NewUser { name, ..new("a_b") });
    let email = "axb@example.org".parse().ok();
    add(
        &app,
        2,
        NewUser {
            email,
            ..new("Zoë")
        },
    );
    as_operator(&app, 3, |cx| disable(cx, "zoë", None)).unwrap();
    let role = |role| Filter {
        role: Some(role),
        ..Filter::default()
    };
    let state = |state| Filter {
        state: Some(state),
        ..Filter::default()
    };
    let q = |q: &str| Filter {
        q: Some(q.into()),
        ..Filter::default()
    };
    assert_eq!(names(&app, Filter::default()), ["Zoë", "a_b", "root"]);
    assert_eq!(names(&app, role(Role::Admin)), ["root"]);
    assert_eq!(names(&app, state(State::Disabled)), ["Zoë"]);
    assert_eq!(names(&app, q("ZOË")), ["Zoë"]);
    assert_eq!(names(&app, q("éLODIE иВАН")), ["a_b"]);
    assert_eq!(names(&app, q("EXAMPLE")), ["Zoë"]);
    assert_eq!(names(&app, q("a_b")), ["a_b"]);
    assert!(names(&app, q("%")).is_empty());
    let both = Filter {
        state: Some(State::Active),
        ..role(Role::User)
    };
    assert_eq!(names(&app, both), ["a_b"]);
}

#[test]
fn pages_join_without_a_gap_even_within_one_millisecond() {
    let app = App::memory();
    let mut all: Vec<User> = (0..7)
        .map(|n| add(&app, n / 3, new(&format!("u{n}"))))
        .collect();
    all.sort_by_key(|user| std::cmp::Reverse((user.created_at, user.id.clone())));
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let from = cursor.clone();
        let page = as_operator(&app, 0, move |cx| {
            list(cx, &Filter::default(), from.as_deref(), 2)
        });
        let page = page.unwrap();
        seen.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, all);
    for cursor in ["", "x", "1", "x.y"] {
        let refused = as_operator(&app, 0, move |cx| {
            list(cx, &Filter::default(), Some(cursor), 2)
        });
        assert!(
            matches!(
                refused,
                Err(Error::Invalid {
                    field: "cursor",
                    ..
                })
            ),
            "{cursor}"
        );
    }
}
