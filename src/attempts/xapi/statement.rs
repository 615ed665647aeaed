//! One statement: who did what with what, and what came of it (xAPI 1.0.3, part 2).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::store::Over;
use crate::attempts::State;
use crate::courses::Course;
use crate::error::{Error, Result};
use crate::lessons::{Completion, Lesson};
use crate::quizzes::{Percent, Points, Quiz};
use crate::time::Timestamp;

/// Ids are named in this space (RFC 9562 §5.5).
const SPACE: [u8; 16] = *b"provost xapi ids";

const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
const SUBMITTED: &str = "http://activitystrea.ms/schema/1.0/submit";
const ABANDONED: &str = "https://w3id.org/xapi/adl/verbs/abandoned";
const SCORED: &str = "http://adlnet.gov/expapi/verbs/scored";

/// A statement, as a learning record store takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// A `UUIDv5` of all that it says.
    pub id: String,
    /// Who.
    pub actor: Json,
    /// Did what.
    pub verb: Json,
    /// With what.
    pub object: Json,
    /// And what came of it.
    pub result: Json,
    /// In which course, in which attempt.
    pub context: Json,
    /// When.
    pub timestamp: Timestamp,
    /// Of xAPI.
    pub version: &'static str,
}

/// What a statement is made of.
struct Said<'a> {
    base: &'a str,
    user: (&'a str, &'a str),
    verb: (&'static str, &'static str),
    object: Json,
    result: Json,
    course: &'a Course,
    registration: Option<&'a str>,
    at: Timestamp,
}

impl Said<'_> {
    fn statement(self) -> Statement {
        let (base, (user, username), (verb, word)) = (self.base, self.user, self.verb);
        let mut context = json!({
            "contextActivities": { "parent": [course(base, self.course)] },
            "platform": "provost",
        });
        if let (Some(language), Json::Object(members)) = (&self.course.language, &mut context) {
            members.insert("language".into(), language.as_str().into());
        }
        if let (Some(attempt), Json::Object(members)) = (self.registration, &mut context) {
            members.insert("registration".into(), named(attempt).into());
        }
        let mut statement = Statement {
            id: String::new(),
            actor: json!({
                "objectType": "Agent",
                "name": username,
                "account": { "homePage": base, "name": user },
            }),
            verb: json!({ "id": verb, "display": { "en": word } }),
            object: self.object,
            result: self.result,
            context,
            timestamp: self.at,
            version: "1.0.3",
        };
        // What people and things are called may change, and is the same statement.
        let (object, result) = (statement.object.get("id"), &statement.result);
        let said = json!([
            user,
            verb,
            object,
            result,
            statement.timestamp,
            self.registration
        ]);
        statement.id = named(&said.to_string());
        statement
    }
}

/// The id of what is named so.
fn named(name: &str) -> String {
    let named = [&SPACE, name.as_bytes()].concat();
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &named);
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    let id = uuid::Builder::from_sha1_bytes(id).into_uuid();
    id.to_string()
}

fn activity(id: &str, sort: &str, called: &str, language: Option<&str>) -> Json {
    let language = language.unwrap_or("und");
    json!({
        "objectType": "Activity",
        "id": id,
        "definition": {
            "name": { language: called },
            "type": format!("http://adlnet.gov/expapi/activities/{sort}"),
        },
    })
}

fn course(base: &str, course: &Course) -> Json {
    let id = format!("{base}/api/v1/courses/{}", course.id);
    activity(&id, "course", &course.title, course.language.as_deref())
}

/// Somebody completed a lesson.
pub(super) fn completed(
    base: &str,
    course: &Course,
    lesson: &Lesson,
    one: &Completion,
) -> Statement {
    let id = format!("{base}/api/v1/lessons/{}", lesson.id);
    let said = Said {
        base,
        user: (&one.user, &one.username),
        verb: (COMPLETED, "completed"),
        object: activity(&id, "lesson", &lesson.title, course.language.as_deref()),
        result: json!({ "completion": true }),
        course,
        registration: None,
        at: one.at,
    };
    said.statement()
}

/// An attempt is over: it was handed in, or abandoned; and, when all of it is graded, what it got.
pub(super) fn attempted(
    base: &str,
    course: &Course,
    quiz: &Quiz,
    one: &Over,
) -> Result<Vec<Statement>> {
    let id = format!("{base}/api/v1/quizzes/{}", quiz.id);
    let object = activity(&id, "assessment", &quiz.title, course.language.as_deref());
    let took = one.ended_at.since(one.started_at);
    let duration = format!("PT{}.{:02}S", took.as_secs(), took.subsec_millis() / 10);
    let handed_in = one.state == State::Submitted;
    let said = |verb, result| Said {
        base,
        user: (&one.user, &one.username),
        verb,
        object: object.clone(),
        result,
        course,
        registration: Some(&one.id),
        at: one.ended_at,
    };
    if !handed_in {
        let result = json!({ "completion": false, "duration": duration });
        let abandoned = said((ABANDONED, "abandoned"), result);
        return Ok(vec![abandoned.statement()]);
    }
    let result = json!({ "completion": true, "duration": duration });
    let mut told = vec![said((SUBMITTED, "submitted"), result).statement()];
    if let Some(points) = one.points {
        let mut result = json!({ "score": score(points, one.most)? });
        let passed = |passing: Percent| Percent::part_of(points, one.most) >= passing;
        if let (Some(passing), Json::Object(members)) = (quiz.passing, &mut result) {
            members.insert("success".into(), passed(passing).into());
        }
        told.push(said((SCORED, "scored"), result).statement());
    }
    Ok(told)
}

/// `scaled` is the part of all points, from 0 to 1.
fn score(points: Points, most: Points) -> Result<Json> {
    let (points, most) = (points.stored()?, most.stored()?);
    let number = |hundredths: i64| {
        let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        text.parse::<f64>().map_err(Error::internal)
    };
    let scaled = points.saturating_mul(10_000).checked_div(most);
    let scaled = scaled.unwrap_or(10_000);
    let scaled = format!("{}.{:04}", scaled / 10_000, scaled % 10_000);
    let scaled: f64 = scaled.parse().map_err(Error::internal)?;
    Ok(json!({ "scaled": scaled, "raw": number(points)?, "min": 0, "max": number(most)? }))
}
