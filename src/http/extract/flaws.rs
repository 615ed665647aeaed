//! What is wrong with a body: all of its members that are at fault, in our own words.
//!
//! Invariants: nothing of the input is repeated but names of members; an unknown member is told
//! alone, because such a body is meant for something else; only what was refused is read this
//! second, slower way.

use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::error::{Error, Flaw};

/// More members at fault than this are not told.
const MOST: usize = 50;

const MISSING: &str = "is missing";

/// What is wrong with a body.
#[derive(Debug)]
pub(crate) enum Flaws {
    /// It as a whole: no JSON, too large, unknown members.
    Whole(Error),
    /// Members of it: which, and what.
    Members(Vec<(String, Wrong)>),
}

/// What is wrong.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// No such member is known, but these are.
    Unknown(String, String),
    /// A rule refuses the value of this field.
    Value(&'static str, String),
    /// A member is missing, twice there or of another type.
    Member(String, String),
    /// It cannot be said of which member.
    Somewhere(String),
}

impl Wrong {
    fn error(self) -> Error {
        match self {
            Self::Unknown(field, known) => Error::UnknownField { field, known },
            Self::Value(field, reason) => Error::invalid(field, reason),
            Self::Member(member, reason) => {
                Error::Malformed(format!("the member {member:?} {reason}"))
            }
            Self::Somewhere(reason) => Error::Malformed(format!("a member {reason}")),
        }
    }

    fn reason(self) -> String {
        match self {
            Self::Unknown(..) => "unknown".to_owned(),
            Self::Value(_, reason) | Self::Member(_, reason) | Self::Somewhere(reason) => reason,
        }
    }
}

impl From<Error> for Flaws {
    fn from(error: Error) -> Self {
        Self::Whole(error)
    }
}

impl Flaws {
    /// What is wrong with a body that is JSON and no `T`. A member that is at fault is taken away,
    /// and the rest is read again, until nothing more is found.
    pub(super) fn of<T: DeserializeOwned>(bytes: &[u8], first: &serde_json::Error) -> Self {
        // Without the member: what it is needed for at the end is a member that is there twice.
        let first = words(&first.to_string(), "");
        let Ok(mut left) = serde_json::from_slice::<Value>(bytes) else {
            return Self::Whole(first.error());
        };
        let mut members: Vec<(String, Wrong)> = Vec::new();
        while members.len() < MOST {
            let Err(error) = serde_path_to_error::deserialize::<_, T>(&left) else {
                break;
            };
            let at = top(error.path());
            let wrong = words(&error.inner().to_string(), &at);
            let name = match &wrong {
                Wrong::Unknown(..) => return Self::Whole(wrong.error()),
                Wrong::Member(name, _) if at.is_empty() => name.clone(),
                Wrong::Value(field, _) if at.is_empty() => (*field).to_owned(),
                Wrong::Somewhere(_) if at.is_empty() => break,
                Wrong::Member(..) | Wrong::Value(..) | Wrong::Somewhere(_) => at,
            };
            // It is missing only because it was taken away.
            if members.iter().any(|(known, _)| *known == name) {
                break;
            }
            let object = left.as_object_mut();
            let was_there = object
                .and_then(|object| object.shift_remove(&name))
                .is_some();
            members.push((name, wrong));
            if !was_there {
                break;
            }
        }
        if members.is_empty() {
            // Twice the same member, or no object: what is read the second way does not know that.
            return Self::Whole(first.error());
        }
        Self::Members(members)
    }

    /// Whether it is about members, of which this one is not said to be at fault.
    pub(crate) fn spare(&self, member: &str) -> bool {
        match self {
            Self::Whole(_) => false,
            Self::Members(members) => members.iter().all(|(known, _)| known != member),
        }
    }

    /// A rule of the route refuses one more member.
    pub(crate) fn refuse(&mut self, refusal: Error) {
        if let (Self::Members(members), Error::Invalid { field, reason, .. }) = (self, refusal) {
            members.push((field.to_owned(), Wrong::Value(field, reason)));
        }
    }

    /// One more member is missing.
    pub(crate) fn miss(&mut self, member: &str) {
        if let Self::Members(members) = self {
            let wrong = Wrong::Member(member.to_owned(), MISSING.to_owned());
            members.push((member.to_owned(), wrong));
        }
    }

    /// The refusal: what a rule refuses goes first, and names the code.
    pub(crate) fn error(self) -> Error {
        let mut members = match self {
            Self::Whole(error) => return error,
            Self::Members(members) => members,
        };
        let at = members
            .iter()
            .position(|(_, wrong)| matches!(wrong, Wrong::Value(..)));
        if members.len() > 1
            && let Some(at) = at
            && let (_, Wrong::Value(field, reason)) = members.remove(at)
        {
            let others = members.into_iter().map(|(member, wrong)| Flaw {
                member,
                reason: wrong.reason(),
            });
            return Error::Invalid {
                field,
                reason,
                others: others.collect(),
            };
        }
        let mut errors = members.into_iter().map(|(_, wrong)| wrong.error());
        match (errors.next(), errors.len()) {
            (Some(error), 0) => error,
            (first, _) => {
                let all = first.into_iter().chain(errors);
                let all: Vec<String> = all.map(|error| error.to_string()).collect();
                Error::Malformed(all.join("; "))
            }
        }
    }
}

/// What is wrong with something of which only the first fault is told.
pub(super) fn one<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    message: &str,
    again: D,
) -> Error {
    told(message, &member::<T, _>(again))
}

/// serde's words about `member`, as an error.
pub(super) fn told(message: &str, member: &str) -> Error {
    words(message, member).error()
}

/// The member that is at fault.
fn member<'de, T: DeserializeOwned, D: Deserializer<'de>>(again: D) -> String {
    let read = serde_path_to_error::deserialize::<_, T>(again);
    read.err()
        .map(|error| top(error.path()))
        .unwrap_or_default()
}

/// The member of the body in which a path begins.
fn top(path: &Path) -> String {
    match path.iter().next() {
        Some(Segment::Map { key }) => key.chars().take(64).collect(),
        _ => String::new(),
    }
}

/// serde's words for a value of `member` that does not fit, without what they quote of the input.
fn words(message: &str, member: &str) -> Wrong {
    let quoted = |rest: &str| -> String {
        let field = rest.split('`').next().unwrap_or_default();
        field.chars().take(64).collect()
    };
    if let Some(rest) = message.strip_prefix("unknown field `") {
        // The last one, as below; the names that serde puts in quotes are every second part.
        let known = rest
            .rsplit_once(", expected ")
            .filter(|_| !rest.contains("`, there are no fields"))
            .map_or("", |(_, known)| known);
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        return Wrong::Unknown(quoted(rest), known.join(", "));
    }
    // Our own types speak as "field: reason"; both are texts of ours.
    for field in FIELDS {
        if let Some(reason) = message
            .strip_prefix(field)
            .and_then(|rest| rest.strip_prefix(": "))
        {
            let reason = reason.split(" at line ").next().unwrap_or(reason);
            // A type knows what it is, not what the member is called: a time, not "since".
            let mut called = MEMBERS.iter().chain(&FIELDS);
            let called = called.find(|name| **name == member).unwrap_or(&field);
            return Wrong::Value(called, reason.to_owned());
        }
    }
    if let Some(rest) = message.strip_prefix("missing field `") {
        return Wrong::Member(quoted(rest), MISSING.to_owned());
    }
    if let Some(rest) = message.strip_prefix("duplicate field `") {
        return Wrong::Member(quoted(rest), "is there twice".to_owned());
    }
    let mut reason = "has the wrong type or value".to_owned();
    // The last one: what comes before it may quote the client.
    if let Some((_, expected)) = message.rsplit_once(", expected ") {
        let expected = expected.split(" at line ").next().unwrap_or(expected);
        // The name of a type of ours tells nothing.
        let expected = if expected.starts_with("struct ") {
            "an object"
        } else {
            expected
        };
        let expected: String = expected.chars().take(120).collect();
        reason = format!("{reason}: expected {expected}");
    }
    if member.is_empty() {
        Wrong::Somewhere(reason)
    } else {
        Wrong::Member(member.to_owned(), reason)
    }
}

/// Names under which the domain's types refuse a value.
const FIELDS: [&str; 23] = [
    "scope",
    "scopes",
    "kind",
    "duration",
    "time",
    "id",
    "username",
    "email",
    "phone",
    "name",
    "password",
    "role",
    "limit",
    "locale",
    "meta",
    "state",
    "network",
    "slug",
    "title",
    "summary",
    "tag",
    "visibility",
    "source",
];

/// Members whose types have another name.
const MEMBERS: [&str; 10] = [
    "created_after",
    "created_before",
    "current_password",
    "expiring",
    "new_password",
    "not_before",
    "owner",
    "since",
    "ttl",
    "until",
];

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::parse;
    use super::*;
    use crate::users::{Change, Email, Phone, Username};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsing is of interest")]
    struct Body {
        username: Username,
        #[serde(default)]
        email: Change<Email>,
        #[serde(default)]
        phone: Option<Phone>,
        #[serde(default)]
        roles: Vec<crate::users::Role>,
        n: u32,
    }

    fn told(text: &str) -> (&'static str, Vec<String>) {
        let error = parse::<Body>(text.as_bytes()).unwrap_err();
        let Error::Invalid {
            field,
            reason,
            others,
        } = &error
        else {
            return (error.spec().code, vec![error.to_string()]);
        };
        let first = format!("{field}: {reason}");
        let others = others
            .iter()
            .map(|Flaw { member, reason }| format!("{member}: {reason}"));
        (
            error.spec().code,
            std::iter::once(first).chain(others).collect(),
        )
    }

    #[test]
    fn every_member_that_is_at_fault_is_told_and_none_is_repeated() {
        let (code, all) = told(
            r#"{"username":"a b","email":"hunter2","phone":"12","roles":["hunter3"],"n":"hunter4"}"#,
        );
        assert_eq!(code, "invalid");
        let members: Vec<&str> = all.iter().filter_map(|one| one.split(':').next()).collect();
        assert_eq!(members, ["username", "email", "phone", "roles", "n"]);
        assert!(all.iter().all(|one| !one.contains("hunter")), "{all:?}");
        assert!(all[4].ends_with("expected u32"), "{all:?}");
    }

    #[test]
    fn what_was_taken_away_is_not_missing_and_what_is_missing_is_told() {
        let (_, all) = told(r#"{"username":"a b","n":1}"#);
        assert_eq!(all.len(), 1, "{all:?}");
        let (code, all) = told(r#"{"username":"ivan","email":"x","phone":"1"}"#);
        assert_eq!((code, all.len()), ("invalid", 3));
        assert_eq!(all[2], "n: is missing");
    }

    #[test]
    fn what_is_no_question_of_a_rule_stays_malformed() {
        let (code, all) = told(r#"{"username":7,"n":"x"}"#);
        let wrong = "has the wrong type or value: expected";
        let both =
            format!("the member \"username\" {wrong} a string; the member \"n\" {wrong} u32");
        assert_eq!((code, all), ("malformed", vec![both]));
        let (code, all) = told(r#"{"username":"ivan","n":1,"n":2}"#);
        assert_eq!(
            (code, all[0].as_str()),
            ("malformed", "the member \"n\" is there twice")
        );
    }

    #[test]
    fn an_unknown_member_is_told_alone_with_those_that_are_known_wherever_it_stands() {
        for body in [
            r#"{"usernam":"x","email":"x","n":1}"#,
            r#"{"email":"x","username":"a b","usernam":"x","n":"x"}"#,
        ] {
            let (code, all) = told(body);
            assert_eq!(
                (code, all),
                (
                    "unknown_field",
                    vec![
                        "unknown field \"usernam\"; known: username, email, phone, roles, n"
                            .to_owned()
                    ]
                )
            );
        }
    }

    #[test]
    fn a_body_without_members_repeats_nothing_but_the_name_that_it_cannot_know() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let error = parse::<Nothing>(br#"{"a, expected `long text`":1}"#).unwrap_err();
        assert_eq!(error.to_string(), "unknown field \"a, expected \"");
    }
}
