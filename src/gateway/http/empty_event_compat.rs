//! Hides events without data from old clients, which consider them invalid messages.
//!
//! Since 2025-11-25, a stream begins with an event that has an ID but no data and allows resuming. The library sends it
//! to every client; clients of earlier versions parse every event's data as JSON, and report an error.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;

/// The first protocol version with such events.
const KNOWN_SINCE: &str = "2025-11-25";
/// An SSE comment, which clients ignore.
const COMMENT: &[u8] = b":\n\n";

/// Replaces events without data by a comment in responses to old clients.
pub async fn without_priming(request: Request, next: Next) -> Response {
    let knows = knows_priming(request.headers());
    let answer = next.run(request).await;
    let streams =
        answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if knows || !streams {
        return answer;
    }
    // The library sends each event as a separate frame.
    answer.map(|body| {
        Body::new(body.map_frame(|frame| {
            frame.map_data(|event| if is_empty_event(&event) { Bytes::from_static(COMMENT) } else { event })
        }))
    })
}

/// Whether a client knows events without data. Requests without a version come from old clients or begin a session;
/// neither can resume a stream.
fn knows_priming(headers: &HeaderMap) -> bool {
    let revision = headers.get("mcp-protocol-version").and_then(|given| given.to_str().ok());
    // Versions are dates, so their alphabetical order is chronological.
    revision.is_some_and(|revision| revision >= KNOWN_SINCE)
}

/// Whether this is an event with empty data. A comment is not an event.
fn is_empty_event(event: &[u8]) -> bool {
    let mut data = event.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:")).peekable();
    data.peek().is_some() && data.all(|data| data.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_event_without_data_is_one() {
        for empty in [
            "data:\nid: 0\nretry: 3000\n\n",
            "data: \nid: 0/1\n\n",
            "id: 3\ndata:\n\n",
        ] {
            assert!(is_empty_event(empty.as_bytes()), "{empty:?}");
        }
        for other in [
            "data: {}\nid: 0\n\n",
            ":\n\n",
            "retry: 5000\n\n",
            "",
            "data:\ndata: {}\n\n",
        ] {
            assert!(!is_empty_event(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn clients_of_the_revision_that_brought_it_and_later_know_it() {
        for (revision, known) in [
            ("2025-11-25", true),
            ("2026-07-28", true),
            ("2025-06-18", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([("mcp-protocol-version".parse().unwrap(), revision.parse().unwrap())]);
            assert_eq!(knows_priming(&headers), known, "{revision}");
        }
        assert!(!knows_priming(&HeaderMap::new()));
    }
}
