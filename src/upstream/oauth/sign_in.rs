//! Signing in to a server and out of it: begins the sign-in, waits for the browser and restarts the server.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::os::sync::read;
use crate::upstream::error::SignInError;
use crate::upstream::oauth::policy::not_possible;
use crate::upstream::oauth::{self, Begun};
use crate::upstream::pool::{Upstream, UpstreamPool};
use crate::upstream::resolve::resolved;
use crate::upstream::snapshot::{Phase, Snapshot};

impl UpstreamPool {
    /// Begins a sign-in and returns the URL to open in a browser; returns the same one while it is pending. The outcome shows in the
    /// server's state.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn sign_in(&self, name: &str) -> Result<String, SignInError> {
        let (config, state, restart, stop, signing_in) = {
            let servers = read(&self.servers);
            let server = servers.get(name).ok_or_else(|| SignInError::UnknownServer(name.to_owned()))?;
            let Upstream {
                config,
                state,
                restart,
                stop,
                signing_in,
                ..
            } = server;
            (config.clone(), state.clone(), restart.clone(), stop.clone(), signing_in.clone())
        };
        let _one_at_a_time = signing_in.lock().await;
        let snapshot = state.borrow().clone();
        if let Some(address) = snapshot.sign_in.address {
            return Ok(address);
        }
        if let Some(why) = not_possible(&config) {
            return Err(SignInError::NotPossible(why));
        }
        // A reference without a value already shows in the server's state.
        let Ok(config) = resolved(&config).await else {
            return Err(SignInError::NotPossible(snapshot.last_error().unwrap_or_default()));
        };
        let challenge = match &snapshot.phase {
            Phase::SignInNeeded(challenge) => challenge.as_deref(),
            _ => None,
        };
        let begun = match oauth::begin(&config, challenge, &self.tokens).await {
            Ok(begun) => begun,
            Err(why) => {
                state.send_modify(|state| state.sign_in.failed = Some(why.clone()));
                return Err(SignInError::Failed(why.text));
            }
        };
        let address = begun.address.clone();
        state.send_modify(|state| {
            state.sign_in.address = Some(address.clone());
            state.sign_in.failed = None;
        });
        tokio::spawn(finish(begun, state, restart, stop));
        Ok(address)
    }

    /// Signs out of a server and restarts it. `false` if there is none of that name. Waits for the disk.
    pub fn sign_out(&self, name: &str) -> bool {
        let found = read(&self.servers).get(name).map(|server| (server.state.clone(), server.restart.clone()));
        let Some((state, restart)) = found else { return false };
        self.tokens.forget(name);
        state.send_modify(|state| state.sign_in.provider = None);
        restart.notify_one();
        true
    }
}

/// Waits for the user to sign in, and restarts the server with the new token.
async fn finish(begun: Begun, state: Arc<watch::Sender<Snapshot>>, restart: Arc<Notify>, stop: CancellationToken) {
    let outcome = tokio::select! {
        () = stop.cancelled() => return,
        outcome = begun.finish() => outcome,
    };
    state.send_modify(|state| {
        state.sign_in.address = None;
        state.sign_in.failed = outcome.clone().err();
        if outcome.is_ok() {
            state.phase = Phase::Connecting;
        }
    });
    match outcome {
        Ok(()) => restart.notify_one(),
        Err(why) => tracing::warn!(server = state.borrow().config.name, "sign-in failed: {why}"),
    }
}
