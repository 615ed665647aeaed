//! Forward authentication: a proxy asks whether a request may pass, and on whose behalf.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::app::Who;
use crate::error::{Error, Result};
use crate::http::extract::Query;
use crate::http::{Caller, Problems, Routes, routes};
use crate::scope::Scope;
use crate::users::{self, Role};

pub(super) fn routes() -> Routes {
    Routes::new().with(routes!(verify))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Demand {
    /// Only who has this scope; administrators have every one.
    #[param(value_type = Option<String>)]
    scope: Option<Scope>,
    /// Only who has this role: a person, for an API token has scopes.
    role: Option<Role>,
}

/// Ask whether a request may pass
///
/// For `auth_request` of nginx, `forward_auth` of Caddy, `ForwardAuth` of Traefik and `ext_authz` of
/// Envoy. Takes what every route takes: an access token, an API token or the cookies. The answer says
/// who it is in `X-Auth-User-Id` and `X-Auth-User` (UTF-8), and of a person in `X-Auth-Roles` and
/// `X-Auth-Session`, of an API token in `X-Auth-Token` and `X-Auth-Scopes`: what its owner may do, it
/// may not. The proxy must not let those pass that a client sends.
#[utoipa::path(get, path = "/api/v1/auth/verify", operation_id = "verify", tag = "auth", params(Demand),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "it may pass", headers(
        ("X-Auth-User-Id", description = "The user's id"), ("X-Auth-User", description = "The user's name"),
        ("X-Auth-Roles", description = "The roles of a person, separated by spaces"), ("X-Auth-Session", description = "The session's id"),
        ("X-Auth-Token", description = "The API token's id"), ("X-Auth-Scopes", description = "The API token's scopes"))), Problems))]
async fn verify(caller: Caller, Query(demand): Query<Demand>) -> Result<Response> {
    let told = match &caller.actor().who {
        Who::Session {
            id,
            user,
            username,
            roles,
            ..
        } => {
            let person = Person {
                id: user.clone(),
                name: username.clone(),
                roles: Some(roles.clone()),
            };
            Told {
                person: Some(person),
                proof: vec![("x-auth-session", id.clone())],
            }
        }
        Who::Token {
            id, owner, scopes, ..
        } => {
            let owner = match owner.clone() {
                Some(owner) => Some(caller.look(|cx| users::by_id(cx, &owner)).await?),
                None => None,
            };
            Told {
                person: owner.map(|owner| Person {
                    id: owner.id,
                    name: owner.username,
                    // Whoever finds a token of an administrator is none (security.md, rule 18).
                    roles: None,
                }),
                proof: vec![
                    ("x-auth-token", id.clone()),
                    ("x-auth-scopes", scopes.to_string()),
                ],
            }
        }
        Who::Operator { .. } | Who::Job(_) | Who::Anonymous => return Err(Error::Unauthenticated),
    };
    if let Some(scope) = &demand.scope {
        caller.actor().require(scope.as_str())?;
    }
    if let Some(role) = demand.role
        && !told.has(role)
    {
        return Err(Error::Forbidden {
            needs: format!("role:{role}"),
        });
    }
    told.answer()
}

struct Person {
    id: String,
    name: String,
    /// Separated by spaces; none for the owner of a token.
    roles: Option<String>,
}

/// What the proxy is told.
struct Told {
    person: Option<Person>,
    proof: Vec<(&'static str, String)>,
}

impl Told {
    fn has(&self, role: Role) -> bool {
        let roles = self.person.as_ref().and_then(|it| it.roles.as_deref());
        roles.is_some_and(|roles| roles.split(' ').any(|it| it == role.as_str()))
    }

    fn answer(self) -> Result<Response> {
        let mut response = StatusCode::OK.into_response();
        let person = self.person.map(|person| {
            [
                Some(("x-auth-user-id", person.id)),
                Some(("x-auth-user", person.name)),
                person.roles.map(|roles| ("x-auth-roles", roles)),
            ]
        });
        let person = person.into_iter().flatten().flatten();
        for (name, value) in person.chain(self.proof) {
            // Names of people are not ASCII everywhere.
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(Error::internal)?;
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }
}
