//! Routes with a limit: the headers by which a client paces itself
//! (draft-ietf-httpapi-ratelimit-headers), on every answer, whether it was let in or not.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue};

use crate::error::{Error, Result};
use crate::rate::Policy;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The answer of `work`, if one could be `taken` from the limit's bucket, else the refusal; with
/// what is left, and of how many, where there is a limit at all.
pub async fn limited(
    policy: Option<Policy>,
    taken: Result<Option<u32>>,
    work: impl Future<Output = Result<Response>>,
) -> Response {
    let (left, answer) = match taken {
        Ok(left) => (left, work.await),
        Err(refused) => (Some(0), Err(refused)),
    };
    let mut response = answer.unwrap_or_else(Error::into_response);
    if let (Some(policy), Some(left)) = (policy, left) {
        let Policy {
            name,
            burst,
            window,
        } = policy;
        let headers = [
            (RATELIMIT, format!("\"{name}\";r={left}")),
            (RATELIMIT_POLICY, format!("\"{name}\";q={burst};w={window}")),
        ];
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::{Buckets, Quota};

    fn told(taken: Result<Option<u32>>, answer: Result<Response>) -> (u16, String) {
        let policy = Buckets::<u32>::new("login", Quota::per_minute(10, 10)).policy();
        let response = crate::testing::run(limited(policy, taken, std::future::ready(answer)));
        let header = |name: HeaderName| {
            let value = response.headers().get(name);
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        let headers = format!("{} {}", header(RATELIMIT), header(RATELIMIT_POLICY));
        (response.status().as_u16(), headers)
    }

    #[test]
    fn every_answer_tells_what_is_left() {
        let policy = "\"login\";q=10;w=60";
        let done = || Ok("done".into_response());
        assert_eq!(
            told(Ok(Some(9)), done()),
            (200, format!("\"login\";r=9 {policy}"))
        );
        let failed = told(Ok(Some(3)), Err(Error::Unauthenticated));
        assert_eq!(failed, (401, format!("\"login\";r=3 {policy}")));
        let retry_after = std::time::Duration::from_secs(6);
        let refused = told(Err(Error::RateLimited { retry_after }), done());
        assert_eq!(refused, (429, format!("\"login\";r=0 {policy}")));
        assert_eq!(told(Ok(None), done()), (200, " ".into()), "no limit");
    }
}
