//! The README is true: what it shows at a prompt is what the program prints, its tables are those
//! of the code, its files exist.
//!
//! Blocks marked `console` are run, output and all; `sh` blocks are checked line by line; `crontab`
//! lines have their command run. To write outputs and tables anew: `README=write cargo test --locked readme`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use provost::cli::EXIT_STATUS;
use provost::config::settings;

use crate::support::engine::only_on_sqlite;
use crate::support::{PROVOST, Ran, Shell};
use console::{Console, Curl, Shown};

mod console;
mod mask;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CARGO: &str = include_str!("../../Cargo.toml");
const ERRORS: &str = include_str!("../../src/error.rs");
const REPAIR: &str =
    "look whether that is meant, then run: README=write cargo test --locked readme";

/// A fenced block: its mark, and where its lines are.
struct Block {
    mark: String,
    first: usize,
    lines: Vec<String>,
}

/// Held by the tests that may write the page: one after the other, or one undoes the other's work.
static WRITER: Mutex<()> = Mutex::new(());

fn page() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(mark)) => {
                open = Some(Block {
                    mark: mark.to_owned(),
                    first: number + 1,
                    lines: Vec::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

fn marked(mark: &str) -> Vec<Block> {
    let mut blocks = blocks(&page());
    blocks.retain(|block| block.mark == mark);
    assert!(!blocks.is_empty(), "no {mark} block");
    blocks
}

/// The commands of a block, each with its output. A command goes on over a `\` at a line's end.
fn shown(block: &Block) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for line in &block.lines {
        let goes_on = all
            .last_mut()
            .filter(|shown| shown.output.is_empty() && shown.command.ends_with('\\'));
        if let Some(shown) = goes_on {
            shown.command.push('\n');
            shown.command.push_str(line);
        } else if let Some(command) = line.strip_prefix("$ ") {
            all.push(Shown {
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else {
            let shown = all.last_mut().unwrap();
            shown.output.push(line.clone());
        }
    }
    all
}

#[expect(
    clippy::disallowed_methods,
    reason = "how a person asks this test to write instead of to compare"
)]
fn writing() -> bool {
    std::env::var_os("README").is_some_and(|value| value == "write")
}

/// Runs the page from top to bottom; gives it back as it should be.
fn run(curl: Curl) -> String {
    let page = page();
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    let mut console = Console::new(curl);
    let mut fresh = Vec::new();
    for block in blocks(&page).iter().filter(|block| block.mark == "console") {
        let mut text = Vec::new();
        for shown in shown(block) {
            let output = console.check(&shown).err().unwrap_or(shown.output);
            text.extend(format!("$ {}", shown.command).lines().map(str::to_owned));
            text.extend(output);
        }
        fresh.push((block.first..block.first + block.lines.len(), text));
    }
    for (range, text) in fresh.into_iter().rev() {
        lines.splice(range, text);
    }
    lines.join("\n") + "\n"
}

/// Fails with the lines that differ, or writes the page when asked to.
#[track_caller]
fn settle(fresh: &str) {
    let page = page();
    if page == fresh {
        return;
    }
    if writing() {
        return fs::write(Path::new(ROOT).join("README.md"), fresh).unwrap();
    }
    let missing = |of: &str, from: &str, sign: &str| {
        let from: Vec<&str> = from.lines().collect();
        let lines = of.lines().filter(|line| !from.contains(line));
        lines.fold(String::new(), |mut text, line| {
            writeln!(text, "{sign} {line}").unwrap();
            text
        })
    };
    panic!(
        "README.md is not true any more; {REPAIR}\n{}{}",
        missing(&page, fresh, "-"),
        missing(fresh, &page, "+")
    );
}

#[test]
fn what_the_readme_shows_is_what_the_program_prints() {
    if only_on_sqlite("the page shows the database that it has without being told") {
        return;
    }
    let _alone = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    let curl = Command::new("curl").arg("--version").output();
    let curl = if curl.is_ok() {
        Curl::Real
    } else {
        Curl::StandIn
    };
    settle(&run(curl));
    // Again without curl, so that a machine that has none tests the same.
    if curl == Curl::Real && !writing() {
        settle(&run(Curl::StandIn));
    }
}

/// The rows of the table in `error.rs`, with what the variant's comment says.
fn errors() -> Vec<(String, u16, u8, String)> {
    let mut meanings = BTreeMap::new();
    let (mut comment, mut inside) = (String::new(), false);
    for line in ERRORS.lines() {
        inside |= line == "pub enum Error {";
        if line == "}" {
            inside = false;
        }
        // Members of a variant are deeper.
        let Some(line) = line.strip_prefix("    ").filter(|_| inside) else {
            continue;
        };
        if let Some(text) = line.strip_prefix("/// ") {
            comment = format!("{comment} {text}");
        } else if line.starts_with(char::is_uppercase) {
            let variant: String = line.chars().take_while(char::is_ascii_alphabetic).collect();
            meanings.insert(variant, std::mem::take(&mut comment));
        }
    }
    let rows = ERRORS.lines().filter_map(|line| {
        let (variant, row) = line.split_once("=> row(")?;
        let variant = variant.trim().strip_prefix("Self::")?;
        let variant: String = variant
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        let row: Vec<&str> = row.trim_end_matches("),").split(", ").collect();
        let [code, status, exit] = row[..] else {
            panic!("{line}")
        };
        Some((
            code.trim_matches('"').to_owned(),
            status.parse().unwrap(),
            exit.parse().unwrap(),
            meanings[&variant].trim().to_owned(),
        ))
    });
    let mut rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), meanings.len(), "error.rs is not read rightly");
    rows.sort_by(|a, b| (a.2, a.1, &a.0).cmp(&(b.2, b.1, &b.0)));
    rows
}

/// The generated sections, by their marker.
fn tables() -> [(&'static str, String); 3] {
    let errors = errors();
    let mut exit = String::from("| status | name | meaning | HTTP |\n| ---: | --- | --- | --- |\n");
    for (status, name, meaning) in EXIT_STATUS {
        let same = |row: &&(String, u16, u8, String)| row.2.to_string() == *status;
        let mut http: Vec<String> = errors
            .iter()
            .filter(same)
            .map(|r| r.1.to_string())
            .collect();
        http.dedup();
        if *status == "0" {
            http.push("2xx".to_owned());
        }
        let http = http.join(", ");
        writeln!(exit, "| {status} | `{name}` | {meaning} | {http} |").unwrap();
    }
    let mut codes = String::from("| code | HTTP | exit | when |\n| --- | --- | ---: | --- |\n");
    for (code, status, exit, meaning) in &errors {
        writeln!(codes, "| `{code}` | {status} | {exit} | {meaning} |").unwrap();
    }
    [
        ("settings", settings::markdown()),
        ("exit statuses", exit),
        ("errors", codes),
    ]
}

#[test]
fn the_tables_are_those_of_the_code() {
    let _alone = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    let mut fresh = page();
    for (name, table) in tables() {
        let (from, to) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let start = fresh.find(&from).unwrap_or_else(|| panic!("no {from}")) + from.len();
        let end = start + fresh[start..].find(&to).unwrap();
        fresh.replace_range(start..end, &format!("\n{table}\n"));
    }
    settle(&fresh);
}

#[test]
fn the_two_commands_are_those_of_the_gate_and_of_the_manifest() {
    let page = page();
    let gate = fs::read_to_string(Path::new(ROOT).join(".ci/run")).unwrap();
    assert!(gate.contains("\nrun cargo test --locked\n"));
    let lines = marked("sh");
    let first: Vec<&str> = lines[0].lines.iter().map(String::as_str).collect();
    let commands = [
        "cargo run --release --locked -- serve",
        "cargo test --locked",
    ];
    let begins =
        |(line, command): (&&str, &&str)| line.split('#').next().unwrap().trim() == *command;
    assert!(first.iter().zip(&commands).all(begins), "{first:?}");
    let version = CARGO
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    let wanted = format!("Rust {}", version.trim_matches('"'));
    assert!(page.contains(&wanted), "the README must ask for {wanted}");
    assert!(CARGO.contains("default-run = \"provost\""));
}

#[test]
fn every_other_command_of_the_readme_exists() {
    let shell = Shell::new();
    for block in blocks(&page()) {
        assert!(
            ["console", "sh", "crontab", "toml", "text"].contains(&block.mark.as_str()),
            "nothing tests a block marked {:?}",
            block.mark
        );
        if block.mark == "toml" {
            let file = shell.path("readme.toml");
            fs::write(&file, block.lines.join("\n")).unwrap();
            shell.ok(&["config", "check", "--config", file.to_str().unwrap()]);
        }
        for line in block.lines.iter().filter(|_| block.mark == "sh") {
            exists(&shell, line.split(" #").next().unwrap().trim());
        }
    }
}

/// A line of an `sh` block, done as far as a test may.
fn exists(shell: &Shell, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        // Cargo cannot run inside its own tests: the two commands above have a test of their own.
        ["cargo", "run", .., "serve"]
        | ["cargo", "test", "--locked", ..]
        | [".ci/postgres", "cargo", "test", "--locked"] => {}
        ["cargo", "bench", "--bench", name, ..] => {
            assert!(CARGO.contains(&format!("name = \"{name}\"")), "{line}");
        }
        ["sudo", "./install.sh", ..] | ["./install.sh", ..] => {
            let installed = shell.path("installed");
            let mut script = Command::new("sh");
            script.arg(Path::new(ROOT).join("install.sh"));
            script.args(
                words
                    .iter()
                    .skip_while(|word| **word != "./install.sh")
                    .skip(1),
            );
            script.env("DESTDIR", installed).args(["--binary", PROVOST]);
            let ran = Ran::of(&mut script);
            assert_eq!(ran.status, 0, "{line}: {ran:?}");
        }
        _ => panic!("no test runs {line:?}; show it in a console block"),
    }
}

#[test]
fn the_lines_for_cron_run() {
    let shell = Shell::new();
    shell.ok(&["token", "create", "--ttl", "5d"]);
    let mut seen = 0;
    for line in marked("crontab").iter().flat_map(|block| &block.lines) {
        if line.starts_with('#') || line.contains("MAILTO=") {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let (schedule, command) = words.split_at(5);
        schedule.join(" ").parse::<croner::Cron>().unwrap();
        let ran = Ran::of(&mut shell.line(&command.join(" ")));
        let findings = command.contains(&"--exit-code");
        assert_eq!(ran.status, if findings { 9 } else { 0 }, "{line}: {ran:?}");
        assert_eq!(
            ran.stdout.is_empty(),
            !findings,
            "cron would write mail: {ran:?}"
        );
        assert_eq!(ran.stderr, "", "cron would write mail: {line}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let page = page();
    let links = page
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    let links = links.filter(|link| !link.starts_with("http") && !link.starts_with('#'));
    let section = page
        .split("\n## ")
        .find(|part| part.starts_with("The source"));
    let quoted = section.unwrap().split('`').skip(1).step_by(2);
    let paths = quoted.filter(|text| text.contains(".rs") || text.ends_with('/'));
    let mut seen = 0;
    for name in links.chain(paths) {
        let there = |folder: &str| PathBuf::from(ROOT).join(folder).join(name).exists();
        assert!(there("") || there("src"), "{name} is not there");
        seen += 1;
    }
    assert!(seen > 15, "only {seen} were looked at");
}
