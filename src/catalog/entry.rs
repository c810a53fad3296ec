//! One tool of one server.

use rmcp::model::Tool;
use serde::Deserialize;

/// One tool of one server.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    pub server: String,
    #[serde(flatten)]
    pub tool: Tool,
}
