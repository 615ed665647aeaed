use std::fs;

use super::*;
use crate::db::Role;

fn made(folder: &Path) -> App {
    App::in_file(&folder.join("provost.db"))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what hears of the progress may refuse"
)]
fn quiet(_: u64, _: u64) -> Result<()> {
    Ok(())
}

/// Takes a snapshot into the new file `path`.
fn take(app: &App, path: &Path, tell: &mut Tell<'_>) -> Result<Snapshot> {
    vacant(path)?;
    publish(draft(app, crate::file::folder_of(path), tell)?, path)
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_snapshot_is_a_whole_database_and_its_manifest_tells_what_is_in_it() {
    let data = tempfile::tempdir().unwrap();
    let app = made(data.path());
    let path = folder(&app).unwrap().join("x.db");
    let taken = take(&app, &path, &mut quiet).unwrap();
    assert_eq!(names(path.parent().unwrap()), ["x.db", "x.db.json"]);
    let read = Manifest::of(&path).unwrap().unwrap();
    assert_eq!(read, taken.manifest);
    let (bytes, sha256) = digest(&path).unwrap();
    assert_eq!((read.bytes, read.sha256), (bytes, sha256));
    let copy = Db::open_still(&path).unwrap();
    assert_eq!(read.schema, copy.identity().unwrap().schema);
    assert_eq!(read.tables["migrations"], u64::from(read.schema));
    assert_eq!(counts(&copy).unwrap(), read.tables);
    assert_eq!(counts(app.db()).unwrap(), read.tables);
    assert_eq!(names(path.parent().unwrap()).len(), 2);
}

#[test]
fn a_snapshot_takes_nobodys_place() {
    let data = tempfile::tempdir().unwrap();
    let app = made(data.path());
    let path = data.path().join("x.db");
    let beside = manifest_of(&path);
    fs::write(&beside, "{\"format\": 1, \"mine\": true}").unwrap();
    let taken = take(&app, &path, &mut quiet);
    assert!(matches!(taken, Err(Error::Exists { path }) if path == beside));
    assert!(!path.exists());
    fs::rename(&beside, &path).unwrap();
    let taken = take(&app, &path, &mut quiet);
    assert!(matches!(taken, Err(Error::Exists { path: at }) if at == path));
    assert!(!beside.exists());
    let left = names(data.path());
    assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
}

#[test]
fn a_manifest_whose_snapshot_never_got_its_name_stands_in_nobodys_way() {
    let data = tempfile::tempdir().unwrap();
    let app = made(data.path());
    let path = data.path().join("x.db");
    take(&app, &path, &mut quiet).unwrap();
    fs::remove_file(&path).unwrap();
    app.db()
        .write(|tx| tx.script("DELETE FROM audit_events"))
        .unwrap();
    let taken = take(&app, &path, &mut quiet).unwrap();
    assert_eq!(Manifest::of(&path).unwrap(), Some(taken.manifest));
}

#[test]
fn what_stops_a_copy_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let app = made(data.path());
    let before = names(data.path());
    let path = data.path().join("x.db");
    let taken = take(&app, &path, &mut |_, _| Err(Error::Cancelled));
    // A small database is copied in one step, which nobody is asked about.
    assert_eq!(taken.is_ok(), path.exists());
    let nowhere = take(&app, &data.path().join("no/x.db"), &mut quiet);
    assert!(matches!(nowhere, Err(Error::Invalid { field: "out", .. })));
    drop(taken);
    let _ = (fs::remove_file(&path), fs::remove_file(manifest_of(&path)));
    assert_eq!(names(data.path()), before);
}

#[test]
fn a_manifest_of_another_form_is_refused_and_says_so() {
    let data = tempfile::tempdir().unwrap();
    let app = made(data.path());
    let path = data.path().join("x.db");
    take(&app, &path, &mut quiet).unwrap();
    let text = fs::read_to_string(manifest_of(&path)).unwrap();
    for (edited, told) in [
        (
            text.replace("\"format\": 1", "\"format\": 2"),
            "is of form 2",
        ),
        (text.replace("\"bytes\"", "\"bites\""), "is no manifest"),
        (String::new(), "is no manifest"),
    ] {
        fs::write(manifest_of(&path), edited).unwrap();
        let error = Manifest::of(&path).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    fs::remove_file(manifest_of(&path)).unwrap();
    assert!(Manifest::of(&path).unwrap().is_none());
}

#[test]
fn a_snapshot_belongs_to_the_key_file_that_the_database_says() {
    let data = tempfile::tempdir().unwrap();
    let app = made(data.path());
    let path = data.path().join("x.db");
    assert_eq!(take(&app, &path, &mut quiet).unwrap().manifest.keys, None);
    let (db, keys) = (app.db(), &app.kit().keys);
    keyring::fits(db, keys, app.clock().now()).unwrap();
    let other = data.path().join("y.db");
    let taken = take(&app, &other, &mut quiet).unwrap();
    assert_eq!(taken.manifest.keys.as_ref(), Some(&keys.fingerprint));
    // A database without a schema has no keyring.
    let blank = Db::open_file(&data.path().join("blank.db"), Role::Shell).unwrap();
    assert_eq!(super::keys(&blank).unwrap(), None);
}
