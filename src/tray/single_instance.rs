//! One tray per data directory: a second start sends its request to the first over a local stream of the same user.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::World;
use crate::contract::endpoint::LocalAddress;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::platform::Platform;
use crate::os::local_stream::{self, LocalListener};

/// How long either side waits for the other.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Confirms that the request was accepted.
const ACCEPTED: &[u8] = b"ok\n";

/// A request of a second start to the running tray.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InstanceRequest {
    /// Show the status window: the user started MCPProxy again, perhaps because the icon is hidden.
    Show,
    /// Quit, as from the menu.
    Quit,
}

impl InstanceRequest {
    const fn word(self) -> &'static [u8] {
        match self {
            InstanceRequest::Show => b"show\n",
            InstanceRequest::Quit => b"quit\n",
        }
    }

    fn read(word: &[u8]) -> Option<InstanceRequest> {
        [InstanceRequest::Show, InstanceRequest::Quit].into_iter().find(|request| request.word() == word)
    }
}

/// Accepts requests for as long as the tray lives; `accept` returns false once the tray no longer takes any.
pub(super) async fn listen<F: Future<Output = bool>>(address: LocalAddress, accept: impl Fn(InstanceRequest) -> F) {
    let mut listener = match LocalListener::bind(&address).await {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!("could not listen for further starts of this program: {error}"),
    };
    loop {
        let mut stream = listener.accept().await;
        let mut word = [0; 5];
        let read = tokio::time::timeout(TIMEOUT, stream.read_exact(&mut word)).await;
        let Some(request) = InstanceRequest::read(&word).filter(|_| matches!(read, Ok(Ok(_)))) else {
            continue;
        };
        if accept(request).await {
            let _ = tokio::time::timeout(TIMEOUT, stream.write_all(ACCEPTED)).await;
        }
    }
}

/// Sends a request to the running tray and waits until it is accepted.
///
/// # Errors
/// The system's error; `TimedOut` if there is no answer.
pub(super) async fn send(address: &LocalAddress, request: InstanceRequest) -> io::Result<()> {
    let exchange = async {
        let mut stream = local_stream::connect(address).await?;
        stream.write_all(request.word()).await?;
        let mut answer = [0; ACCEPTED.len()];
        stream.read_exact(&mut answer).await.map(drop)
    };
    tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Sends a request to the running tray of this data directory.
///
/// # Errors
/// As for [`send`].
pub(super) fn send_blocking(world: &World, root: &InstanceRoot, request: InstanceRequest) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send(&LocalAddress::of_tray(Platform::HOST, root, &world.user), request))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_accepted_and_garbage_before_it_does_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let address = LocalAddress::Unix(directory.path().join("tray.sock"));
        assert!(send(&address, InstanceRequest::Show).await.is_err(), "no tray is running");
        let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
        let accept = move |request| {
            let sender = sender.clone();
            async move { sender.send(request).await.is_ok() }
        };
        let listener = tokio::spawn(listen(address.clone(), accept));
        let mut garbage = loop {
            match local_stream::connect(&address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        drop(garbage);
        send(&address, InstanceRequest::Quit).await.unwrap();
        assert_eq!(receiver.recv().await, Some(InstanceRequest::Quit));
        listener.abort();
    }
}
