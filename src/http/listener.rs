//! What the daemon listens on: TCP ports and Unix sockets, its own or handed over by systemd.
//!
//! With a certificate every TCP port speaks TLS and no Unix socket does: nobody listens in on one.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use listenfd::ListenFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::tls::{Secure, Tls};
use crate::error::{Error, Result};

/// A bound socket that takes connections. Dropping it frees the address.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port, with TLS if it has a certificate.
    Tcp(TcpListener, Option<Tls>),
    /// A Unix socket, with its file if that is ours to remove.
    Unix(UnixListener, Option<SocketFile>),
}

impl Listener {
    /// Listens on a TCP port; needs a runtime, as all of these do.
    ///
    /// # Errors
    /// `io` if the address is in use or not ours.
    pub fn tcp(address: SocketAddr) -> Result<Self> {
        let bind = || {
            // std sets SO_REUSEADDR, so that a restart need not wait for TIME_WAIT.
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        bind()
            .map(|listener| Self::Tcp(listener, None))
            .map_err(Error::io(format!("listen on {address}")))
    }

    /// Listens on a Unix socket that owner and group may use. A file that a dead process left
    /// behind is replaced.
    ///
    /// # Errors
    /// `io` if something else is at that path, or somebody answers there.
    pub fn unix(path: &Path) -> Result<Self> {
        let bind = || {
            remove_stale(path)?;
            let listener = unix::UnixListener::bind(path)?;
            let file = SocketFile::claim(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
            listener.set_nonblocking(true)?;
            Ok(Self::Unix(UnixListener::from_std(listener)?, Some(file)))
        };
        bind().map_err(Error::io(format!("listen on unix:{}", path.display())))
    }

    /// The sockets that systemd (or any parent with its protocol) has opened for us; none at all
    /// is the ordinary case.
    ///
    /// # Errors
    /// `io` if one of them is no listening stream socket.
    pub fn inherited() -> Result<Vec<Self>> {
        let mut given = ListenFd::from_env();
        let mut take = |index: usize| {
            if let Ok(Some(listener)) = given.take_unix_listener(index) {
                listener.set_nonblocking(true)?;
                return Ok(Some(Self::Unix(UnixListener::from_std(listener)?, None)));
            }
            let Some(listener) = given.take_tcp_listener(index)? else {
                return Ok(None);
            };
            listener.set_nonblocking(true)?;
            Ok(Some(Self::Tcp(TcpListener::from_std(listener)?, None)))
        };
        (0..)
            .map_while(|index| take(index).transpose())
            .collect::<io::Result<_>>()
            .map_err(Error::io(
                "use the sockets handed over by the service manager",
            ))
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, address) = listener.accept().await?;
                // Small answers must not wait for the client's delayed acknowledgement. It fails
                // only for a connection that is gone already.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(address.ip().to_canonical())))
            }
            Self::Unix(listener, _) => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }

    /// From now on takes TLS alone, if it is a TCP port.
    pub fn secure(&mut self, with: &Tls) {
        match self {
            Self::Tcp(_, tls) => *tls = Some(with.clone()),
            Self::Unix(..) => {}
        }
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        match self {
            Self::Tcp(_, tls) => tls.as_ref(),
            Self::Unix(..) => None,
        }
    }

    /// The TCP address, for which port 0 has become a real port.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener, _) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener, _) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(_) => f.write_str("tcp"),
            },
            Self::Unix(_, Some(file)) => write!(f, "unix:{}", file.path.display()),
            Self::Unix(listener, None) => match listener.local_addr() {
                Ok(address) => match address.as_pathname() {
                    Some(path) => write!(f, "unix:{}", path.display()),
                    None => f.write_str("unix"),
                },
                Err(_) => f.write_str("unix"),
            },
        }
    }
}

/// The file of a Unix socket, removed on drop unless another one is there by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn claim(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if ours {
            // If it stays, the next start finds nobody answering and removes it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is not a socket is there",
        ));
    }
    match unix::UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}

/// An accepted connection. An enum, so that hyper and the router are compiled once, not twice.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// After its handshake.
    Tls(Box<Secure>),
}

impl Stream {
    /// Sends a few bytes, as far as they go without waiting, and hangs up.
    pub(super) fn hang_up(self, last_words: &[u8]) {
        // A fresh socket has room for them; tokio would first wait for its poller to say so.
        // Whoever does not get them sees the end all the same.
        match self {
            Self::Tcp(stream) => {
                if let Ok(mut stream) = stream.into_std() {
                    let _ = stream.write(last_words);
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
            Self::Unix(stream) => {
                if let Ok(mut stream) = stream.into_std() {
                    let _ = stream.write(last_words);
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
            // Words would need the client's time.
            Self::Tls(_) => {}
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_shutdown(cx),
        }
    }
}
