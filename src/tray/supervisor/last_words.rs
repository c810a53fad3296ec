//! The last error in a core's standard error, for one line of the menu.

use serde_json::Value;

/// Maximum length, in characters.
const LONGEST: usize = 300;

/// Returns what a core's standard error says about its end: the text of the last `error:` line, else the last error in its
/// log, else the last line that is not from a log. A log without an error does not explain why the core ended.
///
/// Without an exit code, a signal ended the core. It had no time to log that, so an error in its log is about something
/// else, and another line counts only if it is the last one.
pub(super) fn last_words(stderr: &str, code: Option<i32>) -> Option<String> {
    let text = without_escapes(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let marked = lines.iter().rev().find_map(|line| {
        let (word, rest) = line.split_once(':')?;
        (is_marker(word) && !rest.trim().is_empty()).then(|| rest.trim().to_owned())
    });
    let logged = || lines.iter().rev().find_map(|line| logged_error(line));
    let is_plain = |line: &&&str| log_line(line).is_none() && !line.starts_with("note: ");
    let plain = || lines.iter().rev().find(is_plain).map(|line| (*line).to_owned());
    let last = || lines.last().filter(is_plain).map(|line| (*line).to_owned());
    let words = match code {
        // Its last lines are addresses and registers.
        _ if is_crash_report(stderr) => marked,
        Some(_) => marked.or_else(logged).or_else(plain),
        None => marked.or_else(last),
    };
    Some(words?.chars().take(LONGEST).collect())
}

/// Whether the output ends with the Go runtime's report of a crash, after which it exits with 2. The Go core itself ends its
/// output with an `Error:` line.
pub(super) fn is_crash_report(stderr: &str) -> bool {
    let lines = stderr.lines().rev().map(str::trim);
    let mut ends = lines.filter_map(|line| {
        let is_goroutine = line.starts_with("goroutine ") && line.ends_with("]:");
        (is_goroutine || line.starts_with("Error:")).then_some(is_goroutine)
    });
    ends.next().unwrap_or(false)
}

/// Whether this word, followed by `:`, begins the reason why a core ended.
fn is_marker(word: &str) -> bool {
    let is_signal = word.starts_with("SIG") && word.bytes().all(|byte| byte.is_ascii_uppercase());
    word.eq_ignore_ascii_case("error") || word == "panic" || word == "fatal error" || is_signal
}

/// The level and the message of a line in a log: `time TAB level TAB place TAB message TAB fields` of the Go core, or
/// `time level message` of this one.
fn log_line(line: &str) -> Option<(&str, &str)> {
    let (level, message) = match line.split_once('\t') {
        Some((_, rest)) => {
            let (level, rest) = rest.split_once('\t')?;
            (level.trim(), rest.split_once('\t')?.1)
        }
        None => line.split_once(' ')?.1.trim_start().split_once(' ')?,
    };
    let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "DPANIC", "PANIC", "FATAL"];
    levels.contains(&level).then_some((level, message.trim()))
}

fn logged_error(line: &str) -> Option<String> {
    let (level, text) = log_line(line)?;
    if matches!(level, "TRACE" | "DEBUG" | "INFO" | "WARN") {
        return None;
    }
    let (message, fields) = text.split_once('\t').unwrap_or((text, ""));
    let fields: Value = serde_json::from_str(fields).unwrap_or_default();
    let cause = fields.get("error").and_then(Value::as_str);
    Some(cause.map_or_else(|| message.trim().to_owned(), |cause| format!("{}: {cause}", message.trim())))
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

    const ERROR: &str = "2026-11-30 02:41:54\t\u{1b}[31mERROR\u{1b}[0m\tserver.go:9\tFailed to open database\t{\"error\": \"no space left\"}\n";
    const INFO: &str =
        "2026-11-30 02:41:54\t\u{1b}[34mINFO\u{1b}[0m\tlifecycle.go:355\tSuccessfully indexed tools\t{\"count\": 22}\n";
    /// The end of what v0.60 wrote after a signal for a crash.
    const CRASH: &str = "SIGSEGV: segmentation violation\nPC=0x49a661 m=0 sigcode=0\n\n\
        goroutine 0 gp=0x33286a0 m=0 mp=0x3328c40 [idle]:\nruntime.futex(0x1)\n\nrip    0x49a661\ngs     0x0\n";

    fn words(stderr: &str) -> Option<String> {
        last_words(stderr, Some(1))
    }

    #[test]
    fn the_last_error_of_a_coloured_log_is_shown() {
        assert_eq!(words(&format!("{INFO}{ERROR}{INFO}")).as_deref(), Some("Failed to open database: no space left"));
        assert_eq!(words("2026-11-30T02:41:54Z ERROR it broke\n").as_deref(), Some("it broke"));
    }

    #[test]
    fn a_log_without_an_error_says_nothing() {
        assert_eq!(words(INFO), None);
        assert_eq!(words("2026-11-30T02:41:54Z  WARN a server is slow\n"), None);
        assert_eq!(words(&format!("dyld: library not loaded\n{INFO}")).as_deref(), Some("dyld: library not loaded"));
        assert_eq!(words("\u{1b}[1;31merror:\u{1b}[0m it broke\n\u{1b}").as_deref(), Some("it broke"));
        assert_eq!(words(" \n"), None);
    }

    #[test]
    fn a_crash_is_explained_by_its_report_and_not_by_the_lines_around_it() {
        let panicked = "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n";
        for (report, expected) in [
            (panicked, "runtime error: index out of range"),
            (CRASH, "segmentation violation"),
        ] {
            let stderr = format!("{ERROR}{INFO}{report}");
            assert!(is_crash_report(&stderr));
            assert_eq!(last_words(&stderr, Some(2)).as_deref(), Some(expected));
        }
        let (_, without_its_start) = CRASH.split_once("\n\n").unwrap();
        assert_eq!(last_words(&format!("{ERROR}{without_its_start}"), Some(2)), None);
        let usage = format!("{panicked}Error: server failed: port 127.0.0.1:8080 is already in use\n");
        assert!(!is_crash_report(&usage) && !is_crash_report(ERROR) && !is_crash_report(""));
    }

    #[test]
    fn after_a_signal_an_older_error_of_the_log_is_not_the_reason() {
        for stderr in [
            "",
            ERROR,
            INFO,
            "Usage statistics are on.\n2026-11-30T02:41:54Z ERROR a server failed\n",
        ] {
            assert_eq!(last_words(stderr, None), None, "{stderr}");
        }
        let aborted = format!("{ERROR}free(): invalid pointer\n");
        assert_eq!(last_words(&aborted, None).as_deref(), Some("free(): invalid pointer"));
        let panicked = "thread 'main' panicked at src/x.rs:1:5:\nit broke\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(words(panicked).as_deref(), Some("it broke"));
    }
}
