//! Converts servers and tools to the types of the REST interface.

use crate::contract::api::{
    Health, QuarantineCounts, Server, ServerStats, ServerTool, ServerTools, UpstreamState, UpstreamStats,
};
use crate::server::rest::problems::problem;
use crate::upstream::health::ToolApproval;
use crate::upstream::snapshot::{Phase, Snapshot};
use crate::upstream::transport::error_text::shown;

/// Returns a server for `GET /api/v1/servers`.
pub fn server(snapshot: &Snapshot) -> Server {
    let config = &snapshot.config;
    let diagnostic = problem(snapshot);
    Server {
        id: config.name.clone(),
        name: config.name.clone(),
        enabled: config.enabled,
        quarantined: config.quarantined,
        connected: snapshot.is_connected(),
        connecting: snapshot.phase == Phase::Connecting,
        protocol: snapshot.protocol.word().into(),
        status: snapshot.status(),
        url: config.url.as_deref().map(shown),
        command: config.command.clone(),
        args: config.args.clone(),
        last_error: snapshot.last_error(),
        tool_count: count(snapshot.tools().len()),
        reconnect_count: snapshot.reconnects,
        quarantine: quarantine(snapshot),
        health: Some(health(snapshot)),
        authenticated: snapshot.sign_in.provider.is_some(),
        oauth_status: snapshot.sign_in_status(),
        error_code: diagnostic.as_ref().map(|diagnostic| diagnostic.code.clone()),
        diagnostic,
    }
}

/// Returns all tools of a connected server with their approvals, for `GET /api/v1/servers/{name}/tools`.
pub fn server_tools(snapshot: &Snapshot) -> ServerTools {
    let name = &snapshot.config.name;
    let tools: Vec<ServerTool> = snapshot.tool_approvals().into_iter().map(|shown| tool(name, shown)).collect();
    ServerTools {
        server_name: name.clone(),
        count: count(tools.len()),
        tools,
    }
}

/// Returns one tool with its approval.
pub fn tool(server: &str, shown: ToolApproval<'_>) -> ServerTool {
    let ToolApproval {
        tool,
        fingerprint,
        before,
        approval,
        disabled,
    } = shown;
    let changes = before.map(|before| fingerprint.differences(before)).unwrap_or_default();
    ServerTool {
        name: tool.name.to_string(),
        server_name: server.to_owned(),
        approval_status: approval.into(),
        hash: fingerprint.hash(&tool.name),
        description: fingerprint.description,
        schema: serde_json::Value::Object(tool.input_schema.as_ref().clone()),
        previous_description: before.map(|before| before.description.clone()),
        changes: changes.into_iter().map(str::to_owned).collect(),
        disabled,
    }
}

fn health(snapshot: &Snapshot) -> Health {
    let health = snapshot.health();
    Health {
        level: health.level.into(),
        admin_state: health.admin_state,
        summary: health.summary,
        detail: health.detail,
        action: health.action.map(Into::into),
    }
}

pub fn quarantine(snapshot: &Snapshot) -> Option<QuarantineCounts> {
    let pending = snapshot.pending_tools();
    let changed = pending.iter().filter(|pending| pending.before.is_some()).count();
    let counts = QuarantineCounts {
        pending_count: count(pending.len() - changed),
        changed_count: count(changed),
        blocked_count: 0,
    };
    (!pending.is_empty()).then_some(counts)
}

/// Returns counts over all servers, and the state of each.
pub fn upstream_stats(servers: &[Snapshot]) -> UpstreamStats {
    let stats = server_stats(servers);
    UpstreamStats {
        total_servers: stats.total_servers,
        connected_servers: stats.connected_servers,
        connecting_servers: count(servers.iter().filter(|server| server.phase == Phase::Connecting).count()),
        quarantined_servers: stats.quarantined_servers,
        total_tools: stats.total_tools,
        servers: servers.iter().map(|server| (server.config.name.clone(), state(server))).collect(),
    }
}

fn state(snapshot: &Snapshot) -> UpstreamState {
    let (server_name, server_version) = snapshot.identity.clone().unzip();
    UpstreamState {
        name: snapshot.config.name.clone(),
        state: snapshot.status(),
        connected: snapshot.is_connected(),
        connecting: snapshot.phase == Phase::Connecting,
        retry_count: snapshot.retries,
        should_retry: matches!(snapshot.phase, Phase::Failed(_)),
        tool_count: count(snapshot.tools().len()),
        protocol: Some(snapshot.protocol.word().into()),
        last_error: snapshot.last_error(),
        server_name,
        server_version,
    }
}

/// Returns counts over all servers.
pub fn server_stats(servers: &[Snapshot]) -> ServerStats {
    ServerStats {
        total_servers: count(servers.len()),
        connected_servers: count(servers.iter().filter(|server| server.is_connected()).count()),
        quarantined_servers: count(servers.iter().filter(|server| server.config.quarantined).count()),
        total_tools: count(servers.iter().map(|server| server.tools().len()).sum()),
        docker_containers: 0,
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
