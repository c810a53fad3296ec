//! The public figures: without the cells that are small enough to identify someone.
//!
//! A cell from 1 to 9 is hidden. If it is the only hidden part of a sum, the sum would reveal it, so a second part is
//! hidden too. This repeats until no sum reveals a cell. Two figures that are always equal are such a sum as well.
//!
//! Text from outside is not published: neither the names of unknown fields, nor a version whose count is hidden.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::collector::audience::{Audience, Who};
use crate::collector::figures::STEPS;
use crate::collector::report::{KINDS, SYSTEMS, System};
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

/// The name in place of versions whose count is hidden.
const OTHERS: &str = "others";

#[derive(Debug, Clone, Copy)]
struct Cell {
    value: u64,
    hidden: bool,
    /// Whether it is shown anywhere. A cell that is not can follow from a sum, but cannot hide another one.
    published: bool,
}

impl Cell {
    fn new(value: u64, published: bool) -> Cell {
        Cell {
            value,
            hidden: (1..SMALLEST).contains(&value),
            published,
        }
    }
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
    add_development(&mut cells);
    hide(&mut cells);
    for (audience, figures) in &mut all {
        if let Some(cells) = cells.get(audience) {
            blank(figures, "", cells);
            if is_small(cells) {
                blank_others(figures);
            }
            blank_names(figures);
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
            cells.insert(path.to_owned(), Cell::new(number.as_u64().unwrap_or(0), true));
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

/// The kinds that people have.
const PERSONAL: [Who; 3] = [Who::Kind(0), Who::Kind(4), Who::Kind(5)];

/// The path of the development builds among the personal kinds, beside the figure of people.
fn development(path: &str) -> String {
    format!("development:{path}")
}

/// Adds the development builds of personal kinds: no page shows them, but they are the difference between those kinds
/// and people.
fn add_development(all: &mut BTreeMap<Audience, Cells>) {
    for system in systems() {
        let mut others: BTreeMap<String, u64> = BTreeMap::new();
        for who in PERSONAL {
            for (path, cell) in all.get(&Audience { who, system }).into_iter().flatten() {
                *others.entry(path.clone()).or_default() += cell.value;
            }
        }
        let Some(people) = all.get_mut(&Audience {
            who: Who::People,
            system,
        }) else {
            continue;
        };
        for (path, sum) in others {
            let value = sum.saturating_sub(people.get(&path).map_or(0, |cell| cell.value));
            people.insert(development(&path), Cell::new(value, false));
        }
    }
}

fn systems() -> impl Iterator<Item = Option<System>> {
    std::iter::once(None).chain(SYSTEMS.into_iter().map(Some))
}

/// One part or total of a sum: an audience and a path.
type Place = (Audience, String);

fn hide(cells: &mut BTreeMap<Audience, Cells>) {
    let published = cells.values().flatten().filter(|(_, cell)| cell.published);
    let paths: BTreeSet<String> = published.map(|(path, _)| path.clone()).collect();
    let mut sums: Vec<Vec<Place>> = Vec::new();
    for path in &paths {
        sums.extend(sums_over_audiences(path));
    }
    for (audience, cells) in cells.iter() {
        sums.extend(sums_within(*audience, cells));
    }
    sums.extend(same_of_kinds());
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
        if cell.published && cell.value > 0 && best.is_none_or(|(other, _)| rank < other) {
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
    let kinds = || (0..KINDS.len()).filter_map(|kind| u8::try_from(kind).ok()).map(Who::Kind);
    let place = |who, system| (Audience { who, system }, path.to_owned());
    let mut sums = Vec::new();
    for who in [Who::People, Who::Everything].into_iter().chain(kinds()) {
        sums.push(systems().map(|system| place(who, system)).collect());
    }
    for system in systems() {
        sums.push(std::iter::once(Who::Everything).chain(kinds()).map(|who| place(who, system)).collect());
        // The sum of interactive, headless and unknown is people and development builds.
        let people = Audience {
            who: Who::People,
            system,
        };
        let personal = PERSONAL.into_iter().map(|who| place(who, system));
        sums.push(personal.chain([place(Who::People, system), (people, development(path))]).collect());
    }
    sums
}

/// The sums within one audience: tables whose rows add up to another figure, and figures that are always equal.
fn sums_within(audience: Audience, cells: &Cells) -> Vec<Vec<Place>> {
    let below = |prefix: &str| -> Vec<Place> {
        cells.keys().filter(|path| path.starts_with(prefix)).map(|path| (audience, path.clone())).collect()
    };
    let cohorts = cells
        .keys()
        .filter(|path| path.starts_with("/weekly_cohorts/") && path.ends_with("/0"))
        .map(|path| (audience, path.clone()));
    let place = |path: &str| (audience, path.to_owned());
    let days = cells.keys().filter(|path| path.starts_with("/dau/")).count();
    let day = |name: &str, index: usize| (audience, format!("/{name}/{index}"));
    let active = |last: usize| (days.saturating_sub(last)..days).map(move |index| day("dau", index));
    let installs = place("/installs");
    let mut sums = vec![
        below("/env_kinds/").into_iter().chain([installs.clone()]).collect(),
        cohorts.chain([installs.clone()]).collect(),
        below("/launch_source_30d/"),
        below("/env_kind_days_7d/"),
        below("/versions_active_14d/"),
        below("/launch_source_30d/").into_iter().chain(active(30)).collect(),
        below("/env_kind_days_7d/").into_iter().chain(active(7)).collect(),
        // An installation with more than one day was active on the day after the first or later.
        vec![
            installs.clone(),
            place("/one_and_done/once_all_ages"),
            place("/retention/d1/retained_on_or_after"),
        ],
        vec![installs.clone(), place("/funnel/each/first_run")],
        vec![place("/retention/d7/eligible"), place("/retention/week1/eligible")],
        vec![place("/retention/d7/eligible"), place("/one_and_done/eligible")],
    ];
    // The first step holds for all, and a connected server is also configured.
    for step in STEPS.iter().take(3) {
        sums.push(vec![
            place(&format!("/funnel/each/{step}")),
            place(&format!("/funnel/strict/{step}")),
        ]);
    }
    if let Some(last) = days.checked_sub(1) {
        sums.extend(["dau", "wau", "mau"].map(|name| vec![place(&format!("/{name}_last")), day(name, last)]));
        // At first, the windows of 7 and 30 days contain the same days, and all there are.
        sums.push(vec![day("dau", 0), day("wau", 0)]);
        sums.extend((0..days.min(7)).map(|index| vec![day("wau", index), day("mau", index)]));
        if days <= 30 {
            sums.push(vec![installs, day("mau", last)]);
        }
    }
    sums
}

/// The figures that everything and one kind of environment have in common.
fn same_of_kinds() -> Vec<Vec<Place>> {
    let mut sums = Vec::new();
    for (index, kind) in KINDS.iter().enumerate() {
        let Ok(index) = u8::try_from(index) else { continue };
        for system in systems() {
            let of_kind = Audience {
                who: Who::Kind(index),
                system,
            };
            let everything = Audience {
                who: Who::Everything,
                system,
            };
            let path = format!("/env_kinds/{}", kind.word());
            sums.push(vec![(of_kind, path.clone()), (of_kind, "/installs".to_owned())]);
            sums.push(vec![(everything, path), (of_kind, "/installs".to_owned())]);
        }
    }
    sums
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

/// Joins versions whose count is hidden: anyone can send a version.
fn blank_names(figures: &mut Value) {
    let Some(Value::Object(versions)) = figures.get_mut("versions_active_14d") else {
        return;
    };
    let all = versions.len();
    versions.retain(|_, count| !count.is_null());
    if versions.len() < all {
        versions.insert(OTHERS.to_owned(), Value::Null);
    }
}

/// Hides small counts of ids in the data quality, as no other counts there can identify someone, and the names of
/// unknown fields, which are text from outside.
fn blank_quality(figures: &mut Value) {
    if let Some(Value::Object(fields)) = figures.pointer_mut("/quality/unknown_fields") {
        let sum: u64 = fields.values().filter_map(Value::as_u64).sum();
        fields.clear();
        if sum > 0 {
            fields.insert("any".to_owned(), json!(sum));
        }
    }
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
            .map(|(audience, value)| (*audience, Cells::from([("/x".to_owned(), Cell::new(*value, true))])))
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
