//! What commands print, byte by byte.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

use super::super::flags::{Color, ListArgs};
use super::*;
use crate::page::Page;

const NOW: Timestamp = Timestamp(1_795_163_640_000);

#[derive(Serialize)]
struct Token {
    id: u32,
    label: &'static str,
    created_at: Timestamp,
    owner: Option<&'static str>,
}

impl Record for Token {
    const COLUMNS: &'static [&'static str] = &["id", "label", "created_at"];

    fn id(&self) -> Cow<'_, str> {
        self.id.to_string().into()
    }
}

fn token(id: u32) -> Token {
    let created_at = NOW.minus(std::time::Duration::from_mins(3));
    Token {
        id,
        label: "deploy",
        created_at,
        owner: None,
    }
}

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe whose reader has gone.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const PLAIN: Format = Format {
    json: false,
    quiet: false,
    color: Color::Never,
};
const JSON: Format = Format {
    json: true,
    ..PLAIN
};
const QUIET: Format = Format {
    quiet: true,
    ..PLAIN
};

/// Runs `print` and gives what came out on (stdout, stderr).
fn printed(format: Format, print: impl FnOnce(&mut Output) -> Result<()>) -> (String, String) {
    let (data, talk) = (Sink::default(), Sink::default());
    let boxes: [Box<dyn Write>; 2] = [Box::new(data.clone()), Box::new(talk.clone())];
    let [out, err] = boxes;
    let mut output = Output::to(out, err, format, Terminal::default(), NOW);
    let result = print(&mut output);
    output.close(result).unwrap();
    (data.text(), talk.text())
}

/// Five tokens, at most two a page.
#[expect(
    clippy::unnecessary_wraps,
    reason = "stands for a service function, which can fail"
)]
fn pages(cursor: Option<&str>, limit: u32) -> Result<Page<Token>> {
    let from: u32 = cursor.map_or(0, |c| c.parse().unwrap());
    let items = (from + 1..=5).take(usize::try_from(limit.min(2) + 1).unwrap());
    Ok(Page::cut(items.map(token).collect(), limit.min(2), |t| {
        t.id.to_string()
    }))
}

fn list(format: Format, args: &ListArgs) -> (String, String) {
    printed(format, |out| out.list(args, pages))
}

fn all() -> ListArgs {
    ListArgs {
        all: true,
        ..ListArgs::default()
    }
}

#[test]
fn one_object_is_shown_as_names_and_values() {
    let (text, _) = printed(PLAIN, |out| out.one(&token(7)));
    assert_eq!(
        text,
        "id          7\nlabel       deploy\ncreated_at  2026-11-20T08:31:00.000Z (3m ago)\nowner       -\n"
    );
}

#[test]
fn one_object_is_one_json_document_or_one_id() {
    let json = r#"{"id":7,"label":"deploy","created_at":"2026-11-20T08:31:00.000Z","owner":null}"#;
    assert_eq!(
        printed(JSON, |out| out.one(&token(7))).0,
        format!("{json}\n")
    );
    assert_eq!(printed(QUIET, |out| out.one(&token(7))).0, "7\n");
}

#[test]
fn a_list_shows_one_page_and_says_how_to_see_more() {
    let (text, talk) = list(PLAIN, &ListArgs::default());
    assert_eq!(
        text,
        "ID  LABEL   CREATED\n1   deploy  2026-11-20 08:31 (3m ago)\n2   deploy  2026-11-20 08:31 (3m ago)\n"
    );
    assert_eq!(talk, "2 shown; more: --all, or --cursor 2\n");
    assert_eq!(list(QUIET, &ListArgs::default()).1, talk);
}

#[test]
fn all_walks_every_page() {
    let (text, talk) = list(QUIET, &all());
    assert_eq!(text, "1\n2\n3\n4\n5\n");
    assert_eq!(talk, "");
    assert_eq!(list(PLAIN, &all()).0.lines().count(), 6);
}

#[test]
fn a_cursor_goes_on_where_the_last_page_ended() {
    let args = ListArgs {
        cursor: Some("2".into()),
        ..ListArgs::default()
    };
    assert_eq!(list(QUIET, &args).0, "3\n4\n");
}

#[test]
fn json_is_one_document_however_many_pages() {
    let (text, talk) = list(JSON, &all());
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["items"].as_array().unwrap().len(), 5);
    assert_eq!(document["next"], Value::Null);
    assert_eq!(talk, "");
    let page: Value = serde_json::from_str(&list(JSON, &ListArgs::default()).0).unwrap();
    assert_eq!(page["next"], "2");
    let none = printed(JSON, |out| out.table(Vec::<Token>::new())).0;
    assert_eq!(none, "{\"items\":[],\"next\":null}\n");
}

#[test]
fn jsonl_is_one_object_a_line() {
    let (text, _) = list(
        PLAIN,
        &ListArgs {
            jsonl: true,
            ..all()
        },
    );
    assert_eq!(text.lines().count(), 5);
    assert!(
        text.lines()
            .all(|line| line.starts_with(r#"{"id":"#) && line.ends_with('}'))
    );
}

#[test]
fn fields_choose_the_members_and_their_order() {
    let fields = vec!["owner".to_owned(), "id".to_owned()];
    let args = ListArgs {
        fields,
        limit: 1,
        ..ListArgs::default()
    };
    assert_eq!(list(PLAIN, &args).0, "OWNER  ID\n-      1\n");
    assert!(list(JSON, &args).0.contains(r#"{"owner":null,"id":1}"#));
    let lines = ListArgs {
        jsonl: true,
        ..args
    };
    assert_eq!(list(PLAIN, &lines).0, "{\"owner\":null,\"id\":1}\n");
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_name_before_anything_is_printed() {
    let args = ListArgs {
        fields: vec!["lable".into()],
        ..ListArgs::default()
    };
    let (text, _) = printed(PLAIN, |out| {
        let error = out.list(&args, pages).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--fields: no field \"lable\" (perhaps label); the fields are id, label, created_at, owner"
        );
        Ok(())
    });
    assert_eq!(text, "");
}

#[test]
fn an_error_under_json_leaves_standard_output_empty() {
    let sink = Sink::default();
    let mut out = Output::to(
        Box::new(sink.clone()),
        Box::new(io::sink()),
        JSON,
        Terminal::default(),
        NOW,
    );
    let mut calls = 0;
    let failed = out.list(&all(), |cursor, limit| {
        calls += 1;
        if calls > 1 {
            Err(Error::no_such("token", "x"))
        } else {
            pages(cursor, limit)
        }
    });
    assert!(out.close(failed).is_err());
    assert_eq!(sink.text(), "");
}

#[test]
fn a_secret_stands_alone_under_quiet_and_is_a_member_under_json() {
    let secret = Secret::new("s3cret".to_owned());
    let print = |format| printed(format, |out| out.created(&token(7), "token", &secret, None)).0;
    assert_eq!(print(QUIET), "s3cret\n");
    assert!(print(JSON).ends_with("\"owner\":null,\"token\":\"s3cret\"}\n"));
    assert!(print(PLAIN).ends_with("owner       -\ntoken  s3cret\n"));
    assert_eq!(
        printed(JSON, |out| out.secret(&secret, "password", None)).0,
        "{\"password\":\"s3cret\"}\n"
    );
}

#[test]
fn a_secret_goes_to_a_new_file_of_mode_0600_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let secret = Secret::new("s3cret".to_owned());
    let reserve = || SecretFile::reserve(&path);
    let (text, talk) = printed(PLAIN, |out| out.secret(&secret, "token", Some(reserve()?)));
    assert_eq!(text, "");
    assert!(talk.starts_with("token written to "));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "s3cret\n");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(reserve().is_err(), "overwrote a file");
}

#[test]
fn a_file_whose_secret_never_came_is_removed_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    drop(SecretFile::reserve(&path).unwrap());
    assert!(!path.exists());
}

#[test]
fn talk_is_silent_under_quiet_and_json_and_never_steers_the_terminal() {
    let talk = |format| printed(format, |out| out.message("disabled \x1b[2J")).1;
    assert_eq!(talk(PLAIN), "disabled \\u{1b}[2J\n");
    assert_eq!(talk(QUIET) + &talk(JSON), "");
    assert_eq!(printed(QUIET, |out| out.warn("old")).1, "warning: old\n");
}

#[test]
fn a_reader_that_has_gone_is_told_from_other_failures() {
    let mut out = Output::to(
        Box::new(Gone),
        Box::new(io::sink()),
        PLAIN,
        Terminal::default(),
        NOW,
    );
    let printed = out.line("x");
    let error = out.close(printed).unwrap_err();
    assert!(is_closed_pipe(&error));
    let socket = Error::io("read the answer")(io::ErrorKind::BrokenPipe.into());
    assert!(!is_closed_pipe(&socket));
}

#[test]
fn a_long_list_is_written_while_it_is_read() {
    let sink = Sink::default();
    let seen = sink.clone();
    let mut out = Output::to(
        Box::new(sink),
        Box::new(io::sink()),
        PLAIN,
        Terminal::default(),
        NOW,
    );
    let args = ListArgs {
        jsonl: true,
        ..all()
    };
    let a_line = printed(PLAIN, |out| out.list(&args, |_, _| Ok(only(token(100))))).0;
    let (mut made, mut most_held) = (0, 0);
    out.list(&args, |_, _| {
        most_held = most_held.max(made * a_line.len() - seen.0.borrow().len());
        made += 1000;
        let items = (0..1000).map(|_| token(100)).collect();
        let next = (made < 20_000).then(|| "more".to_owned());
        Ok(Page { items, next })
    })
    .unwrap();
    assert!(most_held <= BUFFER, "{most_held} bytes were held back");
}

fn only(token: Token) -> Page<Token> {
    Page {
        items: vec![token],
        next: None,
    }
}
