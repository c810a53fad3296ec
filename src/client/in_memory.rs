//! Streams in memory instead of sockets, for tests with a paused clock.

use std::io;
use std::sync::Arc;

use tokio::io::DuplexStream;

/// Opens the client's streams.
#[derive(Clone)]
pub(super) struct InMemory(Arc<dyn Fn() -> io::Result<DuplexStream> + Send + Sync>);

impl InMemory {
    pub(super) fn new(connect: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static) -> InMemory {
        InMemory(Arc::new(connect))
    }

    pub(super) fn connect(&self) -> io::Result<DuplexStream> {
        (self.0)()
    }
}

impl std::fmt::Debug for InMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InMemory")
    }
}
