//! What the events of a server over the older HTTP+SSE transport mean (MCP, revision 2024-11-05).

use reqwest::Url;
use rmcp::ErrorData;
use rmcp::service::{RoleClient, RxJsonRpcMessage};
use sse_stream::Sse;

use crate::os::sse::{Event, TooLong};
use crate::upstream::transport::limits::{LONGEST_ANSWER, too_long};
use crate::upstream::transport::oversized_line::id_between;

/// The longest part of a foreign address that is shown.
const BRIEF: usize = 100;

/// One event of such a server.
#[derive(Debug)]
pub enum Heard {
    /// Where it takes messages.
    Endpoint(String),
    Message(Box<RxJsonRpcMessage<RoleClient>>),
    /// What is no message, in words.
    Malformed(String),
    /// Of a kind that the transport does not know, such as a sign of life.
    Other,
}

/// What an event says.
pub fn heard(event: Sse) -> Heard {
    let data = event.data.unwrap_or_default();
    match event.event.as_deref().unwrap_or("message") {
        "endpoint" => Heard::Endpoint(data),
        "message" => match serde_json::from_str(&data) {
            Ok(message) => Heard::Message(Box::new(message)),
            Err(error) => Heard::Malformed(error.to_string()),
        },
        _ => Heard::Other,
    }
}

/// An event as the library has it.
pub fn taken(event: Event) -> Sse {
    Sse::default().event(event.name).data(event.data)
}

/// The error for whoever waits for what is too long to be taken; none, where its id is not found.
pub fn refusal(long: &TooLong) -> Option<Sse> {
    let id = serde_json::from_value(id_between(&long.start, &long.end)?).ok()?;
    let error = ErrorData::internal_error(too_long(LONGEST_ANSWER), None);
    let answer = RxJsonRpcMessage::<RoleClient>::error(error, Some(id));
    Some(Sse::default().data(serde_json::to_string(&answer).ok()?))
}

/// The address that takes messages, as the server at `address` says it. The entry's headers go there, so it has to be a place
/// of the same origin.
///
/// # Errors
/// What is wrong with it, in words.
pub fn endpoint(address: &Url, said: &str) -> Result<Url, String> {
    let said = said.trim();
    if said.is_empty() {
        return Err("it does not say where it takes messages".to_owned());
    }
    let mut endpoint =
        address.join(said).map_err(|error| format!("where it takes messages is no address ({error})"))?;
    if endpoint.origin() != address.origin() {
        let other: String = endpoint.origin().ascii_serialization().chars().take(BRIEF).collect();
        return Err(format!("it wants messages sent to another place (`{other}`), which is refused"));
    }
    // Who somebody is there is for the entry to say.
    let _ = endpoint.set_username(address.username());
    let _ = endpoint.set_password(address.password());
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use rmcp::model::{JsonRpcMessage, NumberOrString};

    use super::*;

    fn of(said: &str) -> Result<String, String> {
        let address = Url::parse("https://h.example/a/sse?key=1").unwrap();
        endpoint(&address, said).map(String::from)
    }

    fn event(name: &str, data: &str) -> Heard {
        heard(Sse::default().event(name).data(data))
    }

    #[test]
    fn the_endpoint_is_relative_to_the_stream_or_whole() {
        for (said, expected) in [
            ("/messages/?session_id=7", "https://h.example/messages/?session_id=7"),
            ("message?sessionId=7", "https://h.example/a/message?sessionId=7"),
            ("?sessionId=7", "https://h.example/a/sse?sessionId=7"),
            (" https://H.example:443/m ", "https://h.example/m"),
            ("https://ann:pw@h.example/m", "https://h.example/m"),
        ] {
            assert_eq!(of(said).as_deref(), Ok(expected), "{said}");
        }
    }

    #[test]
    fn an_endpoint_of_another_origin_is_refused() {
        for said in [
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
            assert!(of(said).is_err_and(|why| why.contains("another place")), "{said}");
        }
        assert!(of("https://[").is_err_and(|why| why.contains("no address")));
        assert!(of(" ").is_err_and(|why| why.contains("does not say")));
        let long = of(&format!("https://{}.example/", "x".repeat(60).as_str().to_owned() + &".y".repeat(100)));
        assert!(long.is_err_and(|why| why.len() < 200));
    }

    #[test]
    fn messages_are_read_and_what_is_none_is_passed_over() {
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert!(matches!(event("message", answer), Heard::Message(_)));
        assert!(matches!(heard(Sse::default().data(answer)), Heard::Message(_)), "the kind may be left out");
        for data in ["", "{", "[]", "{}"] {
            assert!(matches!(event("message", data), Heard::Malformed(_)), "{data}");
        }
        assert!(matches!(event("ping", "{}"), Heard::Other));
        assert!(matches!(event("endpoint", "/m"), Heard::Endpoint(said) if said == "/m"));
    }

    #[test]
    fn whoever_waits_for_a_long_answer_is_told() {
        let long = |start: &str, end: &str| {
            refusal(&TooLong {
                start: start.into(),
                end: end.into(),
            })
        };
        for told in [
            long(r#"{"jsonrpc":"2.0","id":7,"result":"x"#, "xx"),
            long(r#"{"result":"x"#, r#"","id":7}"#),
        ] {
            let Heard::Message(message) = heard(told.unwrap()) else { panic!("no message") };
            let JsonRpcMessage::Error(error) = *message else { panic!("no error") };
            assert_eq!(error.id, Some(NumberOrString::Number(7)));
            assert!(error.error.message.contains("16 MiB"));
        }
        assert!(long(r#"{"result":"x"#, "x").is_none());
    }
}
