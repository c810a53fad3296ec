//! Decides when text on a server's standard output that is not a message fails a call.
//!
//! Many servers write log lines to standard output, before and between their messages, so such text alone means nothing. It fails
//! the only call in flight if no message follows: soon if it is a page or the start of an HTTP response, which no log begins with,
//! else after a longer silence. A server that once answered a call during which it wrote such text is known to log, and only pages
//! fail its calls from then on.

use std::time::Duration;

use rmcp::model::RequestId;
use tokio::time::Instant;

use crate::upstream::transport::message::start_of;

/// How long a server may be silent after text, unless its entry says otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(60);
/// How long a server may be silent after a page.
const AFTER_PAGE: Duration = Duration::from_millis(500);
/// The starts of pages and of HTTP responses, in small letters.
const PAGES: [&[u8]; 5] = [b"<!doctype", b"<html", b"<?xml", b"http/1.", b"http/2"];

/// The text of one server outside of messages.
#[derive(Debug)]
pub struct StrayOutput {
    /// Zero: text fails no call.
    limit: Duration,
    suspect: Option<Suspect>,
    /// The last call during which the server wrote text.
    wrote_during: Option<RequestId>,
    /// It answered such a call.
    logs: bool,
}

/// A call that was alone in flight when the server wrote text.
#[derive(Debug)]
struct Suspect {
    call: RequestId,
    start: String,
    is_page: bool,
    fails_at: Instant,
}

impl StrayOutput {
    pub fn new(limit: Duration) -> StrayOutput {
        StrayOutput {
            limit,
            suspect: None,
            wrote_during: None,
            logs: false,
        }
    }

    /// Notes text that is not a message; `only_call` is the call in flight if there is only one.
    pub fn note_text(&mut self, text: &[u8], only_call: Option<RequestId>, now: Instant) {
        let is_page = is_page(text);
        if self.limit.is_zero() || self.logs && !is_page {
            return;
        }
        // The suspect of another call has ended.
        if let Some(call) = only_call
            && self.suspect.as_ref().is_none_or(|suspect| suspect.call != call)
        {
            self.wrote_during = Some(call.clone());
            self.suspect = Some(Suspect {
                call,
                start: String::new(),
                is_page: false,
                fails_at: now,
            });
        }
        let Some(suspect) = &mut self.suspect else { return };
        if suspect.start.is_empty() || is_page && !suspect.is_page {
            suspect.start = start_of(text);
        }
        suspect.is_page |= is_page;
        suspect.fails_at = now + if suspect.is_page { AFTER_PAGE.min(self.limit) } else { self.limit };
    }

    /// Notes a message. `answers` is the id of the request that it answers.
    pub fn note_message(&mut self, answers: Option<&RequestId>) {
        self.suspect = None;
        self.logs |= answers.is_some() && answers == self.wrote_during.as_ref();
    }

    /// When a call fails unless a message comes.
    pub fn fails_at(&self) -> Option<Instant> {
        self.suspect.as_ref().map(|suspect| suspect.fails_at)
    }

    /// The call that fails now, and why.
    pub fn take_failed(&mut self, now: Instant) -> Option<(RequestId, String)> {
        let suspect = self.suspect.take_if(|suspect| suspect.fails_at <= now)?;
        // A page is not given more time by a higher limit.
        let advice = if suspect.is_page {
            "set `stray_output_timeout` to `0s`"
        } else {
            "raise `stray_output_timeout`"
        };
        let reason = format!(
            "the server wrote text instead of a response, and nothing after it: {}; it may still be working. If it logs to \
             standard output, {advice} in its entry",
            suspect.start
        );
        Some((suspect.call, reason))
    }
}

fn is_page(text: &[u8]) -> bool {
    PAGES.iter().any(|start| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
}

#[cfg(test)]
mod tests {
    use rmcp::model::NumberOrString;

    use super::*;

    fn id(number: i64) -> RequestId {
        NumberOrString::Number(number)
    }

    /// Seconds until the call fails after these lines.
    fn fails_after(stray: &mut StrayOutput, lines: &[&str]) -> Option<f64> {
        let now = Instant::now();
        lines.iter().for_each(|line| stray.note_text(line.as_bytes(), Some(id(1)), now));
        stray.fails_at().map(|at| (at - now).as_secs_f64())
    }

    #[test]
    fn a_page_fails_the_call_sooner_than_other_text() {
        for (lines, expected) in [
            (&["<!DOCTYPE html>", "<body>502</body>"][..], 0.5),
            (&["<html>"], 0.5),
            (&["HTTP/1.1 502 Bad Gateway", "Server: x"], 0.5),
            (&["Error: no connection", "<?xml version='1.0'?>"], 0.5),
            (&["Listening on stdio"], 60.0),
            (&["<info> ready"], 60.0),
            (&["{\"level\":\"info\"}"], 60.0),
        ] {
            assert_eq!(fails_after(&mut StrayOutput::new(DEFAULT_LIMIT), lines), Some(expected), "{lines:?}");
        }
        assert_eq!(fails_after(&mut StrayOutput::new(Duration::ZERO), &["<html>"]), None);
        assert_eq!(fails_after(&mut StrayOutput::new(Duration::from_secs(5)), &["text"]), Some(5.0));
    }

    #[test]
    fn a_message_clears_the_call_and_an_answer_shows_that_the_server_logs() {
        let mut stray = StrayOutput::new(DEFAULT_LIMIT);
        assert!(fails_after(&mut stray, &["working"]).is_some());
        stray.note_message(None);
        assert_eq!(stray.fails_at(), None);
        assert!(fails_after(&mut stray, &["still working"]).is_some(), "progress is not an answer");
        let (call, reason) = stray.take_failed(Instant::now() + DEFAULT_LIMIT).unwrap();
        assert!(call == id(1) && reason.contains("still working") && reason.contains("raise"), "{reason}");
        assert_eq!(stray.take_failed(Instant::now() + DEFAULT_LIMIT), None);
        stray.note_message(Some(&id(1)));
        assert_eq!(fails_after(&mut stray, &["working"]), None, "its late response shows that it logs");
        assert_eq!(fails_after(&mut stray, &["<html>"]), Some(0.5), "a page is not a log");
    }

    #[test]
    fn text_counts_for_the_call_during_which_it_was_written() {
        let mut stray = StrayOutput::new(DEFAULT_LIMIT);
        let now = Instant::now();
        stray.note_text(b"<html>", Some(id(1)), now);
        // The first call was cancelled.
        stray.note_text(b"<!DOCTYPE html>", Some(id(2)), now);
        let (call, reason) = stray.take_failed(now + AFTER_PAGE).unwrap();
        assert!(call == id(2) && reason.contains("<!DOCTYPE"), "{call:?}: {reason}");
        assert!(reason.contains("`0s`"), "{reason}");
    }

    #[test]
    fn text_without_a_call_or_with_several_fails_none() {
        let mut stray = StrayOutput::new(DEFAULT_LIMIT);
        stray.note_text(b"<html>", None, Instant::now());
        assert_eq!(stray.fails_at(), None);
    }
}
