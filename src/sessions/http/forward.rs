//! Forward authentication: a proxy asks whether a request may pass, and on whose behalf.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, Who};
use crate::error::{Error, Result};
use crate::http::extract::Query;
use crate::http::{Caller, Problems};
use crate::scope::Scope;
use crate::users::{self, Role};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(verify))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Demand {
    /// Only who has this scope; administrators have every one.
    #[param(value_type = Option<String>)]
    scope: Option<Scope>,
    /// Only who has this role.
    role: Option<Role>,
}

/// Ask whether a request may pass
///
/// For `auth_request` of nginx, `forward_auth` of Caddy, `ForwardAuth` of Traefik and `ext_authz` of
/// Envoy. Takes what every route takes: an access token, an API token or the cookies. The answer says
/// who it is in `X-Auth-User-Id`, `X-Auth-User` (UTF-8), `X-Auth-Roles`, and `X-Auth-Session` or
/// `X-Auth-Token` and `X-Auth-Scopes`. The proxy must not let those pass that a client sends.
#[utoipa::path(get, path = "/api/v1/auth/verify", operation_id = "verify", tag = "auth", params(Demand),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "it may pass", headers(
        ("X-Auth-User-Id", description = "The user's id"), ("X-Auth-User", description = "The user's name"),
        ("X-Auth-Roles", description = "The user's roles, separated by spaces"), ("X-Auth-Session", description = "The session's id"),
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
                roles: roles.clone(),
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
                Some(owner) => Some(caller.look(|cx| users::resolve(cx, &owner)).await?),
                None => None,
            };
            let roles = |roles: &[Role]| {
                let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
                words.join(" ")
            };
            Told {
                person: owner.map(|owner| Person {
                    id: owner.id,
                    name: owner.username,
                    roles: roles(&owner.roles),
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
    roles: String,
}

/// What the proxy is told.
struct Told {
    person: Option<Person>,
    proof: Vec<(&'static str, String)>,
}

impl Told {
    fn has(&self, role: Role) -> bool {
        let roles = self.person.iter().flat_map(|it| it.roles.split(' '));
        roles.into_iter().any(|it| it == role.as_str())
    }

    fn answer(self) -> Result<Response> {
        let mut response = StatusCode::OK.into_response();
        let person = self.person.map(|person| {
            [
                ("x-auth-user-id", person.id),
                ("x-auth-user", person.name),
                ("x-auth-roles", person.roles),
            ]
        });
        for (name, value) in person.into_iter().flatten().chain(self.proof) {
            // Names of people are not ASCII everywhere.
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(Error::internal)?;
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }
}
