//! The files of `deploy/` name only what exists: variables, settings, flags, metrics.

use std::fs;
use std::path::Path;
use std::process::Command;

use provost::config::settings::SETTINGS;
use provost::metrics::{CodeLabel, KindLabel, Metrics, RequestLabels, RouteLabel};
use yaml_serde::Value as Yaml;

use crate::support::Shell;
use crate::support::certificates::Authority;

/// Variables of the proxy's, not of the program's.
const OF_THE_PROXY: [&str; 2] = ["PROVOST_DOMAIN", "PROVOST_UPSTREAM"];

/// The files of `deploy/` and the installer: name and text.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = fs::read_dir(root.join("deploy"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.push(root.join("install.sh"));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let read = |path| (name(path), fs::read_to_string(path).unwrap());
    paths.iter().map(|path| read(path)).collect()
}

/// The words of `text` that begin with `prefix` and go on with such characters.
fn words<'a>(text: &'a str, prefix: &str, of: impl Fn(char) -> bool) -> Vec<&'a str> {
    let starts = text.match_indices(prefix).map(|(at, _)| &text[at..]);
    let mut words: Vec<&str> = starts
        .map(|rest| rest.split(|c| !of(c)).next().unwrap())
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[test]
fn every_variable_is_a_setting() {
    let mut seen = 0;
    for (file, text) in files() {
        let variables = words(&text, "PROVOST_", |c| c.is_ascii_uppercase() || c == '_');
        for variable in variables {
            let of_a_setting = |name| SETTINGS.iter().any(|setting| setting.variable() == name);
            // The value itself, or the name of a file with it.
            let known = of_a_setting(variable)
                || variable.strip_suffix("_FILE").is_some_and(of_a_setting)
                || variable == "PROVOST_CONFIG"
                || OF_THE_PROXY.contains(&variable);
            assert!(known, "{file} sets {variable}, which nothing reads");
            seen += 1;
        }
    }
    assert!(seen >= 6, "only {seen} were looked at");
}

#[test]
fn the_settings_shown_in_deploy_are_settings() {
    let shell = Shell::new();
    let files = files();
    let text = |name: &str| {
        files
            .iter()
            .find(|(file, _)| file == name)
            .unwrap()
            .1
            .as_str()
    };
    let readme = text("README.md").split("```toml\n").nth(1).unwrap();
    let installer = text("install.sh").split("<<'SETTINGS'\n").nth(1).unwrap();
    // What the installer writes in comments is there to be uncommented.
    let example = installer.split("\nSETTINGS\n").next().unwrap();
    let example = example
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .filter(|line| line.starts_with('[') || line.contains(" = "))
        .collect::<Vec<_>>()
        .join("\n");
    for (name, settings) in [
        ("readme.toml", readme.split("```").next().unwrap()),
        ("installed.toml", &example),
    ] {
        assert!(settings.contains("behind_proxy"), "{settings}");
        let file = shell.path(name);
        fs::write(&file, settings).unwrap();
        shell.ok(&["config", "check", "--config", file.to_str().unwrap()]);
    }
}

#[test]
fn the_certificate_that_deploy_shows_is_taken() {
    let shell = Shell::new();
    Authority::new().issue(90).write(&shell.path(""));
    let files = files();
    let (_, readme) = files.iter().find(|(file, _)| file == "README.md").unwrap();
    let settings = readme.split("```toml\n").nth(2).unwrap();
    let settings = settings.split("```").next().unwrap();
    let folder = shell.path("").display().to_string();
    let settings = settings.replace("/var/lib/provost", folder.trim_end_matches('/'));
    assert!(settings.contains("tls.key"), "{settings}");
    let file = shell.path("readme.toml");
    fs::write(&file, settings).unwrap();
    let ran = shell.run(&["config", "check", "--config", file.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{ran:?}");
}

/// What `GET /api/v1/auth/verify` tells a proxy.
const TOLD: [&str; 6] = [
    "X-Auth-User-Id",
    "X-Auth-User",
    "X-Auth-Roles",
    "X-Auth-Session",
    "X-Auth-Token",
    "X-Auth-Scopes",
];

#[test]
fn no_gateway_lets_pass_what_a_client_says_of_itself() {
    let texts = |value: &Yaml| -> Vec<String> {
        let list = value.as_sequence().unwrap().iter();
        list.map(|one| one.as_str().unwrap().to_lowercase())
            .collect()
    };
    let told = TOLD.map(str::to_lowercase);
    let middlewares = &read("forward-auth.traefik.yaml")["http"]["middlewares"];
    let headers = &middlewares["application-strip"]["headers"]["customRequestHeaders"];
    for name in TOLD {
        assert_eq!(headers[name], "", "{name}");
        assert_eq!(headers[name.replace('-', "_").as_str()], "", "{name}");
    }
    for asking in ["provost-verify", "provost-verify-admin"] {
        let passed = &middlewares[asking]["forwardAuth"]["authResponseHeaders"];
        assert_eq!(texts(passed), told);
    }
    for (_, router) in read("forward-auth.traefik.yaml")["http"]["routers"]
        .as_mapping()
        .unwrap()
    {
        let middlewares = texts(&router["middlewares"]);
        let guarded =
            middlewares[0] == "application-strip" && middlewares[1].starts_with("provost-verify");
        assert!(guarded || router["service"] == "provost", "{router:?}");
    }

    let envoy = read("forward-auth.envoy.yaml");
    let chain = &envoy["static_resources"]["listeners"][0]["filter_chains"][0];
    let filters = &chain["filters"][0]["typed_config"]["http_filters"];
    let mutations = &filters[0]["typed_config"]["mutations"]["request_mutations"];
    let removed = mutations.as_sequence().unwrap().iter();
    let removed: Vec<&str> = removed.map(|one| one["remove"].as_str().unwrap()).collect();
    assert_eq!(removed, TOLD);
    let answer = &filters[1]["typed_config"]["http_service"]["authorization_response"];
    let passed = &answer["allowed_upstream_headers"]["patterns"];
    let passed = passed.as_sequence().unwrap().iter();
    let passed: Vec<&str> = passed.map(|one| one["exact"].as_str().unwrap()).collect();
    assert_eq!(passed, told);
}

#[test]
fn the_commands_in_deploy_parse() {
    let shell = Shell::new();
    let mut seen = 0;
    for (file, text) in files() {
        for line in text.lines() {
            let line = line.trim_start_matches(['#', ' ']);
            let command = line
                .split_once("/usr/local/bin/provost ")
                .or_else(|| line.split_once(" provost /provost "))
                .or_else(|| line.split_once(" provost-1 /provost "))
                .or_else(|| line.split_once("sudo -u provost provost "));
            let Some((before, command)) = command else {
                continue;
            };
            let cron = before.starts_with(|c: char| c.is_ascii_digit());
            if before.starts_with("ExecStart=")
                || cron
                || file == "README.md"
                || before.starts_with("docker")
            {
                let mut words: Vec<&str> = command
                    .split(" #")
                    .next()
                    .unwrap()
                    .split_whitespace()
                    .collect();
                words.push("--help");
                shell.ok(&words);
                seen += 1;
            }
        }
    }
    assert!(seen >= 6, "only {seen} were looked at");
    for arguments in [["health", "--help"], ["serve", "--migrate"]] {
        let mut words = arguments.to_vec();
        words.push("--help");
        shell.ok(&words);
    }
    let image = files()
        .into_iter()
        .find(|(name, _)| name == "Dockerfile")
        .unwrap()
        .1;
    assert!(image.contains(r#"CMD ["/provost", "health"]"#));
    assert!(image.contains(r#"CMD ["serve", "--migrate"]"#));
}

fn read(name: &str) -> Yaml {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    yaml_serde::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A compose file with its merge keys (`<<`) resolved.
fn composed(name: &str) -> Yaml {
    let mut composed = read(name);
    composed.apply_merge().unwrap();
    composed
}

/// The texts of a list, or the keys of a mapping.
fn names(value: &Yaml) -> Vec<&str> {
    if let Some(map) = value.as_mapping() {
        map.keys().map(|key| key.as_str().unwrap()).collect()
    } else {
        let list = value.as_sequence().unwrap().iter();
        list.map(|one| one.as_str().unwrap()).collect()
    }
}

#[test]
fn the_compose_files_use_only_what_they_declare() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    for file in ["compose.yaml", "compose.postgres.yaml"] {
        let composed = composed(file);
        let declared = |what: &str| composed.get(what).map(names).unwrap_or_default();
        let services = composed["services"].as_mapping().unwrap();
        for (name, service) in services {
            let used = |what: &str| service.get(what).map(names).unwrap_or_default();
            for (what, used) in [("networks", used("networks")), ("secrets", used("secrets"))] {
                for one in used {
                    assert!(
                        declared(what).contains(&one),
                        "{file}: {name:?}: {what}: {one}"
                    );
                }
            }
            for other in used("depends_on") {
                assert!(services.contains_key(other), "{file}: {name:?}: {other}");
                assert!(services[other].get("healthcheck").is_some(), "{other}");
            }
            for volume in used("volumes") {
                let source = volume.split(':').next().unwrap();
                let there = match source.strip_prefix("./") {
                    Some(path) => folder.join(path).is_file(),
                    None => declared("volumes").contains(&source),
                };
                assert!(there, "{file}: {name:?}: {volume}");
            }
        }
    }
}

#[test]
fn both_daemons_on_one_server_are_the_same_but_for_their_address() {
    let composed = composed("compose.postgres.yaml");
    let daemon = |name: &str| {
        let mut daemon = composed["services"][name].as_mapping().unwrap().clone();
        assert_eq!(daemon["image"], "provost");
        // One of them is enough to build it.
        daemon.remove("build");
        let address = daemon.remove("networks").unwrap();
        (daemon, address)
    };
    let (first, second) = (daemon("provost-1"), daemon("provost-2"));
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
    let upstream = &composed["services"]["caddy"]["environment"]["PROVOST_UPSTREAM"];
    assert_eq!(upstream, "provost-1:8080 provost-2:8080");
}

#[test]
fn docker_takes_the_compose_files_where_it_is_there() {
    let docker = |arguments: &[&str]| {
        let mut docker = Command::new("docker");
        docker.arg("compose").args(arguments);
        docker.env("PROVOST_DOMAIN", "provost.example.org").output()
    };
    if !docker(&["version"]).is_ok_and(|done| done.status.success()) {
        // Said on standard error, which a passing test shows with --nocapture only.
        eprintln!("not tested: docker compose is not installed");
        return;
    }
    for file in ["compose.yaml", "compose.postgres.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(file);
        let done = docker(&["-f", path.to_str().unwrap(), "config", "--quiet"]).unwrap();
        assert!(done.status.success(), "{file}: {done:?}");
    }
}

#[test]
fn the_dashboard_asks_for_metrics_and_labels_that_exist() {
    let metrics = Metrics::default();
    let route = || "/livez".to_owned();
    let request = RequestLabels {
        route: route(),
        method: "GET",
        status: 200,
    };
    let kind = || KindLabel { kind: "api" };
    metrics.requests.get_or_create(&request).inc();
    let seconds = metrics
        .request_seconds
        .get_or_create(&RouteLabel { route: route() });
    seconds.observe(0.1);
    drop(seconds);
    metrics
        .errors
        .get_or_create(&CodeLabel { code: "invalid" })
        .inc();
    metrics.tokens_issued.get_or_create(&kind()).inc();
    metrics.tokens_validated.get_or_create(&kind()).inc();
    metrics.purged.get_or_create(&kind()).inc();
    let rendered = metrics.render().unwrap();
    let lines: Vec<&str> = rendered
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();

    let files = files();
    let (_, dashboard) = files
        .iter()
        .find(|(name, _)| name == "grafana.json")
        .unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let mut seen = 0;
    for expression in targets.map(|target| target["expr"].as_str().unwrap()) {
        let named = words(expression, "provost_", |c| {
            c.is_ascii_lowercase() || c == '_'
        });
        let of = |name: &str| {
            let lines = lines.iter().filter(|line| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            });
            lines.copied().collect::<Vec<_>>()
        };
        for name in &named {
            assert!(!of(name).is_empty(), "no metric {name}: {expression}");
            seen += 1;
        }
        for label in labels(expression) {
            let has = |name: &&str| {
                let text = format!("{label}=\"");
                of(name).iter().any(|line| line.contains(&text))
            };
            assert!(
                label == "instance" || named.iter().any(has),
                "no label {label}: {expression}"
            );
        }
    }
    assert!(seen > 10, "only {seen} were looked at");
}

/// The labels that a Prometheus expression names: in `by (…)`, and before `=` inside braces.
fn labels(expression: &str) -> Vec<&str> {
    let groups = expression.split("by (").skip(1);
    let mut labels: Vec<&str> = groups
        .flat_map(|rest| rest.split(')').next().unwrap().split(", "))
        .collect();
    let braces = expression.split('{').skip(1);
    for inside in braces.map(|rest| rest.split('}').next().unwrap()) {
        labels.extend(
            inside
                .split(',')
                .map(|pair| pair.split(['=', '!']).next().unwrap()),
        );
    }
    labels
}
