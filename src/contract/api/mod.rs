//! Types of the REST and SSE interface. The core writes them; clients read them from this core or the Go core.
//!
//! Deserialization is lenient: the Go core omits fields, and writes `null` for empty arrays.

mod activity;
mod answers;
mod clients;
mod compatible;
mod diagnostics;
mod envelope;
mod events;
mod health;
mod import;
mod lenient;
mod problems;
mod requests;
mod servers;
mod setup;
mod status;
mod takeover;
mod tools;

pub use activity::*;
pub use answers::*;
pub use clients::*;
pub use compatible::*;
pub use diagnostics::*;
pub use envelope::*;
pub use events::*;
pub use health::*;
pub use import::*;
pub use problems::*;
pub use requests::*;
pub use servers::*;
pub use setup::*;
pub use status::*;
pub use takeover::*;
pub use tools::*;

pub use crate::contract::words::*;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_the_go_core_omits_or_sets_to_null_get_defaults() {
        let status: Status = serde_json::from_str(
            r#"{"running":true,"upstream_stats":null,"status":{"phase":"Ready"},"activation":null}"#,
        )
        .unwrap();
        assert_eq!(status.status.phase, "Ready");
        assert_eq!(status.autostart_enabled, None);
        let servers: Servers = serde_json::from_str(r#"{"servers":null}"#).unwrap();
        assert!(servers.servers.is_empty());
        let server: Server = serde_json::from_str(r#"{"name":"a","args":null,"oauth":null}"#).unwrap();
        assert_eq!(server.name, "a");
    }

    #[test]
    fn autostart_is_null_and_not_absent_when_unknown() {
        let status: Status = serde_json::from_str("{}").unwrap();
        let written = serde_json::to_value(status).unwrap();
        assert!(written["autostart_enabled"].is_null());
        assert!(written.as_object().unwrap().contains_key("autostart_enabled"));
    }
}
