//! The types of records in the activity log.

/// `type` of a call of a server's tool.
pub const TOOL_CALL: &str = "tool_call";
/// `type` of a call of a tool of MCPProxy itself, such as the search.
pub const INTERNAL_TOOL_CALL: &str = "internal_tool_call";
/// `type` of the approval or quarantine of a server.
pub const QUARANTINE_CHANGE: &str = "quarantine_change";
/// `type` of an approval of tools.
pub const TOOL_QUARANTINE_CHANGE: &str = "tool_quarantine_change";
/// `type` of a change of the settings or of a server's entry.
pub const CONFIG_CHANGE: &str = "config_change";
/// `type` of a change of a server's state: it connected, or failed.
pub const SERVER_CHANGE: &str = "server_change";
/// `type` of a run or preview of a fix for a server's problem.
pub const SERVER_FIX: &str = "server_fix";
/// `type` of the core's start.
pub const SYSTEM_START: &str = "system_start";
/// `type` of the core's end.
pub const SYSTEM_STOP: &str = "system_stop";
