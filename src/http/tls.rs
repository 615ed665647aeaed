//! HTTPS without a proxy (security.md, rules 74 and 76): the certificate, how it is changed while
//! the daemon runs, and the handshake.
//!
//! Invariants: a [`Pair`] that exists fits together; a handshake ends before the deadline of the
//! first head, which counts from accept, or the connection does; changing the certificate touches
//! no open connection.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use zeroize::Zeroize as _;

use super::connection::Halt;
use super::listener::Stream;
use super::refusal;
use crate::config;
use crate::error::{Error, Result};
use crate::file;
use crate::time::{Timestamp, relative};

/// A chain is a few kilobytes; whatever is larger is something else.
const LARGEST: u64 = 256 * 1024;
/// How long before the end of a certificate its owner hears of it.
const WARN_BEFORE: Duration = Duration::from_hours(14 * 24);
/// The first byte of a TLS handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// A certificate chain with its private key.
pub struct Pair {
    key: Arc<CertifiedKey>,
    cert_file: PathBuf,
    from: Timestamp,
    until: Timestamp,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("cert_file", &self.cert_file)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Pair {
    /// Reads both files.
    ///
    /// # Errors
    /// `key_file` for a key that others may read, that is somebody else's, is no key or does not
    /// belong to the certificate; `config` for the certificate; `io` if it cannot be read.
    pub fn load(files: &config::Tls) -> Result<Self> {
        let provider = aws_lc_rs::default_provider();
        let chain = read_chain(&files.cert_file)?;
        let (from, until) = validity(&files.cert_file, &chain)?;
        let key = read_key(&files.key_file)?;
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
            let reason = if error == InconsistentKeys::KeyMismatch.into() {
                let cert_file = files.cert_file.display();
                format!("does not belong to the certificate in {cert_file}")
            } else {
                format!("cannot be used: {error}")
            };
            refuse_key(&files.key_file, reason)
        })?;
        Ok(Self {
            key: Arc::new(key),
            cert_file: files.cert_file.clone(),
            from,
            until,
        })
    }

    /// From this instant on nobody takes the certificate any more.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// What its owner should know of the certificate.
    #[must_use]
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let (file, from, until) = (self.cert_file.display(), self.from, self.until);
        if now >= until {
            Some(format!("the certificate in {file} expired at {until}"))
        } else if now < from {
            Some(format!(
                "the certificate in {file} is good only from {from}"
            ))
        } else if now.plus(WARN_BEFORE) > until {
            let when = relative(until, now);
            Some(format!(
                "the certificate in {file} expires {when}, at {until}"
            ))
        } else {
            None
        }
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let doing = || Error::io(format!("read the certificate {}", path.display()));
    let mut text = Vec::new();
    let file = File::open(path).map_err(doing())?;
    file.take(LARGEST).read_to_end(&mut text).map_err(doing())?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(refuse_certificate(path, "holds no certificate in PEM")),
    }
}

/// When the server's own certificate is good: what is checked by its clients.
fn validity(path: &Path, chain: &[CertificateDer<'_>]) -> Result<(Timestamp, Timestamp)> {
    let own = chain.first().map(|der| Certificate::from_der(der));
    let Some(Ok(own)) = own else {
        return Err(refuse_certificate(path, "holds a damaged certificate"));
    };
    let validity = own.tbs_certificate.validity;
    let at = |time: x509_cert::time::Time| {
        Timestamp(i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX))
    };
    Ok((at(validity.not_before), at(validity.not_after)))
}

/// Through a link, too: that is how two files are changed at once, and who could lay a link there
/// gains nothing, since what it leads to must be ours alone and belong to the certificate.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let refuse = |reason: String| refuse_key(path, reason);
    let opened = File::open(path).map_err(|error| refuse(format!("cannot be opened: {error}")))?;
    file::check_secret(path, &opened)?;
    let mut text = Vec::new();
    let read = opened.take(LARGEST).read_to_end(&mut text);
    // The parser's message would quote the secret.
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| refuse("holds no private key in PEM (without a passphrase)".into()));
    text.zeroize();
    read.map_err(|error| refuse(format!("cannot be read: {error}")))?;
    key
}

fn refuse_key(path: &Path, reason: String) -> Error {
    Error::KeyFile {
        path: path.into(),
        reason,
    }
}

fn refuse_certificate(path: &Path, reason: &str) -> Error {
    Error::Config(format!("tls.cert_file: {} {reason}", path.display()))
}

/// TLS as a listener speaks it. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The certificate that is shown to whoever connects now.
struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl Tls {
    /// Speaks TLS 1.2 and 1.3 with this certificate.
    ///
    /// # Errors
    /// `internal` if the library was built without them.
    pub fn new(pair: &Pair) -> Result<Self> {
        let current = Arc::new(Current(RwLock::new(Arc::clone(&pair.key))));
        let provider: Arc<CryptoProvider> = aws_lc_rs::default_provider().into();
        let resolver: Arc<dyn ResolvesServerCert> = current.clone();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(Error::internal)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            current,
        })
    }

    /// From now on shows this certificate; who is connected stays connected.
    pub fn change(&self, pair: &Pair) {
        let current = &self.current.0;
        *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&pair.key);
    }

    /// The handshake, which must be over at `by`; nothing for a connection that has ended.
    pub(super) async fn greet(
        &self,
        stream: Stream,
        by: Instant,
        linger: Duration,
        halt: &Halt,
    ) -> Option<Stream> {
        let Stream::Tcp(stream) = stream else {
            return Some(stream);
        };
        let shaken = tokio::select! {
            biased;
            // Nobody has asked for anything yet.
            () = halt.begun() => return None,
            shaken = timeout_at(by, self.shake(stream)) => shaken,
        };
        match shaken {
            Ok(Ok(Greeted::Secure(stream))) => Some(stream),
            Ok(Ok(Greeted::Plain(stream))) => {
                // It ends either way.
                let _ = timeout(linger, refuse_plain(stream)).await;
                None
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "no TLS with this client");
                None
            }
            Err(_) => {
                tracing::debug!("connection closed before its TLS handshake was over");
                None
            }
        }
    }

    async fn shake(&self, stream: TcpStream) -> io::Result<Greeted> {
        let mut first = [HANDSHAKE];
        stream.peek(&mut first).await?;
        // A method begins with a letter; what is neither gets TLS's own refusal.
        if first.iter().all(u8::is_ascii_alphabetic) {
            return Ok(Greeted::Plain(stream));
        }
        let secure = self.acceptor.accept(stream).await?;
        Ok(Greeted::Secure(Stream::Tls(Box::new(Secure(secure)))))
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub(super) struct Secure(pub(super) TlsStream<TcpStream>);

impl Drop for Secure {
    fn drop(&mut self) {
        // Who is cut off at a deadline should not take it for an attack (RFC 8446 §6.1). After an
        // orderly end there is nothing left to say.
        let (tcp, tls) = self.0.get_mut();
        tls.send_close_notify();
        let mut last_words = Vec::new();
        if tls.write_tls(&mut last_words).is_ok() && !last_words.is_empty() {
            let _ = tcp.try_write(&last_words);
        }
    }
}

enum Greeted {
    Secure(Stream),
    Plain(TcpStream),
}

/// Tells a client that speaks HTTP without TLS what it should do instead, and waits until it has
/// stopped sending: else the kernel resets the connection, and the client may never see why.
async fn refuse_plain(mut stream: TcpStream) -> io::Result<()> {
    let error = Error::Malformed("this port speaks HTTPS".into());
    stream.write_all(&refusal::bytes(&error, "")).await?;
    stream.shutdown().await?;
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}
