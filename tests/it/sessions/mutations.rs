//! Tokens that are nearly good: thousands of changes to a real access token and to a real refresh
//! token, over HTTP. None is accepted, none upsets the daemon, none harms the session.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use provost::base62::checksum;
use serde_json::{Value, json};

use super::{Tokens, ask, bearer, end, house, is_open, log_in, refresh};
use crate::crash::Dice;
use crate::support::Daemon;
use crate::support::client::{Answer, Client};

const CLIENTS: usize = 4;

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What else one may find in a header: no line ends, which would end it.
const OTHERS: &str = "=+/.,:;%\"' \t\0\u{7f}\u{80}é\u{661}\u{ff10}𝟎\u{200b}";

fn pick(dice: &mut Dice, from: &str) -> char {
    let count = from.chars().count();
    from.chars().nth(dice.up_to(count)).unwrap()
}

/// One or a few characters changed, taken away or added: what anybody may do to any text.
fn garbled(dice: &mut Dice, text: &str) -> String {
    let mut text: Vec<char> = text.chars().collect();
    let place = dice.up_to(text.len());
    match dice.up_to(9) {
        0..=2 => text[place] = pick(dice, ALPHABET),
        3 => text[place] = pick(dice, OTHERS),
        4 => drop(text.remove(place)),
        5 => text.insert(place, pick(dice, ALPHABET)),
        6 => text.truncate(place),
        7 => text.push(pick(dice, OTHERS)),
        _ => {
            let other = dice.up_to(text.len());
            text.swap(place, other);
        }
    }
    text.into_iter().collect()
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
}

/// What somebody writes who knows JSON Web Tokens.
fn forged(dice: &mut Dice, token: &str, other: &str, public: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let others: Vec<&str> = other.split('.').collect();
    let (mut header, mut claims) = (decoded(parts[0]), decoded(parts[1]));
    let encoded = |value: &Value| BASE64.encode(value.to_string());
    match dice.up_to(5) {
        0 => {
            // Parts of two good tokens.
            let part = |n: usize, dice: &mut Dice| [parts[n], others[n]][dice.up_to(2)];
            [part(0, dice), part(1, dice), part(2, dice)].join(".")
        }
        1 => {
            let (member, value) = [
                ("alg", json!("none")),
                ("alg", json!("HS256")),
                ("alg", json!("ES256")),
                ("alg", json!(["EdDSA"])),
                ("typ", json!("JWT")),
                ("kid", json!("../../dev/null")),
                ("kid", json!("x' OR '1'='1")),
                ("kid", json!("")),
                (
                    "jwk",
                    json!({ "kty": "OKP", "crv": "Ed25519", "x": public }),
                ),
                ("jku", json!("https://evil.test/jwks.json")),
                ("crit", json!(["b64"])),
                ("zip", json!("DEF")),
            ][dice.up_to(12)]
            .clone();
            header[member] = value;
            let signature = ["", parts[2], others[2]][dice.up_to(3)];
            format!("{}.{}.{signature}", encoded(&header), parts[1])
        }
        2 => {
            let (member, value) = [
                ("exp", json!(i64::MAX)),
                ("exp", json!(1e300)),
                ("sub", decoded(others[1])["sub"].clone()),
                ("sid", decoded(others[1])["sid"].clone()),
                ("sid", json!(null)),
                ("aud", json!(["provost", "evil"])),
                ("iss", json!("evil")),
                ("iat", json!(-1)),
                ("roles", json!("admin")),
            ][dice.up_to(9)]
            .clone();
            claims[member] = value;
            let signature = ["", parts[2], others[2]][dice.up_to(3)];
            format!("{}.{}.{signature}", parts[0], encoded(&claims))
        }
        3 => {
            // Signed with what everybody knows, as if it were a shared secret.
            let secret = match dice.up_to(3) {
                0 => BASE64.decode(public).unwrap(),
                1 => public.as_bytes().to_vec(),
                _ => Vec::new(),
            };
            let mut header = Header::new(Algorithm::HS256);
            header.typ = Some("at+jwt".into());
            header.kid = Some(decoded(parts[0])["kid"].as_str().unwrap().to_owned());
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap()
        }
        _ => {
            let mut signature = BASE64.decode(parts[2]).unwrap();
            let place = dice.up_to(signature.len());
            signature[place] ^= [1, 2, 4, 8, 16, 32, 64, 128][dice.up_to(8)];
            format!("{}.{}.{}", parts[0], parts[1], BASE64.encode(signature))
        }
    }
}

/// A changed refresh token whose check sum fits, as anybody can compute it.
fn recomputed(dice: &mut Dice, token: &str, other: &str) -> String {
    let mut bytes = token.as_bytes()[..62].to_vec();
    match dice.up_to(4) {
        0 => {
            let generation = format!("{:06}", dice.up_to(100));
            bytes[26..32].copy_from_slice(generation.as_bytes());
        }
        1 => bytes[4..26].copy_from_slice(&other.as_bytes()[4..26]),
        2 => bytes[32..62].copy_from_slice(&other.as_bytes()[32..62]),
        _ => {
            let place = dice.up_to(62);
            let letters = ALPHABET.trim_end_matches(['-', '_']);
            bytes[place] = pick(dice, letters).try_into().unwrap();
        }
    }
    bytes.extend(checksum(&bytes));
    String::from_utf8(bytes).unwrap()
}

/// Sends so many changed tokens from several clients at once.
fn flood(
    daemon: &Daemon,
    count: usize,
    good: [&str; 2],
    change: impl Fn(&mut Dice) -> String + Sync,
    send: impl Fn(&mut Client, &mut Dice, &str) -> Answer + Sync,
) {
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let (taken, change, send) = (&taken, &change, &send);
            scope.spawn(move || {
                let mut dice = Dice(0x5eed_0000 + u64::try_from(n).unwrap());
                let mut client = Client::connect(&daemon.address).unwrap();
                while taken.fetch_add(1, Ordering::SeqCst) < count {
                    // Blanks at the end of a header are none of its value.
                    let changed = loop {
                        let changed = change(&mut dice);
                        if !good.contains(&changed.trim_end_matches([' ', '\t'])) {
                            break changed;
                        }
                    };
                    let answer = send(&mut client, &mut dice, &changed);
                    let refused = (400..500).contains(&answer.status);
                    assert!(refused, "{changed:?}: {answer:?}");
                }
            });
        }
    });
}

fn changed_access_tokens(count: usize) {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let (mine, other) = (log_in(&mut client, "ivan"), log_in(&mut client, "maria"));
    let keys = client.must("GET", "/.well-known/jwks.json", "", "").json();
    let public = keys["keys"][0]["x"].as_str().unwrap();
    let change = |dice: &mut Dice| {
        if dice.up_to(3) == 0 {
            forged(dice, &mine.access, &other.access, public)
        } else {
            garbled(dice, &mine.access)
        }
    };
    let send = |client: &mut Client, dice: &mut Dice, token: &str| {
        // In a cookie a semicolon would end it.
        let headers = if dice.up_to(2) == 0 && !token.contains(';') {
            format!("Cookie: __Host-provost_access={token}\r\n")
        } else {
            bearer(token)
        };
        ask(client, "GET", "/api/v1/auth/verify", &headers, "")
    };
    flood(&daemon, count, [&mine.access, &other.access], change, send);
    is_open(&mut client, &mine);
    is_open(&mut client, &other);
    end(daemon);
}

#[test]
fn of_thousands_of_changed_access_tokens_none_is_accepted() {
    changed_access_tokens(1500);
}

#[test]
#[ignore = "takes half a minute: the same with 10,000"]
fn of_ten_thousand_changed_access_tokens_none_is_accepted() {
    changed_access_tokens(10_000);
}

fn changed_refresh_tokens(count: usize) {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let mine = log_in(&mut client, "ivan");
    let mine = Tokens::of(&refresh(&mut client, &mine.refresh));
    let other = log_in(&mut client, "maria");
    let change = |dice: &mut Dice| {
        if dice.up_to(2) == 0 {
            recomputed(dice, &mine.refresh, &other.refresh)
        } else {
            garbled(dice, &mine.refresh)
        }
    };
    let send = |client: &mut Client, _: &mut Dice, token: &str| refresh(client, token);
    flood(
        &daemon,
        count,
        [&mine.refresh, &other.refresh],
        change,
        send,
    );
    for tokens in [mine, other] {
        is_open(&mut client, &tokens);
        Tokens::of(&refresh(&mut client, &tokens.refresh));
    }
    let reused = shell.json(&["audit", "list", "--action", "session.refresh_reused"]);
    assert_eq!(reused["items"], json!([]));
    end(daemon);
}

#[test]
fn of_thousands_of_changed_refresh_tokens_none_is_accepted_nor_taken_for_a_used_one() {
    changed_refresh_tokens(1500);
}

#[test]
#[ignore = "takes half a minute: the same with 10,000"]
fn of_ten_thousand_changed_refresh_tokens_none_is_accepted_nor_taken_for_a_used_one() {
    changed_refresh_tokens(10_000);
}
