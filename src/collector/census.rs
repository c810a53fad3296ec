//! Counts installations: one pass over all of them gives every figure for every audience.

use std::collections::BTreeMap;

use crate::collector::audience::{Audience, Segment};
use crate::collector::figures::Figures;
use crate::collector::installation::Installation;
use crate::collector::report::{Day, Reached, kind_index, launch_index};

/// An installation that was inactive for longer counts as lost.
const SILENT: u16 = 14;
/// Number of days over which launch sources are counted.
const LAUNCH_DAYS: u16 = 30;
/// An installation's version counts if it was active within this many days.
const VERSION_DAYS: u16 = 14;

/// All figures by segment. The figures of an audience are the sums over its segments.
#[derive(Debug, Clone)]
pub struct Census {
    first: Day,
    last: Day,
    cells: BTreeMap<Segment, Cell>,
    /// Installations from a flood of new ids. No other figure includes them.
    pub suspects: u32,
}

/// The figures of one segment. Stores WAU and MAU as changes from day to day, because a stretch of activity changes
/// only two of those.
#[derive(Debug, Clone)]
struct Cell {
    figures: Figures,
    wau: Changes,
    mau: Changes,
}

impl Cell {
    fn new(first: Day, last: Day) -> Cell {
        let days = usize::from(last.since(first)) + 1;
        Cell {
            figures: Figures::new(first, last),
            wau: Changes(vec![0; days]),
            mau: Changes(vec![0; days]),
        }
    }
}

/// The change of a count from the day before; a negative change wraps around.
#[derive(Debug, Clone)]
struct Changes(Vec<u32>);

impl Changes {
    /// Counts one more on the days `from` to `to`, both included, as offsets of the first day.
    fn count(&mut self, from: u16, to: u16) {
        if let Some(change) = self.0.get_mut(usize::from(from)) {
            *change = change.wrapping_add(1);
        }
        if let Some(change) = self.0.get_mut(usize::from(to) + 1) {
            *change = change.wrapping_sub(1);
        }
    }

    fn add_to(&self, series: &mut [u32]) {
        let mut count = 0_u32;
        for (number, change) in series.iter_mut().zip(&self.0) {
            count = count.wrapping_add(*change);
            *number += count;
        }
    }
}

impl Census {
    /// A census of the days from `first` to `last`, both included.
    pub fn new(first: Day, last: Day) -> Census {
        Census {
            first: first.min(last),
            last,
            cells: BTreeMap::new(),
            suspects: 0,
        }
    }

    /// An empty census of the same days.
    pub fn empty(&self) -> Census {
        Census::new(self.first, self.last)
    }

    /// The first and the last day.
    pub fn span(&self) -> (Day, Day) {
        (self.first, self.last)
    }

    /// Counts an installation. It must not have been active after the last day.
    pub fn add(&mut self, installation: &Installation) {
        if installation.suspect {
            self.suspects += 1;
            return;
        }
        let (first, last) = (self.first, self.last);
        let cell = self.cells.entry(Segment::of(installation)).or_insert_with(|| Cell::new(first, last));
        count(cell, installation);
    }

    /// The figures of an audience.
    pub fn figures(&self, audience: Audience) -> Figures {
        let mut sum = Figures::new(self.first, self.last);
        for (segment, cell) in &self.cells {
            if audience.includes(*segment) {
                sum.add(&cell.figures);
                cell.wau.add_to(&mut sum.wau);
                cell.mau.add_to(&mut sum.mau);
            }
        }
        sum
    }
}

fn count(cell: &mut Cell, installation: &Installation) {
    count_activity(cell, installation);
    let cell = &mut cell.figures;
    cell.installs += 1;
    count_returns(cell, installation);
    count_funnel(cell, installation);
    count_weeks(cell, installation);
    count_recent_days(cell, installation);
    if installation.last_day().plus(VERSION_DAYS) > cell.last {
        match cell.versions.get_mut(&installation.version) {
            Some(count) => *count += 1,
            None => drop(cell.versions.insert(installation.version.clone(), 1)),
        }
    }
    for client in &installation.clients {
        *cell.clients.entry(client.name()).or_default() += 1;
    }
    for (path, count) in &installation.unknown {
        *cell.unknown.entry(path.clone()).or_default() += count;
    }
    cell.calls += installation.calls;
    cell.repeats += u64::from(installation.repeats);
    cell.skewed += u64::from(installation.skewed);
    cell.badly_skewed += u64::from(installation.badly_skewed);
}

/// Counts daily, weekly and monthly activity: installations active in the 1, 7 or 30 days that end on each day.
fn count_activity(cell: &mut Cell, installation: &Installation) {
    let (first, last) = (cell.figures.first, cell.figures.last);
    for active in &installation.days {
        if active.day >= first
            && let Some(count) = cell.figures.dau.get_mut(usize::from(active.day.since(first)))
        {
            *count += 1;
        }
    }
    for (changes, window) in [(&mut cell.wau, 7), (&mut cell.mau, 30)] {
        // Overlapping windows form one stretch of days.
        let mut stretch: Option<(Day, Day)> = None;
        for active in &installation.days {
            let (from, to) = (active.day.max(first), active.day.plus(window - 1).min(last));
            if to < from {
                continue;
            }
            stretch = match stretch {
                Some((begin, end)) if from <= end.plus(1) => Some((begin, to)),
                _ => {
                    count_stretch(changes, first, stretch);
                    Some((from, to))
                }
            };
        }
        count_stretch(changes, first, stretch);
    }
}

fn count_stretch(changes: &mut Changes, first: Day, stretch: Option<(Day, Day)>) {
    if let Some((from, to)) = stretch {
        changes.count(from.since(first), to.since(first));
    }
}

fn count_returns(cell: &mut Figures, installation: &Installation) {
    let (first, seen) = (installation.first_day(), installation.last_day());
    let age = cell.last.since(first);
    let is_active_on = |day: Day| installation.days.binary_search_by_key(&day, |active| active.day).is_ok();
    for (after, retention) in &mut cell.retention {
        if age >= *after {
            retention.eligible += 1;
            retention.retained += u32::from(is_active_on(first.plus(*after)));
            retention.retained_on_or_after += u32::from(seen >= first.plus(*after));
        }
    }
    let came_once = u32::from(installation.days.len() == 1);
    cell.once.once_all_ages += came_once;
    if age >= 7 {
        cell.week1.eligible += 1;
        let second = installation.days.get(1).map(|active| active.day);
        cell.week1.retained += u32::from(second.is_some_and(|day| day <= first.plus(7)));
        cell.once.eligible += 1;
        cell.once.once += came_once;
    }
    cell.churned += u32::from(came_once == 0 && cell.last.since(seen) > SILENT);
}

fn count_funnel(cell: &mut Figures, installation: &Installation) {
    let steps = [
        Reached::default(),
        Reached::CONFIGURED,
        Reached::CONNECTED,
        Reached::CLIENT,
        Reached::RETRIEVE,
    ];
    let mut all_so_far = true;
    for (index, step) in steps.into_iter().enumerate() {
        let has = installation.reached.has(step);
        all_so_far &= has;
        if let Some(count) = cell.funnel_each.get_mut(index) {
            *count += u32::from(has);
        }
        if let Some(count) = cell.funnel_strict.get_mut(index) {
            *count += u32::from(all_so_far);
        }
    }
    cell.bodies += u64::from(installation.bodies);
    cell.schemas = match cell.schemas {
        None => Some(installation.schemas),
        Some((low, high)) => Some((low.min(installation.schemas.0), high.max(installation.schemas.1))),
    };
}

fn count_weeks(cell: &mut Figures, installation: &Installation) {
    let cohort = installation.first_day().week();
    let mut before = None;
    for active in &installation.days {
        let week = active.day.week();
        if before != Some(week) {
            *cell.weekly.entry((cohort, week.saturating_sub(cohort))).or_default() += 1;
        }
        before = Some(week);
    }
}

fn count_recent_days(cell: &mut Figures, installation: &Installation) {
    for active in installation.days.iter().rev() {
        let ago = cell.last.since(active.day);
        if ago >= LAUNCH_DAYS {
            break;
        }
        if let Some(count) = cell.launches.get_mut(launch_index(active.launch)) {
            *count += 1;
        }
        if let (true, Some(count)) = (ago < 7, cell.kind_days.get_mut(kind_index(active.kind))) {
            *count += 1;
        }
    }
    if let Some(count) = cell.kinds.get_mut(kind_index(installation.kind)) {
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collector::installation::ActiveDay;
    use crate::collector::report::{KINDS, LAUNCHES};

    fn active_on(days: &[u16]) -> Installation {
        let day = |day: &u16| ActiveDay {
            day: Day(*day),
            kind: KINDS[0],
            launch: LAUNCHES[0],
        };
        Installation {
            days: days.iter().map(day).collect(),
            ..Installation::default()
        }
    }

    #[test]
    fn cohorts_from_before_the_first_day_are_not_mixed_with_the_first_one() {
        let mut census = Census::new(Day(100), Day(499));
        for days in [&[3, 101][..], &[101], &[102, 110], &[10, 480]] {
            census.add(&active_on(days));
        }
        let cohorts = census.figures(Audience::EVERYTHING).to_json()["weekly_cohorts"].clone();
        assert_eq!(cohorts, serde_json::json!({"0": {"0": 1}, "1": {"0": 1, "1": 1}}));
    }

    proptest! {
        #[test]
        fn an_installation_counts_on_each_day_whose_window_has_an_active_day(
            all in proptest::collection::vec(proptest::collection::btree_set(0_u16..120, 1..12), 1..6),
            first in 0_u16..60,
        ) {
            let last = 119;
            let mut census = Census::new(Day(first), Day(last));
            let all: Vec<Vec<u16>> = all.into_iter().map(|days| days.into_iter().collect()).collect();
            all.iter().for_each(|days| census.add(&active_on(days)));
            let figures = census.figures(Audience::EVERYTHING);
            for (series, window) in [(&figures.dau, 1), (&figures.wau, 7), (&figures.mau, 30)] {
                prop_assert_eq!(series.len(), usize::from(last - first) + 1);
                for (day, count) in (first..).zip(series) {
                    let is_active = |days: &&Vec<u16>| days.iter().any(|active| *active <= day && active + window > day);
                    prop_assert_eq!(all.iter().filter(is_active).count(), *count as usize, "{} days to {}", window, day);
                }
            }
        }
    }
}
