//! The description of the API in `OpenAPI` 3.1: what the handlers say of themselves, and what holds
//! for all of them.

use std::collections::BTreeMap;

use http::StatusCode;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref,
    RefOr, Response, ResponseBuilder, ServerBuilder,
};

use super::cookies::Cookies;
use crate::config::Config;
use crate::problem::{FieldProblem, Problem};

/// Every error answer of a route: one shape (RFC 9457), whatever the status.
#[derive(Clone, Copy, Debug)]
pub struct Problems;

impl utoipa::IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let response = problem("An error; `code` says which").build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}

/// What the groups of routes are for.
const TAGS: [(&str, &str); 11] = [
    (
        "auth",
        "Making an account for oneself, logging in and out; and what proxies and other services ask.",
    ),
    ("me", "What people see and change of their own account."),
    (
        "users",
        "Accounts: make, list, change, disable, delete and restore them, give and take roles.",
    ),
    (
        "sessions",
        "Who is logged in, from where: list and end sessions, one's own and anybody's.",
    ),
    (
        "tokens",
        "API tokens and temporary tokens: issue, list, renew, use up, revoke; and the questions of \
         OAuth 2.0 about them (RFC 7009, RFC 7662).",
    ),
    (
        "recovery",
        "Second factors, forgotten passwords, addresses to be confirmed, invitations and login links.",
    ),
    (
        "courses",
        "What there is to learn: courses, their files, and who is enrolled.",
    ),
    (
        "lessons",
        "What a course says, and how far everybody has come with it.",
    ),
    (
        "quizzes",
        "What is asked in a course: taking quizzes, grading by hand, grades.",
    ),
    (
        "operations",
        "For supervisors, proxies, Prometheus and auditors.",
    ),
    (
        "token manager",
        "The routes of the older token service, as its clients know them. They need no credential \
         and their tokens carry no authority over anything else.",
    ),
];

/// The description without its routes.
pub(super) fn describe(config: &Config) -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("pva_…")
        .description(Some(
            "An API token, made with `provost token create`, or the access token of a login",
        ))
        .build();
    let name = Cookies::of(config.auth.insecure_cookies).access;
    let cookie = ApiKeyValue::with_description(
        name,
        "The cookies of a login; requests that change something take `X-CSRF-Token`, too",
    );
    let components = ComponentsBuilder::new()
        .schema_from::<Problem>()
        .schema_from::<FieldProblem>()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
        .build();
    let info = InfoBuilder::new()
        .title(config.app.title.clone())
        .description(Some(config.app.description.clone()).filter(|text| !text.is_empty()))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT")
                .identifier(Some("MIT"))
                .build(),
        ))
        .build();
    let tags = TAGS
        .iter()
        .filter(|(name, _)| *name != "token manager" || config.compat.token_manager)
        .map(|(name, text)| {
            TagBuilder::new()
                .name(*name)
                .description(Some(*text))
                .build()
        });
    // The pages are also read at the daemon's own address, from where the public one is another site.
    let servers = config.server.public_url.as_ref().map(|url| {
        let server = |url: &str| ServerBuilder::new().url(url).build();
        vec![server(url), server("/")]
    });
    OpenApiBuilder::new()
        .info(info)
        .servers(servers)
        .tags(Some(tags))
        .components(Some(components))
        .build()
}

fn problem(description: &str) -> ResponseBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
}

/// Adds the refusals that follow from what an operation takes, so that no handler has to list them.
pub(super) fn complete(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            for (status, description) in refusals(operation) {
                let mut response = problem(description);
                if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
                    let header = HeaderBuilder::new().description(Some("RFC 6750, section 3"));
                    response = response.header("WWW-Authenticate", header.build());
                }
                if status == StatusCode::TOO_MANY_REQUESTS {
                    let header = HeaderBuilder::new().description(Some("Seconds"));
                    response = response.header("Retry-After", header.build());
                }
                operation
                    .responses
                    .responses
                    .entry(status.as_str().to_owned())
                    .or_insert_with(|| RefOr::T(response.build()));
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ];
    all.into_iter().flatten()
}

fn refusals(operation: &Operation) -> Vec<(StatusCode, &'static str)> {
    let mut refusals = Vec::new();
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let takes = |wanted: &dyn Fn(&Parameter) -> bool| {
        let mut parameters = parameters.iter();
        parameters.any(|parameter| matches!(parameter, RefOr::T(it) if wanted(it)))
    };
    if operation.request_body.is_some() {
        refusals.extend([
            (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is of another media type",
            ),
        ]);
    }
    if operation.request_body.is_some() || takes(&|it| it.parameter_in == ParameterIn::Query) {
        refusals.extend([
            (StatusCode::BAD_REQUEST, "The request cannot be read"),
            (StatusCode::UNPROCESSABLE_ENTITY, "A rule refuses a value"),
        ]);
    }
    // No token is no error: the older token service says false.
    if takes(&|it| it.parameter_in == ParameterIn::Path && it.name != "token") {
        refusals.push((StatusCode::NOT_FOUND, "No such object"));
    }
    if takes(&|it| it.name == "id") {
        refusals.push((StatusCode::CONFLICT, "The prefix fits more than one id"));
    }
    if takes(&|it| it.name == "If-Match") {
        let text = "The object is no longer as `If-Match` says";
        refusals.push((StatusCode::PRECONDITION_FAILED, text));
    }
    if operation.security.is_some() {
        refusals.extend([
            (StatusCode::UNAUTHORIZED, "No credential, or not a good one"),
            (
                StatusCode::FORBIDDEN,
                "The credential lacks the scope that `detail` names",
            ),
            (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        ]);
    }
    refusals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Sources};

    fn document(variables: &[(&str, &str)]) -> OpenApi {
        let bare = Environment::bare(std::path::Path::new("/nonexistent"));
        let environment = variables
            .iter()
            .fold(bare, |all, (name, value)| all.with(name, value));
        crate::http::openapi(&Config::load(&Sources::default(), &environment).unwrap())
    }

    #[test]
    fn whatever_takes_a_token_takes_the_cookies_of_a_login_as_well() {
        let described = serde_json::to_value(document(&[])).unwrap();
        let mut asked = 0;
        for (path, methods) in described["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let Some(ways) = operation["security"].as_array() else {
                    continue;
                };
                let names = |way: &str| ways.iter().any(|it| it.get(way).is_some());
                assert_eq!(names("bearer"), names("cookie"), "{method} {path}");
                asked += 1;
            }
        }
        assert!(asked > 35, "{asked}");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_a_summary_and_a_tag_that_is_explained() {
        let mut api = document(&[]);
        let tags: Vec<_> = api
            .tags
            .clone()
            .unwrap()
            .into_iter()
            .map(|tag| tag.name)
            .collect();
        let mut names = Vec::new();
        for operation in api.paths.paths.values_mut().flat_map(operations) {
            let name = operation.operation_id.clone().unwrap();
            assert!(
                operation
                    .summary
                    .as_ref()
                    .is_some_and(|text| text.len() < 60),
                "{name}"
            );
            assert!(
                operation
                    .tags
                    .iter()
                    .flatten()
                    .all(|tag| tags.contains(tag)),
                "{name}"
            );
            assert!(
                operation.tags.as_ref().is_some_and(|tags| tags.len() == 1),
                "{name}"
            );
            names.push(name);
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }

    #[test]
    fn only_routes_that_need_no_credential_lack_the_refusal_of_one() {
        let mut open = Vec::new();
        for (path, item) in &mut document(&[]).paths.paths {
            for operation in operations(item) {
                if !operation.responses.responses.contains_key("401") {
                    open.push(path.clone());
                }
            }
        }
        open.sort();
        open.dedup();
        assert_eq!(
            open,
            [
                "/.well-known/jwks.json",
                "/api/v1/auth/email/verify",
                "/api/v1/auth/login",
                "/api/v1/auth/login-link",
                "/api/v1/auth/password/forgot",
                "/api/v1/auth/password/reset",
                "/api/v1/auth/refresh",
                "/api/v1/auth/register",
                "/api/v1/whoami/ip",
                "/app/clear/all/tokens",
                "/app/token",
                "/app/valid/{token}",
                "/livez",
                "/metrics",
                "/readyz"
            ]
        );
    }

    #[test]
    fn the_public_url_is_a_server_and_so_is_wherever_the_page_is_read() {
        assert!(document(&[]).servers.is_none());
        let url = "https://auth.example.org";
        let servers = document(&[("PROVOST_SERVER_PUBLIC_URL", url)])
            .servers
            .unwrap();
        let urls: Vec<_> = servers.iter().map(|server| server.url.as_str()).collect();
        assert_eq!(urls, [url, "/"]);
    }

    #[test]
    fn routes_that_are_switched_off_are_not_described() {
        let api = document(&[("PROVOST_COMPAT_TOKEN_MANAGER", "false")]);
        assert!(
            api.paths
                .paths
                .keys()
                .all(|path| !path.starts_with("/app/"))
        );
        assert!(
            api.tags
                .unwrap()
                .iter()
                .all(|tag| tag.name != "token manager")
        );
    }
}
