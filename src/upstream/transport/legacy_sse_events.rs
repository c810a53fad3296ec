//! Reads the events of a server over legacy HTTP+SSE (MCP 2024-11-05).

use reqwest::Url;
use rmcp::ErrorData;
use rmcp::service::{RoleClient, RxJsonRpcMessage};
use sse_stream::Sse;

use crate::os::sse::{Event, TooLong};
use crate::upstream::session::in_flight::Answer;
use crate::upstream::transport::as_written;
use crate::upstream::transport::limits::{longest_answer, too_long};
use crate::upstream::transport::message::{self, Body, Message};

/// The longest part of a foreign URL that is shown.
const LONGEST_ORIGIN: usize = 100;

/// The content of one event.
#[derive(Debug)]
pub enum Content {
    /// The URL for messages.
    Endpoint(String),
    Messages(Vec<RxJsonRpcMessage<RoleClient>>),
    /// Not a message; the reason.
    Malformed(String),
    /// A kind that the transport does not define, such as a keep-alive.
    Other,
}

/// Reads an event.
pub fn content(event: Sse) -> Content {
    let data = event.data.unwrap_or_default();
    match event.event.as_deref().unwrap_or("message") {
        "endpoint" => Content::Endpoint(data),
        "message" => match messages(&data) {
            Ok(messages) => Content::Messages(messages),
            Err(reason) => Content::Malformed(reason),
        },
        _ => Content::Other,
    }
}

fn messages(data: &str) -> Result<Vec<RxJsonRpcMessage<RoleClient>>, String> {
    let mut read = Vec::new();
    for message in message::read_all(data.as_bytes()) {
        read.push(match message {
            Message::Request(text) | Message::Notification(text) => {
                message::read_typed(&text).map_err(|error| error.to_string())?
            }
            Message::Response(response) => match (response.body, response.id) {
                (Body::Result(result), Some(id)) => match as_written::for_library(&result) {
                    Ok(result) => RxJsonRpcMessage::<RoleClient>::response(result, id),
                    Err(error) => failure(format!("could not read the server's response: {error}"), Some(id)),
                },
                (Body::Result(_), None) => failure("the server's response has no id".to_owned(), None),
                (Body::Error(error), id) => RxJsonRpcMessage::<RoleClient>::error(Answer::error_of(&error), id),
            },
            Message::Unreadable(unreadable) if !unreadable.is_request => {
                failure(format!("could not read the server's response: {}", unreadable.reason), unreadable.id)
            }
            Message::Unreadable(unreadable) => return Err(format!("{}: {}", unreadable.reason, unreadable.start)),
            Message::Noise => return Err(message::start_of(data.as_bytes())),
        });
    }
    Ok(read)
}

fn failure(text: String, id: Option<rmcp::model::RequestId>) -> RxJsonRpcMessage<RoleClient> {
    RxJsonRpcMessage::<RoleClient>::error(ErrorData::internal_error(text, None), id)
}

/// An event in the library's type.
pub fn sse(event: Event) -> Sse {
    Sse::default().event(event.name).data(event.data)
}

/// The error for the caller of a response that is too long; `None` if its id is not found.
pub fn oversized(long: &TooLong) -> Option<Sse> {
    let id = message::id_between(&long.start, &long.end)?;
    Some(Sse::default().data(serde_json::to_string(&failure(too_long(longest_answer()), Some(id))).ok()?))
}

/// The URL for messages, as the server at `address` names it. The entry's headers go there, so it must have the same origin.
///
/// # Errors
/// The URL is missing, not valid, or of another origin.
pub fn endpoint(address: &Url, named: &str) -> Result<Url, String> {
    let named = named.trim();
    if named.is_empty() {
        return Err("it names no URL for messages".to_owned());
    }
    let mut endpoint = address.join(named).map_err(|error| format!("its URL for messages is not valid ({error})"))?;
    if endpoint.origin() != address.origin() {
        let other: String = endpoint.origin().ascii_serialization().chars().take(LONGEST_ORIGIN).collect();
        return Err(format!("its URL for messages has another origin (`{other}`), which is refused"));
    }
    // The credentials are those of the entry, not of the server.
    let _ = endpoint.set_username(address.username());
    let _ = endpoint.set_password(address.password());
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use rmcp::model::{JsonRpcMessage, NumberOrString};

    use super::*;

    fn of(named: &str) -> Result<String, String> {
        let address = Url::parse("https://h.example/a/sse?key=1").unwrap();
        endpoint(&address, named).map(String::from)
    }

    fn event(name: &str, data: &str) -> Content {
        content(Sse::default().event(name).data(data))
    }

    #[test]
    fn the_endpoint_is_relative_to_the_stream_or_whole() {
        for (named, expected) in [
            ("/messages/?session_id=7", "https://h.example/messages/?session_id=7"),
            ("message?sessionId=7", "https://h.example/a/message?sessionId=7"),
            ("?sessionId=7", "https://h.example/a/sse?sessionId=7"),
            (" https://H.example:443/m ", "https://h.example/m"),
            ("https://ann:pw@h.example/m", "https://h.example/m"),
        ] {
            assert_eq!(of(named).as_deref(), Ok(expected), "{named}");
        }
    }

    #[test]
    fn an_endpoint_of_another_origin_is_refused() {
        for named in [
            "http://h.example/m",
            "https://h.example:444/m",
            "https://evil.example/m",
            "//evil.example/m",
            "\\\\evil.example\\m",
            "https://h.example@evil.example/m",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:,x",
        ] {
            assert!(of(named).is_err_and(|why| why.contains("another origin")), "{named}");
        }
        assert!(of("https://[").is_err_and(|why| why.contains("is not valid")));
        assert!(of(" ").is_err_and(|why| why.contains("names no URL")));
        let long = of(&format!("https://{}.example/", "x".repeat(60).as_str().to_owned() + &".y".repeat(100)));
        assert!(long.is_err_and(|why| why.len() < 200));
    }

    #[test]
    fn messages_are_read_and_anything_else_is_malformed() {
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert!(matches!(event("message", answer), Content::Messages(_)));
        assert!(matches!(content(Sse::default().data(answer)), Content::Messages(_)), "the kind is optional");
        for data in ["", "{", "[]", "{}"] {
            assert!(matches!(event("message", data), Content::Malformed(_)), "{data}");
        }
        assert!(matches!(event("ping", "{}"), Content::Other));
        assert!(matches!(event("endpoint", "/m"), Content::Endpoint(url) if url == "/m"));
    }

    #[test]
    fn the_caller_of_an_oversized_response_receives_an_error() {
        let long = |start: &str, end: &str| {
            oversized(&TooLong {
                start: start.into(),
                end: end.into(),
            })
        };
        for error in [
            long(r#"{"jsonrpc":"2.0","id":7,"result":"x"#, "xx"),
            long(r#"{"result":"x"#, r#"","id":7}"#),
        ] {
            let Content::Messages(messages) = content(error.unwrap()) else { panic!("no message") };
            let [JsonRpcMessage::Error(error)] = messages.as_slice() else { panic!("no error") };
            assert_eq!(error.id, Some(NumberOrString::Number(7)));
            assert!(error.error.message.contains("16 MiB"));
        }
        assert!(long(r#"{"result":"x"#, "x").is_none());
    }
}
