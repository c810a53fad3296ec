//! The two listeners: TCP and the local socket or pipe.

use std::io;

use axum::serve::Listener;
use tokio::net::TcpListener;

use crate::os::local_stream::{LocalListener, ServerStream};

/// Listens on `host:port`. A missing host means every interface; `localhost` is resolved.
///
/// # Errors
/// The system's error.
pub async fn bind_tcp(address: &str) -> io::Result<TcpListener> {
    match address.strip_prefix(':') {
        Some(port) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
        None => TcpListener::bind(address).await,
    }
}

/// Adapts the local socket or pipe to the HTTP server.
pub struct LocalStreamListener(pub LocalListener);

impl Listener for LocalStreamListener {
    type Io = ServerStream;
    type Addr = ();

    async fn accept(&mut self) -> (ServerStream, ()) {
        (self.0.accept().await, ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}
