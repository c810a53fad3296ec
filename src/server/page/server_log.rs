//! A server's log: on its page, on a page of its own, and as a stream of new lines.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use maud::{Markup, html};

use crate::os::files;
use crate::server::logging::newest_log;
use crate::server::page::access::Visitor;
use crate::server::page::api::unknown_server;
use crate::server::page::form::Fields;
use crate::server::page::layout::{Frame, encoded, foreign, heading, page};
use crate::server::page::pages::Pages;

/// Pause between two reads of the file.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum number of lines on the page of a server, and on the page of the log.
pub(super) const FEW: usize = 100;
const MANY: usize = 1_000;
/// Maximum length of the shown lines, in bytes. The latest ones are shown.
const LONGEST: usize = 40_000;

/// The end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerLog {
    pub lines: Vec<String>,
    /// The length of the file up to the last line.
    pub end: u64,
}

/// Reads the end of a server's log.
pub(super) async fn read(pages: &Pages, name: &str, most: usize) -> ServerLog {
    let path = pages.app.upstreams.log_of(name);
    let read = tokio::task::spawn_blocking(move || files::lines_after(&path, 0)).await;
    let (lines, end) = read.ok().and_then(Result::ok).unwrap_or_default();
    ServerLog {
        lines: latest(lines, most, LONGEST),
        end,
    }
}

/// Reads the end of MCPProxy's own log.
pub(super) async fn read_own(pages: &Pages) -> Vec<String> {
    let logs = pages.app.root.logs();
    let read = tokio::task::spawn_blocking(move || files::lines_after(&newest_log(&logs)?, 0).ok()).await;
    let (lines, _) = read.ok().flatten().unwrap_or_default();
    latest(lines, FEW, LONGEST / 4)
}

/// Returns the last lines: at most `most`, with at most `longest` bytes. A line that alone is longer is cut.
fn latest(lines: Vec<String>, most: usize, longest: usize) -> Vec<String> {
    let mut room = longest;
    let mut kept = Vec::new();
    for line in lines.into_iter().rev().take(most) {
        let (start, is_cut) = crate::activity::call::cut(&line, room);
        if is_cut && !kept.is_empty() {
            break;
        }
        room -= start.len();
        kept.push(if is_cut { format!("{start}…") } else { line });
        if is_cut {
            break;
        }
    }
    kept.reverse();
    kept
}

/// Renders the log, which the script continues.
pub(super) fn view(name: &str, log: &ServerLog) -> Markup {
    let stream = format!("/ui/servers/{}/log/stream?from={}", encoded(name), log.end);
    html! {
        pre.log tabindex="0" aria-label="Log" data-log=(stream) { (lines(&log.lines)) }
        p.quiet { "The server has written nothing yet." }
    }
}

/// Renders lines with their times.
pub(super) fn lines(lines: &[String]) -> Markup {
    html! {
        @for line in lines {
            @let (time, text) = split(line);
            @if let Some(time) = time { time datetime=(time) data-clock { (time.get(11..19).unwrap_or(time)) } " " }
            (foreign(text)) "\n"
        }
    }
}

/// Returns the time that MCPProxy wrote before a line, and the line.
fn split(line: &str) -> (Option<&str>, &str) {
    match line.split_once(' ') {
        Some((time, text)) if (20..=30).contains(&time.len()) && time.parse::<jiff::Timestamp>().is_ok() => {
            (Some(time), text)
        }
        _ => (None, line),
    }
}

/// `GET /ui/servers/{name}/log`
pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    if pages.app.upstreams.snapshot(&name).is_none() {
        return pages.failed(&visitor, &unknown_server(&name)).await;
    }
    let log = read(&pages, &name, MANY).await;
    details(&pages.frame(&visitor).await, &name, &log).into_response()
}

fn details(frame: &Frame, name: &str, log: &ServerLog) -> Markup {
    let base = format!("/ui/servers/{}", encoded(name));
    let contents = html! {
        p.crumbs { a href="/ui/servers" { "Servers" } " / " a href=(base) { (foreign(name)) } }
        (heading("Log", "The server's standard error. New lines appear by themselves.", &html! { a.button href={(base) "/log"} { "Reload" } }))
        div.tall { (view(name, log)) }
    };
    page(frame, "/ui/servers", &format!("Log of {name}"), &contents)
}

/// `GET /ui/servers/{name}/log/stream?from=N`: the lines after the first N bytes, as they are written.
pub(super) async fn stream(State(pages): State<Arc<Pages>>, Path(name): Path<String>, request: Request) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default());
    // A browser that reconnects sends the ID of the last event, which is the end of the lines that it has.
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let from: u64 = last.or_else(|| query.text("from").parse().ok()).unwrap_or_default();
    let path = pages.app.upstreams.log_of(&name);
    let events = stream::unfold((pages, path, from), |(pages, path, mut from)| async move {
        loop {
            if !pages.app.pause(PAUSE).await {
                return None;
            }
            let file = path.clone();
            let read = tokio::task::spawn_blocking(move || files::lines_after(&file, from)).await;
            let (found, end) = read.ok()?.ok()?;
            from = end;
            if !found.is_empty() {
                let text = lines(&latest(found, MANY, LONGEST)).into_string();
                let event = Event::default().id(end.to_string()).data(text.trim_end_matches('\n'));
                return Some((Ok::<_, Infallible>(event), (pages, path, from)));
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_time_and_stays_text() {
        let log = ServerLog {
            lines: vec!["2026-01-02T03:04:05.678Z <b>ready</b>".into(), "older line".into()],
            end: 7,
        };
        let shown = view("a b", &log).into_string();
        assert!(
            shown.contains("<time datetime=\"2026-01-02T03:04:05.678Z\" data-clock>03:04:05</time> &lt;b&gt;ready"),
            "{shown}"
        );
        let own = lines(&["2026-01-02T03:04:05.678901Z  INFO mcpproxy: ready".to_owned()]).into_string();
        assert!(own.contains("data-clock>03:04:05</time>  INFO mcpproxy: ready"), "{own}");
        assert!(shown.contains("older line\n") && shown.contains("/ui/servers/a%20b/log/stream?from=7"), "{shown}");
    }

    #[test]
    fn the_latest_lines_fit() {
        let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let all = lines(&["a", "bb", "ccc"]);
        assert_eq!(latest(all.clone(), 2, 100), lines(&["bb", "ccc"]));
        assert_eq!(latest(all.clone(), 9, 5), lines(&["bb", "ccc"]));
        assert_eq!(latest(all, 9, 2), lines(&["cc…"]));
        assert!(latest(Vec::new(), 9, 9).is_empty());
    }
}
