//! The members of an account in a file: what they are called, there and in the programs before this
//! one, and what each may be. The rules for values are those of accounts made here.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::error::{Error, Refusal};
use crate::password::PasswordHash;
use crate::reason;
use crate::time::Timestamp;
use crate::users::{Email, FullName, Locale, Meta, Phone, Role, Username};

/// A member that can be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Username,
    Email,
    EmailVerified,
    Phone,
    Name,
    Roles,
    Superuser,
    State,
    Active,
    DisabledReason,
    Locale,
    Meta,
    PasswordHash,
    CreatedAt,
}

/// What the members are called; the first name of each is our own.
const NAMES: [(&str, Field); 21] = [
    ("id", Field::Id),
    ("username", Field::Username),
    ("email", Field::Email),
    ("email_verified", Field::EmailVerified),
    ("is_verified", Field::EmailVerified),
    ("phone", Field::Phone),
    ("name", Field::Name),
    ("fio", Field::Name),
    ("full_name", Field::Name),
    ("roles", Field::Roles),
    ("role", Field::Roles),
    ("is_superuser", Field::Superuser),
    ("is_admin", Field::Superuser),
    ("state", Field::State),
    ("is_active", Field::Active),
    ("disabled_reason", Field::DisabledReason),
    ("locale", Field::Locale),
    ("meta", Field::Meta),
    ("password_hash", Field::PasswordHash),
    ("hashed_password", Field::PasswordHash),
    ("created_at", Field::CreatedAt),
];

impl Field {
    /// The member that a header or a JSON name means.
    ///
    /// # Errors
    /// Why there is none, as the end of a sentence.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let plain = name.trim().to_ascii_lowercase();
        if let Some((_, field)) = NAMES.iter().find(|(known, _)| *known == plain) {
            return Ok(*field);
        }
        if ["password", "passwd", "plain_password"].contains(&plain.as_str()) {
            return Err(
                "passwords as they were typed are not taken: a file with them would be worth more \
                 than the database; give password_hash (argon2, bcrypt, pbkdf2-sha256), or leave it \
                 out and let people set a new one"
                    .into(),
            );
        }
        let nearest = NAMES
            .iter()
            .map(|(known, _)| (strsim::jaro_winkler(known, &plain), *known))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, known)| format!(" (perhaps {known})"))
            .unwrap_or_default();
        let short: String = plain.chars().take(64).collect();
        let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
        Err(format!(
            "{:?} is not known{nearest}; known are {}",
            short,
            known.join(", ")
        ))
    }

    /// Its own name.
    pub(super) fn as_str(self) -> &'static str {
        let found = NAMES.iter().find(|(_, field)| *field == self);
        found.map_or("", |(name, _)| name)
    }
}

/// A value as it was found.
#[derive(Clone, Debug)]
pub(super) enum Given {
    Text(String),
    Json(Json),
}

/// A row whose values are good, as it is kept until it is written. Its form in JSON is for the
/// spool alone.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) line: u64,
    /// One of ours. Other ids are kept in `meta`.
    pub(super) id: Option<String>,
    pub(super) username: String,
    pub(super) key: String,
    pub(super) email: Option<String>,
    pub(super) verified: bool,
    pub(super) phone: Option<String>,
    pub(super) name: Option<String>,
    pub(super) name_key: Option<String>,
    pub(super) roles: Vec<Role>,
    pub(super) disabled: bool,
    pub(super) disabled_reason: Option<String>,
    pub(super) locale: Option<String>,
    pub(super) meta: Option<String>,
    pub(super) hash: Option<String>,
    pub(super) created_at: Option<i64>,
}

/// Where an id of another program is kept in `meta`.
const OLD_ID: &str = "old_id";

/// Looks at a row. What is wrong with it is told of every member, not only of the first.
pub(super) fn read(line: u64, members: &[(Field, Given)], now: Timestamp) -> (Ready, Vec<Refusal>) {
    let mut reading = Reading {
        row: Ready {
            line,
            ..Ready::default()
        },
        meta: Map::new(),
        old_id: None,
        active: None,
        now,
    };
    let mut faults = Vec::new();
    for (field, given) in members {
        if let Err(reason) = reading.take(*field, given) {
            faults.push(Refusal {
                line,
                field: field.as_str(),
                reason,
            });
        }
    }
    let Reading {
        mut row,
        mut meta,
        old_id,
        active,
        ..
    } = reading;
    if active == Some(false) {
        row.disabled = true;
    }
    if let Some(id) = old_id {
        meta.entry(OLD_ID).or_insert(Json::String(id));
    }
    let mut fault = |field: Field, reason: &str| {
        faults.push(Refusal {
            line,
            field: field.as_str(),
            reason: reason.to_owned(),
        });
    };
    if !meta.is_empty() {
        match Meta::try_from(meta) {
            Ok(meta) => row.meta = Some(meta.as_str().to_owned()),
            Err(error) => fault(Field::Meta, &why(error)),
        }
    }
    if row.username.is_empty() && !has_value(members) {
        fault(Field::Username, "is missing");
    }
    if row.roles.is_empty() {
        row.roles.push(Role::User);
    }
    row.roles.sort_unstable();
    row.roles.dedup();
    (row, faults)
}

/// Whether the user name was given, and so was refused for what it is.
fn has_value(members: &[(Field, Given)]) -> bool {
    let mut given = members
        .iter()
        .filter(|(field, _)| *field == Field::Username);
    given.any(|(_, given)| !matches!(text(given), Ok(None)))
}

struct Reading {
    row: Ready,
    meta: Map<String, Json>,
    old_id: Option<String>,
    active: Option<bool>,
    now: Timestamp,
}

impl Reading {
    fn take(&mut self, field: Field, given: &Given) -> Result<(), String> {
        let row = &mut self.row;
        match field {
            Field::Id => match id(given)? {
                Some(id) if is_ours(&id) => row.id = Some(id),
                other => self.old_id = other,
            },
            Field::Username => {
                if let Some(name) = parsed::<Username>(given)? {
                    row.key = name.key();
                    name.as_str().clone_into(&mut row.username);
                }
            }
            Field::Email => row.email = parsed::<Email>(given)?.map(|it| it.as_str().to_owned()),
            Field::EmailVerified => row.verified = flag(given)?.unwrap_or(false),
            Field::Phone => row.phone = parsed::<Phone>(given)?.map(|it| it.as_str().to_owned()),
            Field::Name => {
                let name = parsed::<FullName>(given)?;
                row.name_key = name.as_ref().map(FullName::key);
                row.name = name.map(|name| name.as_str().to_owned());
            }
            Field::Roles => row.roles.extend(roles(given)?),
            Field::Superuser => {
                if flag(given)? == Some(true) {
                    row.roles.push(Role::Admin);
                }
            }
            Field::State => match text(given)?.as_deref() {
                None | Some("active") => {}
                Some("disabled") => row.disabled = true,
                Some(_) => return Err("must be active or disabled".into()),
            },
            Field::Active => self.active = flag(given)?,
            Field::DisabledReason => row.disabled_reason = reason(given)?,
            Field::Locale => row.locale = parsed::<Locale>(given)?.map(|it| it.as_str().to_owned()),
            Field::Meta => self.meta = object(given)?,
            Field::PasswordHash => {
                if let Some(hash) = text(given)? {
                    PasswordHash::parse(&hash).map_err(why)?;
                    row.hash = Some(hash);
                }
            }
            Field::CreatedAt => row.created_at = instant(given, self.now)?,
        }
        Ok(())
    }
}

/// The rule that a value breaks, without the member's name.
fn why(error: Error) -> String {
    if let Error::Invalid { reason, .. } = error {
        reason
    } else {
        error.to_string()
    }
}

/// The text, if there is any. Space around it is nobody's name.
fn text(given: &Given) -> Result<Option<String>, String> {
    let text = match given {
        Given::Text(text) | Given::Json(Json::String(text)) => text.trim(),
        Given::Json(Json::Null) => "",
        Given::Json(_) => return Err("must be a string".into()),
    };
    Ok(Some(text)
        .filter(|text| !text.is_empty())
        .map(str::to_owned))
}

fn parsed<T: FromStr<Err = Error>>(given: &Given) -> Result<Option<T>, String> {
    let text = text(given)?;
    text.map(|text| text.parse().map_err(why)).transpose()
}

fn id(given: &Given) -> Result<Option<String>, String> {
    let text = match given {
        Given::Json(Json::Number(number)) => Some(number.to_string()),
        Given::Json(_) | Given::Text(_) => text(given)?,
    };
    match text {
        Some(text) if text.chars().count() > 64 || text.contains(char::is_control) => {
            Err("must have at most 64 printable characters".into())
        }
        other => Ok(other),
    }
}

/// Whether it is an id that this program could have made: only then nothing else can be mistaken
/// for it.
fn is_ours(id: &str) -> bool {
    uuid::Uuid::try_parse(id).is_ok_and(|uuid| {
        uuid.get_version_num() == 7 && uuid.hyphenated().to_string() == id && id.starts_with('0')
    })
}

fn flag(given: &Given) -> Result<Option<bool>, String> {
    if let Given::Json(Json::Bool(flag)) = given {
        return Ok(Some(*flag));
    }
    let text = match given {
        Given::Json(Json::Number(number)) => Some(number.to_string()),
        Given::Json(_) | Given::Text(_) => text(given)?,
    };
    let text = text.map(|text| text.to_ascii_lowercase());
    match text.as_deref() {
        None => Ok(None),
        Some("true" | "t" | "1" | "yes") => Ok(Some(true)),
        Some("false" | "f" | "0" | "no") => Ok(Some(false)),
        Some(_) => Err("must be true or false".into()),
    }
}

fn roles(given: &Given) -> Result<Vec<Role>, String> {
    let role = |word: &str| word.parse::<Role>().map_err(why);
    if let Given::Json(Json::Array(words)) = given {
        let words = words.iter().map(|word| {
            let word = word.as_str().ok_or("must be a list of strings")?;
            role(word)
        });
        return words.collect();
    }
    let text = text(given)?.unwrap_or_default();
    let words = text.split([' ', ',', ';', '|']);
    words.filter(|word| !word.is_empty()).map(role).collect()
}

fn reason(given: &Given) -> Result<Option<String>, String> {
    let text = text(given)?;
    reason::check(text.as_deref()).map_err(why)?;
    Ok(text)
}

fn object(given: &Given) -> Result<Map<String, Json>, String> {
    let refuse = || "must be a JSON object".to_owned();
    let value = match given {
        Given::Json(value @ Json::Object(_)) => value.clone(),
        Given::Json(_) | Given::Text(_) => match text(given)? {
            Some(text) => serde_json::from_str(&text).map_err(|_| refuse())?,
            None => Json::Null,
        },
    };
    match value {
        Json::Object(members) => Ok(members),
        Json::Null => Ok(Map::new()),
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Err(refuse()),
    }
}

/// RFC 3339, or as databases write it: with a space, and in UTC where no zone is named.
fn instant(given: &Given, now: Timestamp) -> Result<Option<i64>, String> {
    let Some(text) = text(given)? else {
        return Ok(None);
    };
    let fixed = text.parse::<jiff::Timestamp>().ok();
    let at = fixed.or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    });
    let at = at.ok_or("must be RFC 3339, like 2026-11-20T08:34:00Z")?;
    let at = at.as_millisecond();
    if at < 0 || at > now.plus(std::time::Duration::from_hours(24)).0 {
        return Err("must be between 1970 and now".into());
    }
    Ok(Some(at))
}
