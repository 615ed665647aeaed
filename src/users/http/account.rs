//! Bodies that make an account: all that is wrong with them is told at once, with what the policy
//! for passwords has against this one.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::extract::{Flaws, Posted, body_of, examine};
use crate::password::{Password, Policy};

/// A body that makes an account.
pub(super) trait Account: DeserializeOwned {
    /// The largest, in bytes.
    const LARGEST: usize;
    /// Whether it must have a password.
    const PASSWORD: bool;
}

/// As [`Posted`], the password looked at.
#[derive(Clone, Debug)]
pub(super) struct Candidate<T>(pub(super) Posted<T>);

impl<T: Account> FromRequest<App> for Candidate<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let bytes = body_of(request, T::LARGEST).await?;
        match examine(&bytes) {
            Ok(value) => Ok(Self(Posted { value, bytes })),
            Err(flaws) => Err(with_password::<T>(app, &bytes, flaws).error()),
        }
    }
}

/// A good body is looked at later; of one that is refused already the policy has its say, too, or
/// the person would be sent back twice.
fn with_password<T: Account>(app: &App, bytes: &[u8], mut flaws: Flaws) -> Flaws {
    let Ok(Value::Object(members)) = serde_json::from_slice(bytes) else {
        return flaws;
    };
    if !flaws.spare("password") {
        return flaws;
    }
    let text = |member: &str| members.get(member).and_then(Value::as_str);
    match text("password").map(|text| Password::try_from(text.to_owned())) {
        Some(Ok(password)) => {
            let names = ["username", "email", "phone", "name"];
            let names: Vec<&str> = names.into_iter().filter_map(text).collect();
            if let Err(refusal) = Policy::of(app.config()).check(&password, &names) {
                flaws.refuse(refusal);
            }
        }
        None if T::PASSWORD && !members.contains_key("password") => flaws.miss("password"),
        // Of another type, or too long: that was seen.
        Some(Err(_)) | None => {}
    }
    flaws
}
