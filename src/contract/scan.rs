//! Findings of the scanner, as exchanged between the programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::words::ScannedState;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For information; does not prevent an automatic approval.
    Info,
    /// Unusual in an honest tool; the user should check it.
    Warning,
    /// Typical for an attack; shown in red.
    Danger,
}

/// One finding of the scanner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule that matched, for example `override-instructions`.
    pub rule: String,
    pub severity: Severity,
    /// Location of the text, for example `inputSchema.properties.note.description`.
    pub location: String,
    /// The text around the match, with invisible characters written as `\u{200b}`.
    pub quote: String,
    /// Why the finding matters, in one sentence.
    pub reason: String,
}

/// A tool with findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScannedTool {
    pub server: String,
    pub tool: String,
    pub state: ScannedState,
    /// The findings, the most severe first.
    pub findings: Vec<Finding>,
}

/// `data` of `GET /api/v1/scan`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScanReport {
    /// Number of scanned tools.
    pub scanned: u32,
    /// The tools with findings.
    pub tools: Vec<ScannedTool>,
    /// Servers that have not listed their tools.
    pub without_tools: Vec<String>,
}
