//! Byte-identical bodies count once: the same hash on the same or an adjacent day is a repeat, and the earliest receipt is kept.
//!
//! A repeat of a repeat extends the chain, so that the result depends on the receipts alone and not on the order in which they
//! arrive here.

use crate::collector::report::{Day, Facts, Id, Moment, Report};

/// The most receipts of one body that are kept; of more, those in the middle are forgotten.
const MOST_RECEIPTS: usize = 64;

/// A body of one `anonymous_id`, with every receipt of it that belongs to one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub machine: Option<Id>,
    /// Sorted and different, at least one. The earliest counts; the others are repeats.
    pub receipts: Vec<Moment>,
    pub hash: u64,
    pub suspect: bool,
    pub facts: Facts,
    pub unknown: Vec<String>,
}

impl Kept {
    /// A report that arrived for the first time.
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

    /// The order of bodies: by receipt; the hash decides between two of the same millisecond.
    pub fn order(&self) -> (Moment, u64) {
        (self.received(), self.hash)
    }

    /// How often it was sent again.
    pub fn repeats(&self) -> usize {
        self.receipts.len().saturating_sub(1)
    }

    fn is_same_chain(&self, report: &Report) -> bool {
        let day = report.day();
        self.hash == report.hash && day >= self.day().minus(1) && day <= self.until().plus(1)
    }
}

/// What an arrival changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    New,
    /// A body that is there already, or one that joins two chains of it.
    Repeat,
    /// A receipt that is there already: nothing.
    Known,
}

/// Adds an arrival to the bodies of its `anonymous_id`, which stay in the order of [`Kept::order`].
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
