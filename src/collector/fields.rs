//! The fields that a report of any schema may contain: the sender's own rules, and the fields that later schemas of the Go core add.

use crate::contract::run_facts::EnvMarkers;
use crate::telemetry::payload::HeartbeatPayload;
use crate::telemetry::payload::client_name;
use crate::telemetry::payload::schema::{Allowed, Field, Rule};

/// Maximum value of a count.
const MOST: u64 = 1_000_000_000;

const COUNT: &Rule = &Rule::Count(MOST);

const fn field(name: &'static str, rule: &'static Rule) -> Field {
    Field {
        name,
        doc: "",
        optional: true,
        rule,
    }
}

/// Keys of schemas 4 to 8 and of unversioned additions, which the sender's rules do not contain.
const LATER: &[Field] = &[
    field("connected_client_count", COUNT),
    field(
        "connected_client_ids",
        &Rule::List {
            of: &Rule::Words(client_name::KNOWN),
            longest: 64,
        },
    ),
    field("wizard_engaged", &Rule::BoolOrNull),
    field("wizard_connect_step", ANYTHING),
    field("wizard_server_step", ANYTHING),
    field("wizard_shown", &Rule::BoolOrNull),
    field("web_ui_opened", &Rule::BoolOrNull),
    field("days_since_install", COUNT),
    field("active_days_30d", COUNT),
    field("previous_shutdown", ANYTHING),
    field("last_error_code", ANYTHING),
    field("machine_id", ANYTHING),
    field("tpa_scanner", ANYTHING),
    field("diagnostics", ANYTHING),
    field("preflight", ANYTHING),
];

const LATER_ACTIVATION: &[Field] = &[field("first_real_tool_call_ever", &Rule::BoolOrNull)];

const LATER_FLAGS: &[Field] = &[
    field("docker_isolation_enabled", &Rule::BoolOrNull),
    field("docker_cli_source", ANYTHING),
    field("deep_scan_enabled", &Rule::BoolOrNull),
    field("aggregate_upstream_prompts", &Rule::BoolOrNull),
];

/// Categories that only the Go core counts.
const LATER_ERRORS: &[Field] = &[
    field("docker_pull_failed", COUNT),
    field("docker_run_failed", COUNT),
    field("index_rebuild_failed", COUNT),
    field("socket_bind_failed", COUNT),
    field("toon_encode_fallback", COUNT),
];

/// The rule of a known key whose value is ignored.
pub(super) const ANYTHING: &Rule = &Rule::Words(&[]);

/// The field of a report with this name, at the top level or in the object `parent`.
pub(super) fn find(parent: &str, own: &'static [Field], name: &str) -> Option<&'static Field> {
    let later = match parent {
        "" => LATER,
        "activation" => LATER_ACTIVATION,
        "feature_flags" => LATER_FLAGS,
        "error_category_counts" => LATER_ERRORS,
        _ => &[],
    };
    own.iter().chain(later).find(|field| field.name == name)
}

/// The fields at the top level of a report.
pub(super) fn top() -> &'static [Field] {
    match HeartbeatPayload::RULE {
        Rule::Object(fields) => fields,
        _ => &[],
    }
}

/// The names of the environment markers.
pub(super) fn markers() -> &'static [Field] {
    match EnvMarkers::RULE {
        Rule::Object(fields) => fields,
        _ => &[],
    }
}
