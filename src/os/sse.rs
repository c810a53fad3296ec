//! Parses server-sent events, as the HTML standard defines them.

use std::collections::VecDeque;

/// One event with its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `message` if the stream names none.
    pub name: String,
    pub data: String,
    /// The last id before the end of the event, if it has not been reported with an earlier one.
    pub id: Option<String>,
    /// Milliseconds before reconnecting.
    pub retry: Option<u64>,
}

/// The longest event that is read from a core.
const EVENT_LIMIT: usize = 8 << 20;
/// Bytes kept of the start and the end of a longer one.
const KEPT: usize = 256;

/// The start and the end of an event that is longer than the limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TooLong {
    pub start: Vec<u8>,
    pub end: Vec<u8>,
}

impl TooLong {
    /// Takes the next bytes: keeps the first 256 of all, and the last 256.
    pub fn take(&mut self, piece: &[u8]) {
        let room = KEPT.saturating_sub(self.start.len());
        self.start.extend(piece.iter().take(room));
        self.end.extend(piece.iter().skip(piece.len().saturating_sub(KEPT)));
        self.end.drain(..self.end.len().saturating_sub(KEPT));
    }
}

/// Turns bytes into events, however they are cut.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    line: Vec<u8>,
    /// The current line has begun.
    in_line: bool,
    after_carriage_return: bool,
    name: String,
    data: String,
    has_data: bool,
    id: Option<String>,
    retry: Option<u64>,
    /// The current event is longer than the limit.
    too_long: Option<TooLong>,
    ready: VecDeque<Result<Event, TooLong>>,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser::new(EVENT_LIMIT)
    }
}

impl Parser {
    /// A parser that returns events of at most `limit` bytes whole.
    pub fn new(limit: usize) -> Parser {
        Parser {
            limit,
            line: Vec::new(),
            in_line: false,
            after_carriage_return: false,
            name: String::new(),
            data: String::new(),
            has_data: false,
            id: None,
            retry: None,
            too_long: None,
            ready: VecDeque::new(),
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some(first) = bytes.first() {
            // A line ends with CR, LF or both.
            if std::mem::take(&mut self.after_carriage_return) && *first == b'\n' {
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', bytes);
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.take(piece);
            if let Some((ending, rest)) = rest.split_first() {
                self.after_carriage_return = *ending == b'\r';
                self.end_line();
                bytes = rest;
            } else {
                bytes = rest;
            }
        }
    }

    /// The next event, or the ends of one that is too long.
    pub fn next_event(&mut self) -> Option<Result<Event, TooLong>> {
        self.ready.pop_front()
    }

    /// The ends of the current event, if it already exceeds the limit.
    pub fn beyond_limit(&self) -> Option<&TooLong> {
        self.too_long.as_ref()
    }

    fn take(&mut self, piece: &[u8]) {
        self.in_line |= !piece.is_empty();
        if let Some(too_long) = &mut self.too_long {
            too_long.take(piece);
            return;
        }
        self.line.extend_from_slice(piece);
        if self.line.len() + self.data.len() > self.limit {
            let mut too_long = TooLong::default();
            too_long.take(std::mem::take(&mut self.data).as_bytes());
            too_long.take(&std::mem::take(&mut self.line));
            self.too_long = Some(too_long);
        }
    }

    fn end_line(&mut self) {
        let is_blank = !std::mem::take(&mut self.in_line);
        if is_blank {
            self.end_event();
            return;
        }
        // Decodes whole lines: a character may have been cut between two pieces.
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().ok(),
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if let Some(too_long) = self.too_long.take() {
            self.has_data = false;
            self.ready.push_back(Err(too_long));
            return;
        }
        if std::mem::take(&mut self.has_data) {
            let name = if name.is_empty() { "message".to_owned() } else { name };
            self.ready.push_back(Ok(Event {
                name,
                data,
                id: self.id.take(),
                retry: self.retry.take(),
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.push(piece);
        }
        std::iter::from_fn(|| parser.next_event()).flatten().map(|event| (event.name, event.data)).collect()
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn the_go_cores_stream_is_read() {
        let stream: &[u8] =
            b": connected\nretry: 5000\n\nevent: status\ndata: {\"running\":true}\n\nevent: ping\ndata: {}\n\n";
        assert_eq!(parse(&[stream]), [event("status", "{\"running\":true}"), event("ping", "{}")]);
    }

    #[test]
    fn every_line_ending_and_data_over_lines_are_read() {
        assert_eq!(
            parse(&[b"data: a\r\ndata:b\r\n\r\ndata: c\r\rdata: d\n\n"]),
            [event("message", "a\nb"), event("message", "c"), event("message", "d")]
        );
    }

    #[test]
    fn an_event_without_data_or_without_an_end_is_none() {
        assert_eq!(parse(&[b"event: x\n\nid: 7\n\ndata: cut"]), []);
    }

    #[test]
    fn little_is_kept_of_an_endless_event() {
        let mut parser = Parser::default();
        let megabyte = vec![b'x'; 1 << 20];
        for _ in 0..32 {
            parser.push(&megabyte);
        }
        assert!(parser.beyond_limit().is_some() && parser.next_event().is_none());
        assert!(parser.line.capacity() + parser.data.capacity() < 1 << 20);
    }

    #[test]
    fn an_oversized_event_is_reported_by_its_ends_and_the_next_one_is_read() {
        let mut parser = Parser::new(1000);
        let long = "x".repeat(600);
        parser.push(format!("event: message\ndata: <{long}\ndata: {long}>\n\ndata: next\n\n").as_bytes());
        let Some(Err(long)) = parser.next_event() else { panic!("it was read") };
        assert!(long.start.starts_with(b"<xx") && long.end.ends_with(b"xx>"), "{long:?}");
        assert!(long.start.len() == KEPT && long.end.len() == KEPT);
        assert!(parser.beyond_limit().is_none());
        let next = Event {
            name: "message".to_owned(),
            data: "next".to_owned(),
            ..Event::default()
        };
        assert_eq!((parser.next_event(), parser.next_event()), (Some(Ok(next)), None));
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_does_not_matter(cut in 0_usize..60) {
            let stream = "event: größe\r\ndata: äöü 漢字\r\ndata: 🙂\r\n\r\ndata: x\n\n".as_bytes();
            let (one, two) = stream.split_at(cut.min(stream.len()));
            prop_assert_eq!(parse(&[one, two]), parse(&[stream]));
        }
    }
}
