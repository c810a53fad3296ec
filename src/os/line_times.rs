//! Writes the time before each line of an output that arrives in pieces.

/// Where the output is: at the start of a line, or within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineTimes {
    at_line_start: bool,
}

impl Default for LineTimes {
    fn default() -> LineTimes {
        LineTimes { at_line_start: true }
    }
}

impl LineTimes {
    /// Returns the next piece of the output with `time` and a space before each line that starts in it. Empty lines stay
    /// empty.
    pub fn stamp(&mut self, output: &[u8], time: &str) -> Vec<u8> {
        let mut stamped = Vec::with_capacity(output.len() + 64);
        for line in output.split_inclusive(|byte| *byte == b'\n') {
            if self.at_line_start && !matches!(line, b"\n" | b"\r\n") {
                stamped.extend_from_slice(time.as_bytes());
                stamped.push(b' ');
            }
            stamped.extend_from_slice(line);
            self.at_line_start = line.ends_with(b"\n");
        }
        stamped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_one_time_even_if_it_arrives_in_pieces() {
        let mut times = LineTimes::default();
        let mut written = Vec::new();
        for piece in ["a\nb", "c\n", "\n", "", "d\ne\n"] {
            written.extend(times.stamp(piece.as_bytes(), "T"));
        }
        assert_eq!(String::from_utf8(written).unwrap(), "T a\nT bc\n\nT d\nT e\n");
    }
}
