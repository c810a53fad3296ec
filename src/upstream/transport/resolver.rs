//! Resolves host names for requests to servers, with a typed error.

use std::io;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names as the system does, and marks its failures: the library's own have no public type.
#[derive(Debug)]
pub struct SystemResolver;

/// A name has no address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotResolved(#[source] io::Error);

impl SystemResolver {
    pub fn shared() -> Arc<SystemResolver> {
        Arc::new(SystemResolver)
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is that of the URL, which the library puts in.
            match tokio::net::lookup_host((name.as_str(), 0)).await {
                Ok(addresses) => Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs),
                Err(error) => Err(NotResolved(error).into()),
            }
        })
    }
}
