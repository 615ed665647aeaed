//! `man/` and `completions/` are what this program would write today.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::Shell;

#[test]
fn the_man_pages_are_those_of_this_program() {
    compare("man", "man");
}

#[test]
fn the_completions_are_those_of_this_program() {
    compare("completion", "completions");
}

#[test]
fn the_shells_complete_nouns_verbs_flags_and_names() {
    let shell = Shell::new();
    let made = shell.json(&["token", "create", "--label", "deploy"]);
    shell.ok(&["user", "create", "maria", "--no-password"]);
    let complete = |words: &[&str]| {
        let mut command = shell.command(&[&["--", "provost"], words].concat());
        command
            .env("COMPLETE", "fish")
            .env("PATH", Path::new(crate::support::PROVOST).parent().unwrap());
        crate::support::Ran::of(&mut command).stdout
    };
    assert!(complete(&["tok"]).starts_with("token"));
    assert!(complete(&["token", "rev"]).starts_with("revoke"));
    assert!(complete(&["token", "list", "--exp"]).contains("--expiring"));
    assert!(complete(&["user", "show", "ma"]).starts_with("maria"));
    let ids = complete(&["token", "show", ""]);
    assert!(ids.contains(made["id"].as_str().unwrap()), "{ids}");
    // Nobody who presses the tab key wants to read an error.
    let bare = Shell::bare();
    let mut command = bare.command(&["--", "provost", "user", "show", ""]);
    let ran = crate::support::Ran::of(command.env("COMPLETE", "fish"));
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
}

fn compare(verb: &str, folder: &str) {
    let shell = Shell::bare();
    let fresh = shell.path(folder);
    shell.ok(&[verb, "--out", fresh.to_str().unwrap()]);
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (committed, fresh) = (files(&committed), files(&fresh));
    let stale: Vec<&String> = fresh
        .keys()
        .chain(committed.keys())
        .filter(|name| committed.get(*name) != fresh.get(*name))
        .collect();
    assert!(
        stale.is_empty(),
        "{stale:?} in {folder}/ would be written anew; run: rm -r {folder} && \
         cargo run -- {verb} --out {folder}"
    );
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeMap::new();
    };
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}
