//! A byte stream between two programs of one user: a Unix socket or a named pipe that no other user can open.

use std::io;

use crate::contract::endpoint::LocalAddress;

pub use imp::{ClientStream, LocalListener, ServerStream, connect};

/// Why the local address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A core already listens there.
    #[error("another MCPProxy already listens on `{0}`")]
    InUse(LocalAddress),
    /// The address belongs to another system, or is too long.
    #[error("could not use `{0}` as a local address: move the data directory to a shorter path")]
    Unusable(LocalAddress),
    #[error("could not listen on `{address}`: {source}")]
    Io { address: LocalAddress, source: io::Error },
}

#[cfg(unix)]
mod imp {
    use std::fs::{self, Permissions};
    use std::io;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::path::PathBuf;

    use tokio::net::{UnixListener, UnixStream};

    use super::BindError;
    use crate::contract::{endpoint::LocalAddress, platform::Platform};

    pub type ClientStream = UnixStream;
    pub type ServerStream = UnixStream;

    /// Connects, and checks that the listener belongs to this user.
    ///
    /// # Errors
    /// The socket could not be opened; `PermissionDenied` if another user listens there.
    pub async fn connect(address: &LocalAddress) -> io::Result<ClientStream> {
        let LocalAddress::Unix(path) = address else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let stream = UnixStream::connect(path).await?;
        if !same_user(&stream) {
            let text = format!("`{}` belongs to another user's program", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(stream)
    }

    /// Listens on a socket (0600) and removes it when dropped.
    pub struct LocalListener {
        listener: UnixListener,
        path: PathBuf,
    }

    impl LocalListener {
        /// Listens. A socket left behind by a dead core is replaced; one that answers is not.
        ///
        /// # Errors
        /// [`BindError`].
        pub async fn bind(address: &LocalAddress) -> Result<LocalListener, BindError> {
            let LocalAddress::Unix(path) = address else {
                return Err(BindError::Unusable(address.clone()));
            };
            if !address.fits(Platform::HOST) {
                return Err(BindError::Unusable(address.clone()));
            }
            let failed = |source| BindError::Io {
                address: address.clone(),
                source,
            };
            if let Ok(metadata) = tokio::fs::symlink_metadata(path).await {
                match UnixStream::connect(path).await {
                    Ok(_) => return Err(BindError::InUse(address.clone())),
                    // A plain file refuses connections, too: only sockets are removed.
                    Err(error) if refused(&error) && metadata.file_type().is_socket() => {
                        tokio::fs::remove_file(path).await.map_err(failed)?;
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
            let listener = UnixListener::bind(path).map_err(failed)?;
            // The directory is 0700, so no other user can connect in between.
            tokio::fs::set_permissions(path, Permissions::from_mode(0o600)).await.map_err(failed)?;
            Ok(LocalListener {
                listener,
                path: path.clone(),
            })
        }

        /// The next stream of this user. Another user's is closed, and a failed accept is retried: neither ends the listener.
        pub async fn accept(&mut self) -> ServerStream {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) if same_user(&stream) => return stream,
                    Ok(_) => tracing::warn!("refused a connection of another user to the local socket"),
                    Err(error) => {
                        tracing::warn!("could not accept a connection on the local socket: {error}");
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }

    impl Drop for LocalListener {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.path);
        }
    }

    fn refused(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::ConnectionRefused
    }

    fn same_user(stream: &UnixStream) -> bool {
        stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
    }
}

#[cfg(windows)]
#[path = "named_pipe.rs"]
mod imp;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn address(directory: &tempfile::TempDir) -> LocalAddress {
        LocalAddress::Unix(directory.path().join("a.sock"))
    }

    #[tokio::test]
    async fn the_socket_of_a_dead_core_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let LocalAddress::Unix(path) = address(&directory) else { unreachable!() };
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file behind");
        let listener = LocalListener::bind(&address(&directory)).await.unwrap();
        assert!(matches!(LocalListener::bind(&address(&directory)).await, Err(BindError::InUse(_))));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_plain_file_in_its_place_is_not_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let LocalAddress::Unix(path) = address(&directory) else { unreachable!() };
        std::fs::write(&path, "mine").unwrap();
        let _ = LocalListener::bind(&address(&directory)).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
