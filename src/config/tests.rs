//! The configuration as a whole: layers, refusals, rules between settings.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::settings::Kind;
use super::*;

/// A folder with a `provost.toml` of this text.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("provost.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

fn load(text: &str, variables: &[(&str, &str)], flags: &Sources) -> Result<Config> {
    let folder = folder(text);
    let bare = Environment::bare(folder.path());
    let environment = variables.iter().fold(bare, |environment, (name, value)| {
        environment.with(name, value)
    });
    Config::load(flags, &environment)
}

fn with(variables: &[(&str, &str)]) -> Result<Config> {
    load("", variables, &Sources::default())
}

fn refusal(loaded: Result<Config>) -> String {
    match loaded {
        Ok(config) => panic!("should be refused: {config:?}"),
        Err(error) => error.to_string(),
    }
}

fn origin<'a>(config: &'a Config, name: &str) -> &'a str {
    let row = config.rows().iter().find(|row| row.name == name).unwrap();
    &row.origin
}

fn listen(text: &str) -> Sources {
    Sources {
        listen: vec![text.into()],
        ..Sources::default()
    }
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let text = "[server]\nlisten = [\"127.0.0.1:1\"]";
    let variable = [("PROVOST_SERVER_LISTEN", "127.0.0.1:2")];
    let none = Sources::default();
    let flag = listen("127.0.0.1:3");
    let cases = [
        (load("", &[], &none), 8080, "default"),
        (load(text, &[], &none), 1, "provost.toml:2"),
        (load(text, &variable, &none), 2, "PROVOST_SERVER_LISTEN"),
        (load(text, &variable, &flag), 3, "--listen"),
    ];
    for (config, port, from) in cases {
        let config = config.unwrap();
        let expected = ListenAddr::Tcp(([127, 0, 0, 1], port).into());
        assert_eq!(config.server.listen, [expected]);
        assert!(origin(&config, "server.listen").ends_with(from));
        assert_eq!(origin(&config, "server.docs"), "default");
    }
}

#[test]
fn lists_are_arrays_in_the_file_and_commas_in_a_variable() {
    let file = "[server]\nallowed_hosts = [\"A.example\", \"b.example:8443\"]";
    let by_file = load(file, &[], &Sources::default()).unwrap();
    let by_variable = with(&[("PROVOST_SERVER_ALLOWED_HOSTS", "a.example, b.example:8443")]);
    for config in [by_file, by_variable.unwrap()] {
        assert_eq!(config.server.allowed_hosts, ["a.example", "b.example:8443"]);
    }
    let single = load(
        "[server]\nlisten = \"127.0.0.1:9\"",
        &[],
        &Sources::default(),
    )
    .unwrap();
    assert_eq!(single.server.listen.len(), 1);
    assert!(
        refusal(load("[server]\nlisten = []", &[], &Sources::default()))
            .ends_with("provost.toml:2: server.listen must have at least one address")
    );
}

#[test]
fn a_refusal_names_the_line_the_variable_or_the_flag() {
    let none = Sources::default();
    let file = refusal(load("[log]\n\nlevel = \"loud\"", &[], &none));
    assert!(
        file.ends_with(
            "provost.toml:3: log.level must be one of error, warn, info, debug, trace, not \"loud\""
        ),
        "{file}"
    );
    assert_eq!(
        refusal(with(&[("PROVOST_PURGE_BATCH", "5001")])),
        "configuration: PROVOST_PURGE_BATCH: purge.batch must be a whole number from 1 to 5000, not \"5001\""
    );
    assert!(refusal(load("", &[], &listen("here"))).starts_with(
        "configuration: --listen: server.listen must be an address such as 127.0.0.1:8080"
    ));
}

#[test]
fn a_password_is_never_shorter_than_the_floor() {
    assert_eq!(
        refusal(with(&[("PROVOST_PASSWORD_MIN_LENGTH", "7")])),
        "configuration: PROVOST_PASSWORD_MIN_LENGTH: password.min_length must be a whole number from 8 to 256, not \"7\""
    );
    let lowest = with(&[("PROVOST_PASSWORD_MIN_LENGTH", "8")]).unwrap();
    assert_eq!(lowest.password.min_length, 8);
}

#[test]
fn a_default_life_must_fit_in_the_longest() {
    let text = refusal(load(
        "[tokens]\ntemporary_max = \"30m\"",
        &[],
        &Sources::default(),
    ));
    assert!(
        text.ends_with(
            "provost.toml:2: tokens.temporary_ttl (1h) must not be longer than tokens.temporary_max (30m)"
        ),
        "{text}"
    );
    assert!(refusal(with(&[("PROVOST_TOKENS_TEMPORARY_MAX", "31d")])).contains("from 1s to 30d"));
}

#[test]
fn a_value_may_come_from_a_file_that_a_variable_names() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("db");
    std::fs::write(&secret, "postgres://app:hunter2@db/provost\n").unwrap();
    let path = secret.to_str().unwrap();
    let config = with(&[("PROVOST_DB_FILE", path)]).unwrap();
    assert_eq!(config.db.to_string(), "postgres://app:***@db/provost");
    assert_eq!(origin(&config, "db"), format!("PROVOST_DB_FILE ({path})"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert!(!format!("{config:?}").contains("hunter2"));

    assert_eq!(
        refusal(with(&[("PROVOST_DB_FILE", path), ("PROVOST_DB", "x.db")])),
        "configuration: PROVOST_DB and PROVOST_DB_FILE are both set; keep one"
    );
    // The wrong file, which may hold a secret, is not repeated.
    let wrong = refusal(with(&[("PROVOST_LOG_LEVEL_FILE", path)]));
    assert!(wrong.contains("PROVOST_LOG_LEVEL_FILE"), "{wrong}");
    assert!(!wrong.contains("hunter2"), "{wrong}");
    let missing = refusal(with(&[("PROVOST_DB_FILE", "/nonexistent")]));
    assert!(missing.contains("which PROVOST_DB_FILE names"), "{missing}");
}

#[test]
fn the_token_managers_variables_are_understood() {
    let config = with(&[
        ("DATABASE_URL", "sqlite+aiosqlite:////data/tokens.db"),
        ("TOKEN_TTL_MINUTES", "90"),
        ("APP_TITLE", "Tickets"),
        ("APP_DESCRIPTION", "For the door"),
        ("SECRET_KEY", "hunter2"),
    ])
    .unwrap();
    assert_eq!(config.db.file().unwrap(), Path::new("/data/tokens.db"));
    assert_eq!(config.tokens.temporary_ttl, "90m".parse().unwrap());
    assert_eq!(config.app.title, "Tickets");
    assert_eq!(config.app.description, "For the door");
    assert_eq!(origin(&config, "tokens.temporary_ttl"), "TOKEN_TTL_MINUTES");
    assert_eq!(
        config.warnings,
        [
            "SECRET_KEY is too short to sign with (32 characters are needed) and not used: access \
             tokens are signed with EdDSA"
        ]
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn our_own_variable_wins_over_the_token_managers() {
    let config = with(&[
        ("TOKEN_TTL_MINUTES", "90"),
        ("PROVOST_TOKENS_TEMPORARY_TTL", "5m"),
    ])
    .unwrap();
    assert_eq!(config.tokens.temporary_ttl, "5m".parse().unwrap());
    assert_eq!(
        config.warnings,
        ["TOKEN_TTL_MINUTES is not used: PROVOST_TOKENS_TEMPORARY_TTL is set, too"]
    );
}

#[test]
fn token_ttl_minutes_is_a_bare_number() {
    for text in ["1h", "-5", "", " ", "1.5"] {
        let loaded = with(&[("TOKEN_TTL_MINUTES", text)]);
        match text {
            // As compose files write a variable that is not there.
            "" => assert_eq!(loaded.unwrap().tokens.temporary_ttl, "1h".parse().unwrap()),
            _ => assert_eq!(
                refusal(loaded),
                "configuration: TOKEN_TTL_MINUTES: must be a whole number of minutes, without a unit"
            ),
        }
    }
}

#[test]
fn an_unknown_variable_is_a_warning_with_the_nearest_name() {
    let config = with(&[
        ("PROVOST_SERVER_LISTN", "x"),
        ("PROVOST_CONFIG_FILE", "x"),
        ("PROVOST_TEST_POSTGRES", "x"),
    ])
    .unwrap();
    assert_eq!(
        config.warnings,
        [
            "unknown environment variable PROVOST_CONFIG_FILE, did you mean PROVOST_CONFIG?",
            "unknown environment variable PROVOST_SERVER_LISTN, did you mean PROVOST_SERVER_LISTEN?",
        ]
    );
}

#[test]
fn listening_beyond_this_machine_needs_a_proxy() {
    for public in ["0.0.0.0:8080", "[::]:8080", "192.168.1.2:8080"] {
        let text = refusal(load("", &[], &listen(public)));
        assert!(
            text.starts_with("configuration: --listen: server.listen"),
            "{text}"
        );
        assert!(
            text.contains(public) && text.contains("server.behind_proxy = true"),
            "{text}"
        );
    }
    assert!(
        refusal(with(&[("PROVOST_SERVER_METRICS_LISTEN", "0.0.0.0:9")]))
            .contains("PROVOST_SERVER_METRICS_LISTEN: server.metrics_listen 0.0.0.0:9 can")
    );
    let proxied = [
        ("PROVOST_SERVER_BEHIND_PROXY", "true"),
        ("PROVOST_SERVER_TRUSTED_PROXIES", "10.0.0.0/8,192.168.1.7"),
    ];
    let config = load("", &proxied, &listen("0.0.0.0:8080")).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let config = load("", &proxied[..1], &listen("0.0.0.0:8080")).unwrap();
    assert!(config.warnings[0].contains("server.trusted_proxies"));
}

#[test]
fn paths_follow_the_data_folder_and_a_file_means_its_own_folder() {
    let home = folder("db = \"mine.db\"");
    let config = Config::load(&Sources::default(), &Environment::bare(home.path())).unwrap();
    assert_eq!(config.db.file().unwrap(), home.path().join("mine.db"));
    assert_eq!(config.key_file, home.path().join("provost.key"));
    assert_eq!(config.config_file, Some(home.path().join("provost.toml")));

    let flags = Sources {
        data_dir: Some("/srv/provost".into()),
        ..Sources::default()
    };
    let config = load("", &[], &flags).unwrap();
    assert_eq!(
        config.db.file().unwrap(),
        Path::new("/srv/provost/provost.db")
    );
    assert_eq!(config.key_file, Path::new("/srv/provost/provost.key"));
}

#[test]
fn a_database_outside_of_the_data_folder_has_its_key_beside_it_unless_a_place_is_named() {
    let key_of = |db: &str, key: &str| {
        let variables = [("PROVOST_DB", db), ("PROVOST_KEY_FILE", key)];
        let flags = Sources {
            data_dir: Some("/srv/provost".into()),
            ..Sources::default()
        };
        let given = if key.is_empty() { 1 } else { 2 };
        load("", &variables[..given], &flags).unwrap().key_file
    };
    for (db, key_file) in [
        ("/srv/tokens.db", "/srv/tokens.key"),
        ("sqlite:////srv/x/tokens.v2.sqlite", "/srv/x/tokens.v2.key"),
        ("/srv/provost/mine.db", "/srv/provost/provost.key"),
        ("/srv/provost/a/mine.db", "/srv/provost/provost.key"),
        ("/srv/provost/../tokens.db", "/srv/provost/../tokens.key"),
        ("/srv/tokens.key", "/srv/provost/provost.key"),
        ("postgres://db/provost", "/srv/provost/provost.key"),
    ] {
        assert_eq!(key_of(db, ""), Path::new(key_file), "{db}");
    }
    assert_eq!(key_of("/srv/tokens.db", "/etc/key"), Path::new("/etc/key"));
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let flags = Sources {
        config: Some("/nonexistent.toml".into()),
        ..Sources::default()
    };
    assert_eq!(
        refusal(load("", &[], &flags)),
        "configuration: --config: there is no file /nonexistent.toml"
    );
    assert_eq!(
        refusal(with(&[("PROVOST_CONFIG", "/nonexistent.toml")])),
        "configuration: PROVOST_CONFIG: there is no file /nonexistent.toml"
    );
}

#[test]
fn a_database_password_is_kept_where_only_its_owner_reads() {
    let url = "postgres://app:hunter2@db/provost";
    let home = folder(&format!("db = \"{url}\""));
    let environment = Environment::bare(home.path());
    let config = Config::load(&Sources::default(), &environment).unwrap();
    assert!(config.warnings.is_empty());

    let file = home.path().join("provost.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let text = refusal(Config::load(&Sources::default(), &environment));
    assert!(text.contains("run: chmod 600"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");

    let flags = Sources {
        db: Some(url.into()),
        ..Sources::default()
    };
    let text = refusal(load("", &[], &flags));
    assert!(text.contains("--db must not hold a password"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let config = load("", &[("PROVOST_DB", url)], &Sources::default()).unwrap();
    assert!(config.warnings[0].starts_with("PROVOST_DB holds a password"));
}

#[test]
fn a_file_that_others_may_change_is_not_believed() {
    let home = folder("");
    let file = home.path().join("provost.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
    let text = refusal(Config::load(
        &Sources::default(),
        &Environment::bare(home.path()),
    ));
    assert!(
        text.contains("can be changed by other users (mode 0664)"),
        "{text}"
    );
}

/// Everything but where it came from.
fn bones(mut config: Config) -> String {
    config.rows.clear();
    config.config_file = None;
    config.warnings.clear();
    format!("{config:?}")
}

#[test]
fn the_template_changes_nothing_even_without_its_comment_signs() {
    let template = Config::template();
    let bare: Vec<&str> = template
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|letter: char| letter.is_ascii_lowercase()) => key,
            _ => line,
        })
        .collect();
    let bare = bare.join("\n");
    assert_eq!(bare.matches(" = ").count(), SETTINGS.len());
    let home = folder("");
    let environment = Environment::bare(home.path());
    let file = home.path().join("provost.toml");
    let mut seen = Vec::new();
    for text in ["", template.as_str(), bare.as_str()] {
        std::fs::write(&file, text).unwrap();
        seen.push(bones(
            Config::load(&Sources::default(), &environment).unwrap(),
        ));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[test]
fn every_setting_reaches_the_struct() {
    let home = folder("");
    // A mail server that is not there has no port either.
    let environment = Environment::bare(home.path())
        .with("PROVOST_SMTP_HOST", "localhost")
        .with("PROVOST_SMTP_FROM", "a@example.org")
        .with("PROVOST_SMTP_USERNAME", "maria")
        .with("PROVOST_SMTP_PASSWORD_FILE", "/password");
    let usual = bones(Config::load(&Sources::default(), &environment).unwrap());
    for setting in SETTINGS {
        let sample = match setting.kind {
            Kind::Path | Kind::Database => "/elsewhere",
            Kind::Text => "other",
            Kind::Flag if setting.default == "true" => "false",
            Kind::Flag => "true",
            Kind::Number { min, .. } if min > 99 => "2000",
            Kind::Number { .. } => "99",
            Kind::Choice(words) => words.last().unwrap(),
            Kind::Period { .. } if setting.name == "tokens.api_max" => "91d",
            Kind::Period { .. } if setting.name == "tokens.temporary_max" => "2h",
            Kind::Period { .. } if setting.name.ends_with("link_ttl") => "2m",
            // One that every range holds.
            Kind::Period { min, max }
                if min <= Duration::from_secs(59) && max >= Duration::from_secs(59) =>
            {
                "59s"
            }
            Kind::Period { .. } => "2h",
            Kind::Schedule => "0 */6 * * *",
            Kind::Address | Kind::Addresses => "unix:/run/x",
            Kind::WebOrigin | Kind::WebOrigins => "https://example.org",
            Kind::Networks => "10.0.0.0/8",
            Kind::Hosts => "example.org",
            Kind::Link => "https://example.org/{token}",
            Kind::Mailbox => "b@example.org",
        };
        let mut environment = environment.clone();
        if setting.name.starts_with("tls.") {
            // Neither without the other.
            environment = environment
                .with("PROVOST_TLS_CERT_FILE", "/cert")
                .with("PROVOST_TLS_KEY_FILE", "/key");
        }
        let environment = environment.with(&setting.variable(), sample);
        let config = Config::load(&Sources::default(), &environment).unwrap();
        assert_eq!(origin(&config, setting.name), setting.variable());
        assert_ne!(bones(config), usual, "{} is not read", setting.name);
    }
}

#[test]
fn rows_show_what_holds_in_the_order_of_the_table() {
    let home = folder("");
    let config = Config::load(&listen("[::1]:1"), &Environment::bare(home.path())).unwrap();
    let names: Vec<&str> = config.rows().iter().map(|row| row.name).collect();
    let table: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names, table);
    let value = |name: &str| {
        let row = config.rows().iter().find(|row| row.name == name).unwrap();
        row.value.clone()
    };
    assert_eq!(value("server.listen"), "[::1]:1");
    assert_eq!(value("data_dir"), home.path().display().to_string());
    assert_eq!(
        value("db"),
        format!("sqlite:{}/provost.db", home.path().display())
    );
}

#[test]
fn with_a_certificate_of_its_own_the_daemon_may_be_reached_from_everywhere() {
    let public = ("PROVOST_SERVER_LISTEN", "0.0.0.0:443");
    let certificate = ("PROVOST_TLS_CERT_FILE", "/etc/provost/tls.crt");
    let key = ("PROVOST_TLS_KEY_FILE", "/etc/provost/tls.key");
    let config = with(&[public, certificate, key]).unwrap();
    let tls = config.tls.unwrap();
    assert_eq!(tls.cert_file, Path::new("/etc/provost/tls.crt"));
    assert_eq!(tls.key_file, Path::new("/etc/provost/tls.key"));
    assert!(refusal(with(&[public])).contains("name a certificate with tls.cert_file"));
    for half in [certificate, key] {
        let told = refusal(with(&[public, half]));
        assert!(told.contains("name both or none"), "{told}");
        assert!(told.contains(half.0), "{told}");
    }
}
