//! HTTPS on the TCP address, for `tls.enabled`. The local socket needs none.

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

/// A client that has not finished the handshake by then is not heard.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at one time.
const HANDSHAKES: usize = 256;
/// How often the certificate's expiry is looked at.
const LOOK: Duration = Duration::from_hours(12);

/// The certificate that is served now; a renewed one takes its place without a restart.
#[derive(Debug)]
pub struct Certificate {
    directory: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// The certificate of a directory.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn load(directory: &Path, now: i64) -> Result<Arc<Certificate>, CertificateError> {
        let current = certified(certificates::ensure(directory, now)?, directory)?;
        Ok(Arc::new(Certificate {
            directory: directory.to_path_buf(),
            current: RwLock::new(Arc::new(current)),
        }))
    }

    /// Renews it when it is due, for as long as the core runs.
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
    // Go's `LoadX509KeyPair` refuses a key of another certificate, and so do we.
    certified.keys_match().map_err(unusable)?;
    Ok(certified)
}

/// TCP connections on which TLS has been agreed; nothing else gets through.
pub struct TlsListener {
    address: SocketAddr,
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Takes over a listener.
    ///
    /// # Errors
    /// What the system or the TLS library says.
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
        // Axum's own: it waits a moment where the system has no room for another connection.
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
                Ok(Err(error)) => tracing::debug!(%client, "no TLS: {error}"),
                Err(_) => tracing::debug!(%client, "no TLS: the client was silent"),
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
