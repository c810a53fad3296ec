//! The last error in a core's standard error, for one line of the menu.

use serde_json::Value;

/// Maximum length, in characters.
const LONGEST: usize = 300;

/// Returns the text of the last `error:` line, else the last error in a log of the Go core, else the last line that is
/// not from a log. A log without an error does not explain why the core ended.
pub(super) fn last_words(stderr: &str) -> Option<String> {
    let text = without_escapes(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let marked = lines.iter().rev().find_map(|line| {
        let (word, rest) = line.split_once(':')?;
        let is_error = word.eq_ignore_ascii_case("error") || word == "panic" || word == "fatal error";
        (is_error && !rest.trim().is_empty()).then(|| rest.trim().to_owned())
    });
    let logged = || lines.iter().rev().find_map(|line| logged_error(line));
    let plain = || lines.iter().rev().find(|line| level(line).is_none()).map(|line| (*line).to_owned());
    let words = marked.or_else(logged).or_else(plain)?;
    Some(words.chars().take(LONGEST).collect())
}

/// The level of a line in the Go core's log: `time TAB level TAB place TAB message TAB fields`.
fn level(line: &str) -> Option<&str> {
    let level = line.split('\t').nth(1)?.trim();
    ["DEBUG", "INFO", "WARN", "ERROR", "DPANIC", "PANIC", "FATAL"].contains(&level).then_some(level)
}

fn logged_error(line: &str) -> Option<String> {
    if matches!(level(line)?, "DEBUG" | "INFO" | "WARN") {
        return None;
    }
    let mut parts = line.split('\t').skip(3);
    let message = parts.next()?.trim();
    let fields: Value = parts.next().and_then(|fields| serde_json::from_str(fields).ok()).unwrap_or_default();
    let cause = fields.get("error").and_then(Value::as_str);
    Some(cause.map_or_else(|| message.to_owned(), |cause| format!("{message}: {cause}")))
}

/// Removes the escape sequences that colour a terminal.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            plain.push(c);
        } else if rest.next_if_eq(&'[').is_some() {
            // Parameters, then one letter.
            while rest.next_if(|c| !('@'..='~').contains(c)).is_some() {}
            rest.next();
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_of_a_coloured_log_is_shown() {
        let log = "2026-11-30 02:41:53\t\u{1b}[34mINFO\u{1b}[0m\tserver.go:1\tstarting\n\
            2026-11-30 02:41:54\t\u{1b}[31mERROR\u{1b}[0m\tserver.go:9\tFailed to open database\t{\"error\": \"no space left\"}\n\
            2026-11-30 02:41:54\t\u{1b}[34mINFO\u{1b}[0m\tlifecycle.go:355\tSuccessfully indexed tools\t{\"count\": 22}\n";
        assert_eq!(last_words(log).as_deref(), Some("Failed to open database: no space left"));
        let panicked =
            format!("{log}panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n");
        assert_eq!(last_words(&panicked).as_deref(), Some("runtime error: index out of range"));
    }

    #[test]
    fn a_log_without_an_error_says_nothing() {
        let log = "2026-11-30 02:41:54\t\u{1b}[34mINFO\u{1b}[0m\tlifecycle.go:355\tSuccessfully indexed tools\t{\"count\": 22}\n";
        assert_eq!(last_words(log), None);
        assert_eq!(
            last_words(&format!("dyld: library not loaded\n{log}")).as_deref(),
            Some("dyld: library not loaded")
        );
        assert_eq!(last_words("\u{1b}[1;31merror:\u{1b}[0m it broke\n\u{1b}").as_deref(), Some("it broke"));
        assert_eq!(last_words(" \n"), None);
    }
}
