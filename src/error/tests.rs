use super::*;

#[test]
fn what_is_not_found_is_repeated_only_if_it_cannot_be_a_token() {
    let told = |given: &str| Error::no_such("token", given).to_string();
    assert_eq!(told("0LqP3x"), "no such token: 0LqP3x");
    assert_eq!(told("a\n\u{202e}b"), "no such token: a\\n\\u{202e}b");
    assert_eq!(told(&"x".repeat(64)).len(), "no such token: ".len() + 64);
    assert!(told(&"é".repeat(65)).ends_with("é…"));
    for secret in ["", "pva_0LqP3xYz8AbxyZ9A", "pvt_", "754321:abcdefghij"] {
        assert_eq!(told(secret), "no such token");
    }
}
