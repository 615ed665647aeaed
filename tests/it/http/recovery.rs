//! Links over HTTP.

use http::Method;
use provost::users::{self, NewUser};

use super::site::{Answer, Site, bearer, request, with};
use crate::support::operator;

/// Makes an account.
fn account(site: &Site, name: &str) {
    let new = NewUser::named(name.parse().unwrap());
    users::create(&site.app, &operator(), new).unwrap();
}

#[test]
fn the_same_key_for_another_user_makes_a_link_for_that_user() {
    let site = Site::new();
    account(&site, "ivan");
    account(&site, "maria");
    let keeper = site.token("user:write");
    let make = |name: &str| -> Answer {
        let path = format!("/api/v1/users/{name}/login-link");
        let request = bearer(request(Method::POST, &path, ""), &keeper);
        site.send(with(request, "idempotency-key", "k1"))
    };
    let his = make("ivan");
    assert_eq!(his.json()["username"], "ivan");
    let hers = make("maria");
    assert_eq!(hers.json()["username"], "maria");
    assert_eq!(hers.header("idempotent-replayed"), "");
    let again = make("ivan");
    assert_eq!(again.body, his.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
}
