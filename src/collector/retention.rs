//! Decides which parts of old reports to keep.

use crate::collector::repeat::Kept;
use crate::collector::report::Day;

/// Removes the bodies received before a day, except the first, which then gets the flags of all of them. `None` if
/// there is no later body.
pub fn without_old(bodies: Vec<Kept>, before: Day) -> Option<Vec<Kept>> {
    let (old, mut rest): (Vec<Kept>, Vec<Kept>) = bodies.into_iter().partition(|body| body.day() < before);
    if rest.is_empty() {
        return None;
    }
    let mut old = old.into_iter();
    if let Some(mut first) = old.next() {
        for body in old {
            first.facts.reached = first.facts.reached.and(body.facts.reached);
            first.facts.clients.extend(body.facts.clients);
            first.machine = first.machine.or(body.machine);
        }
        first.facts.clients.sort_unstable();
        first.facts.clients.dedup();
        rest.insert(0, first);
    }
    Some(rest)
}
