//! Whose certificate `provost health` believes: the very one that is configured, or one that the
//! authorities vouch for.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Error, Result};

/// The configured certificate, shown by whoever has its key, proves more than any authority could;
/// and it does so on `127.0.0.1`, which no authority signs for.
#[derive(Debug)]
struct Trust {
    own: Option<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.own.as_ref() == Some(shown) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities
            .verify_server_cert(shown, chain, name, stapled, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Believes the first certificate of `own` as it is, and what the authorities in `ca` vouch for,
/// or else those of the machine.
///
/// # Errors
/// `io` if a file cannot be read, `config` if there is no certificate in it.
pub(super) fn client(own: Option<&Path>, ca: Option<&Path>) -> Result<ClientConfig> {
    let own = match own {
        Some(path) => certificates(path)?.into_iter().next(),
        None => None,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(match ca {
        Some(path) => certificates(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    });
    // The library wants one; a machine without any, such as a container, has the configured one.
    if roots.is_empty() {
        roots.add_parsable_certificates(own.clone());
    }
    if roots.is_empty() {
        return Err(Error::Config(
            "this machine has no certificates of authorities; name a file of them with --ca-file"
                .into(),
        ));
    }
    let provider: Arc<CryptoProvider> = aws_lc_rs::default_provider().into();
    let authorities =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(Error::internal)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust { own, authorities }))
        .with_no_client_auth();
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = fs::read(path).map_err(Error::io(format!("read {}", path.display())))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .filter_map(Result::ok)
        .collect();
    if found.is_empty() {
        let path = path.display();
        return Err(Error::Config(format!("{path} holds no certificate in PEM")));
    }
    Ok(found)
}
