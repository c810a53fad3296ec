//! Payment card numbers: the length and first digits of a card scheme, and a right check digit (Luhn).

use super::value::{Kind, Sensitive, byte_before};

pub(super) const CARD_NUMBER: &str = "card-number";

pub(super) fn find(text: &str, found: &mut Vec<Sensitive>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
            continue;
        }
        let (digits, end) = number(bytes, at);
        let alone = !byte_before(text, at).is_some_and(joins) && !bytes.get(end).copied().is_some_and(joins);
        if alone && is_card(&digits) {
            found.push(Sensitive {
                rule: CARD_NUMBER,
                kind: Kind::CardNumber,
                range: at..end,
            });
        }
        at = end;
    }
}

/// Bytes that make a number part of something longer.
fn joins(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b'%' | b'=' | b'+' | b'#')
}

/// The digits from `start` on, single spaces or dashes between groups left out, and where they end.
fn number(bytes: &[u8], start: usize) -> (Vec<u8>, usize) {
    let digit = |at: usize| bytes.get(at).copied().filter(u8::is_ascii_digit);
    let mut digits = Vec::new();
    let mut at = start;
    let mut group = 0;
    loop {
        if let Some(byte) = digit(at) {
            if digits.len() < 24 {
                digits.push(byte - b'0');
            }
            at += 1;
            group += 1;
        } else if matches!(bytes.get(at), Some(b' ' | b'-')) && (4..=6).contains(&group) && digit(at + 1).is_some() {
            at += 1;
            group = 0;
        } else {
            return (digits, at);
        }
    }
}

fn is_card(digits: &[u8]) -> bool {
    let first = |count: usize| digits.iter().take(count).fold(0u32, |number, digit| number * 10 + u32::from(*digit));
    let scheme = match digits.len() {
        15 => matches!(first(2), 34 | 37),
        14 => matches!(first(3), 300..=305) || matches!(first(2), 36 | 38),
        16 => {
            matches!(first(1), 4)
                || matches!(first(2), 51..=55 | 62 | 65)
                || matches!(first(4), 2221..=2720 | 3528..=3589 | 6011)
                || matches!(first(3), 644..=649)
        }
        19 => matches!(first(2), 62) || matches!(first(4), 6011),
        _ => false,
    };
    let varied = digits.iter().collect::<std::collections::BTreeSet<_>>().len() >= 2;
    scheme && varied && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            if place % 2 == 0 {
                digit
            } else {
                let double = digit * 2;
                if double > 9 { double - 9 } else { double }
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_right_numbers_of_a_scheme_are_cards() {
        let hits = |text: &str| {
            let mut found = Vec::new();
            find(text, &mut found);
            found.into_iter().map(|one| text[one.range].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(hits("card 4111 1111 1111 1111."), ["4111 1111 1111 1111"; 0]);
        assert_eq!(hits("card 4111 1111 1111 1111, ok"), ["4111 1111 1111 1111"]);
        assert_eq!(hits("\"5555555555554444\""), ["5555555555554444"]);
        assert_eq!(hits("3782-822463-10005"), ["3782-822463-10005"]);
        for none in [
            "4111111111111112",
            "1732896000000000",
            "id4111111111111111",
            "4111111111111111111111",
            "0000000000000000",
            "0.4111111111111111",
        ] {
            assert_eq!(hits(none), [""; 0], "{none}");
        }
    }
}
