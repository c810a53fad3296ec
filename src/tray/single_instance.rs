//! How a second start of this program reaches the first: one word over a local stream of the same user.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::Sender;

use super::drive::Input;
use crate::contract::endpoint::LocalAddress;
use crate::os::local_stream::{self, LocalListener};

/// How long either side waits for the other's word.
const PATIENCE: Duration = Duration::from_secs(2);
/// What the first one says back.
const HEARD: &[u8] = b"ok\n";

/// What the second start wants of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceRequest {
    /// Show yourself: somebody looks for the icon.
    Show,
    /// Quit, as by the menu.
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
        [InstanceRequest::Show, InstanceRequest::Quit]
            .into_iter()
            .find(|single_instance| single_instance.word() == word)
    }
}

/// Hears every knock, for as long as this tray lives.
pub async fn listen(address: LocalAddress, inputs: Sender<Input>) {
    let mut listener = match LocalListener::bind(&address).await {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!("a second start of this program will not be heard: {error}"),
    };
    loop {
        let mut stream = listener.accept().await;
        let mut word = [0; 5];
        let heard = tokio::time::timeout(PATIENCE, stream.read_exact(&mut word)).await;
        let Some(single_instance) = InstanceRequest::read(&word).filter(|_| matches!(heard, Ok(Ok(_)))) else {
            continue;
        };
        if inputs.send(Input::Knocked(single_instance)).await.is_ok() {
            let _ = tokio::time::timeout(PATIENCE, stream.write_all(HEARD)).await;
        }
    }
}

/// Knocks at the tray that runs, and waits until it has heard.
///
/// # Errors
/// What the system says; `TimedOut` when nobody answers.
pub async fn single_instance(address: &LocalAddress, single_instance: InstanceRequest) -> io::Result<()> {
    let talk = async {
        let mut stream = local_stream::connect(address).await?;
        stream.write_all(single_instance.word()).await?;
        let mut answer = [0; HEARD.len()];
        stream.read_exact(&mut answer).await.map(drop)
    };
    tokio::time::timeout(PATIENCE, talk).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_knock_is_heard_and_garbage_does_not_deafen() {
        let directory = tempfile::tempdir().unwrap();
        let address = LocalAddress::Unix(directory.path().join("tray.sock"));
        assert!(single_instance(&address, InstanceRequest::Show).await.is_err(), "nobody is there");
        let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
        let listener = tokio::spawn(listen(address.clone(), sender));
        let mut garbage = loop {
            match local_stream::connect(&address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        drop(garbage);
        single_instance(&address, InstanceRequest::Quit).await.unwrap();
        assert!(matches!(receiver.recv().await, Some(Input::Knocked(InstanceRequest::Quit))));
        listener.abort();
    }
}
