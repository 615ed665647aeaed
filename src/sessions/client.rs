//! What to call the program at the other end, for the person who looks through a list.

use woothee::parser::Parser;

/// The longest name, in characters.
const LONGEST: usize = 60;

/// A name for who sends this `User-Agent`: `Firefox, Linux`. It is only for show: anybody can send
/// anything.
#[must_use]
pub fn client(user_agent: &str) -> Option<String> {
    let known = Parser::new().parse(user_agent);
    let told = |name: &str| !["", "UNKNOWN", "HTTP Library"].contains(&name);
    let name = match known {
        Some(found) if told(found.name) && told(found.os) => {
            format!("{}, {}", found.name, found.os)
        }
        Some(found) if told(found.name) => found.name.to_owned(),
        // `curl/8.5.0` and the like: the first product of RFC 9110 §10.1.5.
        _ => user_agent.split([' ', '/']).next()?.to_owned(),
    };
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect();
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_by_name_and_system_and_programs_by_their_first_word() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
                Some("Firefox, Linux"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/126.0.0.0 Safari/537.36",
                Some("Chrome, Windows 10"),
            ),
            ("curl/8.5.0", Some("curl")),
            ("python-requests/2.31", Some("python-requests")),
            ("", None),
            ("/", None),
        ] {
            assert_eq!(client(agent).as_deref(), name, "{agent}");
        }
        assert_eq!(client(&"x".repeat(500)).unwrap().len(), LONGEST);
    }
}
