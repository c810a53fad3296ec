//! Keeps events without data from clients that take them for broken messages.
//!
//! Since 2025-11-25 a stream begins with an event that has an id and no data, from which it can be resumed. The library
//! sends it to every client; clients of earlier versions read every event's data as JSON, and report an error each time.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;

/// The first revision whose clients know such events.
const KNOWN_SINCE: &str = "2025-11-25";
/// A comment, which clients ignore.
const COMMENT: &[u8] = b":\n\n";

/// Hands the request on; an earlier client's answer has a comment in place of an event without data.
pub async fn without_priming(request: Request, next: Next) -> Response {
    let knows = knows_priming(request.headers());
    let answer = next.run(request).await;
    let streams =
        answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if knows || !streams {
        return answer;
    }
    // The library gives each event as a frame of its own.
    answer.map(|body| {
        Body::new(body.map_frame(|frame| {
            frame.map_data(|event| if is_empty_event(&event) { Bytes::from_static(COMMENT) } else { event })
        }))
    })
}

/// A client that sends no version is of an earlier one, or begins a session, which it cannot resume.
fn knows_priming(headers: &HeaderMap) -> bool {
    let revision = headers.get("mcp-protocol-version").and_then(|given| given.to_str().ok());
    // Revisions are dates, which are in order as text.
    revision.is_some_and(|revision| revision >= KNOWN_SINCE)
}

/// Whether this is an event whose data is empty. A comment is none.
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
