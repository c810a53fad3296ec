//! The public figures: without the cells that are small enough to identify someone.
//!
//! A cell from 1 to 9 is hidden. If it is the only hidden part of a sum, the sum would reveal it, so a second part is
//! hidden too. This repeats until no sum reveals a cell.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::collector::audience::{Audience, Who};
use crate::collector::report::{KINDS, SYSTEMS};
use crate::collector::stats::Stats;

/// The smallest value that is shown.
pub const SMALLEST: u64 = 10;

/// Figures that do not count installations. They are hidden only together with their audience.
const NOT_CELLS: [&str; 4] = [
    "funnel/reports",
    "funnel/schemas",
    "retrieve_tools_calls_total",
    "quality",
];

#[derive(Debug, Clone, Copy)]
struct Cell {
    value: u64,
    hidden: bool,
}

type Cells = BTreeMap<String, Cell>;

/// The public figures of every audience; a hidden cell is `null`.
pub fn figures(stats: &Stats) -> BTreeMap<Audience, Value> {
    let mut all: BTreeMap<Audience, Value> =
        Audience::all().into_iter().map(|audience| (audience, stats.to_json(audience))).collect();
    let mut cells: BTreeMap<Audience, Cells> = all
        .iter()
        .map(|(audience, figures)| {
            let mut cells = Cells::new();
            collect(figures, "", &mut cells);
            (*audience, cells)
        })
        .collect();
    hide(&mut cells);
    for (audience, figures) in &mut all {
        if let Some(cells) = cells.get(audience) {
            blank(figures, "", cells);
            if is_small(cells) {
                blank_others(figures);
            }
            blank_quality(figures);
        }
    }
    all
}

fn is_small(cells: &Cells) -> bool {
    cells.get("/installs").is_some_and(|cell| cell.hidden)
}

fn collect(value: &Value, path: &str, cells: &mut Cells) {
    match value {
        Value::Number(number) => {
            let value = number.as_u64().unwrap_or(0);
            let hidden = (1..SMALLEST).contains(&value);
            cells.insert(path.to_owned(), Cell { value, hidden });
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, &format!("{path}/{index}"), cells));
        }
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}/{key}");
                if !NOT_CELLS.contains(&path.trim_start_matches('/')) {
                    collect(value, &path, cells);
                }
            }
        }
        _ => {}
    }
}

/// One part or total of a sum: an audience and a path.
type Place = (Audience, String);

fn hide(cells: &mut BTreeMap<Audience, Cells>) {
    let paths: BTreeSet<String> = cells.values().flat_map(|cells| cells.keys().cloned()).collect();
    let mut sums: Vec<Vec<Place>> = Vec::new();
    for path in &paths {
        sums.extend(sums_over_audiences(path));
    }
    for (audience, cells) in cells.iter() {
        sums.extend(sums_within(*audience, cells));
    }
    // Repeats because hiding a cell of one sum can make another sum reveal it.
    loop {
        let mut changed = false;
        for sum in &sums {
            changed |= protect(cells, sum);
        }
        if !changed {
            return;
        }
    }
}

/// Hides a second cell of a sum that has exactly one hidden cell. Returns whether it did.
fn protect(cells: &mut BTreeMap<Audience, Cells>, sum: &[Place]) -> bool {
    let mut hidden = 0;
    let mut best: Option<((bool, u64), &Place)> = None;
    for place in sum {
        let Some(cell) = cells.get(&place.0).and_then(|cells| cells.get(&place.1)) else {
            continue;
        };
        if cell.hidden {
            hidden += 1;
            continue;
        }
        // Hides the smallest cell, but a figure of all people or of everything only if there is no other.
        let is_headline = place.0.system.is_none() && !matches!(place.0.who, Who::Kind(_));
        let rank = (is_headline, cell.value);
        if cell.value > 0 && best.is_none_or(|(other, _)| rank < other) {
            best = Some((rank, place));
        }
    }
    let (1, Some((_, place))) = (hidden, best) else { return false };
    match cells.get_mut(&place.0).and_then(|cells| cells.get_mut(&place.1)) {
        Some(cell) => {
            cell.hidden = true;
            true
        }
        None => false,
    }
}

/// The sums of one figure over systems and over kinds: each line contains the parts and their total.
fn sums_over_audiences(path: &str) -> Vec<Vec<Place>> {
    let systems = || std::iter::once(None).chain(SYSTEMS.into_iter().map(Some));
    let kinds = || (0..KINDS.len()).filter_map(|kind| u8::try_from(kind).ok()).map(Who::Kind);
    let place = |who, system| (Audience { who, system }, path.to_owned());
    let mut sums = Vec::new();
    for who in [Who::People, Who::Everything].into_iter().chain(kinds()) {
        sums.push(systems().map(|system| place(who, system)).collect());
    }
    for system in systems() {
        sums.push(std::iter::once(Who::Everything).chain(kinds()).map(|who| place(who, system)).collect());
        // The sum of interactive, headless and unknown is people, except for development builds.
        let personal = [Who::People, Who::Kind(0), Who::Kind(4), Who::Kind(5)];
        sums.push(personal.into_iter().map(|who| place(who, system)).collect());
    }
    sums
}

/// The sums within one audience: tables whose rows add up to a displayed figure.
fn sums_within(audience: Audience, cells: &Cells) -> Vec<Vec<Place>> {
    let below = |prefix: &str| -> Vec<Place> {
        cells.keys().filter(|path| path.starts_with(prefix)).map(|path| (audience, path.clone())).collect()
    };
    let cohorts = cells
        .keys()
        .filter(|path| path.starts_with("/weekly_cohorts/") && path.ends_with("/0"))
        .map(|path| (audience, path.clone()));
    let installs = (audience, "/installs".to_owned());
    vec![
        below("/env_kinds/").into_iter().chain([installs.clone()]).collect(),
        cohorts.chain([installs]).collect(),
        below("/launch_source_30d/"),
        below("/env_kind_days_7d/"),
        below("/versions_active_14d/"),
    ]
}

fn blank(value: &mut Value, path: &str, cells: &Cells) {
    match value {
        Value::Number(_) if cells.get(path).is_some_and(|cell| cell.hidden) => *value = Value::Null,
        Value::Array(items) => {
            items.iter_mut().enumerate().for_each(|(index, item)| blank(item, &format!("{path}/{index}"), cells));
        }
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                blank(value, &format!("{path}/{key}"), cells);
            }
        }
        _ => {}
    }
}

/// Hides every number of an audience that is too small itself.
fn blank_others(value: &mut Value) {
    match value {
        Value::Number(number) if number.as_u64() != Some(0) => *value = Value::Null,
        Value::Array(items) => items.iter_mut().for_each(blank_others),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if key != "quality" {
                    blank_others(value);
                }
            }
        }
        _ => {}
    }
}

/// Hides small counts of ids in the data quality: no other counts there can identify someone.
fn blank_quality(figures: &mut Value) {
    for pointer in ["/quality/opt_outs", "/quality/suspect_installs"] {
        if let Some(value) = figures.pointer_mut(pointer)
            && value.as_u64().is_some_and(|count| (1..SMALLEST).contains(&count))
        {
            *value = Value::Null;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(values: &[(Audience, u64)]) -> BTreeMap<Audience, Cells> {
        values
            .iter()
            .map(|(audience, value)| {
                let cell = Cell {
                    value: *value,
                    hidden: (1..SMALLEST).contains(value),
                };
                (*audience, Cells::from([("/x".to_owned(), cell)]))
            })
            .collect()
    }

    #[test]
    fn no_sum_reveals_a_hidden_part() {
        let on = |who, system| Audience {
            who,
            system: Some(SYSTEMS[system]),
        };
        let mut all = cells(&[
            (Audience::PEOPLE, 60),
            (on(Who::People, 0), 30),
            (on(Who::People, 1), 27),
            (on(Who::People, 2), 3),
            (on(Who::People, 3), 0),
        ]);
        hide(&mut all);
        let hidden = |audience| all[&audience]["/x"].hidden;
        assert!(hidden(on(Who::People, 2)) && hidden(on(Who::People, 1)));
        assert!(!hidden(on(Who::People, 0)) && !hidden(on(Who::People, 3)) && !hidden(Audience::PEOPLE));
    }

    #[test]
    fn every_sum_has_no_hidden_part_or_two() {
        let mut seed = 7_u64;
        for _ in 0..50 {
            let values: Vec<_> = Audience::all()
                .into_iter()
                .map(|audience| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (audience, (seed >> 33) % 40)
                })
                .collect();
            let mut all = cells(&values);
            hide(&mut all);
            for sum in sums_over_audiences("/x") {
                let parts: Vec<Cell> = sum.iter().filter_map(|place| all.get(&place.0)?.get("/x").copied()).collect();
                let hidden = parts.iter().filter(|cell| cell.hidden).count();
                let shown = parts.iter().filter(|cell| !cell.hidden && cell.value > 0).count();
                assert!(hidden != 1 || shown == 0, "{parts:?}");
            }
        }
    }
}
