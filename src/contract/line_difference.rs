//! The difference between two texts, line by line.

/// Maximum product of the numbers of lines for which the shortest difference is computed.
const LARGEST: usize = 4_000_000;

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    Same(&'a str),
    Removed(&'a str),
    Added(&'a str),
}

impl<'a> Line<'a> {
    /// The line without its mark.
    pub fn text(&self) -> &'a str {
        match self {
            Line::Same(text) | Line::Removed(text) | Line::Added(text) => text,
        }
    }
}

/// The lines of both texts, in order. In very long texts, everything between the common start and end counts as
/// replaced.
pub fn difference<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    let start = before.iter().zip(after).take_while(|(before, after)| before == after).count();
    let (common, before) = before.split_at(start);
    let after = after.get(start..).unwrap_or_default();
    let end = before.iter().rev().zip(after.iter().rev()).take_while(|(before, after)| before == after).count();
    let (before, tail) = before.split_at(before.len() - end);
    let after = after.get(..after.len() - end).unwrap_or_default();
    let mut lines: Vec<Line<'a>> = common.iter().copied().map(Line::Same).collect();
    lines.extend(middle(before, after));
    lines.extend(tail.iter().copied().map(Line::Same));
    lines
}

fn middle<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    if before.len().saturating_mul(after.len()) > LARGEST {
        return before.iter().copied().map(Line::Removed).chain(after.iter().copied().map(Line::Added)).collect();
    }
    let longest = common_lengths(before, after);
    let length = |row: usize, column: usize| longest.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0);
    let (mut row, mut column, mut lines) = (0, 0, Vec::new());
    loop {
        match (before.get(row), after.get(column)) {
            (Some(old), Some(new)) if old == new => {
                lines.push(Line::Same(old));
                (row, column) = (row + 1, column + 1);
            }
            (Some(old), Some(_)) if length(row + 1, column) >= length(row, column + 1) => {
                lines.push(Line::Removed(old));
                row += 1;
            }
            (Some(old), None) => {
                lines.push(Line::Removed(old));
                row += 1;
            }
            (_, Some(new)) => {
                lines.push(Line::Added(new));
                column += 1;
            }
            (None, None) => return lines,
        }
    }
}

/// Entry `[row][column]` is the length of the longest common subsequence of the remaining lines.
fn common_lengths(before: &[&str], after: &[&str]) -> Vec<Vec<u32>> {
    let mut rows = vec![vec![0; after.len() + 1]];
    for old in before.iter().rev() {
        let mut row = vec![0; after.len() + 1];
        if let Some(below) = rows.last() {
            let mut right = 0;
            for (column, new) in after.iter().enumerate().rev() {
                let at = |column: usize| below.get(column).copied().unwrap_or(0);
                right = if old == new { at(column + 1) + 1 } else { right.max(at(column)) };
                if let Some(cell) = row.get_mut(column) {
                    *cell = right;
                }
            }
        }
        rows.push(row);
    }
    rows.reverse();
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        let (before, after): (Vec<&str>, Vec<&str>) = (before.split(' ').collect(), after.split(' ').collect());
        let mark = |line: Line<'_>| match line {
            Line::Same(text) => text.to_owned(),
            Line::Removed(text) => format!("-{text}"),
            Line::Added(text) => format!("+{text}"),
        };
        difference(&before, &after).into_iter().map(mark).collect()
    }

    #[test]
    fn only_what_has_changed_is_marked() {
        assert_eq!(shown("a b c", "a x c"), ["a", "-b", "+x", "c"]);
        assert_eq!(shown("a b c d", "b c d e"), ["-a", "b", "c", "d", "+e"]);
        assert_eq!(shown("a a b", "a b"), ["a", "-a", "b"]);
        assert_eq!(shown("a", "a"), ["a"]);
    }

    proptest! {
        #[test]
        fn both_texts_are_in_the_difference(
            before in proptest::collection::vec("[abc]", 0..30),
            after in proptest::collection::vec("[abc]", 0..30),
        ) {
            let before: Vec<&str> = before.iter().map(String::as_str).collect();
            let after: Vec<&str> = after.iter().map(String::as_str).collect();
            let lines = difference(&before, &after);
            let side = |wanted: fn(&Line<'_>) -> bool| -> Vec<&str> {
                lines.iter().filter(|line| wanted(line)).map(Line::text).collect()
            };
            prop_assert_eq!(side(|line| !matches!(line, Line::Added(_))), before);
            prop_assert_eq!(side(|line| !matches!(line, Line::Removed(_))), after);
        }
    }
}
