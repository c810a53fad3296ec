//! Accepts connections: a limited number, each with time limits, and with TLS if configured.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// The most connections at a time.
const CONNECTIONS: usize = 1024;
/// How long the head of a request, or the TLS handshake, may take.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a connection may live: a client that sends a report a day needs no longer.
const LIFE: Duration = Duration::from_secs(300);
/// The longest head of a request, in bytes.
const HEAD_SIZE: usize = 16 << 10;

/// Reads a certificate chain and its key, both PEM.
///
/// # Errors
/// A description of the error in the files.
pub(super) fn tls(certificates: &Path, key_file: &Path) -> io::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| io::Error::other(format!("could not read `{}`: {error}", certificates.display())))?;
    if chain.is_empty() {
        return Err(io::Error::other(format!("`{}` contains no certificate", certificates.display())));
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| match error {
        pem::Error::NoItemsFound => io::Error::other(format!("`{}` contains no private key", key_file.display())),
        error => io::Error::other(format!("could not read `{}`: {error}", key_file.display())),
    })?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| match error {
            tokio_rustls::rustls::Error::InconsistentKeys(_) => io::Error::other(format!(
                "the key in `{}` does not belong to the first certificate in `{}`",
                key_file.display(),
                certificates.display()
            )),
            error => io::Error::other(error),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves connections until `stop` changes, then lets those that are open finish.
pub(super) async fn serve<F, A>(listener: TcpListener, tls: Option<TlsAcceptor>, stop: watch::Receiver<bool>, handle: F)
where
    F: Fn(Request<Incoming>, SocketAddr) -> A + Clone + Send + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stopping = stop.clone();
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            _ = stopping.changed() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, for example: the next one may be accepted.
                tracing::warn!("could not accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, handle, stop) = (tls.clone(), handle.clone(), stop.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let _ = tokio::time::timeout(LIFE, connection(stream, peer, tls, stop, handle)).await;
        });
    }
    drop(listener);
    // Every connection gives its slot back when it ends.
    let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(HEAD_TIME, slots.acquire_many(all)).await;
}

async fn connection<F, A>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
    handle: F,
) where
    F: Fn(Request<Incoming>, SocketAddr) -> A + Clone + Send + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    match tls {
        None => requests(TokioIo::new(stream), peer, stop, handle).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIME, tls.accept(stream)).await {
                requests(TokioIo::new(stream), peer, stop, handle).await;
            }
        }
    }
}

async fn requests<S, F, A>(stream: S, peer: SocketAddr, mut stop: watch::Receiver<bool>, handle: F)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin,
    F: Fn(Request<Incoming>, SocketAddr) -> A + Clone,
    A: Future<Output = Answer>,
{
    let service = service_fn(move |request| {
        let answer = handle(request, peer);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(stream, service);
    tokio::pin!(connection);
    tokio::select! {
        // Errors of a sender do not matter here.
        _ = connection.as_mut() => {}
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
