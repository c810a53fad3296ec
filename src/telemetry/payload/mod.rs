//! The heartbeat, version 3: a typed allow-list without a free `String`.
//!
//! Names and values match the Go core, because one collector reads both: `os` and `arch` use Go's names (`darwin`,
//! `amd64`), and `go_version` keeps its name and contains `rust1.95` here. Fields that do not apply to this core are
//! empty (`rest_endpoint_calls`, `doctor_checks`) or zero.
//!
//! A payload is a pure function of a [`Snapshot`]: the same snapshot gives the same bytes, and building one changes
//! nothing.

mod closed_sets;
mod go_core;
mod parts;
mod values;

pub mod client_name;
pub mod schema;

pub use closed_sets::{Arch, CallCountBucket, Edition, OauthProvider, OauthProviders, Os, RoutingMode, StartupOutcome};
pub use go_core::{DoctorChecks, EndpointCalls};
pub use parts::{
    ActivationReport, BuiltinToolCalls, ErrorCategoryCounts, FeatureFlags, ServerProtocolCounts, SurfaceRequests,
};
pub use values::{AnonymousId, ClientWords, Count, Known, Moment, RuntimeVersion, SchemaVersion, Version, is_version};

use crate::contract::run_facts::{Activation, EnvKind, EnvMarkers, LaunchSource};
use crate::telemetry::payload::schema::{Allowed, allowed_object};

allowed_object! {
    /// The heartbeat, schema version 3. Only these fields leave this computer.
    pub struct HeartbeatPayload {
        /// Random UUIDv4 of this installation. Example: `"7f9c24e8-3b12-4fef-91e0-5d3c8a1b2c4d"`.
        pub anonymous_id: AnonymousId,
        /// Version of the program. Example: `"0.1.0"`.
        pub version: Version,
        /// Edition of the program. Example: `"personal"`.
        pub edition: Edition,
        /// Operating system. Example: `"linux"`.
        pub os: Os,
        /// Processor. Example: `"amd64"`.
        pub arch: Arch,
        /// Language runtime, under the Go core's name for it. Example: `"rust1.95"`.
        pub go_version: RuntimeVersion,
        /// Configured upstream servers. Example: `4`.
        pub server_count: Count,
        /// Connected upstream servers. Example: `3`.
        pub connected_server_count: Count,
        /// Tools of all connected servers. Example: `42`.
        pub tool_count: Count,
        /// Whole hours since start. Example: `7`.
        pub uptime_hours: Count,
        /// How MCPProxy offers tools. Example: `"retrieve_tools"`.
        pub routing_mode: RoutingMode,
        /// New tools need approval. Example: `true`.
        pub quarantine_enabled: bool,
        /// Time at which this heartbeat was built. Example: `"2026-01-02T03:04:05Z"`.
        pub timestamp: Moment,
        /// Version of this schema. Example: `3`.
        pub schema_version: SchemaVersion,
        /// Time at which the identifier was created. Example: `"2026-01-01T00:00:00Z"`.
        pub anonymous_id_created_at?optional: Moment,
        /// Version of the program. Example: `"0.1.0"`.
        pub current_version: Version,
        /// Version of the last accepted heartbeat, empty before the first. Example: `"0.0.9"`.
        pub previous_version: Version,
        /// How the previous start ended. Example: `"success"`.
        pub last_startup_outcome: StartupOutcome,
        /// Requests by surface. Example: `{"mcp": 120, …}`.
        pub surface_requests: SurfaceRequests,
        /// Calls of the proxy's own tools. Example: `{"retrieve_tools": 12, …}`.
        pub builtin_tool_calls: BuiltinToolCalls,
        /// Calls of upstream tools, as a range. Example: `"11-100"`.
        pub upstream_tool_call_count_bucket: CallCountBucket,
        /// Requests by route; this core counts none. Example: `{}`.
        pub rest_endpoint_calls: EndpointCalls,
        /// Features that are on. Example: `{"enable_socket": true, …}`.
        pub feature_flags: FeatureFlags,
        /// Errors by kind. Example: `{"upstream_connect_timeout": 1}`.
        pub error_category_counts: ErrorCategoryCounts,
        /// Self-checks; this core runs none. Example: `{}`.
        pub doctor_checks: DoctorChecks,
        /// Upstream servers by protocol. Example: `{"stdio": 3, …}`.
        pub server_protocol_counts: ServerProtocolCounts,
        /// Upstream servers in Docker isolation; absent if there are none. Example: `1`.
        pub server_docker_isolated_count?optional: Count,
        /// Kind of environment. Example: `"interactive"`.
        pub env_kind: EnvKind,
        /// Evidence for that kind. Example: `{"has_ci_env": false, …}`.
        pub env_markers: EnvMarkers,
        /// How this core was started. Example: `"tray"`.
        pub launch_source: LaunchSource,
        /// Whether launch at login is on; `null` if unknown. Example: `true`.
        pub autostart_enabled: Known,
        /// Activation state of this installation. Example: `{"first_mcp_client_ever": true, …}`.
        pub activation: ActivationReport,
    }
}

allowed_object! {
    /// The replacement after three blocked heartbeats: it contains no free text, so the scan cannot find anything in
    /// it.
    pub struct Skeleton {
        pub anonymous_id: AnonymousId,
        pub schema_version: SchemaVersion,
        pub edition: Edition,
        pub os: Os,
        pub arch: Arch,
        pub server_count: Count,
        pub connected_server_count: Count,
        pub tool_count: Count,
        pub uptime_hours: Count,
        pub env_kind: EnvKind,
        pub env_markers: EnvMarkers,
        pub launch_source: LaunchSource,
        pub autostart_enabled: Known,
    }
}

/// Everything needed to build a heartbeat, as plain values.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub anonymous_id: AnonymousId,
    pub anonymous_id_created_at: Option<Moment>,
    /// Unix seconds.
    pub now: i64,
    /// Seconds since start.
    pub uptime: u64,
    /// This program's version. The name of a private build becomes empty.
    pub version: String,
    /// Version of the last accepted heartbeat; empty before the first.
    pub previous_version: String,
    pub last_startup_outcome: StartupOutcome,
    pub server_count: u64,
    pub connected_server_count: u64,
    pub tool_count: u64,
    pub server_protocols: ServerProtocolCounts,
    pub routing_mode: RoutingMode,
    pub feature_flags: FeatureFlags,
    pub surface_requests: SurfaceRequests,
    pub builtin_tool_calls: BuiltinToolCalls,
    pub upstream_tool_calls: u64,
    pub errors: ErrorCategoryCounts,
    pub env_kind: EnvKind,
    pub env_markers: EnvMarkers,
    pub launch_source: LaunchSource,
    pub autostart_enabled: Option<bool>,
    pub activation: Activation,
}

impl Snapshot {
    /// An example, for documentation, tests and benchmarks.
    pub fn example() -> Snapshot {
        Snapshot {
            anonymous_id: AnonymousId("7f9c24e8-3b12-4fef-91e0-5d3c8a1b2c4d".into()),
            anonymous_id_created_at: Moment::existing("2026-01-01T00:00:00Z"),
            now: 1_767_323_045,
            uptime: 7 * 3600 + 59,
            version: "0.1.0".into(),
            previous_version: String::new(),
            last_startup_outcome: StartupOutcome::Success,
            server_count: 4,
            connected_server_count: 3,
            tool_count: 42,
            server_protocols: ServerProtocolCounts::of(["stdio", "stdio", "streamable-http", "carrier-pigeon"]),
            routing_mode: RoutingMode::RetrieveTools,
            feature_flags: FeatureFlags {
                enable_socket: true,
                enable_web_ui: true,
                enable_prompts: true,
                require_mcp_auth: false,
                enable_code_execution: false,
                quarantine_enabled: true,
                sensitive_data_detection_enabled: false,
                oauth_provider_types: vec![OauthProvider::Github, OauthProvider::Github].into(),
                docker_available: Some(false),
            },
            surface_requests: SurfaceRequests {
                mcp: Count(120),
                cli: Count(3),
                webui: Count(0),
                tray: Count(40),
                unknown: Count(0),
            },
            builtin_tool_calls: BuiltinToolCalls {
                retrieve_tools: Count(12),
                call_tool_read: Count(30),
                call_tool_write: Count(4),
                call_tool_destructive: Count(0),
                upstream_servers: Count(1),
                quarantine_security: Count(0),
                code_execution: Count(0),
            },
            upstream_tool_calls: 34,
            errors: ErrorCategoryCounts {
                upstream_connect_timeout: Some(Count(1)),
                ..ErrorCategoryCounts::NONE
            },
            env_kind: EnvKind::Interactive,
            env_markers: EnvMarkers {
                has_display: true,
                ..EnvMarkers::default()
            },
            launch_source: LaunchSource::Tray,
            autostart_enabled: None,
            activation: Activation {
                first_mcp_client_ever: true,
                mcp_clients_seen_ever: ["claude-code", "acme-payroll-agent", "acme-other-agent", "unknown"]
                    .map(String::from)
                    .into(),
                ..Activation::default()
            },
        }
    }
}

impl HeartbeatPayload {
    /// Builds the heartbeat of a snapshot.
    pub fn of(snapshot: &Snapshot) -> HeartbeatPayload {
        HeartbeatPayload {
            anonymous_id: snapshot.anonymous_id.clone(),
            version: Version::new(&snapshot.version),
            edition: Edition::Personal,
            os: Os::this(),
            arch: Arch::this(),
            go_version: RuntimeVersion::this(),
            server_count: snapshot.server_count.into(),
            connected_server_count: snapshot.connected_server_count.into(),
            tool_count: snapshot.tool_count.into(),
            uptime_hours: (snapshot.uptime / 3600).into(),
            routing_mode: snapshot.routing_mode,
            quarantine_enabled: snapshot.feature_flags.quarantine_enabled,
            timestamp: Moment::from_unix(snapshot.now),
            schema_version: SchemaVersion(3),
            anonymous_id_created_at: snapshot.anonymous_id_created_at.clone(),
            current_version: Version::new(&snapshot.version),
            previous_version: Version::new(&snapshot.previous_version),
            last_startup_outcome: snapshot.last_startup_outcome,
            surface_requests: snapshot.surface_requests.clone(),
            builtin_tool_calls: snapshot.builtin_tool_calls.clone(),
            upstream_tool_call_count_bucket: CallCountBucket::of(snapshot.upstream_tool_calls),
            rest_endpoint_calls: EndpointCalls::default(),
            feature_flags: snapshot.feature_flags.clone(),
            error_category_counts: snapshot.errors.clone(),
            doctor_checks: DoctorChecks::default(),
            server_protocol_counts: snapshot.server_protocols.clone(),
            server_docker_isolated_count: None,
            env_kind: snapshot.env_kind,
            env_markers: snapshot.env_markers,
            launch_source: snapshot.launch_source,
            autostart_enabled: Known(snapshot.autostart_enabled),
            activation: ActivationReport::from(&snapshot.activation),
        }
    }

    /// The JSON Schema of the heartbeat, as stored in `assets/telemetry/heartbeat-v3.schema.json`.
    pub fn schema() -> serde_json::Value {
        let mut schema = HeartbeatPayload::RULE.schema();
        if let serde_json::Value::Object(map) = &mut schema {
            map.shift_insert(0, "$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
            map.shift_insert(1, "title".into(), "MCPProxy heartbeat, schema version 3".into());
        }
        schema
    }
}

impl Skeleton {
    /// Builds the skeleton of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Skeleton {
        Skeleton {
            anonymous_id: snapshot.anonymous_id.clone(),
            schema_version: SchemaVersion(3),
            edition: Edition::Personal,
            os: Os::this(),
            arch: Arch::this(),
            server_count: snapshot.server_count.into(),
            connected_server_count: snapshot.connected_server_count.into(),
            tool_count: snapshot.tool_count.into(),
            uptime_hours: (snapshot.uptime / 3600).into(),
            env_kind: snapshot.env_kind,
            env_markers: snapshot.env_markers,
            launch_source: snapshot.launch_source,
            autostart_enabled: Known(snapshot.autostart_enabled),
        }
    }
}

#[cfg(test)]
mod tests;
