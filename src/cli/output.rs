//! Prints an answer as a table for people, or as JSON or YAML for programs.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::format::Format;
use crate::contract::api::ServerTool;
use crate::contract::exact_numbers::{released, restore_text};
use crate::contract::review_text::{Mark, ReviewLine};
use crate::contract::visible_text::{self, one_line};
use crate::os::environment::Environment;
use crate::os::terminal_width;

/// The code of an error that is not shown: the reader of standard output, such as `head`, has read enough.
pub const READER_GONE: &str = "READER_GONE";

/// Prints a value. `table` renders it for people. Whatever a server's text contains, the terminal is safe.
pub fn print<T: Serialize>(format: Format, value: &T, table: impl FnOnce(&T) -> String) -> Result<(), CliError> {
    let failed = |error: String| CliError::new("OPERATION_FAILED", format!("could not format the answer: {error}"));
    let text = match format {
        Format::Table => visible_text::lines(&table(value)),
        Format::Json => {
            let text = serde_json::to_string_pretty(value).map_err(|error| failed(error.to_string()))?;
            visible_text::json(&restore_text(&text))
        }
        Format::Yaml => {
            let value = serde_json::to_value(value).map_err(|error| failed(error.to_string()))?;
            let mut value = released(&value);
            escape_strings(&mut value);
            serde_saphyr::to_string(&Plain(&value)).map_err(|error| failed(error.to_string()))?
        }
    };
    if text.trim().is_empty() { Ok(()) } else { write_raw(&format!("{}\n", text.trim_end())) }
}

/// Prints the result of a change. With `--quiet`, the sentence for people is left out.
pub fn report<T: Serialize>(context: &Context, value: &T, sentence: impl FnOnce(&T) -> String) -> Result<(), CliError> {
    if context.quiet && context.format == Format::Table {
        return Ok(());
    }
    print(context.format, value, sentence)
}

/// Writes data for other programs to standard output, as it is.
///
/// # Errors
/// [`CliError`]: the reader is gone, or the disk is full.
pub fn write_raw(text: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| not_written(&error))
}

/// The error for text that could not be written to standard output.
pub fn not_written(error: &io::Error) -> CliError {
    let code = if error.kind() == io::ErrorKind::BrokenPipe { READER_GONE } else { "OPERATION_FAILED" };
    CliError::new(code, format!("could not write: {error}"))
}

/// Prints a line for people on standard error.
pub fn say(text: &str) {
    eprintln!("{}", visible_text::lines(text));
}

/// Prints a review on standard output, coloured at a terminal.
///
/// # Errors
/// As [`write_raw`].
pub fn print_review(lines: &[ReviewLine]) -> Result<(), CliError> {
    write_raw(&format!("{}\n", review_text(lines, colours_for(io::stdout().is_terminal()))))
}

/// Prints a review on standard error, coloured at a terminal, with an empty line after it.
pub fn say_review(lines: &[ReviewLine]) {
    eprintln!("{}\n", review_text(lines, colours_for(io::stderr().is_terminal())));
}

fn review_text(lines: &[ReviewLine], colours: bool) -> String {
    let shown = lines.iter().map(|line| {
        let text = one_line(&line.text);
        let code = match line.mark {
            Mark::Plain => "",
            Mark::Heading => "1",
            Mark::Removed => "31",
            Mark::Added => "32",
            Mark::Warning => "33",
            Mark::Danger => "1;31",
        };
        if colours && !code.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// Whether to colour lines: at a terminal that supports colours, unless `NO_COLOR` is set.
fn colours_for(is_terminal: bool) -> bool {
    let environment = Environment::read(|name| matches!(name, "NO_COLOR" | "TERM"));
    is_terminal && environment.non_empty("NO_COLOR").is_none() && environment.get("TERM") != Some("dumb")
}

/// A value for other formats than JSON, where a number of `serde_json` would be an object with its text.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => serializer.serialize_u64(number),
                (_, Some(number), _) => serializer.serialize_i64(number),
                (.., Some(value)) if Number::from_f64(value).as_ref() == Some(number) => {
                    serializer.serialize_f64(value)
                }
                _ => serializer.serialize_str(&number.to_string()),
            },
            Value::Array(items) => serializer.collect_seq(items.iter().map(Plain)),
            Value::Object(fields) => serializer.collect_map(fields.iter().map(|(key, value)| (key, Plain(value)))),
            other => other.serialize(serializer),
        }
    }
}

fn escape_strings(value: &mut Value) {
    match value {
        Value::String(text) => *text = visible_text::lines(text),
        Value::Array(items) => items.iter_mut().for_each(escape_strings),
        Value::Object(fields) => fields.values_mut().for_each(escape_strings),
        _ => {}
    }
}

/// The narrowest last column that is wrapped; a narrower terminal wraps whole lines.
const NARROWEST: u16 = 20;

/// Rows under headings, without borders; `empty` where there are none. At a terminal, the last column is wrapped.
pub fn rows(headings: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
    rows_within(terminal_width::of_standard_output(), headings, rows, empty)
}

fn rows_within(width: Option<u16>, headings: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().copied());
    table.add_rows(rows.into_iter().map(|row| row.into_iter().map(|cell| one_line(&cell)).collect::<Vec<_>>()));
    let columns = table.column_max_content_widths();
    let others: u16 = columns.iter().rev().skip(1).fold(0u16, |sum, width| sum.saturating_add(width.saturating_add(2)));
    if let Some(width) = width.filter(|width| *width >= others.saturating_add(NARROWEST)) {
        let last = columns.len().saturating_sub(1);
        table.column_iter_mut().take(last).for_each(|column| {
            column.set_constraint(ColumnConstraint::ContentWidth);
        });
        table.set_width(width);
    }
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
    if tool.disabled { "off" } else { tool.approval_status.word() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_lines_of_a_review_are_coloured() {
        let line = |mark, text: &str| ReviewLine {
            mark,
            text: text.to_owned(),
        };
        let lines = [
            line(Mark::Removed, "- ls"),
            line(Mark::Plain, "  same"),
            line(Mark::Added, "+ rm \u{1b}[32m"),
        ];
        assert_eq!(review_text(&lines, false), "- ls\n  same\n+ rm \\u{1b}[32m");
        let coloured = "\u{1b}[31m- ls\u{1b}[0m\n  same\n\u{1b}[32m+ rm \\u{1b}[32m\u{1b}[0m";
        assert_eq!(review_text(&lines, true), coloured);
        assert!(!colours_for(false));
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(rows(&["A"], Vec::new(), "None yet."), "None yet.");
        assert!(rows(&["A"], vec![vec!["x\u{1b}".to_owned()]], "").contains("x\\u{1b}"));
    }

    #[test]
    fn a_table_fits_the_terminal_and_names_stay_whole() {
        let table = |width| {
            let row = vec!["a-long-name".to_owned(), "one two three four five six seven".to_owned()];
            rows_within(width, &["NAME", "SUMMARY"], vec![row], "")
        };
        let wrapped = table(Some(40));
        assert!(wrapped.lines().all(|line| line.trim_end().len() <= 40), "{wrapped}");
        assert!(wrapped.contains("a-long-name") && wrapped.lines().count() == 3, "{wrapped}");
        for one_line_each in [table(None), table(Some(20)), table(Some(200))] {
            assert_eq!(one_line_each.lines().count(), 2, "{one_line_each}");
        }
    }

    #[test]
    fn yaml_hides_nothing() {
        let mut value = serde_json::json!({"a": ["\u{202e}b\n"]});
        escape_strings(&mut value);
        assert_eq!(value["a"][0], "\\u{202e}b\n");
    }
}
