//! Server-sent events, from bytes as they come (the WHATWG rules for an event stream).

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerEvent {
    /// `message` when the stream names none.
    pub name: String,
    /// The data lines, joined by newlines.
    pub data: String,
}

/// An event longer than the limit: the stream is not worth following further.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Turns bytes into events. Works on bytes, so a character cut in two by the network is whole again here.
#[derive(Debug)]
pub(super) struct Parser {
    limit: usize,
    /// What came and is not yet a whole line.
    rest: Vec<u8>,
    /// How far `rest` has been searched for a line's end already.
    searched: usize,
    started: bool,
    skip_newline: bool,
    name: String,
    data: Vec<u8>,
}

impl Parser {
    /// A parser that holds at most `limit` bytes of one event.
    pub(super) fn new(limit: usize) -> Parser {
        Parser {
            limit,
            rest: Vec::new(),
            searched: 0,
            started: false,
            skip_newline: false,
            name: String::new(),
            data: Vec::new(),
        }
    }

    /// The events that these bytes complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<ServerEvent>, TooLong> {
        let mut events = Vec::new();
        self.rest.extend_from_slice(bytes);
        while let Some(line) = self.next_line() {
            if let Some(event) = self.line(&line) {
                events.push(event);
            }
            if self.data.len() > self.limit {
                return Err(TooLong);
            }
        }
        if self.rest.len() > self.limit { Err(TooLong) } else { Ok(events) }
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        // `\r\n` may come in two pieces: the `\n` then belongs to the line that ended before.
        if self.skip_newline && !self.rest.is_empty() {
            self.skip_newline = false;
            if self.rest.first() == Some(&b'\n') {
                self.rest.remove(0);
            }
        }
        let from = self.rest.get(self.searched..).unwrap_or_default();
        let Some(offset) = from.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.searched = self.rest.len();
            return None;
        };
        let end = self.searched + offset;
        let mut taken = 1;
        match (self.rest.get(end), self.rest.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => taken = 2,
            (Some(b'\r'), None) => self.skip_newline = true,
            _ => {}
        }
        let mut line: Vec<u8> = self.rest.drain(..end + taken).collect();
        line.truncate(end);
        self.searched = 0;
        if !self.started {
            self.started = true;
            if line.starts_with(b"\xEF\xBB\xBF") {
                line.drain(..3);
            }
        }
        Some(line)
    }

    fn line(&mut self, line: &[u8]) -> Option<ServerEvent> {
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let mut data = std::mem::take(&mut self.data);
            if data.pop().is_none() {
                return None; // no data line: no event
            }
            return Some(ServerEvent {
                name: if name.is_empty() { "message".to_owned() } else { name },
                data: String::from_utf8_lossy(&data).into_owned(),
            });
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            // `id` and `retry`: no core of ours resumes a stream, and the follower has its own pace. A comment has
            // an empty field name.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, data: &str) -> ServerEvent {
        ServerEvent {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    fn parse(text: &str) -> Vec<ServerEvent> {
        Parser::new(1000).push(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_the_core_sends_is_read() {
        let text = ": ok\nretry: 5000\n\nevent: status\ndata: {\"running\":true}\n\nevent: ping\ndata: {}\n\n";
        assert_eq!(parse(text), [event("status", "{\"running\":true}"), event("ping", "{}")]);
    }

    #[test]
    fn the_other_spellings_of_the_format_are_read() {
        assert_eq!(parse("\u{feff}data:a\r\ndata: b\rdata\r\n\r\n"), [event("message", "a\nb\n")]);
        assert_eq!(parse("id: 7\nevent: x\ndata: :y\n\n"), [event("x", ":y")]);
        assert_eq!(parse("event: nothing\n\ndata: z\n\n"), [event("message", "z")]);
    }

    #[test]
    fn an_endless_line_and_endless_data_end_the_stream() {
        assert_eq!(Parser::new(10).push(b"data: 0123456789"), Err(TooLong));
        let mut parser = Parser::new(10);
        assert_eq!(parser.push(b"data: 01234\ndata: 56789\n"), Err(TooLong));
    }

    proptest! {
        #[test]
        fn however_the_network_cuts_it_the_events_are_the_same(cuts in prop::collection::vec(1usize..9, 0..40)) {
            let text = "event: a\r\ndata: gr\u{fc}n \u{1F980}\r\n\r\n: note\n\ndata: 1\ndata: 2\n\n".as_bytes();
            let mut parser = Parser::new(1000);
            let (mut rest, mut events) = (text, Vec::new());
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                events.extend(parser.push(now).unwrap());
                rest = later;
            }
            events.extend(parser.push(rest).unwrap());
            prop_assert_eq!(events, [event("a", "gr\u{fc}n \u{1F980}"), event("message", "1\n2")]);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Parser::new(100).push(&bytes);
        }
    }
}
