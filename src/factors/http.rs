//! A person's own second factor over HTTP. For sessions only: no token has a factor.

use axum::response::Response;
use http::StatusCode;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use serde::{Deserialize, Serialize};

use super::{Enrolment, Factor};
use crate::app::Cx;
use crate::error::{Error, Result};
use crate::http::extract::{Hidden, Json, MaybePosted, Posted};
use crate::http::{Caller, Problems, Routes, routes};
use crate::secret::Secret;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(show))
        .with(routes!(enrol, remove))
        .with(routes!(confirm))
        .with(routes!(renew_codes))
}

/// What a person has besides the password.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Factors {
    /// The codes of an authenticator app; null without one.
    totp: Option<Factor>,
}

/// Show one's own second factor
///
/// Needs a session.
#[utoipa::path(get, path = "/api/v1/me/mfa", operation_id = "show_mfa", tag = "recovery", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "what there is", body = Factors), Problems))]
async fn show(caller: Caller) -> Result<Json<Factors>> {
    let totp = caller.look(super::own).await?;
    Ok(Json(Factors { totp }))
}

/// No members; for requests that take none.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A factor that was just set up: shown this once.
#[derive(Serialize, utoipa::ToSchema)]
struct Enrolled {
    /// What an authenticator app reads.
    #[schema(
        example = "otpauth://totp/provost:maria?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=provost"
    )]
    url: String,
    /// The secret alone, to be typed.
    secret: String,
    /// The URL as a QR code: an SVG image.
    qr: String,
}

impl Enrolled {
    fn of(enrolment: &Enrolment) -> Result<Self> {
        let url = enrolment.url.expose();
        let code = QrCode::with_error_correction_level(url, EcLevel::M).map_err(Error::internal)?;
        let mut image = code.render::<svg::Color<'_>>();
        image.min_dimensions(240, 240);
        Ok(Self {
            url: url.clone(),
            secret: enrolment.secret.expose().clone(),
            qr: image.build(),
        })
    }
}

/// Set up an authenticator app
///
/// It is asked for once a code of it was confirmed. Needs a session.
#[utoipa::path(post, path = "/api/v1/me/mfa/totp", operation_id = "enrol_totp", tag = "recovery", request_body = Option<Nothing>, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key gets the same answer")),
    responses((status = 200, description = "the secret, shown once", body = Enrolled), Problems))]
async fn enrol(caller: Caller, MaybePosted(posted): MaybePosted<Nothing>) -> Result<Response> {
    let work = |cx: &mut Cx<'_, '_>, _: &Nothing| Enrolled::of(&super::enrol(cx)?);
    caller.answer(posted, work).await
}

/// A code.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Code {
    /// Of the app, or, where one is taken, a recovery code.
    #[schema(value_type = String, example = "287082")]
    code: Hidden,
}

/// Recovery codes: shown this once.
#[derive(Serialize, utoipa::ToSchema)]
struct RecoveryCodes {
    /// Ten, each good once in place of a code of the app.
    #[schema(example = json!(["7k3m-q9xt-0h2v"]))]
    recovery_codes: Vec<String>,
}

impl RecoveryCodes {
    fn of(codes: &[Secret<String>]) -> Self {
        let codes = codes.iter().map(|code| code.expose().clone());
        Self {
            recovery_codes: codes.collect(),
        }
    }
}

/// Confirm the app by a code of it
///
/// From then on it is asked for. Needs a session.
#[utoipa::path(post, path = "/api/v1/me/mfa/totp/confirm", operation_id = "confirm_totp", tag = "recovery", request_body = Code, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 200, description = "the recovery codes, shown once", body = RecoveryCodes), Problems))]
async fn confirm(caller: Caller, posted: Posted<Code>) -> Result<Response> {
    let work = |cx: &mut Cx<'_, '_>, code: &Code| {
        super::confirm(cx, code.code.0.expose()).map(|codes| RecoveryCodes::of(&codes))
    };
    caller.answer(posted, work).await
}

/// Remove the app by a code of it
///
/// Or by a recovery code. Ends everything that the person has open. Needs a session.
#[utoipa::path(delete, path = "/api/v1/me/mfa/totp", operation_id = "remove_totp", tag = "recovery", request_body = Code, security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "removed"), Problems))]
async fn remove(caller: Caller, Json(code): Json<Code>) -> Result<StatusCode> {
    let work = move |cx: &mut Cx<'_, '_>| super::disable(cx, code.code.0.expose());
    caller.write(work).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Get new recovery codes
///
/// Those there were are good no longer. Needs a session.
#[utoipa::path(post, path = "/api/v1/me/mfa/recovery-codes", operation_id = "renew_recovery_codes", tag = "recovery", request_body = Option<Nothing>, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key gets the same answer")),
    responses((status = 200, description = "the recovery codes, shown once", body = RecoveryCodes), Problems))]
async fn renew_codes(
    caller: Caller,
    MaybePosted(posted): MaybePosted<Nothing>,
) -> Result<Response> {
    let work = |cx: &mut Cx<'_, '_>, _: &Nothing| {
        super::renew_codes(cx).map(|codes| RecoveryCodes::of(&codes))
    };
    caller.answer(posted, work).await
}
