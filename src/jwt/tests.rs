use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const EXPECTED: Expected<'static> = Expected {
    issuer: "https://id.example.org",
    audience: "provost",
    ttl: Duration::from_mins(30),
};

fn claims() -> Claims {
    let iat = NOW.0 / 1000;
    Claims {
        iss: EXPECTED.issuer.into(),
        aud: EXPECTED.audience.into(),
        sub: "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77".into(),
        sid: "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e78".into(),
        jti: "0LqP3xYz8Ab".into(),
        iat,
        nbf: iat,
        exp: iat + 1800,
    }
}

struct House {
    keys: Keys,
    signers: Signers,
}

impl House {
    fn new() -> Self {
        Self {
            keys: Keys::ephemeral().unwrap(),
            signers: Signers::default(),
        }
    }

    fn key(&self) -> std::sync::Arc<Key> {
        let key = self.signers.key(&self.keys, "k1", Algorithm::EdDsa);
        key.unwrap().unwrap()
    }

    fn accepts(&self, token: &str) -> bool {
        self.accepts_at(token, NOW)
    }

    fn accepts_at(&self, token: &str, now: Timestamp) -> bool {
        let remembered = self.signers.remembered(token, &EXPECTED, now).is_some();
        let Some(parsed) = Parsed::of(token) else {
            assert!(!remembered);
            return false;
        };
        let Some(key) = self.signers.known(parsed.kid()) else {
            assert!(!remembered);
            return false;
        };
        let verified = self.signers.verify(token, &parsed, &key, &EXPECTED, now);
        assert!(verified.is_some() || !remembered);
        verified.is_some()
    }

    /// A token that is signed with the right key, whatever it says.
    fn forge(&self, header: &Json, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", part(&header.to_string()), part(claims));
        let key = self.key();
        format!("{message}.{}", key.signature(&message).unwrap())
    }
}

fn header() -> Json {
    json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": "k1" })
}

#[test]
fn a_token_is_remembered_once_it_was_verified_and_until_it_ends() {
    let house = House::new();
    let token = house.key().sign(&claims()).unwrap();
    let remembered = |now| house.signers.remembered(token.expose(), &EXPECTED, now);
    assert!(remembered(NOW).is_none());
    assert!(house.accepts(token.expose()));
    let known = remembered(NOW).unwrap();
    assert_eq!((&known.claims, known.kid.as_str()), (&claims(), "k1"));
    assert!(remembered(NOW.plus(Duration::from_mins(31))).is_none());
    let other = format!("{}A", token.expose());
    assert!(house.signers.remembered(&other, &EXPECTED, NOW).is_none());
}

#[test]
fn a_token_holds_what_it_was_signed_with_until_it_ends() {
    let house = House::new();
    let token = house.key().sign(&claims()).unwrap();
    let token = token.expose();
    let parsed = Parsed::of(token).unwrap();
    let key = house.key();
    for _ in 0..2 {
        let verified = house.signers.verify(token, &parsed, &key, &EXPECTED, NOW);
        assert_eq!(verified.unwrap().claims, claims());
    }
    let end = NOW.plus(Duration::from_mins(30));
    assert!(house.accepts_at(token, end.plus(Duration::from_secs(4))));
    assert!(!house.accepts_at(token, end.plus(Duration::from_secs(5))));
    assert!(!house.accepts_at(token, NOW.minus(Duration::from_secs(6))));
    assert!(house.accepts_at(token, NOW.minus(Duration::from_secs(5))));
}

#[test]
fn every_claim_is_needed_with_its_type_and_value() {
    let house = House::new();
    let good = serde_json::to_value(claims()).unwrap();
    assert!(house.accepts(&house.forge(&header(), &good.to_string())));
    for name in ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"] {
        for value in [
            None,
            Some(json!(null)),
            Some(json!("")),
            Some(json!(1.5)),
            Some(json!(i64::MAX)),
            Some(json!(["a", "b"])),
            Some(json!({})),
            Some(json!(true)),
        ] {
            // Any text is an id; whether it is one that exists the database says.
            if ["sub", "jti"].contains(&name) && value == Some(json!("")) {
                continue;
            }
            let mut bad = good.clone();
            match &value {
                Some(value) => bad[name] = value.clone(),
                None => drop(bad.as_object_mut().unwrap().remove(name)),
            }
            let token = house.forge(&header(), &bad.to_string());
            assert!(!house.accepts(&token), "{name} = {value:?}");
        }
    }
    let mut one = good.clone();
    one["aud"] = json!(["provost"]);
    one["nonsense"] = json!({ "is": "ignored" });
    assert!(house.accepts(&house.forge(&header(), &one.to_string())));
    let mut long = good.clone();
    long["exp"] = json!(NOW.0 / 1000 + 1801);
    assert!(!house.accepts(&house.forge(&header(), &long.to_string())));
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let house = House::new();
    let good = serde_json::to_string(&claims()).unwrap();
    for twice in [r#""sub":"somebody else""#, r#""x":1,"x":2"#] {
        let bad = format!("{},{twice}}}", good.strip_suffix('}').unwrap());
        assert!(!house.accepts(&house.forge(&header(), &bad)), "{bad}");
    }
}

#[test]
fn the_header_has_three_members_and_no_say_in_how_it_is_verified() {
    let house = House::new();
    let good = serde_json::to_string(&claims()).unwrap();
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES256")),
        ("alg", json!("eddsa")),
        ("typ", json!("JWT")),
        ("typ", json!("AT+JWT")),
        ("kid", json!("k2")),
        ("kid", json!("")),
        ("kid", json!("../k1")),
        ("kid", json!("k".repeat(33))),
        ("jwk", json!({ "kty": "OKP" })),
        ("jku", json!("https://evil.example")),
        ("x5u", json!("https://evil.example")),
        ("x5c", json!([])),
        ("crit", json!(["exp"])),
        ("zip", json!("DEF")),
        ("b64", json!(false)),
        ("cty", json!("JWT")),
        ("other", json!(1)),
    ] {
        let mut bad = header();
        bad[name] = value.clone();
        let token = house.forge(&bad, &good);
        assert!(!house.accepts(&token), "{name} = {value}");
    }
}

/// CVE-2015-9235: the public key as the secret of an HMAC.
#[test]
fn a_public_key_is_no_secret() {
    let house = House::new();
    let key = house.key();
    let x = key.public().unwrap().x.clone();
    let secret = URL_SAFE_NO_PAD.decode(&x).unwrap();
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let header = json!({ "typ": "at+jwt", "alg": "HS256", "kid": "k1" });
    let good = serde_json::to_string(&claims()).unwrap();
    let message = format!("{}.{}", part(header.to_string()), part(good));
    for secret in [secret.as_slice(), x.as_bytes(), b""] {
        let key = EncodingKey::from_secret(secret);
        let algorithm = jsonwebtoken::Algorithm::HS256;
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm);
        assert!(!house.accepts(&format!("{message}.{}", signature.unwrap())));
    }
    assert!(!house.accepts(&format!("{message}.")));
}

#[test]
fn a_shared_secret_signs_and_verifies_and_is_never_published() {
    let secret = Secret::new("correct horse battery staple, twice over".to_owned());
    let house = House {
        keys: Keys::ephemeral().unwrap(),
        signers: Signers::new(Some(&secret)),
    };
    let id = house.signers.shared().unwrap().to_owned();
    let key = house.signers.key(&house.keys, &id, Algorithm::Hs256);
    let key = key.unwrap().unwrap();
    let token = key.sign(&claims()).unwrap();
    assert!(house.accepts(token.expose()));
    assert!(key.public().is_none());
    let other = Signers::default().key(&house.keys, &id, Algorithm::Hs256);
    assert!(other.unwrap().is_none(), "a program without the secret");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_changed_token_is_accepted(place in 0_usize..400, byte in 0_u8..128, how in 0_u8..4) {
        let house = House::new();
        let token = house.key().sign(&claims()).unwrap().expose().clone();
        let place = place % token.len();
        let mut bytes = token.clone().into_bytes();
        match how {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            2 => drop(bytes.remove(place)),
            _ => bytes.truncate(place),
        }
        let changed = String::from_utf8(bytes).unwrap();
        prop_assume!(changed != token);
        prop_assert!(!house.accepts(&changed));
    }
}
