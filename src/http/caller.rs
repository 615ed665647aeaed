//! Who makes a request. [`Caller`] has proved who it is, a [`Visitor`] need not; both run service
//! functions as that actor, and are the only ways in which a route reaches the database.

mod place;
mod proof;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

pub use place::Place;

use super::extract::{self, Posted};
use super::layers::Call;
use crate::app::{Actor, App, Cx, Who};
use crate::db::Looked;
use crate::error::{Error, Result};
use crate::idempotency::{self, Key};
use crate::jwt::Claims;
use crate::users::{self, User};
use crate::{audit, sessions, tokens};

/// Long reads at the same time, and workflows: the pool keeps connections for point reads.
const LONG_READS: usize = 4;
const WORKFLOWS: usize = 2;

/// Requests that wait for a password to be hashed, at the same time: as many as the hasher lets
/// wait, and those that it is at (security.md, rule 2).
const PREPARATIONS: usize = 80;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A request that has proved who makes it.
#[derive(Clone, Debug)]
pub struct Caller(Visitor);

/// The account of whoever makes a request: of its person, read with the session in one statement,
/// or of the owner of an API token with `user:read`.
#[derive(Clone, Debug)]
pub struct Own(pub User);

/// A request, whoever makes it.
#[derive(Clone, Debug)]
pub struct Visitor {
    app: App,
    actor: Actor,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    idempotency_key: Option<HeaderValue>,
}

/// Looks once more at the credential that made the request, in the transaction of what it is to
/// change.
fn confirm(cx: &mut Cx<'_, '_>) -> Result<()> {
    tokens::confirm(cx)?;
    sessions::confirm(cx)
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let call = parts
            .extensions
            .get::<Call>()
            .ok_or_else(|| Error::internal("no call"))?;
        let actor = Actor {
            who: Who::Anonymous,
            ip: call.ip,
            request: Some(call.id_text().to_owned()),
        };
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let idempotency_key = keys.next().cloned();
        if keys.next().is_some() {
            return Err(Error::Malformed("Idempotency-Key is there twice".into()));
        }
        Ok(Self {
            app: app.clone(),
            actor,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            route: parts.extensions.get().cloned(),
            idempotency_key,
        })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let mut visitor = Visitor::from_request_parts(parts, app).await?;
        let look = |cx: &mut Cx<'_, '_>, claims: &Claims, kid: &str| {
            sessions::authenticate(cx, claims, kid).map(|found| (found, ()))
        };
        visitor.authenticate(parts, look).await?;
        Ok(Self(visitor))
    }
}

impl FromRequestParts<App> for Own {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let mut visitor = Visitor::from_request_parts(parts, app).await?;
        let look = sessions::authenticate_own;
        match visitor.authenticate(parts, look).await? {
            Some(user) => Ok(Self(user)),
            None => visitor.look(users::own).await.map(Self),
        }
    }
}

impl Caller {
    /// The request behind it.
    #[must_use]
    pub fn visitor(&self) -> &Visitor {
        &self.0
    }

    /// Who it is.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.0.actor
    }

    /// As [`Visitor::look`].
    ///
    /// # Errors
    /// What `f` returns.
    pub async fn look<T>(&self, f: impl FnMut(&mut Cx<'_, '_>) -> Result<T>) -> Result<T> {
        self.0.look(f).await
    }

    /// As [`Visitor::read`].
    ///
    /// # Errors
    /// What `f` returns.
    pub async fn read<T, F>(self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    {
        self.0.read(f).await
    }

    /// As [`Visitor::write`].
    ///
    /// # Errors
    /// What `f` returns.
    pub async fn write<T, F>(self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    {
        self.0.write(f).await
    }

    /// As [`Visitor::create`], for what can be asked for again: the answer says where it is, and
    /// in which version.
    ///
    /// # Errors
    /// What `f` and `place` return.
    pub async fn create<T, B, F>(
        self,
        posted: Posted<B>,
        place: fn(&T) -> Result<Place>,
        f: F,
    ) -> Result<Response>
    where
        T: Serialize + Send + 'static,
        B: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>, &B) -> Result<T> + Send + 'static,
    {
        self.0
            .make(posted, StatusCode::CREATED, Some(place), f)
            .await
    }

    /// As [`Visitor::prepare`].
    ///
    /// # Errors
    /// What `f` returns; [`Error::Unavailable`].
    pub async fn prepare<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&App, &Actor) -> Result<T> + Send + 'static,
    {
        self.0.prepare(f).await
    }

    /// As [`Caller::create`], for actions that make nothing: the answer has status 200.
    ///
    /// # Errors
    /// What `f` returns.
    pub async fn answer<T, B, F>(self, posted: Posted<B>, f: F) -> Result<Response>
    where
        T: Serialize + Send + 'static,
        B: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>, &B) -> Result<T> + Send + 'static,
    {
        self.0.create(posted, StatusCode::OK, f).await
    }

    /// The program and the actor, for workflows with slow work between transactions; they belong
    /// on the blocking pool. What is one transaction belongs into [`Caller::write`], which confirms in it.
    ///
    /// # Errors
    /// What `f` returns.
    pub async fn work<T, F>(self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&App, &Actor) -> Result<T> + Send + 'static,
    {
        self.0.work(f).await
    }
}

impl Visitor {
    /// As [`Caller::work`], for who need not prove who it is.
    ///
    /// # Errors
    /// What `f` returns.
    pub async fn work<T, F>(self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&App, &Actor) -> Result<T> + Send + 'static,
    {
        static SLOTS: Semaphore = Semaphore::const_new(WORKFLOWS);
        let visitor = self;
        let slot = SLOTS.acquire().await.map_err(Error::internal)?;
        let work = move || {
            // It goes with the work, which goes on when the client has gone.
            let _slot = slot;
            let Visitor { app, actor, .. } = &visitor;
            let confirmed = app.read(actor, confirm);
            visitor.watched(confirmed.and_then(|()| f(app, actor)))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(Error::internal)?
    }

    /// The address of the client.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.actor.ip
    }

    /// The program.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// A point read of one statement. Where it takes microseconds it is done on the spot, which is
    /// less than moving to another thread; else `f` is run to its statement, and again from its
    /// beginning with the answer.
    ///
    /// # Errors
    /// What `f` returns.
    pub async fn look<T>(&self, mut f: impl FnMut(&mut Cx<'_, '_>) -> Result<T>) -> Result<T> {
        let (app, actor) = (&self.app, &self.actor);
        let looked = match app.look_now(actor, &mut f) {
            Looked::Done(result) => result,
            Looked::Asks(question) => match app.db().ask(question).await {
                Ok(answer) => app.look_again(actor, answer, f),
                Err(error) => Err(error),
            },
        };
        self.watched(looked)
    }

    /// A read that may take longer, on the blocking pool.
    ///
    /// # Errors
    /// What `f` returns.
    pub async fn read<T, F>(self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    {
        static SLOTS: Semaphore = Semaphore::const_new(LONG_READS);
        let slot = SLOTS.acquire().await.map_err(Error::internal)?;
        let work = move || {
            // It goes with the work, which goes on when the client has gone.
            let _slot = slot;
            self.watched(self.app.read(&self.actor, f))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(Error::internal)?
    }

    /// Slow work before a transaction, on the blocking pool: hashing a password.
    ///
    /// # Errors
    /// What `f` returns; [`Error::Unavailable`] when too many are at it.
    pub async fn prepare<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&App, &Actor) -> Result<T> + Send + 'static,
    {
        static SLOTS: Semaphore = Semaphore::const_new(PREPARATIONS);
        let slot = SLOTS.try_acquire();
        let slot = slot.map_err(|_| Error::unavailable("too many passwords wait to be hashed"))?;
        let visitor = self.clone();
        let work = move || {
            // It goes with the work, which goes on when the client has gone.
            let _slot = slot;
            visitor.watched(f(&visitor.app, &visitor.actor))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(Error::internal)?
    }

    /// A write, if the credential is still good by then. It is finished even when the client has
    /// gone.
    ///
    /// # Errors
    /// What `f` returns.
    pub async fn write<T, F>(self, mut f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let confirmed = move |cx: &mut Cx<'_, '_>| {
            confirm(cx)?;
            f(cx)
        };
        let actor = self.actor.clone();
        let app = self.app.clone();
        app.submit(actor, confirmed, move |result| {
            // Here, because the client may have gone; not waiting, because this is the writer.
            let _client_has_gone = tell.send(self.watched(result));
        });
        told.await.map_err(Error::internal)?
    }

    /// Passes `result` on, and has the refusal of a credential that was presented written down: for
    /// routes that look at theirs by themselves.
    ///
    /// # Errors
    /// That of `result`.
    pub fn noted<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.note_denial(error))
    }

    /// Passes `result` on, and has a refusal of a credential that was good written down.
    fn watched<T>(&self, result: Result<T>) -> Result<T> {
        let proved = matches!(self.actor.who, Who::Token { .. } | Who::Session { .. });
        result.inspect_err(|error| {
            if proved {
                self.note_denial(error);
            }
        })
    }

    /// Has a refusal written into the audit log, unless they are too many (security.md, rule 67).
    fn note_denial(&self, error: &Error) {
        if !matches!(
            error,
            Error::Forbidden { .. } | Error::Unauthenticated | Error::CrossSite { .. }
        ) {
            return;
        }
        let path = self.route.as_ref().map_or("*", MatchedPath::as_str);
        let route = format!("{} {path}", self.method);
        let now = self.app.clock().now();
        let denials = &self.app.kit().denials;
        for denial in denials.note(&self.actor, &route, error, now) {
            let event = audit::Event::denied(&denial);
            let record = move |cx: &mut Cx<'_, '_>| audit::record(cx, event.clone());
            self.app.submit(denial.actor, record, |result| {
                if let Err(error) = result {
                    tracing::warn!(%error, "cannot write down that a request was denied");
                }
            });
        }
    }

    /// A write that makes something and answers it with `status`. Under an `Idempotency-Key` the
    /// same request gets the same answer again; key, effect and audit row are one transaction.
    ///
    /// # Errors
    /// What `f` returns, [`Error::IdempotencyKeyReused`].
    pub async fn create<T, B, F>(
        self,
        posted: Posted<B>,
        status: StatusCode,
        f: F,
    ) -> Result<Response>
    where
        T: Serialize + Send + 'static,
        B: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>, &B) -> Result<T> + Send + 'static,
    {
        self.make(posted, status, None, f).await
    }

    async fn make<T, B, F>(
        self,
        posted: Posted<B>,
        status: StatusCode,
        place: Option<fn(&T) -> Result<Place>>,
        mut f: F,
    ) -> Result<Response>
    where
        T: Serialize + Send + 'static,
        B: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>, &B) -> Result<T> + Send + 'static,
    {
        let Posted { value, bytes } = posted;
        let key = self.key(&bytes)?.map(Arc::new);
        let answer = self.write(move |cx| {
            let kept = match &key {
                Some(key) => idempotency::find(cx, key)?,
                None => None,
            };
            if let Some(kept) = kept {
                return Ok((kept, true));
            }
            let made = f(cx, &value)?;
            let place = place.map(|place| place(&made)).transpose()?;
            let mut answer = place.unwrap_or_default().line().into_bytes();
            serde_json::to_writer(&mut answer, &made).map_err(Error::internal)?;
            if let Some(key) = &key {
                idempotency::keep(cx, key, &answer)?;
            }
            Ok((answer, false))
        });
        let (mut answer, replayed) = answer.await?;
        let (place, length) = Place::read(&answer)?;
        answer.drain(..length);
        let mut response = extract::json(answer);
        place.mark(&mut response)?;
        *response.status_mut() = status;
        if replayed {
            response
                .headers_mut()
                .insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        Ok(response.into_response())
    }

    fn key(&self, body: &[u8]) -> Result<Option<Key>> {
        let Some(key) = &self.idempotency_key else {
            return Ok(None);
        };
        // Not ASCII: refused by the same rule as an empty one.
        let key = key.to_str().unwrap_or_default();
        // Strangers choose their keys without knowing of each other, and one of them must not get
        // what another was given.
        let caller = match (&self.actor.who, self.actor.ip) {
            (Who::Anonymous, Some(ip)) => format!("anonymous {ip}"),
            _ => self.actor.to_string(),
        };
        // What was asked for is in the path itself: whose login link, for one.
        let route = format!("{} {}", self.method, self.uri.path());
        Key::new(&caller, &route, key, body).map(Some)
    }
}
