//! Prints an answer as a table for people, or as JSON or YAML for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::error::CliError;
use crate::contract::api::ServerTool;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    Yaml,
}

impl Format {
    /// Reads `table`, `json` or `yaml`, in any case.
    pub fn from_name(name: &str) -> Result<Format, String> {
        match name.trim().to_ascii_lowercase().as_str() {
            "table" => Ok(Format::Table),
            "json" => Ok(Format::Json),
            "yaml" => Ok(Format::Yaml),
            _ => Err(format!("unknown output format `{name}` (use table, json or yaml)")),
        }
    }
}

/// Prints a value. `table` renders it for people.
pub fn print<T: Serialize>(format: Format, value: &T, table: impl FnOnce(&T) -> String) -> Result<(), CliError> {
    let failed = |error: String| CliError::new("OPERATION_FAILED", format!("could not format the answer: {error}"));
    let text = match format {
        Format::Table => table(value),
        Format::Json => serde_json::to_string_pretty(value).map_err(|error| failed(error.to_string()))?,
        Format::Yaml => serde_saphyr::to_string(value).map_err(|error| failed(error.to_string()))?,
    };
    println!("{}", text.trim_end());
    Ok(())
}

/// Rows under headings, without borders; `empty` where there are none.
pub fn rows(headings: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().copied());
    table.add_rows(rows.into_iter().map(|row| row.into_iter().map(|cell| one_line(&cell)).collect::<Vec<_>>()));
    table.trim_fmt()
}

/// Names and values in two columns.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name:width$}  {}", one_line(value))).collect();
    lines.join("\n")
}

/// The state of a tool in one word.
pub fn state(tool: &ServerTool) -> &str {
    if tool.disabled { "off" } else { &tool.approval_status }
}

/// Escapes control characters: text from a server must not drive the terminal.
pub fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_in_any_case() {
        assert_eq!(Format::from_name("JSON"), Ok(Format::Json));
        assert!(Format::from_name("xml").unwrap_err().contains("use table, json or yaml"));
    }

    #[test]
    fn a_servers_text_cannot_drive_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
    }
}
