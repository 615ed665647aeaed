//! The API's description and its readers: `/openapi.json`, `/docs` (Swagger UI), `/redoc`. All of
//! it is inside the binary; no page asks another host for anything.

use std::collections::BTreeMap;

use axum::Router;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref,
    RefOr, Response, ResponseBuilder,
};

use crate::app::App;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::problem::{FieldProblem, Problem};

/// Every error answer of a route: one shape (RFC 9457), whatever the status.
#[derive(Clone, Copy, Debug)]
pub struct Problems;

impl utoipa::IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let response = ResponseBuilder::new()
            .description("An error; `code` says which")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}

/// The description without its routes.
pub(super) fn describe(config: &Config) -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("pva_…")
        .description(Some("An API token, made with `provost token create`"))
        .build();
    let components = ComponentsBuilder::new()
        .schema_from::<Problem>()
        .schema_from::<FieldProblem>()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
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
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .build()
}

/// The description and its readers.
pub(super) fn routes(api: &OpenApi) -> Result<Router<App>> {
    let document = api.to_json().map_err(Error::internal)?;
    Ok(Router::new().route(
        "/openapi.json",
        axum::routing::get(move || {
            let document = document.clone();
            async move { super::extract::json(document) }
        }),
    ))
}
