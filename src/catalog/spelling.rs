//! Corrects typing mistakes and splits compounds.

/// Minimum length of a word that is corrected. The second number is the minimum length for accepting two mistakes.
pub const SHORTEST: usize = 4;
const TWO_MISTAKES_FROM: usize = 8;

/// Minimum length of a part of a compound.
const SHORTEST_PART: usize = 3;

/// Returns the number of mistakes that are accepted in a word of this length.
pub const fn accepted(letters: usize) -> usize {
    match letters {
        0..SHORTEST => 0,
        SHORTEST..TWO_MISTAKES_FROM => 1,
        _ => 2,
    }
}

/// Counts the typing mistakes between one word and others.
pub struct Distances<'a> {
    word: &'a [char],
    /// Memory that is used again for each word.
    other: Vec<char>,
    before_last: Vec<usize>,
    last: Vec<usize>,
    current: Vec<usize>,
}

impl<'a> Distances<'a> {
    /// Prepares to compare a word with others.
    pub fn from(word: &'a [char]) -> Distances<'a> {
        Distances {
            word,
            other: Vec::new(),
            before_last: Vec::new(),
            last: Vec::new(),
            current: Vec::new(),
        }
    }

    /// Returns the number of insertions, deletions, substitutions and transpositions, or `None` if it exceeds `most`.
    ///
    /// The first letter must be the same: people seldom mistype it, and most unrelated short words differ there.
    pub fn to(&mut self, other: &str, most: usize) -> Option<usize> {
        if other.len() + most < self.word.len() {
            return None;
        }
        self.other.clear();
        self.other.extend(other.chars().take(self.word.len() + most + 1));
        let Distances {
            word,
            other,
            before_last,
            last,
            current,
        } = self;
        if word.len().abs_diff(other.len()) > most || word.first() != other.first() {
            return None;
        }
        // Row i holds the distances between the first i letters of `word` and every prefix of `other`.
        before_last.clear();
        last.clear();
        last.extend(0..=other.len());
        let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
        let mut letter_before = None;
        for (row, letter) in word.iter().enumerate() {
            current.clear();
            current.push(row + 1);
            let (mut left, mut least, mut wanted_before) = (row + 1, row + 1, None);
            for (column, wanted) in other.iter().enumerate() {
                let substituted = at(last, column) + usize::from(letter != wanted);
                let mut cost = substituted.min(at(last, column + 1) + 1).min(left + 1);
                if letter_before == Some(wanted) && wanted_before == Some(letter) {
                    cost = cost.min(at(before_last, column.wrapping_sub(1)) + 1);
                }
                current.push(cost);
                (left, least, wanted_before) = (cost, least.min(cost), Some(wanted));
            }
            if least > most {
                return None;
            }
            std::mem::swap(before_last, last);
            std::mem::swap(last, current);
            letter_before = Some(letter);
        }
        last.last().copied().filter(|distance| *distance <= most)
    }
}

/// Splits a compound into two known words, for example `pullrequest` into `pull` and `request`. Prefers the split whose
/// shorter part is longest.
pub fn split_joined<T>(word: &str, known: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    let letters = word.chars().count();
    let ends = word.char_indices().map(|(at, _)| at).enumerate();
    let inner = ends.filter(|(count, _)| (SHORTEST_PART..=letters.saturating_sub(SHORTEST_PART)).contains(count));
    let mut splits: Vec<(usize, usize)> = inner.map(|(count, at)| (count.min(letters - count), at)).collect();
    splits.sort_by(|a, b| b.cmp(a));
    splits.into_iter().find_map(|(_, at)| {
        let (start, end) = word.split_at_checked(at)?;
        known(start).zip(known(end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(one: &str, other: &str, most: usize) -> Option<usize> {
        Distances::from(&one.chars().collect::<Vec<_>>()).to(other, most)
    }

    #[test]
    fn typing_mistakes_are_counted() {
        for (typed, meant, mistakes) in [
            ("isue", "issue", 1),
            ("githb", "github", 1),
            ("qeury", "query", 1),
            ("documentaion", "documentation", 1),
            ("screnshott", "screenshot", 2),
            ("same", "same", 0),
        ] {
            assert_eq!(between(typed, meant, 2), Some(mistakes), "{typed}");
        }
        assert_eq!(between("screnshott", "screenshot", 1), None);
        assert_eq!(between("bake", "make", 2), None, "the first letter must be the same");
        assert_eq!(between("", "", 1), Some(0));
        assert_eq!((accepted(3), accepted(4), accepted(8)), (0, 1, 2));
    }

    #[test]
    fn joined_words_are_split_into_known_ones() {
        let known = |word: &str| ["pull", "request", "web", "search", "for"].contains(&word).then(|| word.to_owned());
        let split = |word| split_joined(word, known).map(|(one, other)| format!("{one} {other}"));
        assert_eq!(split("pullrequest").as_deref(), Some("pull request"));
        assert_eq!(split("websearch").as_deref(), Some("web search"));
        assert_eq!(split("searching"), None);
        assert_eq!(split("für"), None);
    }
}
