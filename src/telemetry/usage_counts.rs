//! What was used since the last accepted heartbeat: numbers only, in memory only.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::payload::{BuiltinToolCalls, Count, ErrorCategoryCounts, SurfaceRequests};

/// Counts of one run. Each is a number of its own: they need not fit together to the last one.
#[derive(Debug, Default)]
pub struct UsageCounts {
    mcp: AtomicU64,
    cli: AtomicU64,
    web: AtomicU64,
    tray: AtomicU64,
    unknown: AtomicU64,
    retrieve_tools: AtomicU64,
    read: AtomicU64,
    write: AtomicU64,
    destructive: AtomicU64,
    upstream: AtomicU64,
    oauth_refresh_failed: AtomicU64,
    oauth_token_expired: AtomicU64,
}

impl UsageCounts {
    /// A request over MCP.
    pub fn mcp_request(&self) {
        raise(&self.mcp);
    }

    /// A REST request; `client` is the header `X-MCPProxy-Client`, such as `tray/1.0.0`.
    pub fn rest_request(&self, client: Option<&str>) {
        let surface = client.and_then(|client| client.split('/').next()).unwrap_or_default();
        raise(match surface.trim().to_ascii_lowercase().as_str() {
            "tray" => &self.tray,
            "cli" => &self.cli,
            "webui" => &self.web,
            "mcp" => &self.mcp,
            _ => &self.unknown,
        });
    }

    pub fn retrieve_tools(&self) {
        raise(&self.retrieve_tools);
    }

    /// A call of `call_tool_read`, whatever its outcome.
    pub fn call_tool_read(&self) {
        raise(&self.read);
    }

    /// A call of `call_tool_write`, whatever its outcome.
    pub fn call_tool_write(&self) {
        raise(&self.write);
    }

    /// A call of `call_tool_destructive`, whatever its outcome.
    pub fn call_tool_destructive(&self) {
        raise(&self.destructive);
    }

    /// A call that reached an upstream server.
    pub fn upstream_call(&self) {
        raise(&self.upstream);
    }

    /// A sign-in was not renewed: its authorization server refused.
    pub fn oauth_refresh_failed(&self) {
        raise(&self.oauth_refresh_failed);
    }

    /// A sign-in is over: its server does not take the token any more.
    pub fn oauth_token_expired(&self) {
        raise(&self.oauth_token_expired);
    }

    pub fn errors(&self) -> ErrorCategoryCounts {
        ErrorCategoryCounts {
            oauth_refresh_failed: some(&self.oauth_refresh_failed),
            oauth_token_expired: some(&self.oauth_token_expired),
            ..ErrorCategoryCounts::NONE
        }
    }

    pub fn surfaces(&self) -> SurfaceRequests {
        SurfaceRequests {
            mcp: read(&self.mcp).into(),
            cli: read(&self.cli).into(),
            webui: read(&self.web).into(),
            tray: read(&self.tray).into(),
            unknown: read(&self.unknown).into(),
        }
    }

    pub fn builtin_tools(&self) -> BuiltinToolCalls {
        BuiltinToolCalls {
            retrieve_tools: read(&self.retrieve_tools).into(),
            call_tool_read: read(&self.read).into(),
            call_tool_write: read(&self.write).into(),
            call_tool_destructive: read(&self.destructive).into(),
            upstream_servers: 0_u64.into(),
            quarantine_security: 0_u64.into(),
            code_execution: 0_u64.into(),
        }
    }

    pub fn upstream_calls(&self) -> u64 {
        read(&self.upstream)
    }

    /// Begins anew, after a heartbeat was accepted or when telemetry is switched off.
    pub fn reset(&self) {
        for count in [
            &self.mcp,
            &self.cli,
            &self.web,
            &self.tray,
            &self.unknown,
            &self.retrieve_tools,
            &self.read,
            &self.write,
            &self.destructive,
            &self.upstream,
            &self.oauth_refresh_failed,
            &self.oauth_token_expired,
        ] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

fn raise(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// A count that is left out while it is zero.
fn some(count: &AtomicU64) -> Option<Count> {
    Some(read(count)).filter(|count| *count > 0).map(Count::from)
}
