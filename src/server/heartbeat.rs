//! Builds the next heartbeat of this core as a value. Building it changes nothing, so a preview has no side effects.

use crate::config::{Config, TelemetryConfig};
use crate::scan::sensitive::{Action, Policy};
use crate::server::rest::views::server_stats;
use crate::server::run_facts::RunFacts;
use crate::telemetry::payload::{
    AnonymousId, FeatureFlags, Moment, RoutingMode, ServerProtocolCounts, Snapshot, StartupOutcome,
};
use crate::telemetry::usage_counts::Usage;
use crate::upstream::snapshot::Snapshot as Server;

/// Builds a heartbeat with everything that this core would report at `now` (Unix seconds).
pub fn snapshot(
    facts: &RunFacts,
    config: &Config,
    servers: &[Server],
    usage: &Usage,
    id: AnonymousId,
    now: i64,
) -> Snapshot {
    let stats = server_stats(servers);
    let telemetry = &config.telemetry;
    Snapshot {
        anonymous_id: id,
        anonymous_id_created_at: telemetry.anonymous_id_created_at.as_deref().and_then(Moment::existing),
        now,
        uptime: facts.uptime().as_secs(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        previous_version: telemetry.last_reported_version.clone().unwrap_or_default(),
        // The startup was successful, since the core is running.
        last_startup_outcome: StartupOutcome::Success,
        server_count: stats.total_servers.into(),
        connected_server_count: stats.connected_servers.into(),
        tool_count: stats.total_tools.into(),
        server_protocols: ServerProtocolCounts::of(
            servers.iter().map(|server| server.config.effective_protocol().word()),
        ),
        routing_mode: RoutingMode::RetrieveTools,
        feature_flags: FeatureFlags {
            enable_socket: config.enable_socket,
            enable_web_ui: true,
            enable_prompts: true,
            require_mcp_auth: config.require_mcp_auth,
            enable_code_execution: false,
            quarantine_enabled: config.quarantine_enabled != Some(false),
            sensitive_data_detection_enabled: detects_sensitive_data(
                config.sensitive_data,
                servers.iter().filter_map(|server| server.config.sensitive_data),
            ),
            oauth_provider_types: servers
                .iter()
                .filter_map(|server| server.sign_in.provider)
                .collect::<Vec<_>>()
                .into(),
            docker_available: None,
        },
        surface_requests: usage.surfaces(),
        builtin_tool_calls: usage.builtin_tools(),
        upstream_tool_calls: usage.upstream_calls(),
        errors: usage.errors(),
        env_kind: facts.verdict().kind,
        env_markers: facts.verdict().markers,
        launch_source: facts.launch_source(),
        autostart_enabled: facts.autostart_enabled(),
        activation: facts.recorder().activation(now),
    }
}

/// Whether the calls of any server are scanned for sensitive data.
fn detects_sensitive_data(general: Policy, mut of_servers: impl Iterator<Item = Policy>) -> bool {
    let detects = |policy: Policy| policy.arguments != Action::Off || policy.results != Action::Off;
    detects(general) || of_servers.any(detects)
}

/// The installation ID for a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identifier {
    /// The ID in the configuration, unchanged.
    Kept(AnonymousId),
    /// A new ID, because the configuration has none. It is saved before it is sent.
    New(AnonymousId),
    /// The configuration's ID is not a random UUID. It is kept, and nothing is sent.
    Unusable,
}

impl Identifier {
    /// Decides which ID to use. `candidate` is the new ID of this run, always the same, so that a preview shows what is
    /// sent.
    pub fn of(telemetry: &TelemetryConfig, candidate: &AnonymousId) -> Identifier {
        match telemetry.anonymous_id.as_deref() {
            None | Some("") => Identifier::New(candidate.clone()),
            Some(text) => AnonymousId::existing(text).map_or(Identifier::Unusable, Identifier::Kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_id(id: Option<&str>) -> TelemetryConfig {
        TelemetryConfig {
            anonymous_id: id.map(str::to_owned),
            ..TelemetryConfig::default()
        }
    }

    #[test]
    fn the_detection_of_sensitive_data_is_on_if_any_call_is_scanned() {
        let off = Policy {
            arguments: Action::Off,
            results: Action::Off,
        };
        let warns = Policy {
            results: Action::Warn,
            ..off
        };
        assert!(detects_sensitive_data(Policy::default(), std::iter::empty()));
        assert!(!detects_sensitive_data(off, [off].into_iter()));
        assert!(detects_sensitive_data(off, [off, warns].into_iter()));
        assert!(detects_sensitive_data(warns, std::iter::empty()));
    }

    #[test]
    fn an_existing_id_is_kept_byte_for_byte_and_a_foreign_one_is_never_sent() {
        let candidate = AnonymousId::random();
        let upper = "7F9C24E8-3B12-4FEF-91E0-5D3C8A1B2C4D";
        let Identifier::Kept(kept) = Identifier::of(&with_id(Some(upper)), &candidate) else {
            panic!("kept")
        };
        assert_eq!(kept.as_str(), upper);
        assert_eq!(Identifier::of(&with_id(Some("my-laptop")), &candidate), Identifier::Unusable);
        assert_eq!(Identifier::of(&with_id(None), &candidate), Identifier::New(candidate.clone()));
    }
}
