//! Backups that are not what they should be, and several of one second.

use super::*;

/// Of the backups in the usual place: names, states, reasons.
fn states(place: &Place) -> Vec<(String, State, String)> {
    let listed = list(&place.app, &Actor::operator()).unwrap().into_iter();
    let told = listed.map(|it| {
        let name = it.path.file_name().unwrap().to_string_lossy().into_owned();
        (name, it.state, it.reason.unwrap_or_default())
    });
    told.collect()
}

#[test]
fn several_backups_of_one_second_have_names_of_their_own() {
    let place = Place::new();
    // A clock that is held from going back stands still.
    let at = place
        .app
        .clock()
        .now()
        .plus(std::time::Duration::from_hours(24));
    place.app.clock().raise(at);
    let stem = format!("provost-{}", snapshots::compact(place.app.clock().now()));
    let mut names: Vec<String> = (0..3)
        .map(|_| {
            let path = place.back_up().path.unwrap();
            path.file_name().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    let expected = ["", "-1", "-2"].map(|more| format!("{stem}{more}.db"));
    assert_eq!(names, expected);
    names.reverse();
    let listed: Vec<String> = states(&place).into_iter().map(|it| it.0).collect();
    assert_eq!(listed.len(), 3);
    let gone = prune(&place.app, &Actor::operator(), &Keep::Newest(1)).unwrap();
    assert_eq!(gone.len(), 2);
}

#[test]
fn a_broken_backup_is_listed_and_can_be_deleted() {
    let place = Place::new();
    let (app, actor) = (&place.app, Actor::operator());
    let folder = snapshots::folder(app).unwrap();
    let made = |name: &str| {
        let path = folder.join(name);
        create(app, &actor, Some(&path), &mut quiet).unwrap();
        path
    };
    let garbled = made("garbled.db");
    fs::write(manifest_of(&garbled), "{").unwrap();
    let cut = made("cut.db");
    fs::write(&cut, "half").unwrap();
    let alone = made("alone.db");
    fs::remove_file(&alone).unwrap();
    made("good.db");
    let states = states(&place);
    let of = |name: &str| states.iter().find(|it| it.0 == name).unwrap();
    assert_eq!(of("good.db").1, State::Complete);
    for (name, reason) in [
        ("garbled.db", "no manifest"),
        ("cut.db", "it has 4 bytes"),
        ("alone.db", "only its manifest"),
    ] {
        let (_, state, told) = of(name);
        assert_eq!(*state, State::Broken, "{name}");
        assert!(told.contains(reason), "{told}");
    }
    for path in [&garbled, &cut, &alone] {
        delete(app, &actor, path).unwrap();
        assert!(!path.exists() && !manifest_of(path).exists());
    }
    // Elsewhere anything may have such names.
    let (elsewhere, _) = place.file("elsewhere.db", b"mine");
    fs::write(manifest_of(&elsewhere), "{}").unwrap();
    let refused = delete(app, &actor, &elsewhere);
    assert!(matches!(refused, Err(Error::Invalid { field: "file", .. })));
    assert!(elsewhere.exists());
}

#[test]
fn a_backup_that_a_restore_would_refuse_is_made_and_that_is_told() {
    let mut place = Place::new();
    let good = place.back_up().path.unwrap();
    place.sql("CREATE TRIGGER mine AFTER UPDATE ON users BEGIN SELECT 1; END");
    let made = place.back_up();
    assert_eq!(
        made.faults,
        ["schema: the trigger mine on users is foreign"]
    );
    let path = made.path.unwrap();
    assert!(matches!(
        place.staged(&path, None),
        Err(Error::BackupDamaged { .. })
    ));
    let manifest = Manifest::of(&path).unwrap().unwrap();
    assert!(manifest.is_genuine(&place.app.kit().keys).unwrap());
    let states: Vec<State> = states(&place).into_iter().map(|it| it.1).collect();
    assert_eq!(states, [State::Faulty, State::Complete]);
    // The last one from which anything can be restored is not deleted for those.
    place.back_up();
    let gone = prune(&place.app, &Actor::operator(), &Keep::Newest(1)).unwrap();
    assert_eq!(gone, [path]);
    place.backup = good;
    place.staged(&place.backup, None).unwrap();
}

#[test]
fn a_backup_that_is_not_there_is_not_found() {
    let place = Place::new();
    let missing = verify(&place.at("missing.db"), Against::default());
    assert!(matches!(missing, Err(Error::NotFound { .. })));
}
