//! Certificates of an authority of the test's own, and clients that believe it and nobody else.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use provost::time::wall;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

/// A connection with TLS on it.
pub(crate) type Secure = StreamOwned<ClientConnection, TcpStream>;

const DAY: Duration = Duration::from_hours(24);

/// Who signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    /// The chain, which is one certificate long.
    pub(crate) certificate: String,
    /// The private key.
    pub(crate) key: String,
}

/// The two files of a certificate, as the settings name them.
pub(crate) struct Files {
    /// `tls.cert_file`.
    pub(crate) certificate: PathBuf,
    /// `tls.key_file`.
    pub(crate) key: PathBuf,
}

impl Authority {
    /// A new one, which nobody knows yet.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // What strict libraries want to see (RFC 5280 §4.2.1).
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its own certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `localhost` and `127.0.0.1`, good for so many days from now on; for none
    /// it has ended a day ago.
    pub(crate) fn issue(&self, days: u32) -> Issued {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        let now = Duration::from_millis(wall().0.unsigned_abs());
        let start = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = start + now - 2 * DAY;
        params.not_after = if days == 0 {
            start + now - DAY
        } else {
            start + now + DAY * days
        };
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        Issued {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that believes this authority.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.client_with(&[&TLS13, &TLS12])
    }

    /// The same in these versions of TLS alone.
    pub(crate) fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Who comes back to a session sees the certificate of its beginning.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl Issued {
    /// The certificate as it goes over the wire.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    /// Writes both files into `folder`, each in one step.
    pub(crate) fn write(&self, folder: &Path) -> Files {
        let write = |name: &str, mode: u32, text: &str| {
            let (path, fresh) = (folder.join(name), folder.join(format!("{name}.new")));
            let _ = fs::remove_file(&fresh);
            let options = fs::File::options()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&fresh);
            options.unwrap().write_all(text.as_bytes()).unwrap();
            fs::rename(&fresh, &path).unwrap();
            path
        };
        Files {
            certificate: write("tls.crt", 0o644, &self.certificate),
            key: write("tls.key", 0o600, &self.key),
        }
    }
}

/// Connects to `127.0.0.1:40123` under the name `localhost` and finishes the handshake.
pub(crate) fn connect(config: &Arc<ClientConfig>, address: &str) -> std::io::Result<Secure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// What the server has shown.
pub(crate) fn shown(stream: &Secure) -> CertificateDer<'static> {
    let chain = stream.conn.peer_certificates().unwrap();
    chain.first().unwrap().clone().into_owned()
}
