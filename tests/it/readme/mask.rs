//! What differs from run to run in the program's output: ids, times, secrets, names of machines.

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// The same in each run.
    Text(&'a str),
    /// Something of this kind, another in each run.
    Masked(&'static str, &'a str),
}

/// How long the thing at the start of the text is, if it is there.
type Matcher = fn(&str) -> Option<usize>;

/// The kinds, those that contain others first.
const KINDS: &[(&str, Matcher)] = &[
    ("access token", |text| {
        let length = run(text, |c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let parts = text.get(..length)?.split('.').count();
        (text.starts_with("eyJ") && parts == 3).then_some(length)
    }),
    ("refresh token", |text| {
        let rest = text.strip_prefix("pvr_")?;
        (alphanumeric(rest) == 64).then_some(68)
    }),
    ("CSRF token", |text| {
        let (mac, random) = text.split_once('.')?;
        let base64 = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let good = mac.len() == 43 && mac.chars().all(base64);
        (good && run(random, |c| c.is_ascii_hexdigit()) == 32).then_some(76)
    }),
    ("token", |text| {
        let rest = text.strip_prefix("pv")?.get(1..)?.strip_prefix('_')?;
        (alphanumeric(rest) == 47).then_some(51)
    }),
    ("plain token", |text| {
        let digits = run(text, |c| c.is_ascii_digit());
        let secret = text.get(digits..)?.strip_prefix(':')?;
        (digits == 19 && alphanumeric(secret) == 30).then_some(50)
    }),
    ("uuid", |text| {
        shaped(text, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh")
    }),
    ("time", |text| shaped(text, "dddd-dd-ddTdd:dd:dd.dddZ")),
    ("second", |text| shaped(text, "dddd-dd-dd dd:dd:dd")),
    ("minute", |text| shaped(text, "dddd-dd-dd dd:dd")),
    ("request", |text| shaped(text, "hhhhhhhh-hhhhhhhhhh")),
    ("actor", |text| {
        text.starts_with("os:")
            .then(|| run(text, |c| !c.is_whitespace() && c != '"'))
    }),
    ("distance", |text| {
        let inside = text.strip_prefix('(')?.split_once(')')?.0;
        let near = inside == "now" || inside.starts_with("in ") || inside.ends_with(" ago");
        near.then_some(inside.len() + 2)
    }),
    ("number", |text| {
        let digits = run(text, |c| c.is_ascii_digit());
        (digits >= 10).then_some(digits)
    }),
    ("password", |text| {
        let word = text.get(..alphanumeric(text))?;
        let mixed = word.contains(char::is_uppercase) && word.contains(char::is_lowercase);
        (word.len() == 24 && mixed).then_some(24)
    }),
    ("id", |text| {
        let begins = text.starts_with(|c: char| c.is_ascii_digit());
        (begins && alphanumeric(text) == 11).then_some(11)
    }),
];

/// Those that a later command may repeat: they stand for the same thing wherever they are.
const NAMES: &[&str] = &[
    "access token",
    "token",
    "plain token",
    "uuid",
    "id",
    "password",
];

/// Whether things of this kind stand for the same thing wherever they are.
pub(super) fn is_name(kind: &str) -> bool {
    NAMES.contains(&kind)
}

/// A line in pieces.
pub(super) fn pieces(line: &str) -> Vec<Piece<'_>> {
    if line.starts_with("hint  ") {
        let (name, hint) = line.split_at(line.trim_end().rfind(' ').map_or(0, |at| at + 1));
        return vec![Piece::Text(name), Piece::Masked("hint", hint)];
    }
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < line.len() {
        let rest = &line[at..];
        let inside = line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let found = KINDS
            .iter()
            .filter(|_| !inside)
            .find_map(|(kind, matcher)| matcher(rest).map(|length| (*kind, length)));
        if let Some((kind, length)) = found {
            pieces.push(Piece::Text(&line[start..at]));
            pieces.push(Piece::Masked(kind, &rest[..length]));
            at += length;
            start = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    pieces.push(Piece::Text(&line[start..]));
    pieces
}

/// The line with its kinds in place of what differs. Runs of spaces count as two: columns are as
/// wide as what is in them.
pub(super) fn mask(line: &str) -> String {
    let mut masked = String::new();
    for piece in pieces(line.trim_end()) {
        match piece {
            Piece::Text(text) => masked.push_str(text),
            Piece::Masked(kind, _) => {
                masked.push('[');
                masked.push_str(kind);
                masked.push(']');
            }
        }
    }
    while masked.contains("   ") {
        masked = masked.replace("   ", "  ");
    }
    masked.trim_end().to_owned()
}

fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c| !of(c)).unwrap_or(text.len())
}

fn alphanumeric(text: &str) -> usize {
    run(text, |c| c.is_ascii_alphanumeric())
}

/// The length of `shape` if the text begins so: `d` a digit, `h` a hexadecimal digit, the rest
/// itself.
fn shaped(text: &str, shape: &str) -> Option<usize> {
    let fits = |(c, shape): (u8, u8)| match shape {
        b'd' => c.is_ascii_digit(),
        b'h' => c.is_ascii_hexdigit(),
        other => c == other,
    };
    let whole = text.len() >= shape.len();
    (whole && text.bytes().zip(shape.bytes()).all(fits)).then_some(shape.len())
}

#[test]
fn what_differs_from_run_to_run_is_masked_and_nothing_else() {
    assert_eq!(
        mask("administrator  maria (01a1f8fb-7cef-73f2-8e9b-8f852b8e7f54)  "),
        "administrator  maria ([uuid])"
    );
    assert_eq!(
        mask("4U6eOs8cVB4  api   active     2026-12-20 12:43 (in 29d)"),
        "[id]  api  active  [minute] [distance]"
    );
    assert_eq!(
        mask(r#"{"token":"3764762223718663489:RGGsqILvmMlJcp907Y7zbE0abVmgZK"}"#),
        r#"{"token":"[plain token]"}"#
    );
    assert_eq!(
        mask("token  pva_4U6eOs8cVB48f3hnYFg3u1PJe0rVI57iCpldZW1FV1kcHIE"),
        "token  [token]"
    );
    assert_eq!(
        mask("hint: run: provost migrate up"),
        "hint: run: provost migrate up"
    );
}
