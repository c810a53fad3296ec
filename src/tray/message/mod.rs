//! A window with a short text and at most one decision to confirm.

#[cfg(not(any(windows, target_os = "macos")))]
mod details;
#[cfg_attr(any(windows, target_os = "macos"), path = "rfd.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gtk.rs")]
mod window;

use crate::contract::names;
use crate::contract::review_text::ReviewLine;
pub use window::{show, tell_in_a_window};

/// Maximum number of lines in a window that cannot scroll; a longer text would not fit on the screen.
const MOST_LINES: usize = 40;
/// Characters that fit on one of its lines.
const WIDTH: usize = 80;

/// The contents of a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    pub title: String,
    pub text: String,
    /// Shown in full below the text: the window scrolls, and its end must be shown before anything can be confirmed.
    pub details: Vec<ReviewLine>,
    /// Each gets its own box, which must be ticked before the decision can be confirmed.
    pub ticks: Vec<String>,
    /// The label of the button that confirms; `None` if there is nothing to decide. Closing the window confirms
    /// nothing.
    pub confirm: Option<&'static str>,
}

/// One window of a system whose windows neither scroll nor have boxes to tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainWindow {
    pub title: String,
    pub text: String,
    pub confirm: Option<&'static str>,
}

impl Message {
    /// How many lines the details take in a window of this width.
    pub fn detail_rows(&self, width: usize) -> usize {
        self.details.iter().map(|line| line.text.chars().count().div_ceil(width.max(1)).max(1)).sum()
    }

    /// The windows to show one after the other, for systems whose windows neither scroll nor have boxes to tick. Each
    /// must be confirmed. Details that do not fit cannot be confirmed there.
    pub fn plain_windows(&self) -> Vec<PlainWindow> {
        let window = |text: String, confirm| PlainWindow {
            title: self.title.clone(),
            text,
            confirm,
        };
        if self.detail_rows(WIDTH) > MOST_LINES {
            let core = names::CORE_PROGRAM;
            let text = format!(
                "{}\n\nThere is more to review than fits into this window. Review it in a terminal: {core} upstream approve",
                self.text
            );
            return vec![window(text, None)];
        }
        let details: String = self.details.iter().map(|line| format!("\n{}", line.text)).collect();
        let separator = if details.is_empty() { "" } else { "\n" };
        let first = window(format!("{}{separator}{details}", self.text), self.confirm);
        let ticks = self.ticks.iter().map(|tick| window(tick.clone(), self.confirm));
        std::iter::once(first).chain(ticks.filter(|_| self.confirm.is_some())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::review_text::Mark;

    #[test]
    fn a_window_that_cannot_show_everything_confirms_nothing() {
        let line = |text: &str| ReviewLine {
            mark: Mark::Plain,
            text: text.to_owned(),
        };
        let message = |details: Vec<ReviewLine>| Message {
            title: "Approve s?".to_owned(),
            text: "Look.".to_owned(),
            details,
            ticks: vec!["It gets a secret.".to_owned()],
            confirm: Some("Approve"),
        };
        let short = message(vec![line("Command ls"), line("")]).plain_windows();
        assert_eq!(short[0].text, "Look.\n\nCommand ls\n");
        assert_eq!((short[1].text.as_str(), short[1].confirm), ("It gets a secret.", Some("Approve")));
        for long in [vec![line("x"); 41], vec![line(&"x".repeat(80 * 41))]] {
            let windows = message(long).plain_windows();
            assert_eq!((windows.len(), windows[0].confirm), (1, None));
            assert!(
                windows[0].text.ends_with("Review it in a terminal: mcpproxy upstream approve"),
                "{}",
                windows[0].text
            );
        }
        let about = Message {
            title: "MCPProxy".to_owned(),
            text: "One address.".to_owned(),
            ..Message::default()
        };
        assert_eq!(about.plain_windows().len(), 1);
    }
}
