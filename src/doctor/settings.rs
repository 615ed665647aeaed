//! Checks of the settings: whom the daemon lets in, and whom it believes (security.md, rule 76).

use ipnet::IpNet;

use super::{Patient, Seen};
use crate::config::ListenAddr;
use crate::error::Result;

/// A network wider than this is not a proxy's.
const WIDEST_4: u8 = 8;
const WIDEST_6: u8 = 16;

/// Whether the settings can be used.
pub(super) fn config(patient: &Patient) -> Result<Seen> {
    let check = || patient.run("config check");
    if let Some(trouble) = &patient.found.trouble {
        let rest = if patient.found.config.is_some() {
            "; the rest was looked at as if there were no settings file"
        } else {
            ""
        };
        let seen = Seen::of(trouble, patient);
        return Ok(Seen::fail(format!("{}{rest}", seen.about), check()));
    }
    let config = patient.config()?;
    if let Some((first, others)) = config.warnings.split_first() {
        let more = match others.len() {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        return Ok(Seen::warn(format!("{first}{more}"), check()));
    }
    Ok(Seen::ok(match &config.config_file {
        Some(file) => format!("{} is good", file.display()),
        None => "there is no settings file; the defaults are good".to_owned(),
    }))
}

/// Who can reach the daemon, and how.
pub(super) fn listen(patient: &Patient) -> Result<Seen> {
    let config = patient.config()?;
    let server = &config.server;
    let places: Vec<String> = server.listen.iter().map(ToString::to_string).collect();
    let places = places.join(", ");
    let addresses = server.listen.iter().chain(&server.metrics_listen);
    let public = addresses
        .filter(|address| ListenAddr::is_public(address))
        .count()
        > 0;
    Ok(Seen::ok(
        match (public, config.tls.is_some(), server.behind_proxy) {
            (false, ..) => format!("{places}: nobody else's machine reaches it directly"),
            (true, true, _) => format!("{places}: reached from other machines, over TLS"),
            (true, false, true) => format!("{places}: reached through a proxy, which has the TLS"),
            // The settings refuse that; should they ever let it pass, it is told here.
            (true, false, false) => {
                let about = format!("{places}: reached from other machines in clear text");
                return Ok(Seen::fail(about, patient.run("config check")));
            }
        },
    ))
}

/// The daemon's own certificate.
pub(super) fn certificate(patient: &Patient) -> Result<Seen> {
    let config = patient.config()?;
    let check = || patient.run("config check");
    Ok(match (&patient.found.certificate, &config.tls) {
        (Some(Ok(None)), Some(tls)) => Seen::ok(format!("{} is good", tls.cert_file.display())),
        (Some(Ok(Some(warning))), _) => Seen::warn(warning, check()),
        (Some(Err(error)), _) => Seen::fail(Seen::of(error, patient).about, check()),
        (None, _) | (Some(Ok(None)), None) => {
            Seen::skip("none is named: TLS is somebody else's work")
        }
    })
}

/// Whose word is taken for where a request comes from.
pub(super) fn trusted_proxies(patient: &Patient) -> Result<Seen> {
    let server = &patient.config()?.server;
    let wide = |network: &&IpNet| {
        let widest = match network {
            IpNet::V4(_) => WIDEST_4,
            IpNet::V6(_) => WIDEST_6,
        };
        network.prefix_len() < widest
    };
    if let Some(network) = server.trusted_proxies.iter().find(wide) {
        let about = format!(
            "server.trusted_proxies has {network}: whoever is in it says where a request comes from, \
             past every limit and ban"
        );
        return Ok(Seen::fail(about, patient.run("config show --origin")));
    }
    Ok(Seen::ok(match server.trusted_proxies.len() {
        0 => "nobody's X-Forwarded-For is believed".to_owned(),
        1 => "the X-Forwarded-For of one network is believed".to_owned(),
        n => format!("the X-Forwarded-For of {n} networks is believed"),
    }))
}
