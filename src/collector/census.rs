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
    cells: BTreeMap<Segment, Figures>,
    /// Installations from a flood of new ids. No other figure includes them.
    pub suspects: u32,
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
        let cell = self.cells.entry(Segment::of(installation)).or_insert_with(|| Figures::new(first, last));
        count(cell, installation);
    }

    /// The figures of an audience.
    pub fn figures(&self, audience: Audience) -> Figures {
        let mut sum = Figures::new(self.first, self.last);
        for (segment, cell) in &self.cells {
            if audience.includes(*segment) {
                sum.add(cell);
            }
        }
        sum
    }
}

fn count(cell: &mut Figures, installation: &Installation) {
    cell.installs += 1;
    count_activity(cell, installation);
    count_returns(cell, installation);
    count_funnel(cell, installation);
    count_weeks(cell, installation);
    count_recent_days(cell, installation);
    if installation.last_day().plus(VERSION_DAYS) > cell.last {
        *cell.versions.entry(installation.version.clone()).or_default() += 1;
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
fn count_activity(cell: &mut Figures, installation: &Installation) {
    let (first, last) = (cell.first, cell.last);
    for (series, window) in [(&mut cell.dau, 1), (&mut cell.wau, 7), (&mut cell.mau, 30)] {
        let mut next = first;
        for active in &installation.days {
            let from = active.day.max(next);
            let to = active.day.plus(window - 1).min(last);
            for day in from.0..=to.0 {
                if let Some(count) = series.get_mut(usize::from(day - first.0)) {
                    *count += 1;
                }
            }
            next = next.max(Day(to.0.saturating_add(1)));
        }
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
