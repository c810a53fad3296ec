//! Exports records as lines for other programs.

use crate::contract::api::ActivityRecord;

/// The export format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Jsonl,
    /// Comma-separated, with a heading.
    Csv,
}

impl Format {
    /// Returns the format with this name.
    pub fn of(word: &str) -> Option<Format> {
        match word {
            "jsonl" | "json" => Some(Format::Jsonl),
            "csv" => Some(Format::Csv),
            _ => None,
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Format::Jsonl => "application/jsonl; charset=utf-8",
            Format::Csv => "text/csv; charset=utf-8",
        }
    }

    /// Returns the text before the first record.
    pub fn heading(self) -> &'static str {
        match self {
            Format::Jsonl => "",
            Format::Csv => {
                "id,time,type,source,client,session,profile,server,tool,intent,status,duration_ms,request_bytes,response_bytes,\
                 sensitive,error,request_tokens,response_tokens,saved_tokens\n"
            }
        }
    }

    /// Returns one record with its line break.
    pub fn line(self, record: &ActivityRecord) -> String {
        match self {
            Format::Jsonl => serde_json::to_string(record).unwrap_or_default() + "\n",
            Format::Csv => csv(record),
        }
    }
}

fn csv(record: &ActivityRecord) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let fields = [
        record.id.clone(),
        record.timestamp.clone(),
        record.kind.to_string(),
        record.source.to_string(),
        text(&record.client_name),
        text(&record.session_id),
        text(&record.profile),
        record.server_name.clone(),
        record.tool_name.clone(),
        record.intent.as_ref().map(ToString::to_string).unwrap_or_default(),
        record.status.to_string(),
        record.duration_ms.to_string(),
        number(record.request_bytes),
        number(record.response_bytes),
        record.detection_types.join(" "),
        text(&record.error_message),
        number(record.request_tokens),
        number(record.response_tokens),
        record.saved_tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
    ];
    fields.map(|field| quoted(&field)).join(",") + "\n"
}

/// Returns a CSV field. Spreadsheets run text that starts like a formula, so such text gets a leading quote.
fn quoted(field: &str) -> String {
    let is_number = field.parse::<i64>().is_ok();
    let starts_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
    let field = if starts_formula { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_has_as_many_fields_as_headings_and_no_formulas() {
        let record = ActivityRecord {
            id: "1".into(),
            server_name: "=cmd()".into(),
            tool_name: "a,\"b\"".into(),
            saved_tokens: Some(-7),
            ..ActivityRecord::default()
        };
        let line = Format::Csv.line(&record);
        assert!(line.contains(",'=cmd(),\"a,\"\"b\"\"\","), "{line}");
        assert!(line.ends_with(",-7\n"), "{line}");
        let columns = Format::Csv.heading().split(',').count();
        assert_eq!(Format::Csv.line(&ActivityRecord::default()).split(',').count(), columns);
        assert_eq!(Format::Jsonl.line(&record).lines().count(), 1);
    }
}
