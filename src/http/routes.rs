//! The routes of a slice: what answers them and, apart from it, what is said of them.
//!
//! Invariant: nothing is described before somebody asks for the description. It takes megabytes, of
//! which a daemon at rest holds none.

use axum::Router;
use axum::handler::Handler;
use axum::routing::MethodRouter;
use utoipa::openapi::path::HttpMethod;
use utoipa_axum::PathItemExt as _;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::app::App;

/// Describes some handlers.
type Describe = fn() -> UtoipaMethodRouter<App>;

/// The routes of a slice.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<App>,
    described: Vec<Describe>,
}

impl Routes {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds what [`routes!`] makes of handlers.
    pub(crate) fn with(mut self, some: Self) -> Self {
        self.described.extend(some.described);
        self.router = self.router.merge(some.router);
        self
    }

    /// The handlers that `describe` describes, of which none is there yet.
    pub(crate) fn described_by(describe: Describe) -> Self {
        Self {
            router: Router::new(),
            described: vec![describe],
        }
    }

    /// Adds a handler where its attribute says.
    pub(crate) fn on<H, T>(mut self, path: &str, methods: Vec<HttpMethod>, handler: &H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let on = |router: MethodRouter<App>, method: HttpMethod| {
            router.on(method.to_method_filter(), handler.clone())
        };
        let router = methods.into_iter().fold(MethodRouter::new(), on);
        self.router = self.router.route(path, router);
        self
    }

    /// What answers.
    pub(super) fn into_router(self) -> Router<App> {
        self.router
    }

    /// Adds what is said of them to `api`.
    pub(super) fn describe(self, api: OpenApiRouter<App>) -> OpenApiRouter<App> {
        let described = self.described.into_iter();
        described.fold(api, |api, describe| api.routes(describe()))
    }
}

/// [`Routes`] of handlers with `#[utoipa::path]`, which says where they are.
macro_rules! routes {
    (@at $handler:ident) => {
        ::utoipa_axum::paste!([<__path_ $handler>])
    };
    (@at $module:ident $handler:ident) => {
        ::utoipa_axum::paste!($module::[<__path_ $handler>])
    };
    ($($($part:ident)::+),+ $(,)?) => {
        $crate::http::Routes::described_by(|| ::utoipa_axum::routes!($($($part)::+),+))
            $(.on(
                &<$crate::http::routes!(@at $($part)+) as ::utoipa::Path>::path(),
                <$crate::http::routes!(@at $($part)+) as ::utoipa::Path>::methods(),
                &$($part)::+,
            ))+
    };
}
pub(crate) use routes;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::app::App;

    #[test]
    fn no_two_types_of_the_api_have_one_name() {
        let app = App::memory();
        let described = super::super::all(app.config()).flat_map(|routes| routes.described);
        let schemas = described.flat_map(|describe| describe().0);
        let mut known = HashMap::new();
        let mut twice = Vec::new();
        for (name, schema) in schemas {
            let schema = serde_json::to_value(schema).unwrap();
            if known.get(&name).is_some_and(|known| *known != schema) {
                twice.push(name.clone());
            }
            known.insert(name, schema);
        }
        twice.sort();
        twice.dedup();
        assert!(twice.is_empty(), "{twice:?}");
        assert!(known.len() > 50, "{}", known.len());
    }
}
