//! Which calls run now: the limits of all servers together and of each server (`max_concurrent_requests` and its siblings).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::Config;
use crate::config::serving::Concurrency;
use crate::upstream::concurrency::{Gate, Limits, Permit};
use crate::upstream::error::CallError;
use crate::upstream::session::in_flight::SessionId;

type SessionGate = Arc<Gate<SessionId>>;

/// The limits of one core.
#[derive(Debug, Default)]
pub struct Admission {
    gates: RwLock<Gates>,
}

#[derive(Debug, Default)]
struct Gates {
    all: Option<SessionGate>,
    servers: BTreeMap<String, SessionGate>,
}

/// The right to run a call; it ends with this value.
#[derive(Debug)]
pub struct Admitted {
    _server: Option<Permit<SessionId>>,
    _all: Option<Permit<SessionId>>,
}

impl Admission {
    /// Follows the configuration. Calls that run or wait are not lost.
    pub fn configure(&self, config: &Config) {
        let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
        gates.all = follow(gates.all.take(), &config.concurrency());
        let mut before = std::mem::take(&mut gates.servers);
        for server in &config.servers {
            let limits = server.concurrency(&config.server_concurrency_defaults);
            if let Some(gate) = follow(before.remove(&server.name), &limits) {
                gates.servers.insert(server.name.clone(), gate);
            }
        }
        for gone in before.into_values() {
            gone.set_limits(Limits::NONE);
        }
    }

    /// Whether calls of a server may have to wait.
    pub fn limits(&self, server: &str) -> bool {
        let gates = self.gates.read().unwrap_or_else(PoisonError::into_inner);
        gates.all.is_some() || gates.servers.contains_key(server)
    }

    /// Waits until a session's call of a server may run. Its server comes first, so that calls that wait for a slow server
    /// take no room from the others.
    ///
    /// # Errors
    /// [`CallError::Busy`].
    pub async fn enter(&self, server: &str, session: SessionId) -> Result<Admitted, CallError> {
        let (of_server, of_all) = {
            let gates = self.gates.read().unwrap_or_else(PoisonError::into_inner);
            (gates.servers.get(server).cloned(), gates.all.clone())
        };
        let wait = async |gate: Option<SessionGate>| match gate {
            None => Ok(None),
            Some(gate) => gate.enter(session).await.map(Some).map_err(|busy| CallError::Busy {
                server: server.to_owned(),
                retry_in: busy.retry_in,
            }),
        };
        Ok(Admitted {
            _server: wait(of_server).await?,
            _all: wait(of_all).await?,
        })
    }
}

/// The gate for these limits; one that is there keeps who waits at it.
fn follow(gate: Option<SessionGate>, limits: &Concurrency) -> Option<SessionGate> {
    let limits = limits.limits().map(|(running, waiting, patience)| Limits {
        running,
        waiting,
        patience,
    });
    match (gate, limits) {
        (Some(gate), Some(limits)) => {
            gate.set_limits(limits);
            Some(gate)
        }
        (Some(gate), None) => {
            gate.set_limits(Limits::NONE);
            None
        }
        (None, limits) => limits.map(Gate::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(std::path::Path::new("/c.json"), text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_full_does_not_hold_up_another() {
        let admission = Admission::default();
        admission.configure(&config(
            r#"{"max_concurrent_requests":3,"queue_size":9,"mcpServers":[
                {"name":"slow","command":"x","max_concurrent_requests":1,"queue_size":1,"queue_timeout":"5s"},
                {"name":"quick","command":"x"}]}"#,
        ));
        let session = SessionId(1);
        let running = admission.enter("slow", session).await.unwrap();
        let waiting = admission.enter("slow", session);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let Err(CallError::Busy { server, retry_in }) = admission.enter("slow", session).await else {
            panic!("the third call of a server with room for two must be refused")
        };
        assert_eq!(server, "slow");
        assert!(retry_in.as_secs() >= 1);
        let quick = [
            admission.enter("quick", session).await.unwrap(),
            admission.enter("quick", session).await.unwrap(),
        ];
        let third = admission.enter("quick", session);
        tokio::pin!(third);
        assert!(futures_util::poll!(&mut third).is_pending(), "all servers together run no more than three");
        drop(running);
        drop(quick);
        assert!(waiting.await.is_ok());
        assert!(third.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn limits_can_be_lifted_while_calls_wait() {
        let admission = Admission::default();
        let limited = r#"{"mcpServers":[{"name":"s","command":"x","max_concurrent_requests":1,"queue_size":5}]}"#;
        admission.configure(&config(limited));
        assert!(admission.limits("s") && !admission.limits("t"));
        let session = SessionId(1);
        let _running = admission.enter("s", session).await.unwrap();
        let waiting = admission.enter("s", session);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        admission.configure(&config(r#"{"mcpServers":[{"name":"s","command":"x"}]}"#));
        assert!(waiting.await.is_ok() && !admission.limits("s"));
    }
}
