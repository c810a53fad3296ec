//! Bytes of an event stream to events, as the HTML standard's server-sent events say.

use std::collections::VecDeque;

/// One event with its data; comments, ids and retry times are of no use here and are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `message` where the stream names none.
    pub name: String,
    pub data: String,
}

/// A stream that holds more than this in one event is broken.
const EVENT_LIMIT: usize = 8 << 20;

/// One event grew beyond 8 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Takes bytes as they come, however they are cut, and gives events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_carriage_return: bool,
    name: String,
    data: String,
    has_data: bool,
    ready: VecDeque<Event>,
}

impl Parser {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`TooLong`]; the stream cannot be followed any further.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for &byte in bytes {
            // A line ends with CR, LF or both.
            let second_half = std::mem::take(&mut self.after_carriage_return) && byte == b'\n';
            match byte {
                b'\n' if second_half => {}
                b'\n' | b'\r' => {
                    self.after_carriage_return = byte == b'\r';
                    self.end_line();
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > EVENT_LIMIT {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    /// The next whole event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) {
        // Whole lines only: a character that was cut between two pieces is whole again here.
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        if line.is_empty() {
            self.end_event();
            return;
        }
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
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            let name = if name.is_empty() { "message".to_owned() } else { name };
            self.ready.push_back(Event { name, data });
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
            parser.push(piece).unwrap();
        }
        std::iter::from_fn(|| parser.next_event()).map(|event| (event.name, event.data)).collect()
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn the_existing_cores_stream_is_read() {
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
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        let megabyte = vec![b'x'; 1 << 20];
        assert!((0..9).any(|_| parser.push(&megabyte) == Err(TooLong)));
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
