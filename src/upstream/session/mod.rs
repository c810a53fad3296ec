//! One session with a server: requests in flight, routing of its messages, subscriptions, multi-round-trip requests.

pub mod client_handler;
pub mod in_flight;

pub mod multi_round_trip;
pub mod pending;
pub mod pool_subscriptions;
pub mod protocol_version;
pub mod rate_limit;
pub mod router;
pub mod subscriptions;
pub mod sync_subscriptions;
