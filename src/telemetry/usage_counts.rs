//! Counts since the last accepted report: only numbers, only in memory.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::telemetry::payload::{BuiltinToolCalls, Count, ErrorCategoryCounts, SurfaceRequests};

/// The counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// MCP requests.
    Mcp,
    /// REST requests from the command line, the web UI, the tray, and others.
    Cli,
    WebUi,
    Tray,
    OtherRest,
    /// Calls of the proxy's own tools, whatever their outcome.
    RetrieveTools,
    CallToolRead,
    CallToolWrite,
    CallToolDestructive,
    UpstreamServers,
    QuarantineSecurity,
    /// Calls that reached a server.
    UpstreamCalls,
    /// An authorization server refused to refresh a token.
    OauthRefreshFailed,
    /// A server no longer accepts an access token.
    OauthTokenExpired,
    /// A server did not respond in time while MCPProxy started or connected it.
    UpstreamConnectTimeout,
    /// MCPProxy could not start or connect a server.
    UpstreamConnectRefused,
    /// MCPProxy connected a server but could not initialize the session.
    UpstreamHandshakeFailed,
    /// MCPProxy refused to call a tool that needs approval.
    ToolQuarantineBlocked,
    /// An edited configuration had an error and was not applied.
    ConfigReloadFailed,
}

const COUNTERS: usize = Counter::ConfigReloadFailed as usize + 1;

impl Counter {
    /// Whether a count shows that the user uses the product. The tray and monitoring send requests on their own.
    const fn is_use(self) -> bool {
        !matches!(self, Counter::Tray | Counter::OtherRest | Counter::ConfigReloadFailed)
            && (self as usize) < Counter::OauthRefreshFailed as usize
    }
}

/// The counts of this process. They are independent: a snapshot need not be consistent to the last unit.
#[derive(Debug, Default)]
pub struct UsageCounts {
    counts: [AtomicU64; COUNTERS],
    used: Notify,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage([u64; COUNTERS]);

impl UsageCounts {
    /// Adds one.
    pub fn add(&self, counter: Counter) {
        if let Some(count) = self.counts.get(counter as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if counter.is_use() {
            self.used.notify_one();
        }
    }

    /// Adds a REST request. `client` is the value of the header `X-MCPProxy-Client`, such as `tray/1.0.0`.
    pub fn add_rest_request(&self, client: Option<&str>) {
        let surface = client.and_then(|client| client.split('/').next()).unwrap_or_default();
        self.add(match surface.trim().to_ascii_lowercase().as_str() {
            "tray" => Counter::Tray,
            "cli" => Counter::Cli,
            "webui" => Counter::WebUi,
            "mcp" => Counter::Mcp,
            _ => Counter::OtherRest,
        });
    }

    /// Waits until the product is used again.
    pub async fn used(&self) {
        self.used.notified().await;
    }

    /// The counts now.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for (value, count) in usage.0.iter_mut().zip(&self.counts) {
            *value = count.load(Ordering::Relaxed);
        }
        usage
    }

    /// Subtracts the reported counts. Counts added since the report was built remain for the next one.
    pub fn subtract(&self, reported: &Usage) {
        for (count, reported) in self.counts.iter().zip(reported.0) {
            let subtract = |value: u64| Some(value.saturating_sub(reported));
            let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract);
        }
    }

    /// Clears all counts, when the user turns telemetry off.
    pub fn clear(&self) {
        self.subtract(&self.usage());
    }
}

impl Usage {
    fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or_default()
    }

    fn count(&self, counter: Counter) -> Count {
        self.get(counter).into()
    }

    /// A count that is absent while it is zero.
    fn nonzero(&self, counter: Counter) -> Option<Count> {
        Some(self.get(counter)).filter(|count| *count > 0).map(Count::from)
    }

    pub fn surfaces(&self) -> SurfaceRequests {
        SurfaceRequests {
            mcp: self.count(Counter::Mcp),
            cli: self.count(Counter::Cli),
            webui: self.count(Counter::WebUi),
            tray: self.count(Counter::Tray),
            unknown: self.count(Counter::OtherRest),
        }
    }

    pub fn builtin_tools(&self) -> BuiltinToolCalls {
        BuiltinToolCalls {
            retrieve_tools: self.count(Counter::RetrieveTools),
            call_tool_read: self.count(Counter::CallToolRead),
            call_tool_write: self.count(Counter::CallToolWrite),
            call_tool_destructive: self.count(Counter::CallToolDestructive),
            upstream_servers: self.count(Counter::UpstreamServers),
            quarantine_security: self.count(Counter::QuarantineSecurity),
            // This core does not have that tool.
            code_execution: 0_u64.into(),
        }
    }

    pub fn upstream_calls(&self) -> u64 {
        self.get(Counter::UpstreamCalls)
    }

    pub fn errors(&self) -> ErrorCategoryCounts {
        ErrorCategoryCounts {
            oauth_refresh_failed: self.nonzero(Counter::OauthRefreshFailed),
            oauth_token_expired: self.nonzero(Counter::OauthTokenExpired),
            upstream_connect_timeout: self.nonzero(Counter::UpstreamConnectTimeout),
            upstream_connect_refused: self.nonzero(Counter::UpstreamConnectRefused),
            upstream_handshake_failed: self.nonzero(Counter::UpstreamHandshakeFailed),
            tool_quarantine_blocked: self.nonzero(Counter::ToolQuarantineBlocked),
            config_reload_failed: self.nonzero(Counter::ConfigReloadFailed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_during_a_report_remain_for_the_next() {
        let counts = UsageCounts::default();
        counts.add(Counter::Mcp);
        counts.add(Counter::UpstreamServers);
        let reported = counts.usage();
        counts.add(Counter::Mcp);
        counts.subtract(&reported);
        let left = counts.usage();
        assert_eq!((left.get(Counter::Mcp), left.get(Counter::UpstreamServers)), (1, 0));
        counts.clear();
        assert_eq!(counts.usage(), Usage::default());
    }

    #[test]
    fn every_counter_reaches_the_report() {
        let report = |counter: Counter| {
            let counts = UsageCounts::default();
            counts.add(counter);
            let usage = counts.usage();
            let parts = (usage.surfaces(), usage.builtin_tools(), usage.upstream_calls(), usage.errors());
            serde_json::to_string(&parts).unwrap()
        };
        let none = UsageCounts::default().usage();
        let nothing =
            serde_json::to_string(&(none.surfaces(), none.builtin_tools(), none.upstream_calls(), none.errors()))
                .unwrap();
        let all = [
            Counter::Mcp,
            Counter::Cli,
            Counter::WebUi,
            Counter::Tray,
            Counter::OtherRest,
            Counter::RetrieveTools,
            Counter::CallToolRead,
            Counter::CallToolWrite,
            Counter::CallToolDestructive,
            Counter::UpstreamServers,
            Counter::QuarantineSecurity,
            Counter::UpstreamCalls,
            Counter::OauthRefreshFailed,
            Counter::OauthTokenExpired,
            Counter::UpstreamConnectTimeout,
            Counter::UpstreamConnectRefused,
            Counter::UpstreamHandshakeFailed,
            Counter::ToolQuarantineBlocked,
            Counter::ConfigReloadFailed,
        ];
        assert_eq!(all.len(), COUNTERS);
        let seen: std::collections::BTreeSet<String> = all.into_iter().map(report).collect();
        assert!(seen.len() == COUNTERS && !seen.contains(&nothing));
    }

    #[test]
    fn a_rest_request_is_counted_for_its_client() {
        let counts = UsageCounts::default();
        for client in [Some("tray/1.0.0"), Some("CLI/1"), Some("webui"), Some("curl/8"), None] {
            counts.add_rest_request(client);
        }
        let usage = counts.usage();
        assert_eq!(
            (
                usage.get(Counter::Tray),
                usage.get(Counter::Cli),
                usage.get(Counter::WebUi),
                usage.get(Counter::OtherRest)
            ),
            (1, 1, 1, 2)
        );
    }
}
