//! Reads the sources as text and holds them to the map in `src/lib.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every source file: its path below `src/`, and its text without comments and tests.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, code(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 30, "the sources are not where they were");
    found.retain(|name, _| {
        !name.ends_with("tests.rs") && !name.contains("/tests/") && name != "testing.rs"
    });
    found
}

/// The code alone: comments are prose, and tests may reach for anything.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The order that the map tells: kernel and slices, lowest first, then the edges.
fn order() -> (Vec<String>, Vec<String>) {
    let map = include_str!("../../src/lib.rs");
    let names = |from: &str, to: &str| -> Vec<String> {
        let start = map
            .find(from)
            .unwrap_or_else(|| panic!("the map has no line {from:?}"));
        let rest = &map[start..];
        let section = &rest[..rest.find(to).unwrap()];
        section
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let mut below = names("- kernel:", "- slices:");
    below.extend(names("- slices:", "- edges:"));
    (below, names("- edges:", "# Invariants"))
}

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// Whether the file is an edge: it may use everything.
fn is_edge(file: &str, edges: &[String]) -> bool {
    let part_of_edge = |part: &str| part == "http" || part == "cli";
    let stem = file.strip_suffix(".rs").unwrap();
    edges.iter().any(|edge| edge == module(file))
        || stem.split('/').skip(1).any(part_of_edge)
        || ["main", "lib"].contains(&stem)
}

/// The crate's modules that `text` names, also inside `crate::{a, b::{c}}`.
fn uses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices("crate::") {
        let rest = &text[start + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            found.push(name);
        } else {
            found.push(rest.to_owned());
        }
    }
    let head = |name: String| {
        let name = name.trim_start();
        let end = name
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(name.len());
        name[..end].to_owned()
    };
    found
        .into_iter()
        .map(head)
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let (below, edges) = order();
    let rank = |name: &str| below.iter().position(|other| other == name);
    for (file, text) in sources() {
        if is_edge(&file, &edges) {
            continue;
        }
        let own = rank(module(&file)).unwrap_or_else(|| panic!("{file} is not on the map"));
        for used in uses(&text) {
            assert!(!edges.contains(&used), "{file} calls upward: crate::{used}");
            if let Some(rank) = rank(&used) {
                assert!(
                    rank <= own,
                    "{file} uses crate::{used}, which lies above it"
                );
            }
        }
    }
}

#[test]
fn the_map_names_every_module_once() {
    let (below, edges) = order();
    let mut named: Vec<String> = below.into_iter().chain(edges).collect();
    let map = include_str!("../../src/lib.rs");
    let declared = map
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut declared: Vec<&str> = declared.collect();
    declared.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, declared);
}

#[test]
fn a_store_is_private_to_its_slice() {
    for (file, text) in sources() {
        assert!(!text.contains("pub mod store"), "{file} opens its store");
        assert!(
            !text.contains("super::super::"),
            "{file} climbs with super::super"
        );
        for (start, _) in text.match_indices("::store::") {
            let before = &text[..start];
            let own = before.ends_with("super") || before.ends_with("self");
            assert!(own, "{file} reaches into another slice's store");
        }
    }
}

/// Words that only SQL has, as they are written here.
const SQL: [&str; 8] = [
    "SELECT ",
    "INSERT INTO",
    "UPDATE ",
    "DELETE FROM",
    "CREATE TABLE",
    "DROP TABLE",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
];

/// Whether the file is a slice's `store.rs`, or a part of it.
fn is_store(file: &str) -> bool {
    file.ends_with("/store.rs") || file.contains("/store/")
}

#[test]
fn sql_and_frameworks_stay_where_they_belong() {
    let (_, edges) = order();
    for (file, text) in sources() {
        let only = |words: &[&str], here: bool, what: &str| {
            for word in words {
                assert!(here || !text.contains(word), "{what} ({word:?}) in {file}");
            }
        };
        let in_http = module(&file) == "http" || file.contains("/http");
        let in_cli = module(&file) == "cli" || file.contains("/cli") || file == "main.rs";
        let in_db = module(&file) == "db";
        only(&SQL, in_db || is_store(&file), "SQL");
        only(&["axum::", "hyper::", "hyper_util"], in_http, "HTTP");
        only(&["clap::", "clap_"], in_cli, "the command line's parser");
        only(&["rusqlite", "r2d2", "postgres::"], in_db, "an engine");
        only(&["std::env"], module(&file) == "config", "the environment");
        only(&["SystemTime"], file == "time.rs", "the wall clock");
        // The library that speaks to PostgreSQL waits for the network; nobody above sees it.
        let speaks = file.starts_with("db/postgres/") || file == "testing.rs";
        let may_wait =
            edges.iter().any(|edge| edge == module(&file)) || in_http || in_cli || speaks;
        only(&["async fn", ".await", "tokio::"], may_wait, "async");
    }
}

#[test]
fn stores_write_sql_that_both_engines_share() {
    for (file, text) in sources() {
        if !is_store(&file) {
            continue;
        }
        for word in [
            "ILIKE",
            "now()",
            "GREATEST(",
            "FOR UPDATE",
            "AUTOINCREMENT",
            "last_insert_rowid",
            "= ANY",
        ] {
            assert!(
                !text.contains(word),
                "{file} has {word}, which one engine refuses"
            );
        }
        for (start, _) in text.match_indices("SUM(") {
            assert!(
                text[..start].ends_with("COALESCE("),
                "{file} has a bare SUM("
            );
        }
        let statements = text.replace("::<", "").replace("::", "\u{0}");
        assert!(!statements.contains("$1\u{0}"), "{file} casts with ::");
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources().into_keys() {
        let text = fs::read_to_string(root.join(&file)).unwrap();
        assert!(text.starts_with("//! "), "{file} does not say what it is");
        let lines = text.lines().count();
        assert!(lines <= 500, "{file} has {lines} lines");
        let name = Path::new(&file).file_stem().unwrap().to_str().unwrap();
        assert!(
            !["utils", "util", "helpers", "common", "types", "misc"].contains(&name),
            "{file}"
        );
    }
}

#[test]
fn opting_out_of_a_lint_is_an_expectation_with_a_reason() {
    let allow = ["#[", "allow("].concat();
    let inner = ["#![", "allow("].concat();
    for (file, text) in sources() {
        assert!(
            !text.contains(&allow) && !text.contains(&inner),
            "{file} allows a lint"
        );
    }
}

/// The names of fields that hold what must not be seen.
const SECRET: [&str; 5] = ["token", "secret", "password", "otp", "recovery_codes"];

#[test]
fn nothing_that_holds_a_secret_as_plain_text_can_be_printed() {
    let mut found = Vec::new();
    for (file, text) in sources() {
        if file.ends_with("cli.rs") {
            // What stands on a command line was seen already; no command takes a secret there.
            continue;
        }
        for item in text.split("#[derive(").skip(1) {
            let (derived, rest) = item.split_once(")]").unwrap();
            let body = rest.split("\n}").next().unwrap();
            let Some((head, body)) = body.split_once('{') else {
                continue;
            };
            if !head.contains("struct ") || !derived.contains("Debug") {
                continue;
            }
            for line in body.lines() {
                let Some((name, sort)) = line.trim().split_once(": ") else {
                    continue;
                };
                let name = name.rsplit(' ').next().unwrap();
                let secret = SECRET
                    .iter()
                    .any(|word| name == *word || name.ends_with(&format!("_{word}")));
                if secret && sort.contains("String") && !sort.contains("Secret<") {
                    found.push(format!("{file}: {name}"));
                }
            }
        }
    }
    assert_eq!(found, [""; 0]);
}
