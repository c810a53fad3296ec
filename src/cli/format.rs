//! The output formats.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_in_any_case() {
        assert_eq!(Format::from_name("JSON"), Ok(Format::Json));
        assert!(Format::from_name("xml").unwrap_err().contains("use table, json or yaml"));
    }
}
