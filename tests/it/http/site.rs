//! The whole service in this process, on a database of its own.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use provost::app::App;
use provost::config::{Config, Environment, ListenAddr, Sources};
use provost::db::{Db, Role};
use provost::http::server::{Limits, Peer, serve};
use provost::keys::Keys;
use provost::tokens::{self, Kind, NewToken};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::support::engine::{self, Schema};
use crate::support::operator;

/// The service.
pub(super) struct Site {
    pub(super) app: App,
    pub(super) router: Router,
    runtime: Runtime,
    _home: tempfile::TempDir,
    _schema: Option<Schema>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The code of a problem; anything else fails the test.
    pub(super) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert_eq!(problem["instance"], self.header("x-request-id"), "{self:?}");
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("urn:provost:error:{code}"));
        code
    }
}

fn config(home: &Path, variables: &[(&str, &str)], db: &str) -> Config {
    let start = Environment::bare(home).with("PROVOST_DB", db);
    let environment = variables
        .iter()
        .fold(start, |all, (name, value)| all.with(name, value));
    Config::load(&Sources::default(), &environment).unwrap()
}

impl Site {
    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    pub(super) fn with(variables: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let keys = Keys::create(&home.path().join("provost.key")).unwrap();
        let schema = engine::url().map(|server| Schema::new(&server));
        let url = schema.as_ref().map(Schema::url);
        let url = url.unwrap_or_else(|| home.path().join("provost.db").display().to_string());
        let config = config(home.path(), variables, &url);
        let db = Db::open(&config.db, Role::Daemon).unwrap();
        let app = App::new(config, keys, db);
        provost::migrations::up(&app, &operator()).unwrap();
        Self {
            router: provost::http::router(&app, None).unwrap(),
            app,
            runtime: Runtime::new().unwrap(),
            _home: home,
            _schema: schema,
        }
    }

    /// The text of a new token.
    pub(super) fn issue(&self, new: NewToken) -> String {
        let kind = new.kind;
        let issued = self
            .app
            .write(&operator(), move |cx| tokens::create(cx, &new))
            .unwrap();
        tokens::prefixed(kind, issued.token.id, &issued.secret)
            .expose()
            .clone()
    }

    /// The text of a new API token with these scopes.
    pub(super) fn token(&self, scopes: &str) -> String {
        let scopes = scopes
            .split_whitespace()
            .map(|scope| scope.parse().unwrap());
        self.issue(NewToken {
            scopes: scopes.collect(),
            ..NewToken::of(Kind::Api)
        })
    }

    /// Everything from now on happens that much later.
    pub(super) fn later(&self, by: Duration) {
        let clock = self.app.clock();
        clock.raise(clock.now().plus(by));
    }

    pub(super) fn send(&self, request: Request<Body>) -> Answer {
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            }
        })
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, ""))
    }

    /// With a credential.
    pub(super) fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(bearer(request(Method::GET, path, ""), token))
    }

    pub(super) fn post(&self, path: &str, json: &str) -> Answer {
        self.send(request(Method::POST, path, json))
    }

    /// With a credential.
    pub(super) fn post_as(&self, token: &str, path: &str, json: &str) -> Answer {
        self.send(bearer(request(Method::POST, path, json), token))
    }

    /// A connection to the service behind its own accept loop.
    pub(super) fn connect(&self) -> TcpStream {
        let _inside = self.runtime.enter();
        let any = ListenAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = provost::http::bind(&any).unwrap();
        let address = listener.to_string();
        let service = self.router.clone();
        let served = serve(
            vec![listener],
            service,
            Limits::default(),
            CancellationToken::new(),
        );
        self.runtime.spawn(served);
        TcpStream::connect(address).unwrap()
    }
}

/// A request with JSON, or, where that is empty, without a body.
pub(super) fn request(method: Method, path: &str, json: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-request-id", "req-1");
    if !json.is_empty() {
        request = request.header("content-type", "application/json");
    }
    request.body(Body::from(json.to_owned())).unwrap()
}

pub(super) fn bearer(request: Request<Body>, token: &str) -> Request<Body> {
    with(request, "authorization", &format!("Bearer {token}"))
}

/// The same with one more header line.
pub(super) fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

/// The same from that address.
pub(super) fn from(mut request: Request<Body>, ip: &str) -> Request<Body> {
    let ip: IpAddr = ip.parse().unwrap();
    request.extensions_mut().insert(Peer { ip: Some(ip) });
    request
}

pub(super) fn is_ok(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK.as_u16(), "{answer:?}");
}
