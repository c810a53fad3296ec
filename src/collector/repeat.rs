//! Counts byte-identical bodies once: the same hash on the same or an adjacent day is a repeat, and the earliest
//! receipt counts.
//!
//! A repeat of a repeat extends the chain, so that the result depends only on the receipts and not on their order of
//! arrival.

use crate::collector::report::{Day, Facts, Id, Moment, Report};

/// Maximum number of stored receipts per body; of more, the middle ones are dropped.
const MOST_RECEIPTS: usize = 64;

/// A body of one `anonymous_id`, with every receipt that belongs to one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub machine: Option<Id>,
    /// Sorted and distinct, at least one. The earliest counts; the others are repeats.
    pub receipts: Vec<Moment>,
    pub hash: u64,
    pub suspect: bool,
    pub facts: Facts,
    pub unknown: Vec<String>,
}

impl Kept {
    /// A report received for the first time.
    pub fn new(report: &Report) -> Kept {
        Kept {
            machine: report.machine,
            receipts: vec![report.received],
            hash: report.hash,
            suspect: report.suspect,
            facts: report.facts.clone(),
            unknown: report.unknown.clone(),
        }
    }

    /// The receipt that counts.
    pub fn received(&self) -> Moment {
        self.receipts.first().copied().unwrap_or(Moment(0))
    }

    /// The day on which it counts.
    pub fn day(&self) -> Day {
        Day::of(self.received())
    }

    /// The day of the latest repeat.
    fn until(&self) -> Day {
        self.receipts.last().map_or(Day(0), |last| Day::of(*last))
    }

    /// The order of bodies: by receipt, then by hash.
    pub fn order(&self) -> (Moment, u64) {
        (self.received(), self.hash)
    }

    /// How often the body was sent again.
    pub fn repeats(&self) -> usize {
        self.receipts.len().saturating_sub(1)
    }

    fn is_same_chain(&self, report: &Report) -> bool {
        let day = report.day();
        self.hash == report.hash && day >= self.day().minus(1) && day <= self.until().plus(1)
    }
}

/// The effect of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    New,
    /// A known body, possibly one that joins two chains of it.
    Repeat,
    /// A known receipt: changes nothing.
    Known,
}

/// Adds an arrival to the bodies of its `anonymous_id` and keeps them in the order of [`Kept::order`].
pub fn arrive(bodies: &mut Vec<Kept>, report: &Report) -> Arrival {
    let is_known = |kept: &Kept| kept.hash == report.hash && kept.receipts.contains(&report.received);
    if bodies.iter().any(is_known) {
        return Arrival::Known;
    }
    let mut arrival = Arrival::New;
    let mut joined = Kept::new(report);
    bodies.retain(|kept| {
        let same = kept.is_same_chain(report);
        if same {
            arrival = Arrival::Repeat;
            join(&mut joined, kept);
        }
        !same
    });
    let at = bodies.partition_point(|other| other.order() < joined.order());
    bodies.insert(at, joined);
    arrival
}

fn join(joined: &mut Kept, other: &Kept) {
    if other.received() < joined.received() {
        joined.suspect = other.suspect;
        joined.facts.skew = other.facts.skew;
    }
    joined.receipts.extend(&other.receipts);
    joined.receipts.sort_unstable();
    joined.receipts.dedup();
    if joined.receipts.len() > MOST_RECEIPTS {
        let last = joined.receipts.pop();
        joined.receipts.truncate(MOST_RECEIPTS - 1);
        joined.receipts.extend(last);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collector::judge::{Verdict, judge};

    fn report(body: u8, hour: i64) -> Report {
        let text = format!(r#"{{"anonymous_id":"812542bd-c65b-42f3-91d6-af87164cc28b","tool_count":{body}}}"#);
        let received = Moment(1_767_571_200_000 + hour * 3_600_000);
        let Verdict::Report(judged) = judge(text.as_bytes(), received) else {
            panic!("a report")
        };
        Report {
            id: judged.id,
            machine: judged.machine,
            received,
            hash: judged.hash,
            suspect: false,
            facts: judged.facts,
            unknown: judged.unknown,
        }
    }

    fn after(arrivals: &[(u8, i64)]) -> Vec<Kept> {
        let mut bodies = Vec::new();
        for (body, hour) in arrivals {
            arrive(&mut bodies, &report(*body, *hour));
        }
        bodies
    }

    #[test]
    fn the_same_bytes_count_once_on_the_same_and_on_an_adjacent_day() {
        let mut bodies = after(&[(1, 23)]);
        assert_eq!(arrive(&mut bodies, &report(1, 23)), Arrival::Known);
        assert_eq!(arrive(&mut bodies, &report(1, 25)), Arrival::Repeat);
        assert_eq!(arrive(&mut bodies, &report(1, 1)), Arrival::Repeat);
        assert_eq!(arrive(&mut bodies, &report(2, 25)), Arrival::New);
        // Two days later it counts as new.
        assert_eq!(arrive(&mut bodies, &report(1, 24 * 3)), Arrival::New);
        let days: Vec<_> = bodies.iter().map(|body| (body.received(), body.repeats())).collect();
        assert_eq!(
            days,
            [
                (report(1, 1).received, 2),
                (report(2, 25).received, 0),
                (report(1, 72).received, 0)
            ]
        );
        // An arrival that joins two chains leaves one chain.
        assert_eq!(arrive(&mut bodies, &report(1, 48)), Arrival::Repeat);
        assert_eq!(bodies.len(), 2);
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_changes_nothing(
            arrivals in proptest::collection::vec((0_u8..3, 0_i64..150), 0..24),
            seed in any::<u64>(),
        ) {
            let mut shuffled = arrivals.clone();
            let mut state = seed | 1;
            for index in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                shuffled.swap(index, (state >> 33) as usize % (index + 1));
            }
            prop_assert_eq!(after(&arrivals), after(&shuffled));
        }
    }
}
