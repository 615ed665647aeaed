//! The readers of the API's description: `/docs` (Swagger UI), `/redoc`, and `/openapi.json` itself.
//!
//! Invariants: all of it is inside the binary, and no page asks another host for anything; the
//! pages run no script that is not a file of ours.

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
};
use http::{HeaderMap, HeaderValue};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::extract;
use crate::app::App;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::secret::sha256_hex;

/// What the pages may do. Both readers style elements as they go and show pictures from `data:`;
/// `ReDoc` searches in a worker that it makes from a `blob:`.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'",
);

/// For files with a digest of their content in the path.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The routes of the pages, of what they need, and of the document that they show.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/openapi.json", get(document))
        .route("/docs", get(swagger))
        .route("/redoc", get(redoc))
        .route("/docs/{version}/{file}", get(file))
        .layer(Extension(Shelf::default()))
}

async fn document(State(app): State<App>, shelf: Extension<Shelf>) -> Result<Response> {
    let docs = shelf.docs(&app).await?;
    Ok(extract::json(docs.document.clone()))
}

async fn swagger(State(app): State<App>, shelf: Extension<Shelf>) -> Result<Response> {
    let docs = shelf.docs(&app).await?;
    Ok(html(docs.swagger.clone()))
}

async fn redoc(State(app): State<App>, shelf: Extension<Shelf>) -> Result<Response> {
    let docs = shelf.docs(&app).await?;
    Ok(html(docs.redoc.clone()))
}

async fn file(
    State(app): State<App>,
    shelf: Extension<Shelf>,
    Path((version, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let docs = shelf.docs(&app).await?;
    docs.files.answer(&version, &name, &headers)
}

/// Where the docs stand once somebody has asked for them: making them takes megabytes, which a
/// daemon at rest need not hold.
#[derive(Clone, Default)]
struct Shelf(Arc<OnceCell<Docs>>);

impl Shelf {
    async fn docs(&self, app: &App) -> Result<&Docs> {
        let make = async || {
            let app = app.clone();
            let made = spawn_blocking(move || Docs::make(app.config())).await;
            made.map_err(Error::internal)?
        };
        self.0.get_or_try_init(make).await
    }
}

struct Docs {
    document: Bytes,
    swagger: Bytes,
    redoc: Bytes,
    files: Files,
}

impl Docs {
    fn make(config: &Config) -> Result<Self> {
        let api = super::openapi(config);
        let files = Files::load()?;
        let page = |template| page(template, &api.info.title, &files.version);
        Ok(Self {
            document: Bytes::from(api.to_json().map_err(Error::internal)?),
            swagger: page(include_str!("docs/swagger.html")),
            redoc: page(include_str!("docs/redoc.html")),
            files,
        })
    }
}

fn page(template: &str, title: &str, version: &str) -> Bytes {
    let title = title
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    // The title comes last: nothing in it is looked at again.
    let page = template.replace("{version}", version);
    Bytes::from(page.replace("{title}", &title))
}

fn html(page: Bytes) -> Response {
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// A file that a page needs.
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: Bytes,
    gzip: bool,
}

/// All of them, under one digest.
struct Files {
    version: String,
    all: Vec<File>,
}

impl Files {
    fn load() -> Result<Self> {
        let ours = |name, bytes: &'static [u8], gzip| File {
            name,
            kind: SCRIPT,
            bytes: Bytes::from_static(bytes),
            gzip,
        };
        let redoc = include_bytes!("docs/redoc.standalone.js.gz");
        let files = vec![
            ours("swagger.js", include_bytes!("docs/swagger.js"), false),
            ours("redoc.standalone.js", redoc, true),
            swagger_ui("swagger-ui-bundle.js", SCRIPT)?,
            swagger_ui("swagger-ui.css", STYLE)?,
            swagger_ui("favicon-32x32.png", "image/png")?,
        ];
        let digests: String = files.iter().map(|file| sha256_hex(&file.bytes)).collect();
        let version = sha256_hex(digests.as_bytes()).chars().take(16).collect();
        Ok(Self {
            version,
            all: files,
        })
    }

    fn answer(&self, version: &str, name: &str, headers: &HeaderMap) -> Result<Response> {
        let file = self.all.iter().find(|file| file.name == name);
        // Another version's file would be remembered for a year under this one's name.
        let file = file
            .filter(|_| version == self.version)
            .ok_or(Error::NoRoute)?;
        let inflate = file.gzip && !takes_gzip(headers);
        let mut response = Response::new(if inflate {
            let mut plain = Vec::new();
            GzDecoder::new(&*file.bytes)
                .read_to_end(&mut plain)
                .map_err(Error::internal)?;
            Body::from(plain)
        } else {
            Body::from(file.bytes.clone())
        });
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
        headers.insert(CACHE_CONTROL, FOR_EVER);
        if file.gzip {
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if file.gzip && !inflate {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }
}

fn swagger_ui(name: &'static str, kind: &'static str) -> Result<File> {
    let config = Arc::new(utoipa_swagger_ui::Config::default());
    let file = utoipa_swagger_ui::serve(name, config)
        .map_err(|error| Error::internal(error.to_string()))?
        .ok_or_else(|| Error::internal(format!("Swagger UI has no {name}")))?;
    Ok(File {
        name,
        kind,
        bytes: match file.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        },
        gzip: file.gzpipped,
    })
}

/// Whether the client takes gzip (RFC 9110 §12.5.3): what it says of gzip, else of everything.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get_all(ACCEPT_ENCODING).iter();
    let codings: Vec<_> = given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|coding| coding.split_once(';').unwrap_or((coding, "")))
        .collect();
    let weight = |wanted: &str| {
        let mut named = codings
            .iter()
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        let (_, weight) = named.next()?;
        weight
            .trim()
            .strip_prefix("q=")
            .map_or(Some(1.0), |weight| weight.parse::<f32>().ok())
    };
    weight("gzip")
        .or_else(|| weight("*"))
        .is_some_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        let takes = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_gzip(&headers)
        };
        assert!(takes("gzip"));
        assert!(takes("br, GZIP;q=0.5"));
        assert!(takes("*"));
        assert!(!takes("br, gzip;q=0"));
        assert!(!takes("*, gzip;q=0"));
        assert!(!takes("identity"));
        assert!(!takes(""));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_title_is_text_in_the_page_whatever_is_in_it() {
        let page = page(include_str!("docs/redoc.html"), "<script>{version}&", "v");
        let page = std::str::from_utf8(&page).unwrap();
        assert!(
            page.contains("<title>&lt;script&gt;{version}&amp;</title>"),
            "{page}"
        );
    }

    #[test]
    fn every_file_is_one_that_a_page_or_another_file_names() {
        let files = Files::load().unwrap();
        let pages = [
            include_str!("docs/swagger.html"),
            include_str!("docs/redoc.html"),
        ]
        .concat();
        for file in &files.all {
            assert!(
                pages.contains(&format!("/docs/{{version}}/{}\"", file.name)),
                "{}",
                file.name
            );
        }
        assert_eq!(
            pages.matches("/docs/{version}/").count(),
            files.all.len() + 1
        );
    }
}
