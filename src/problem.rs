//! The problem object (RFC 9457): how an error is told to a program, over HTTP and under `--json`.
//!
//! It holds only what `Display` says; causes are for the operator and stay out.

use serde::Serialize;

use crate::error::{Error, Fault, Flaw, Refusal};

/// An error as a JSON object. Member names and `code` are part of the public contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `urn:provost:error:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What sort of problem it is: as a rule the name of the HTTP status.
    pub title: &'static str,
    /// The HTTP status (RFC 9110 §15).
    pub status: u16,
    /// The stable code, in `snake_case`.
    pub code: &'static str,
    /// What went wrong, for people.
    pub detail: String,
    /// What to do next; only at the shell, whose commands it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub hint: Option<String>,
    /// What lies under it; only at the shell, whose user is the operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub causes: Vec<String>,
    /// The migration that it is about; only at the shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub migration: Option<serde_json::Value>,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What is wrong with which member, where a member is at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// One member that is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldProblem {
    /// Where it is in the body: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What is wrong with a name that belongs to somebody else.
const TAKEN: &str = "is already in use";

impl FieldProblem {
    fn at(member: &str, detail: &str) -> Self {
        Self {
            pointer: format!("/{}", member.replace('~', "~0").replace('/', "~1")),
            detail: detail.to_owned(),
        }
    }

    fn of(flaw: &Flaw) -> Self {
        Self::at(&flaw.member, &flaw.reason)
    }

    /// The file, and the line of it.
    fn in_file(fault: &Fault) -> Self {
        let at = Self::at(&fault.file, &fault.reason);
        Self {
            pointer: format!("{}/{}", at.pointer, fault.line),
            ..at
        }
    }

    /// The line, and the member on it.
    fn in_row(refusal: &Refusal) -> Self {
        Self {
            pointer: format!("/{}/{}", refusal.line, refusal.field),
            detail: refusal.reason.clone(),
        }
    }
}

impl From<&Error> for Problem {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "few errors are about one member"
    )]
    fn from(error: &Error) -> Self {
        let spec = error.spec();
        let status = http::StatusCode::from_u16(spec.status).ok();
        Self {
            kind: format!("urn:provost:error:{}", spec.code),
            title: match error {
                // Met only at the shell, where it is no fault of a server.
                Error::Config(_) => "Configuration Error",
                _ => status
                    .and_then(|status| status.canonical_reason())
                    .unwrap_or("Error"),
            },
            status: spec.status,
            code: spec.code,
            detail: error.to_string(),
            hint: None,
            causes: Vec::new(),
            migration: None,
            instance: None,
            errors: match error {
                Error::Invalid {
                    field,
                    reason,
                    others,
                } => {
                    let first = FieldProblem::at(field, reason);
                    let others = others.iter().map(FieldProblem::of);
                    std::iter::once(first).chain(others).collect()
                }
                Error::UsernameTaken => vec![FieldProblem::at("username", TAKEN)],
                Error::EmailTaken => vec![FieldProblem::at("email", TAKEN)],
                Error::PhoneTaken => vec![FieldProblem::at("phone", TAKEN)],
                Error::RowsRefused { errors, .. } => {
                    errors.iter().map(FieldProblem::in_row).collect()
                }
                Error::FilesRefused { faults } | Error::LintRefused { faults } => {
                    faults.iter().map(FieldProblem::in_file).collect()
                }
                Error::UnknownField { field, .. } => vec![FieldProblem::at(field, "unknown")],
                _ => Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_and_the_stable_code() {
        let problem = Problem::from(&Error::EmailTaken);
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"urn:provost:error:email_taken","title":"Conflict","status":409,"code":"email_taken","detail":"that email address is already in use","errors":[{"pointer":"/email","detail":"is already in use"}]}"#
        );
    }

    #[test]
    fn a_refused_member_is_pointed_at() {
        let mut error = Error::invalid("email", "has no @");
        let problem = Problem::from(&error);
        assert_eq!(problem.errors, [FieldProblem::at("email", "has no @")]);
        if let Error::Invalid { others, .. } = &mut error {
            others.push(Flaw {
                member: "n".into(),
                reason: "is missing".into(),
            });
        }
        let both = Problem::from(&error);
        assert_eq!(both.detail, "email: has no @; n: is missing");
        assert_eq!(both.errors[1], FieldProblem::at("n", "is missing"));
        let unknown = Error::UnknownField {
            field: "a/b~c".into(),
            known: String::new(),
        };
        assert_eq!(Problem::from(&unknown).errors[0].pointer, "/a~1b~0c");
    }

    #[test]
    fn a_problem_names_no_command_of_the_shell_unless_the_shell_adds_it() {
        let hinted = Error::LastAdmin;
        assert!(hinted.hint().is_some());
        assert_eq!(Problem::from(&hinted).hint, None);
    }

    #[test]
    fn a_mistake_in_the_configuration_is_no_fault_of_a_server() {
        let problem = Problem::from(&Error::Config("x".into()));
        assert_eq!(problem.title, "Configuration Error");
    }

    #[test]
    fn a_problem_never_tells_the_cause() {
        let problem = Problem::from(&Error::internal("hunter2"));
        assert!(!serde_json::to_string(&problem).unwrap().contains("hunter2"));
    }

    #[test]
    fn every_status_in_use_has_a_title() {
        for status in [
            400, 401, 403, 404, 405, 408, 409, 412, 413, 414, 415, 421, 422, 429, 431, 500, 503,
            507,
        ] {
            let status = http::StatusCode::from_u16(status).unwrap();
            assert!(status.canonical_reason().is_some(), "{status}");
        }
    }
}
