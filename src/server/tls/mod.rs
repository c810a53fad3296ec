//! HTTPS on the TCP address, for `tls.enabled`. The local socket needs no encryption.

pub mod certificates;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::serve::Listener;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use self::certificates::{CertificateError, Identity};

/// Timeout for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Maximum number of simultaneous handshakes.
const HANDSHAKES: usize = 256;
/// How often the certificate's expiry is checked.
const LOOK: Duration = Duration::from_hours(12);

/// The current certificate. A renewed one replaces it without a restart.
#[derive(Debug)]
pub struct Certificate {
    directory: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Loads the certificate in a directory.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn load(directory: &Path, now: i64) -> Result<Arc<Certificate>, CertificateError> {
        let current = certified(certificates::ensure(directory, now)?, directory)?;
        Ok(Arc::new(Certificate {
            directory: directory.to_path_buf(),
            current: RwLock::new(Arc::new(current)),
        }))
    }

    /// Renews the certificate when it is due, until the core stops.
    pub async fn keep_valid(self: Arc<Certificate>, clock: impl Fn() -> i64) {
        loop {
            tokio::time::sleep(LOOK).await;
            let (directory, now) = (self.directory.clone(), clock());
            let renewed = tokio::task::spawn_blocking(move || {
                certificates::ensure(&directory, now).and_then(|identity| certified(identity, &directory))
            });
            match renewed.await {
                Ok(Ok(renewed)) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed);
                }
                Ok(Err(error)) => tracing::error!("{error}"),
                Err(error) => tracing::error!("could not renew the certificate: {error}"),
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn certified(identity: Identity, directory: &Path) -> Result<CertifiedKey, CertificateError> {
    let unusable = |problem: rustls::Error| CertificateError::Unusable {
        path: directory.to_path_buf(),
        problem: problem.to_string(),
    };
    let key = rustls::crypto::ring::sign::any_supported_type(&identity.key).map_err(unusable)?;
    let certified = CertifiedKey::new(identity.chain, key);
    // The key must belong to the certificate. Go's `LoadX509KeyPair` checks this too.
    certified.keys_match().map_err(unusable)?;
    Ok(certified)
}

/// Accepts TCP connections after a successful TLS handshake.
pub struct TlsListener {
    address: SocketAddr,
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Wraps a listener.
    ///
    /// # Errors
    /// The error of the system or the TLS library.
    pub fn new(tcp: TcpListener, certificate: Arc<Certificate>) -> io::Result<TlsListener> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (found, connections) = mpsc::channel(64);
        let address = tcp.local_addr()?;
        tokio::spawn(accept(tcp, TlsAcceptor::from(Arc::new(config)), found));
        Ok(TlsListener { address, connections })
    }
}

async fn accept(mut tcp: TcpListener, acceptor: TlsAcceptor, found: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        // Axum's `accept` pauses if the system has no free file descriptors.
        let (stream, client) = tokio::select! {
            accepted = Listener::accept(&mut tcp) => accepted,
            () = found.closed() => return,
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, found) = (acceptor.clone(), found.clone());
        tokio::spawn(async move {
            let agreed = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
            drop(permit);
            match agreed {
                Ok(Ok(stream)) => drop(found.send((stream, client)).await),
                Ok(Err(error)) => tracing::debug!(%client, "the TLS handshake failed: {error}"),
                Err(_) => tracing::debug!(%client, "the TLS handshake timed out"),
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
