//! Files as people and programs make them, and as nobody would.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::time::Timestamp;
use crate::users::import::fields;

/// Far enough for every instant in these tests.
const NOW: Timestamp = Timestamp(1_795_163_640_000);

/// The user names with their lines, and the refusals as `line: field: reason`.
fn read(form: Form, text: impl AsRef<[u8]>) -> (Vec<(u64, String)>, Vec<String>) {
    let mut lines = match Lines::new(text.as_ref(), form) {
        Ok(lines) => lines,
        Err(Error::RowsRefused { errors, .. }) => {
            return (Vec::new(), errors.iter().map(told).collect());
        }
        Err(error) => panic!("{error}"),
    };
    let (mut names, mut faults) = (Vec::new(), Vec::new());
    while let Some(record) = lines.next().unwrap() {
        match record.found {
            Found::Members(members) => {
                let (row, refused) = fields::read(record.line, &members, NOW);
                faults.extend(refused.iter().map(told));
                if refused.is_empty() {
                    names.push((record.line, row.username));
                }
            }
            Found::Broken(refusal) => faults.push(told(&refusal)),
            Found::Cut(refusal) => {
                faults.push(told(&refusal));
                break;
            }
        }
    }
    (names, faults)
}

fn told(refusal: &Refusal) -> String {
    let Refusal {
        line,
        field,
        reason,
    } = refusal;
    format!("{line}: {field}: {reason}")
}

fn named(names: &[(u64, &str)]) -> Vec<(u64, String)> {
    let owned = names.iter().map(|(line, name)| (*line, (*name).to_owned()));
    owned.collect()
}

#[test]
fn a_row_has_the_line_on_which_it_begins_whatever_breaks_lines() {
    let text = "username,meta\nanna,\"{\n\"\"a\"\":\n1}\"\n\n\nboris,\nvera,\"{}\"";
    let expected = named(&[(2, "anna"), (7, "boris"), (8, "vera")]);
    for text in [
        text.to_owned(),
        format!("{text}\n"),
        format!("{text}\n\n"),
        format!("\u{feff}{text}"),
        text.replace('\n', "\r\n"),
        format!("\u{feff}{}\r\n", text.replace('\n', "\r\n")),
        text.replace('\n', "\r"),
    ] {
        let (names, faults) = read(Form::Csv, &text);
        assert_eq!((names, faults.len()), (expected.clone(), 0), "{text:?}");
    }
}

#[test]
fn the_line_is_right_across_every_edge_of_a_buffer() {
    // Names of every length, so that the breaks meet every place in buffers of some kilobytes.
    for end in ["\n", "\r\n", "\r"] {
        let mut text = format!("username,name{end}");
        for n in 0..2000_usize {
            write!(text, "u{n},{}{end}", "x".repeat(n % 199 + 1)).unwrap();
        }
        let (names, faults) = read(Form::Csv, &text);
        assert_eq!((names.len(), faults.len()), (2000, 0));
        let right = |(at, (line, name)): (usize, &(u64, String))| {
            *name == format!("u{at}") && usize::try_from(*line).unwrap() == at + 2
        };
        assert!(names.iter().enumerate().all(right), "{end:?}");
    }
}

#[test]
fn columns_may_be_separated_as_spreadsheets_do_it() {
    let expected = named(&[(2, "anna")]);
    for text in [
        "username;email\nanna;anna@example.org",
        "username\temail\nanna\tanna@example.org",
        " Username , EMAIL \n anna , anna@example.org ",
    ] {
        assert_eq!(read(Form::Csv, text).0, expected, "{text}");
    }
}

#[test]
fn the_header_names_of_older_programs_are_understood() {
    let text = "id,username,email,phone,hashed_password,fio,created_at,is_superuser,is_verified\n\
        7,anna,,,,,2024-01-02 03:04:05.123456+00,t,f\n";
    assert_eq!(read(Form::Csv, text).0, named(&[(2, "anna")]));
}

#[test]
fn a_header_is_refused_with_all_that_is_wrong_with_it() {
    let (_, faults) = read(Form::Csv, "usernam,fio,name,password\nanna,,,x\n");
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].starts_with("1: column: \"usernam\" is not known (perhaps username)"));
    assert_eq!(faults[1], "1: column: name is given twice");
    assert!(faults[2].contains("passwords as they were typed are not taken"));
    for (text, reason) in [
        (
            "",
            "1: file: is empty: its first line has to name the columns",
        ),
        ("email\na@b.org\n", "1: column: username is missing"),
    ] {
        assert_eq!(read(Form::Csv, text).1, [reason]);
    }
    let (_, faults) = read(Form::Csv, b"\xff\xfeu\0s\0");
    assert_eq!(faults, ["1: file: is in UTF-16; save it in UTF-8"]);
}

#[test]
fn a_row_that_does_not_fit_its_header_is_told_and_the_next_one_read() {
    let text = b"username,email\nanna\nboris,b@x.org,1\nve\xffra,\nlena,\n";
    let (names, faults) = read(Form::Csv, text);
    assert_eq!(names, named(&[(5, "lena")]));
    assert_eq!(
        faults,
        [
            "2: row: has 1 fields under 2 columns",
            "3: row: has 3 fields under 2 columns",
            "4: username: is not UTF-8"
        ]
    );
}

#[test]
fn a_quotation_mark_that_is_never_closed_does_not_swallow_the_file() {
    let text = format!(
        "username,name\nanna,\"Anna\n{}",
        "boris,Boris\n".repeat(100_000)
    );
    let (names, faults) = read(Form::Csv, &text);
    assert!(names.is_empty());
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("2: row: is longer than 65536 bytes: is a quotation mark"));
}

#[test]
fn every_line_of_json_is_an_object_of_its_own() {
    let text = "\u{feff}{\"username\":\"anna\",\"roles\":[\"admin\"],\"is_verified\":1}\r\n\n\
        [1]\n{\"username\":\"boris\",}\n{\"username\":\"vera\"} x\n\
        {\"username\":\"lena\",\"fio\":\"a\",\"name\":\"b\"}\n{\"username\":\"inna\",\"colour\":1}\n\
        {\"username\":5}\n{\"username\":\"zoya\",\"password\":\"hunter2\"}\n{\"email\":null}\n{\"username\":\"olga\"}";
    let (names, faults) = read(Form::Jsonl, text);
    assert_eq!(names, named(&[(1, "anna"), (11, "olga")]));
    let begins = [
        "3: row: is not a JSON object",
        "4: row: is not JSON, at column 21",
        "5: row: is not JSON, at column 21",
        "6: member: name is given twice",
        "7: member: \"colour\" is not known",
        "8: username: must be a string",
        "9: member: passwords as they were typed",
        "10: username: is missing",
    ];
    assert_eq!(faults.len(), begins.len(), "{faults:?}");
    for (fault, begin) in faults.iter().zip(begins) {
        assert!(fault.starts_with(begin), "{fault} {begin}");
    }
    assert!(!format!("{faults:?}").contains("hunter2"));
}

#[test]
fn a_line_that_is_too_long_is_left_out_and_the_next_one_read() {
    let long = "x".repeat(LONGEST);
    let text = format!("{{\"username\":\"{long}\"}}\n{{\"username\":\"anna\"}}\n{long}");
    let (names, faults) = read(Form::Jsonl, &text);
    assert_eq!(names, named(&[(2, "anna")]));
    assert_eq!(
        faults,
        [
            "1: row: is longer than 65536 bytes",
            "3: row: is not JSON, at column 1"
        ]
    );
    let (_, faults) = read(Form::Jsonl, format!("{text}y"));
    assert_eq!(faults[1], "3: row: is longer than 65536 bytes");
}

#[test]
fn every_member_that_is_wrong_is_told() {
    let text = "username,email,phone,name,roles,is_superuser,state,disabled_reason,locale,meta,password_hash,created_at,id\n\
        a b,x,12,\u{202e},boss,maybe,gone,\"a\tb\",e,[],hunter2,yesterday,\"a\tb\"\n";
    let (_, faults) = read(Form::Csv, text);
    let fields: Vec<&str> = faults
        .iter()
        .map(|it| it.split(": ").nth(1).unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "username",
            "email",
            "phone",
            "name",
            "roles",
            "is_superuser",
            "state",
            "disabled_reason",
            "locale",
            "meta",
            "password_hash",
            "created_at",
            "id"
        ]
    );
    assert!(faults.iter().all(|fault| fault.starts_with("2: ")));
    assert!(!format!("{faults:?}").contains("hunter2"));
}

#[test]
fn an_instant_is_read_as_programs_and_databases_write_it_and_never_lies_ahead() {
    let at = |text: &str| {
        let given = [
            (Field::Username, Given::Text("anna".into())),
            (Field::CreatedAt, Given::Text(text.into())),
        ];
        let (row, faults) = fields::read(1, &given, NOW);
        faults.is_empty().then_some(row.created_at)
    };
    let same = Some(Some(1_704_164_645_000));
    for text in [
        "2024-01-02T03:04:05Z",
        "2024-01-02 03:04:05",
        "2024-01-02 06:04:05+03:00",
        "2024-01-02 03:04:05+00",
    ] {
        assert_eq!(at(text), same, "{text}");
    }
    assert_eq!(at("2024-01-02"), Some(Some(1_704_153_600_000)));
    assert_eq!(at(""), Some(None));
    for text in ["1", "1969-12-31", "2126-01-01", "2024-13-01", "x"] {
        assert_eq!(at(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_file_makes_the_readers_panic_and_every_refusal_has_a_line_of_it(
        text in prop::collection::vec(
            prop_oneof![
                Just(b"username".to_vec()), Just(b"email,".to_vec()), Just(b",".to_vec()),
                Just(b"\"".to_vec()), Just(b"\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"\r".to_vec()),
                Just(b"{\"username\":\"a\"}".to_vec()), Just(b"{".to_vec()), Just(b"}".to_vec()),
                Just(b"\xef\xbb\xbf".to_vec()), prop::collection::vec(any::<u8>(), 0..6),
            ],
            0..40,
        )
    ) {
        let text = text.concat();
        // Every way of breaking lines counts, so that this is the most there can be.
        let most = 1 + text.iter().filter(|byte| b"\r\n".contains(byte)).count();
        for form in Form::ALL {
            let (names, faults) = read(form, &text);
            let lines = names.iter().map(|(line, _)| *line);
            let told = faults.iter().map(|it| it.split(':').next().unwrap().parse::<u64>().unwrap());
            for line in lines.chain(told) {
                prop_assert!(line >= 1 && line <= u64::try_from(most).unwrap(), "{line} of {most}: {faults:?}");
            }
        }
    }

    #[test]
    fn what_is_written_as_csv_is_read_back_on_its_lines(
        rows in prop::collection::vec(("[a-z]{3,9}", "[ -~\n\r\"]{0,20}"), 1..20),
        breaks in prop_oneof![Just("\n"), Just("\r\n")],
    ) {
        let mut text = String::from("username,meta") + breaks;
        let mut expected = Vec::new();
        let mut line = 2;
        for (at, (name, extra)) in rows.iter().enumerate() {
            let name = format!("{name}{at}");
            let meta = serde_json::json!({ "a": extra });
            let meta = format!("{meta:#}").replace('\n', breaks);
            write!(text, "{name},\"{}\"{breaks}", meta.replace('"', "\"\"")).unwrap();
            expected.push((line, name));
            line += u64::try_from(meta.matches('\n').count()).unwrap() + 1;
        }
        let (names, faults) = read(Form::Csv, &text);
        prop_assert_eq!(faults, Vec::<String>::new());
        prop_assert_eq!(names, expected);
    }
}
