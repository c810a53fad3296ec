//! The objects inside a payload.

use crate::contract::run_facts::{Activation, TokensSavedBucket};
use crate::telemetry::payload::closed_sets::OauthProviders;
use crate::telemetry::payload::schema::allowed_object;
use crate::telemetry::payload::values::{ClientWords, Count};

allowed_object! {
    /// Requests by surface.
    pub struct SurfaceRequests {
        /// MCP requests. Example: `120`.
        pub mcp: Count,
        /// Requests from the command line. Example: `3`.
        pub cli: Count,
        /// Requests from the web page. Example: `0`.
        pub webui: Count,
        /// Requests from the tray. Example: `40`.
        pub tray: Count,
        /// Other requests. Example: `0`.
        pub unknown: Count,
    }
}

allowed_object! {
    /// Calls of the proxy's own tools.
    pub struct BuiltinToolCalls {
        /// Example: `12`.
        pub retrieve_tools: Count,
        /// Example: `30`.
        pub call_tool_read: Count,
        /// Example: `4`.
        pub call_tool_write: Count,
        /// Example: `0`.
        pub call_tool_destructive: Count,
        /// Example: `1`.
        pub upstream_servers: Count,
        /// Example: `0`.
        pub quarantine_security: Count,
        /// Example: `0`.
        pub code_execution: Count,
    }
}

allowed_object! {
    /// The features that are on.
    pub struct FeatureFlags {
        /// The local socket is on. Example: `true`.
        pub enable_socket: bool,
        /// The web UI is on. Example: `true`.
        pub enable_web_ui: bool,
        /// MCP prompts are on. Example: `true`.
        pub enable_prompts: bool,
        /// MCP clients need a key. Example: `false`.
        pub require_mcp_auth: bool,
        /// Code execution is on; this core has none. Example: `false`.
        pub enable_code_execution: bool,
        /// New tools need approval. Example: `true`.
        pub quarantine_enabled: bool,
        /// Arguments or results of tool calls are scanned for secrets. Example: `true`.
        pub sensitive_data_detection_enabled: bool,
        /// Sign-in providers in use. Example: `["github"]`.
        pub oauth_provider_types: OauthProviders,
        /// Docker is available; this core does not check. Example: `false`.
        pub docker_available?optional: bool,
    }
}

allowed_object! {
    /// Errors by kind.
    pub struct ErrorCategoryCounts {
        /// Example: `0`.
        pub oauth_refresh_failed?optional: Count,
        /// Example: `0`.
        pub oauth_token_expired?optional: Count,
        /// Example: `1`.
        pub upstream_connect_timeout?optional: Count,
        /// Example: `2`.
        pub upstream_connect_refused?optional: Count,
        /// Example: `0`.
        pub upstream_handshake_failed?optional: Count,
        /// Example: `0`.
        pub tool_quarantine_blocked?optional: Count,
        /// Example: `0`.
        pub config_reload_failed?optional: Count,
    }
}

impl ErrorCategoryCounts {
    /// No errors.
    pub const NONE: ErrorCategoryCounts = ErrorCategoryCounts {
        oauth_refresh_failed: None,
        oauth_token_expired: None,
        upstream_connect_timeout: None,
        upstream_connect_refused: None,
        upstream_handshake_failed: None,
        tool_quarantine_blocked: None,
        config_reload_failed: None,
    };
}

allowed_object! {
    /// Upstream servers by protocol. All five are always present.
    pub struct ServerProtocolCounts {
        /// Example: `3`.
        pub stdio: Count,
        /// Example: `1`.
        pub http: Count,
        /// Example: `0`.
        pub sse: Count,
        /// Example: `0`.
        pub streamable_http: Count,
        /// No protocol, or an unknown one. Example: `0`.
        pub auto: Count,
    }
}

impl ServerProtocolCounts {
    /// Counts the configured protocols. `streamable-http` counts as `streamable_http`, an unknown value as `auto`.
    pub fn of<'a>(protocols: impl IntoIterator<Item = &'a str>) -> ServerProtocolCounts {
        let [mut stdio, mut http, mut sse, mut streamable_http, mut auto] = [0_u64; 5];
        for protocol in protocols {
            match protocol {
                "stdio" => stdio += 1,
                "http" => http += 1,
                "sse" => sse += 1,
                "streamable-http" | "streamable_http" => streamable_http += 1,
                _ => auto += 1,
            }
        }
        ServerProtocolCounts {
            stdio: stdio.into(),
            http: http.into(),
            sse: sse.into(),
            streamable_http: streamable_http.into(),
            auto: auto.into(),
        }
    }
}

allowed_object! {
    /// The activation state of this installation.
    pub struct ActivationReport {
        /// An upstream server has connected at least once. Example: `true`.
        pub first_connected_server_ever: bool,
        /// An MCP client has connected at least once. Example: `true`.
        pub first_mcp_client_ever: bool,
        /// A client has called `retrieve_tools` at least once. Example: `true`.
        pub first_retrieve_tools_call_ever: bool,
        /// Published names of the clients; `other` for the rest. Example: `["claude-code", "other"]`.
        pub mcp_clients_seen_ever: ClientWords,
        /// Calls of `retrieve_tools` in the current 24 h window. Example: `12`.
        pub retrieve_tools_calls_24h: Count,
        /// Tokens kept out of prompts in the current 24 h window, as a range. Example: `"1k_10k"`.
        pub estimated_tokens_saved_24h_bucket: TokensSavedBucket,
        /// AI clients on this computer that are configured for this proxy. Example: `2`.
        pub configured_ide_count: Count,
    }
}

impl From<&Activation> for ActivationReport {
    fn from(activation: &Activation) -> ActivationReport {
        ActivationReport {
            first_connected_server_ever: activation.first_connected_server_ever,
            first_mcp_client_ever: activation.first_mcp_client_ever,
            first_retrieve_tools_call_ever: activation.first_retrieve_tools_call_ever,
            mcp_clients_seen_ever: ClientWords::of(&activation.mcp_clients_seen_ever),
            retrieve_tools_calls_24h: activation.retrieve_tools_calls_24h.into(),
            estimated_tokens_saved_24h_bucket: activation.estimated_tokens_saved_24h_bucket,
            configured_ide_count: activation.configured_ide_count.into(),
        }
    }
}
