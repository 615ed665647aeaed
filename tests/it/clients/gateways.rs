//! nginx and Caddy with the files of `deploy/`, in front of an application that provost guards.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::client::{Answer, Client};
use crate::support::cluster::free_port;
use crate::support::{Daemon, Shell};

use super::stub::{Application, Asked};
use super::{Beside, PASSWORD, people, program};

/// A daemon with people, an application, and the gateway before both.
struct Guarded {
    shell: Shell,
    daemon: Option<Daemon>,
    application: Application,
    gateway: String,
    _running: Beside,
}

impl Guarded {
    fn start(run: impl FnOnce(&Shell, &str, &Daemon, &Application) -> Command) -> Self {
        let shell = Shell::unthrottled()
            .with("PROVOST_SERVER_BEHIND_PROXY", "true")
            .with("PROVOST_SERVER_TRUSTED_PROXIES", "127.0.0.1/32");
        people(&shell);
        let daemon = shell.serve();
        let application = Application::start();
        let gateway = format!("127.0.0.1:{}", free_port());
        let mut command = run(&shell, &gateway, &daemon, &application);
        let running = Beside::start(&mut command, &shell.path("gateway.log"), &gateway);
        Self {
            shell,
            daemon: Some(daemon),
            application,
            gateway,
            _running: running,
        }
    }

    /// A request through the gateway.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut client = Client::connect(&self.gateway).unwrap();
        let headers = format!("{headers}Connection: close\r\n");
        client.must(method, path, &headers, body)
    }

    /// A header line with the access token of a new session.
    fn login(&self, user: &str) -> String {
        let body = serde_json::json!({"login": user, "password": PASSWORD}).to_string();
        let answer = self.ask("POST", "/api/v1/auth/login", "", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        format!("Authorization: Bearer {}\r\n", answer.text("access_token"))
    }

    /// The one request that the application has seen since the last time.
    #[track_caller]
    fn seen(&self) -> Asked {
        let mut asked = self.application.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }

    #[track_caller]
    fn is_kept_out(&self, answer: &Answer, status: u16) {
        assert_eq!(answer.status, status, "{answer:?}");
        let asked = self.application.asked();
        assert!(asked.is_empty(), "{asked:?}");
    }
}

/// What a client says of itself that the application must not believe.
const CLAIMS: &str = "X-Auth-User-Id: 1\r\nX-Auth-User: root\r\nX-Auth-Roles: admin\r\n\
    X-Auth-Session: 2\r\nX-Auth-Token: 3\r\nX-Auth-Scopes: *\r\nx-auth-user: root\r\n\
    X_Auth_User: root\r\nX_Auth_Roles: admin\r\n";

/// What holds for every gateway.
fn guards(guarded: &mut Guarded) {
    // Nobody, and somebody with nothing but claims or nonsense.
    for headers in ["", CLAIMS, "Authorization: Bearer nonsense\r\n"] {
        let answer = guarded.ask("GET", "/", headers, "");
        guarded.is_kept_out(&answer, 401);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer"), "{answer:?}");
    }

    // A person: in, under the right name, whatever was claimed.
    let maria = guarded.login("maria");
    let id = guarded.shell.json(&["user", "show", "maria"])["id"].clone();
    let answer = guarded.ask(
        "POST",
        "/orders?x=1",
        &format!("{maria}{CLAIMS}"),
        "{\"n\":1}",
    );
    assert_eq!((answer.status, answer.body.as_str()), (200, "welcome"));
    let seen = guarded.seen();
    assert_eq!(
        (seen.what.as_str(), seen.body.as_str()),
        ("POST /orders?x=1", "{\"n\":1}")
    );
    assert_eq!(seen.all("x-auth-user"), ["maria"], "{seen:?}");
    assert_eq!(
        seen.all("x-auth-user-id"),
        [id.as_str().unwrap()],
        "{seen:?}"
    );
    assert_eq!(seen.all("x-auth-roles"), ["user"], "{seen:?}");
    assert_eq!(seen.all("x-auth-session").len(), 1, "{seen:?}");
    assert_ne!(seen.all("x-auth-session"), ["2"], "{seen:?}");
    for name in [
        "x-auth-token",
        "x-auth-scopes",
        "x_auth_user",
        "x_auth_roles",
    ] {
        assert_eq!(seen.all(name), [""; 0], "{seen:?}");
    }
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"], "{seen:?}");

    // A role.
    for path in [
        "/admin",
        "/admin/users",
        "//admin/x",
        "/x/../admin/users",
        "/%61dmin/users",
    ] {
        let answer = guarded.ask("GET", path, &format!("{maria}{CLAIMS}"), "");
        guarded.is_kept_out(&answer, 403);
    }
    let root = guarded.login("root");
    assert_eq!(guarded.ask("GET", "/admin/users", &root, "").status, 200);
    let roles = guarded.seen();
    assert!(roles.all("x-auth-roles")[0].contains("admin"), "{roles:?}");

    // A program's token: it has no session, and must not be able to lend itself one.
    let token = ["token", "create", "--owner", "maria", "--json"];
    let token = guarded.shell.json(&token[..4])["token"].clone();
    let token = format!("Authorization: Bearer {}\r\n", token.as_str().unwrap());
    assert_eq!(
        guarded
            .ask("GET", "/", &format!("{token}{CLAIMS}"), "")
            .status,
        200
    );
    let seen = guarded.seen();
    assert_eq!(seen.all("x-auth-session"), [""; 0], "{seen:?}");
    assert_eq!(seen.all("x-auth-user"), ["maria"], "{seen:?}");

    // Out is out, at once.
    assert_eq!(
        guarded
            .ask("POST", "/api/v1/auth/logout", &maria, "")
            .status,
        204
    );
    let answer = guarded.ask("GET", "/", &maria, "");
    guarded.is_kept_out(&answer, 401);
    guarded.shell.ok(&["user", "disable", "maria", "--yes"]);
    let answer = guarded.ask("GET", "/", &token, "");
    guarded.is_kept_out(&answer, 401);

    // Without provost nobody comes in.
    assert_eq!(guarded.ask("GET", "/", &root, "").status, 200);
    guarded.seen();
    guarded.daemon.take().unwrap().stop();
    let answer = guarded.ask("GET", "/", &root, "");
    assert!(answer.status >= 500, "{answer:?}");
    let status = answer.status;
    guarded.is_kept_out(&answer, status);
}

fn deployed(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    folder.join(name).display().to_string()
}

#[test]
fn nginx_lets_in_whom_provost_knows_and_nobody_else() {
    let Some(nginx) = program("nginx", "nginx-light") else {
        return;
    };
    let mut guarded = Guarded::start(|shell, gateway, daemon, application| {
        let settings = format!(
            "daemon off; master_process off; pid {pid}; error_log stderr crit;
             events {{}}
             http {{
                 access_log off;
                 client_body_temp_path {temporary}; proxy_temp_path {temporary};
                 fastcgi_temp_path {temporary}; uwsgi_temp_path {temporary};
                 scgi_temp_path {temporary};
                 upstream provost {{ server {provost}; keepalive 4; }}
                 upstream application {{ server {application}; }}
                 server {{ listen {gateway}; include {snippet}; }}
             }}",
            pid = shell.path("nginx.pid").display(),
            temporary = shell.path("nginx").display(),
            provost = daemon.address,
            application = application.address,
            snippet = deployed("forward-auth.nginx.conf"),
        );
        let file = shell.path("nginx.conf");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new(nginx);
        command.env_clear().arg("-p").arg(shell.path(""));
        command.args(["-e", "stderr", "-c"]).arg(file);
        command
    });
    guards(&mut guarded);
}

#[test]
fn caddy_lets_in_whom_provost_knows_and_nobody_else() {
    let Some(caddy) = program("caddy", "caddy") else {
        return;
    };
    let mut guarded = Guarded::start(|shell, gateway, daemon, application| {
        let file = shell.path("Caddyfile");
        let snippet = deployed("forward-auth.Caddyfile");
        let quiet = "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n";
        fs::write(&file, format!("{quiet}import {snippet}\n")).unwrap();
        let mut command = Command::new(caddy);
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(file);
        command
            .env_clear()
            .env("HOME", shell.path(""))
            .env(
                "APPLICATION_DOMAIN",
                gateway.replace("127.0.0.1", "http://"),
            )
            .env("APPLICATION_UPSTREAM", &application.address)
            .env("PROVOST_UPSTREAM", &daemon.address);
        command
    });
    guards(&mut guarded);
}
