//! Accounts with a second factor, from outside.

use serde_json::json;

use super::{PASSWORD, Tokens, ask, end, log_in, people, try_login};
use crate::support::Shell;
use crate::support::client::{Answer, Client};

/// Gives the account of these tokens a second factor; returns its recovery codes.
fn enrol(client: &mut Client, tokens: &Tokens) -> Vec<String> {
    let bearer = tokens.bearer();
    let enrolled = ask(client, "POST", "/api/v1/me/mfa/totp", &bearer, "");
    let app = totp_rs::Totp::from_url(enrolled.text("url")).unwrap();
    let seconds = u64::try_from(provost::time::wall().0 / 1000).unwrap();
    let body = json!({ "code": app.generate(seconds).to_string() }).to_string();
    let path = "/api/v1/me/mfa/totp/confirm";
    let codes = ask(client, "POST", path, &bearer, &body).json();
    let codes = codes["recovery_codes"].as_array().unwrap().iter();
    codes.map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn with_code(client: &mut Client, code: &str) -> Answer {
    let body = json!({ "login": "ivan", "password": PASSWORD, "otp": code }).to_string();
    ask(client, "POST", "/api/v1/auth/login", "", &body)
}

#[test]
fn who_is_asked_for_the_second_factor_tries_no_passwords() {
    let shell = people(Shell::unthrottled().with("PROVOST_THROTTLE_SPRAY_NAMES", "1"));
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let tokens = log_in(&mut client, "ivan");
    let codes = enrol(&mut client, &tokens);
    assert_eq!(try_login(&mut client, "nobody", "nothing").status, 401);
    let asked = try_login(&mut client, "ivan", PASSWORD);
    assert_eq!(
        (asked.status, asked.text("code")),
        (401, "otp_required".into())
    );
    let rows = shell.json(&["audit", "list", "--action", "session.otp_asked"]);
    assert_eq!(rows["items"].as_array().map(Vec::len), Some(1), "{rows}");
    let answer = with_code(&mut client, &codes[0]);
    assert_eq!(answer.status, 200, "{answer:?}");
    end(daemon);
}

#[test]
fn a_password_is_changed_with_the_second_factor_and_each_code_is_good_once() {
    let shell = people(Shell::unthrottled());
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let tokens = log_in(&mut client, "ivan");
    let codes = enrol(&mut client, &tokens);
    let mut change = |tokens: &Tokens, old: &str, new: &str, otp: Option<&str>| {
        let body = json!({ "current_password": old, "new_password": new, "otp": otp });
        let bearer = tokens.bearer();
        let path = "/api/v1/auth/password";
        ask(&mut client, "POST", path, &bearer, &body.to_string())
    };
    let (old, new) = (PASSWORD, "another horse for the same staple");
    for (password, otp, code) in [
        ("wrong", None, "invalid_credentials"),
        ("wrong", Some(codes[0].as_str()), "invalid_credentials"),
        (old, None, "otp_required"),
        (old, Some("000000"), "invalid_credentials"),
        (old, Some(""), "invalid_credentials"),
    ] {
        let refused = change(&tokens, password, new, otp);
        assert_eq!((refused.status, refused.text("code")), (401, code.into()));
    }
    let next = Tokens::of(&change(&tokens, old, new, Some(&codes[0])));
    let again = change(&next, new, old, Some(&codes[0]));
    assert_eq!(again.text("code"), "invalid_credentials");
    let listed = ask(
        &mut client,
        "GET",
        "/api/v1/me/sessions",
        &next.bearer(),
        "",
    );
    assert_eq!(
        listed.json()["items"][0]["methods"],
        json!(["password", "otp"])
    );
    end(daemon);
}
