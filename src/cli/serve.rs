//! `provost serve`: the daemon.
//!
//! On an empty data folder it sets everything up by itself. It ends on SIGTERM or SIGINT after what
//! is running has finished, at once on the second of them, and by itself when the storage is
//! damaged: serving on would make it worse (security.md, rule 59).

mod noted;

use std::error::Error as _;
use std::fmt::Display;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::{Outcome, Site, operator, setup};
use crate::app::App;
use crate::config::{self, LogFormat};
use crate::db::{Db, Role, Tidy, clock};
use crate::error::{Error, Result};
use crate::http::listener::Listener;
use crate::http::tls::{Pair, Tls};
use crate::keys::Keys;
use crate::log::{self, Log};
use crate::migrations::{self, Story, Wish};
use crate::time::wall;
use crate::{http, jobs, throttle};

/// Storage faults in a row after which nothing good can come of going on.
const FAULTS: u32 = 3;
/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Run the HTTP daemon
#[derive(Debug, clap::Args)]
#[command(after_help = "\
On an empty data folder everything is set up first. SIGTERM and SIGINT finish what is running and
stop; a second one stops at once. SIGHUP reads the log level and the certificate again.

Examples:
  provost serve
  provost serve --listen unix:/run/provost/http.sock --listen 127.0.0.1:8080
  provost serve --migrate                     for unattended upgrades")]
pub(super) struct Serve {
    #[arg(long, value_name = "ADDR", help = LISTEN)]
    listen: Vec<String>,
    /// Apply pending migrations before serving [default: refuse to start]
    #[arg(long, conflicts_with = "read_only")]
    migrate: bool,
    /// Answer reads alone: whatever would change something is refused with 503, and no job writes,
    /// so that reads go on while somebody looks at something
    #[arg(long)]
    read_only: bool,
}

const LISTEN: &str = "Listen here: 127.0.0.1:8080, [::1]:8080 or unix:/path; may be repeated \
    [env: PROVOST_SERVER_LISTEN] [default: 127.0.0.1:8080, or what systemd hands over]";

impl Serve {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let config = site.config_listening(self.listen.clone(), out)?;
        let log = log::start(&config.log)?;
        let actor = operator::actor(site.on_behalf_of());
        let tls = config.tls.as_ref().map(Certificate::load).transpose()?;
        let made = if self.read_only {
            // What is not there is not made.
            drop(operator::database(&config)?);
            setup::Setup::default()
        } else {
            setup::prepare(&config, &actor)?
        };
        let keys = Keys::load(&config.key_file)?;
        let db = Db::open(&config.db, Role::Daemon)?;
        let app = if self.read_only {
            db.call_reading()?;
            App::for_reading(config, keys, db)
        } else {
            App::new(config, keys, db)
        };
        match migrations::check(app.db()) {
            // A file in which nothing is has a key file all the same: something was in it.
            Err(Error::SchemaBehind { database, .. })
                if self.migrate && (database > 0 || app.db().file().is_none()) =>
            {
                let all = Wish::default();
                // Whoever stops a daemon that is starting ends it by the signal itself.
                let done = Story::own().migrate(&app, &actor, all, &mut |_| Ok(()))?;
                if let Some(kept) = &done.snapshot {
                    let (path, sum) = (kept.path.display(), &kept.sha256);
                    tell(&app, format_args!("snapshot {path} sha256 {sum}"), out)?;
                    for fault in &kept.faults {
                        let told =
                            format_args!("provost restore will refuse this snapshot: {fault}");
                        tell(&app, told, out)?;
                    }
                }
                for applied in &done.done {
                    let told = format_args!("applied migration {}", applied.name);
                    tell(&app, told, out)?;
                }
            }
            checked => checked?,
        }
        // Two pragmas are enough for a command; what serves for weeks looks at the whole history.
        migrations::verify(app.db())?;
        app.clock().raise(app.db().read(clock::mark)?);
        operator::own_keys(&app)?;
        // Before anybody is answered: a restart must not let in who is banned.
        throttle::read_bans(&app, &actor)?;
        if made.new_database {
            let config = app.config();
            let (database, key) = (config.db.place(), config.key_file.display());
            let told = format_args!("set up a new database {database} with key file {key}");
            tell(&app, told, out)?;
        }
        if let Some(hint) = setup::no_administrator(&app, &actor, site)? {
            tell(&app, hint, out)?;
        }
        if app.is_read_only() {
            let told =
                "this daemon answers reads alone: whatever would change something is refused";
            tell(&app, told, out)?;
        }
        noted::start(&app, &actor);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Error::io("start the daemon's threads"))?;
        let changing = Changing { log, tls };
        let ended = runtime.block_on(serve(app.clone(), &changing, site, out));
        // A request that still holds a thread must not hold up the end.
        runtime.shutdown_timeout(Duration::from_millis(100));
        let ended = ended?;
        if ended == End::Graceful {
            app.db().tidy(Tidy::Full)?;
        }
        Ok(Outcome::Done)
    }
}

/// How the daemon came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// What was running has finished.
    Graceful,
    /// A second signal did not wait for it.
    AtOnce,
}

async fn serve(app: App, changing: &Changing, site: &Site, out: &mut Output) -> Result<End> {
    let mut signals = Signals::catch()?;
    let listeners = listeners(&app)?;
    let tls = changing.tls.as_ref().map(|certificate| &certificate.shown);
    for listener in &listeners {
        let scheme = match (listener.local_addr(), tls) {
            (None, _) => "",
            (Some(_), None) => "http://",
            (Some(_), Some(_)) => "https://",
        };
        tell(&app, format_args!("listening on {scheme}{listener}"), out)?;
    }
    let stop = CancellationToken::new();
    let service = http::run(
        app.clone(),
        listeners,
        tls,
        changing.log.sink(),
        stop.clone(),
    );
    tokio::pin!(service);
    let chores = tokio::spawn(jobs::run(app.clone(), stop.clone()));
    notify(&[NotifyState::Ready]);
    let mut look = tokio::time::interval(LOOK);
    loop {
        let signal = tokio::select! {
            ended = &mut service => {
                stop.cancel();
                // A job stops between two of its steps; what it has done is kept.
                let waited = tokio::select! {
                    waited = chores => waited.map_err(Error::internal),
                    () = signals.stop() => return Ok(End::AtOnce),
                };
                return ended.and(waited).map(|()| End::Graceful);
            }
            signal = signals.next() => signal,
            _ = look.tick() => {
                if app.db().facts().faults >= FAULTS {
                    return Err(Error::Corrupt(format!("{FAULTS} storage faults in a row")));
                }
                continue;
            }
        };
        match signal {
            Caught::Reload => {
                changing.reload(site, out);
                noted::reload(&app, site);
            }
            Caught::Stop if stop.is_cancelled() => return Ok(End::AtOnce),
            Caught::Stop => {
                notify(&[NotifyState::Stopping]);
                tracing::info!("stopping");
                stop.cancel();
            }
        }
    }
}

/// The sockets that the service manager hands over, or else those of the settings.
fn listeners(app: &App) -> Result<Vec<Listener>> {
    let inherited = Listener::inherited()?;
    if inherited.is_empty() {
        let listen = &app.config().server.listen;
        listen.iter().map(http::bind).collect()
    } else {
        Ok(inherited)
    }
}

/// Tells a person in words, and a collector of JSON lines in a line of JSON.
fn tell(app: &App, text: impl Display, out: &mut Output) -> Result<()> {
    if out.terminal().stderr || app.config().log.format == LogFormat::Text {
        return out.message(text);
    }
    tracing::info!("{text}");
    Ok(())
}

/// What a running daemon may be told anew (security.md, rule 74).
struct Changing {
    log: Log,
    tls: Option<Certificate>,
}

impl Changing {
    fn reload(&self, site: &Site, out: &mut Output) {
        let config = match site.config(out) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "the settings cannot be read; nothing was changed");
                return;
            }
        };
        self.log.set_level(config.log.level);
        // Not `level`: the line has one of its own.
        tracing::info!(log_level = %config.log.level, "read the log level again");
        match (&self.tls, &config.tls) {
            (Some(certificate), Some(files)) => certificate.reload(files),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                tracing::warn!("TLS is switched on and off by a restart, not by a reload");
            }
        }
    }
}

/// The certificate that the daemon shows.
struct Certificate {
    shown: Tls,
}

impl Certificate {
    fn load(files: &config::Tls) -> Result<Self> {
        let pair = Pair::load(files)?;
        if let Some(warning) = pair.warning(wall()) {
            tracing::warn!("{warning}");
        }
        let shown = Tls::new(&pair)?;
        Ok(Self { shown })
    }

    /// What is there now, unless it would be worse than what we have.
    fn reload(&self, files: &config::Tls) {
        let now = wall();
        let pair = match Pair::load(files) {
            Ok(pair) => pair,
            Err(error) => {
                let cause = error.source().map(ToString::to_string);
                tracing::error!(%error, cause, "the certificate was not changed");
                return;
            }
        };
        if pair.until() <= now {
            let error = pair.warning(now);
            tracing::error!(error, "the certificate was not changed");
            return;
        }
        self.shown.change(&pair);
        if let Some(warning) = pair.warning(now) {
            tracing::warn!("{warning}");
        }
        tracing::info!(until = %pair.until(), "read the certificate again");
    }
}

/// Tells the service manager, where there is one.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager was not reached");
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caught {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> Result<Self> {
        let catch = |kind| signal(kind).map_err(Error::io("catch signals"));
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) {
        while self.next().await != Caught::Stop {}
    }

    async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::Stop,
            _ = self.interrupt.recv() => Caught::Stop,
            _ = self.hangup.recv() => Caught::Reload,
        }
    }
}
