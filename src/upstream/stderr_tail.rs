//! The last lines a server wrote to its standard error: they usually say why it does not work.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::os::sync::lock;

/// Lines that are kept, to find the one that says why.
const LINES: usize = 30;
/// Lines that are shown.
const SHOWN: usize = 5;
/// How long the output of a process that has exited may take to arrive.
const AFTER_EXIT: Duration = Duration::from_millis(500);
/// Longest part of a line that is kept, in characters.
const LONGEST: usize = 300;

/// The last lines, shared by the task that reads them and the one that explains a failure.
#[derive(Debug, Clone, Default)]
pub struct StderrTail {
    tail: Arc<Mutex<Tail>>,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    /// A line whose end has not come.
    open: Vec<u8>,
}

impl PartialEq for StderrTail {
    /// Whether both belong to the same process.
    fn eq(&self, other: &StderrTail) -> bool {
        Arc::ptr_eq(&self.tail, &other.tail)
    }
}

impl StderrTail {
    /// Takes the next bytes.
    pub fn push(&self, bytes: &[u8]) {
        let mut tail = lock(&self.tail);
        // Only the last lines are ever shown.
        let bytes = bytes.get(bytes.len().saturating_sub(8 << 10)..).unwrap_or_default();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = (LONGEST * 4).saturating_sub(tail.open.len());
            let kept = piece.get(..piece.len().min(room)).unwrap_or_default();
            tail.open.extend_from_slice(kept);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut tail.open);
                tail.keep(&line);
            }
        }
    }

    /// Notes that no more bytes come.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Waits until everything was read that a process wrote before its exit. Not forever: its children may keep the pipe open.
    pub async fn complete(&self) {
        let _ = tokio::time::timeout(AFTER_EXIT, self.closed.cancelled()).await;
    }

    /// The last lines, oldest first, safe to show in a terminal.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.kept();
        lines.drain(..lines.len().saturating_sub(SHOWN));
        lines
    }

    fn kept(&self) -> Vec<String> {
        let tail = lock(&self.tail);
        let open = Some(shown(&tail.open)).filter(|line| says_something(line));
        tail.lines.iter().cloned().chain(open).collect()
    }

    /// An error with its reason and the last lines behind it.
    pub fn explain(&self, error: &str) -> String {
        let kept = self.kept();
        let Some(reason) = kept.iter().rfind(|line| is_reason(line)).or(kept.last()) else {
            return error.to_owned();
        };
        let reason = reason.trim_start();
        match self.lines().as_slice() {
            [_] => format!("{error}: {reason}"),
            lines => format!("{error}: {reason}\nIts last output:\n  {}", lines.join("\n  ")),
        }
    }
}

/// npm announces its own new versions after the error of a program that it ran.
fn says_something(line: &str) -> bool {
    !line.is_empty() && !line.starts_with("npm notice")
}

/// Whether a line may be the reason: not a detail below another line, nor what Node.js adds to an error.
fn is_reason(line: &str) -> bool {
    !line.starts_with([' ', '}', '{']) && !line.starts_with("Node.js v")
}

impl Tail {
    fn keep(&mut self, line: &[u8]) {
        let line = shown(line);
        if !says_something(&line) {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// A line without escape sequences, control characters and marks that change the direction of text.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' && characters.next_if_eq(&'[').is_some() {
            // A control sequence ends with a letter.
            while characters.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
            characters.next();
        } else if c == '\t' {
            shown.push(' ');
        } else if !c.is_control() && !is_invisible(c) {
            shown.push(c);
        }
    }
    let shown = shown.trim_end();
    match shown.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", shown.get(..end).unwrap_or_default()),
        None => shown.to_owned(),
    }
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_explains_an_error_and_a_few_more_follow() {
        let tail = StderrTail::default();
        assert_eq!(tail.explain("it exited"), "it exited");
        tail.push(b"Traceback\n\n  File \"x.py\"\nKeyErr");
        tail.push(b"or: 'API_TOKEN'\n");
        let explained = tail.explain("it exited");
        assert!(explained.starts_with("it exited: KeyError: 'API_TOKEN'\n"), "{explained}");
        assert!(explained.contains("\n  Traceback\n    File"));
        for number in 0..9 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        assert_eq!(tail.lines(), ["line 4", "line 5", "line 6", "line 7", "line 8"]);
    }

    #[test]
    fn the_reason_is_found_behind_the_output_of_the_runtime() {
        let reason = |output: &str| {
            let tail = StderrTail::default();
            tail.push(output.as_bytes());
            tail.explain("it exited").lines().next().unwrap().to_owned()
        };
        let npm =
            "Error: keys not found\nnpm notice\nnpm notice New minor version of npm available! 1 -> 2\nnpm notice\n";
        assert_eq!(reason(npm), "it exited: Error: keys not found");
        let stack = "    at f (x.js:1:2)\n".repeat(10);
        let node = format!("x.js:1\nError: Cannot find module 'y'\n{stack}{{\n  code: 'E'\n}}\n\nNode.js v22.1.0\n");
        assert_eq!(reason(&node), "it exited: Error: Cannot find module 'y'");
        let uv = "error: No solution found\n  cause: Because of the Python version\n         And because\n";
        assert_eq!(reason(uv), "it exited: error: No solution found");
        assert_eq!(reason("    only details\n"), "it exited: only details");
        assert_eq!(reason("npm notice\n"), "it exited");
    }

    #[test]
    fn the_shown_output_cannot_control_a_terminal() {
        let tail = StderrTail::default();
        tail.push("\u{1b}[31mred\u{1b}[0m \u{202e}x\u{7}\t.\n".as_bytes());
        tail.push(&b"y".repeat(100_000));
        let lines = tail.lines();
        assert_eq!(lines[0], "red x .");
        assert_eq!(lines[1].chars().count(), LONGEST + 1);
    }
}
