//! Numbers strings, and finds the number of a string again.

use std::hash::{BuildHasher, RandomState};

/// Strings by number, in one allocation.
#[derive(Default)]
pub(super) struct Strings {
    text: String,
    /// The end of each string in `text`.
    ends: Vec<usize>,
}

impl Strings {
    /// Returns the number of strings.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the string with this number.
    pub(super) fn get(&self, number: u32) -> Option<&str> {
        let number = number as usize;
        let start = match number.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)?,
            None => 0,
        };
        self.text.get(start..*self.ends.get(number)?)
    }

    /// Returns all numbers in the alphabetical order of their strings.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let numbers = 0..u32::try_from(self.len()).unwrap_or(u32::MAX);
        let mut keyed: Vec<(u64, u32)> =
            numbers.map(|number| (self.get(number).map_or(0, first_bytes), number)).collect();
        // Most strings already differ in their first bytes, which one comparison of numbers tells.
        keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.get(a.1).cmp(&self.get(b.1))));
        keyed.into_iter().map(|(_, number)| number).collect()
    }

    fn push(&mut self, string: &str) -> u32 {
        let number = u32::try_from(self.len()).unwrap_or(u32::MAX);
        self.text.push_str(string);
        self.ends.push(self.text.len());
        number
    }

    /// Gives back the memory that later strings would have used.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// Returns the first eight bytes as a number that sorts as they do.
fn first_bytes(string: &str) -> u64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(string.bytes()).for_each(|(to, from)| *to = from);
    u64::from_be_bytes(bytes)
}

/// Numbers each string once, from 0.
///
/// A hash table with a key of its own, so that the texts of a server cannot slow it down by colliding hashes. It is
/// several times faster than the standard one on words, and needs one allocation for all of them.
pub(super) struct Interner {
    strings: Strings,
    slots: Vec<Slot>,
    key: u64,
}

/// A place in the hash table.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// The upper half of the string's hash.
    tag: u32,
    /// The string's number plus 1; 0 if the slot is free.
    taken: u32,
}

const FIRST_SLOTS: usize = 64;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Interner {
    /// Creates an interner without strings.
    pub(super) fn new() -> Interner {
        Interner {
            strings: Strings::default(),
            slots: vec![Slot::default(); FIRST_SLOTS],
            key: RandomState::new().hash_one(MULTIPLIER),
        }
    }

    /// Returns the number of strings.
    pub(super) fn len(&self) -> usize {
        self.strings.len()
    }

    /// Returns the strings.
    pub(super) fn strings(&self) -> &Strings {
        &self.strings
    }

    /// Returns the strings, without the means to find one.
    pub(super) fn into_strings(mut self) -> Strings {
        self.strings.shrink();
        self.strings
    }

    /// Returns the number of a string.
    pub(super) fn get(&self, string: &str) -> Option<u32> {
        self.find(string, self.hash(string)).ok()
    }

    /// Returns the number of a string, and whether the string is new.
    pub(super) fn add(&mut self, string: &str) -> (u32, bool) {
        let hash = self.hash(string);
        match self.find(string, hash) {
            Ok(number) => (number, false),
            Err(free) => {
                let number = self.strings.push(string);
                self.take(free, hash, number);
                if self.len() * 2 > self.slots.len() {
                    self.grow();
                }
                (number, true)
            }
        }
    }

    /// Gives back the memory that later strings would have used.
    pub(super) fn shrink(&mut self) {
        self.strings.shrink();
    }

    /// Returns the number of a string, or the free slot for it.
    fn find(&self, string: &str, hash: u64) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots.get(at) {
                None | Some(Slot { taken: 0, .. }) => return Err(at),
                Some(slot) if slot.tag == tag(hash) && self.strings.get(slot.taken - 1) == Some(string) => {
                    return Ok(slot.taken - 1);
                }
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    fn take(&mut self, at: usize, hash: u64, number: u32) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Slot {
                tag: tag(hash),
                taken: number + 1,
            };
        }
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![Slot::default(); old.len() * 2];
        let mask = self.slots.len() - 1;
        for slot in old.into_iter().filter(|slot| slot.taken > 0) {
            let Some(string) = self.strings.get(slot.taken - 1) else { continue };
            let mut at = self.hash(string) as usize & mask;
            while self.slots.get(at).is_some_and(|other| other.taken > 0) {
                at = (at + 1) & mask;
            }
            if let Some(free) = self.slots.get_mut(at) {
                *free = slot;
            }
        }
    }

    fn hash(&self, string: &str) -> u64 {
        let mix = |hash: u64, value: u64| {
            let product = u128::from(hash ^ value) * u128::from(MULTIPLIER);
            (product >> 64) as u64 ^ product as u64
        };
        let mut hash = self.key ^ (string.len() as u64);
        let mut chunks = string.as_bytes().chunks_exact(8);
        for chunk in &mut chunks {
            hash = mix(hash, chunk.try_into().map_or(0, u64::from_le_bytes));
        }
        let rest = chunks.remainder().iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        mix(mix(hash, rest), self.key)
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_string_has_one_number() {
        let mut interner = Interner::new();
        let word = |number: u32| format!("word-{}", number * 7);
        for number in 0..1000 {
            assert_eq!(interner.add(&word(number)), (number, true));
        }
        assert_eq!(interner.add(""), (1000, true));
        assert_eq!(interner.add(&word(999)), (999, false));
        assert_eq!((interner.get(&word(500)), interner.get(""), interner.get("other")), (Some(500), Some(1000), None));
        assert_eq!(interner.strings().get(500), Some(word(500).as_str()));
        assert_eq!(interner.strings().get(1001), None);
        assert_eq!(interner.len(), 1001);
    }

    #[test]
    fn strings_are_sorted_by_all_their_bytes() {
        let mut interner = Interner::new();
        let mut words = [
            "zebra",
            "documentation",
            "documents",
            "document",
            "écran",
            "",
            "doc",
            "天气",
            "doc\u{1}",
        ];
        for word in words {
            interner.add(word);
        }
        let strings = interner.into_strings();
        words.sort_unstable();
        let sorted: Vec<&str> = strings.sorted().into_iter().filter_map(|number| strings.get(number)).collect();
        assert_eq!(sorted, words);
    }
}
