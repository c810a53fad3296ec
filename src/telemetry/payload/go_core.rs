//! Fields that only the Go core fills: requests by route and results of self-checks.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::telemetry::payload::schema::{Allowed, Pattern, Rule};
use crate::telemetry::payload::values::Count;

/// Requests by route. This core counts none; the routes of the Go core must match a closed vocabulary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EndpointCalls(BTreeMap<&'static str, BTreeMap<&'static str, Count>>);

fn is_route(text: &str) -> bool {
    const SEGMENTS: &[&str] = &[
        "api",
        "v1",
        "v2",
        "activity",
        "agents",
        "apply",
        "approve",
        "auth",
        "call",
        "cancel",
        "categories",
        "check",
        "clients",
        "code",
        "config",
        "connect",
        "connections",
        "credentials",
        "diagnostics",
        "diff",
        "disable",
        "disconnect",
        "discover",
        "discover-tools",
        "docker",
        "docs",
        "doctor",
        "enable",
        "errors",
        "events",
        "exec",
        "export",
        "feedback",
        "health",
        "healthz",
        "history",
        "import",
        "info",
        "inspect",
        "invalidate",
        "isolation",
        "livez",
        "login",
        "logout",
        "logs",
        "mcp",
        "me",
        "metrics",
        "onboarding",
        "payload",
        "profiles",
        "prompts",
        "quarantine",
        "readyz",
        "ready",
        "reconnect",
        "refresh",
        "registries",
        "reload",
        "replay",
        "report",
        "restart",
        "restart_all",
        "routing",
        "scan",
        "search",
        "secrets",
        "security",
        "server",
        "servers",
        "sessions",
        "shutdown",
        "stats",
        "status",
        "summary",
        "swagger",
        "telemetry",
        "token",
        "token-stats",
        "tokens",
        "tool-calls",
        "tools",
        "trigger",
        "unquarantine",
        "update",
        "usage",
        "users",
        "validate",
        "version",
    ];
    const PARAMETERS: &[&str] = &[
        "{id}",
        "{name}",
        "{server}",
        "{serverID}",
        "{server_id}",
        "{tool}",
        "{toolName}",
        "{token}",
        "{client}",
        "{ref}",
        "*",
    ];
    if text == "UNMATCHED" {
        return true;
    }
    let Some((method, path)) = text.split_once(' ') else { return false };
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].contains(&method)
        && (path == "UNMATCHED"
            || path.strip_prefix('/').is_some_and(|path| {
                text.len() <= 64
                    && path
                        .split('/')
                        .all(|part| part.is_empty() || SEGMENTS.contains(&part) || PARAMETERS.contains(&part))
            }))
}

impl Allowed for EndpointCalls {
    const RULE: Rule = Rule::Map {
        key: &Rule::Pattern(&Pattern {
            name: "route",
            expression: "^(UNMATCHED|(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) (UNMATCHED|/[a-zA-Z0-9_{}*/-]*))$",
            matches: is_route,
        }),
        value: &Rule::Map {
            key: &Rule::Words(&["1xx", "2xx", "3xx", "4xx", "5xx"]),
            value: &Count::RULE,
        },
    };
}

/// Results of the Go core's self-checks. This core runs none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DoctorChecks(BTreeMap<&'static str, BTreeMap<&'static str, Count>>);

impl Allowed for DoctorChecks {
    const RULE: Rule = Rule::Map {
        key: &Rule::Words(&[
            "database",
            "db",
            "deprecated_configs",
            "docker",
            "docker_isolation",
            "docker_status",
            "index",
            "keyring",
            "missing_secrets",
            "oauth",
            "oauth_issues",
            "oauth_required",
            "port",
            "quarantine",
            "runtime_warnings",
            "socket",
            "upstream_connections",
            "upstream_errors",
            "upstreams",
        ]),
        value: &Rule::Map {
            key: &Rule::Words(&["pass", "fail"]),
            value: &Count::RULE,
        },
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_routes_pass() {
        assert!(is_route("GET /api/v1/servers/{id}/tools") && is_route("UNMATCHED"));
        assert!(!is_route("GET /home/ann") && !is_route("GET /api/v1/servers/acme") && !is_route("BREW /api"));
    }
}
