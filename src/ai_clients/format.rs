//! Edits the configuration file of another program as text, so that everything else in it survives.

pub mod entries;
pub mod json;
pub mod toml;
pub mod yaml;

use serde_json::{Map, Value};

use crate::ai_clients::format::entries::{Entries, ParseError};
use crate::ai_clients::known_clients::{Client, Format};

/// The byte order mark that some editors write.
const BOM: &str = "\u{feff}";

/// The servers in a file.
pub fn entries(client: &Client, bytes: &[u8]) -> Result<Entries, ParseError> {
    let (_, text) = read(bytes)?;
    match client.format {
        Format::Json => json::entries(text, client.container),
        Format::Toml => toml::entries(text, client.container),
        Format::Yaml => yaml::entries(text, client.container),
    }
}

/// The file with an entry added or replaced.
pub fn with_entry(
    client: &Client,
    bytes: &[u8],
    name: &str,
    entry: &Map<String, Value>,
) -> Result<Vec<u8>, ParseError> {
    let (bom, text) = read(bytes)?;
    let written = match client.format {
        Format::Json => json::with_entry(text, client.container, name, entry),
        Format::Toml => toml::with_entry(text, client.container, name, entry),
        Format::Yaml => yaml::with_entry(text, client.container, name, entry),
    }?;
    Ok(format!("{bom}{written}").into_bytes())
}

/// The file without an entry.
pub fn without_entry(client: &Client, bytes: &[u8], name: &str) -> Result<Vec<u8>, ParseError> {
    let (bom, text) = read(bytes)?;
    let written = match client.format {
        Format::Json => json::without_entry(text, client.container, name),
        Format::Toml => toml::without_entry(text, client.container, name),
        Format::Yaml => yaml::without_entry(text, client.container, name),
    }?;
    Ok(format!("{bom}{written}").into_bytes())
}

fn read(bytes: &[u8]) -> Result<(&'static str, &str), ParseError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).map_or(0, |line| String::from_utf8_lossy(line).chars().count());
        ParseError {
            at: Some((before.iter().filter(|byte| **byte == b'\n').count() + 1, column + 1)),
            problem: "is not UTF-8".to_owned(),
        }
    })?;
    Ok(text.strip_prefix(BOM).map_or(("", text), |text| (BOM, text)))
}
