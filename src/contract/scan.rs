//! Findings of the scanner, as the programs exchange them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; does not hold back an automatic approval.
    Info,
    /// Unusual in an honest tool; a person should look.
    Warning,
    /// Typical for an attack; shown in red.
    Danger,
}

/// One thing that the scanner saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule that matched, for example `override-instructions`.
    pub rule: String,
    pub severity: Severity,
    /// Where the text is, for example `inputSchema.properties.note.description`.
    pub location: String,
    /// The text around the match, with invisible characters written as `\u{200b}`.
    pub quote: String,
    /// Why that matters, one sentence.
    pub reason: String,
}

/// A tool with findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScannedTool {
    pub server: String,
    pub tool: String,
    /// `approved`, `pending` or `disabled`.
    pub state: String,
    /// The most severe first.
    pub findings: Vec<Finding>,
}

/// `data` of `GET /api/v1/scan`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScanReport {
    /// How many tools were scanned.
    pub scanned: u32,
    /// Those with findings.
    pub tools: Vec<ScannedTool>,
    /// Servers that have not listed their tools.
    pub without_tools: Vec<String>,
}
