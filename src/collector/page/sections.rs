//! The sections of the page, each a function of the figures.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::chart::{self, Series};
use super::text::{escape, number, share};
use crate::collector::figures::STEPS;
use crate::collector::report::Day;

/// Maximum number of days in a chart and its table.
const CHART_DAYS: usize = 60;
/// Maximum number of rows in a table of names.
const ROWS: usize = 20;

pub(super) fn all(html: &mut String, figures: &Value) {
    tiles(html, figures);
    grid(html, "wide-grid", figures, &[activity, funnel]);
    grid(html, "grid", figures, &[cohorts, versions, launches, kinds, clients, opt_outs]);
    quality(html, figures);
}

/// Places sections beside each other if the window is wide enough.
fn grid(html: &mut String, class: &str, figures: &Value, sections: &[fn(&mut String, &Value)]) {
    let _ = write!(html, "<div class=\"{class}\">");
    for section in sections {
        html.push_str("<section>");
        section(html, figures);
        html.push_str("</section>");
    }
    html.push_str("</div>");
}

fn heading(html: &mut String, title: &str, definition: &str) {
    let _ = write!(html, "<h2>{title}</h2><p class=\"def\">{definition}</p>");
}

fn tiles(html: &mut String, figures: &Value) {
    html.push_str("<dl class=\"tiles\">");
    let at = |pointer: &str| figures.pointer(pointer);
    tile(html, "DAU", &number(at("/dau_last")), "Active on the last day.");
    tile(html, "WAU", &number(at("/wau_last")), "Active in the last 7 days.");
    tile(html, "MAU", &number(at("/mau_last")), "Active in the last 30 days.");
    for day in ["d1", "d7", "d30"] {
        let of = |name: &str| at(&format!("/retention/{day}/{name}"));
        let after = match day.trim_start_matches('d') {
            "1" => "1 day".to_owned(),
            after => format!("{after} days"),
        };
        let definition = format!(
            "Active exactly {after} after the first: {} of {}. On that day or later: {}.",
            number(of("retained")),
            number(of("eligible")),
            share(of("retained_on_or_after"), of("eligible"))
        );
        tile(html, &day.to_uppercase(), &share(of("retained"), of("eligible")), &definition);
    }
    let (once, eligible) = (at("/one_and_done/once"), at("/one_and_done/eligible"));
    let definition =
        format!("One active day, of those first seen 7 days ago or earlier: {} of {}.", number(once), number(eligible));
    tile(html, "Came once", &share(once, eligible), &definition);
    let (week, eligible) = (at("/retention/week1/retained"), at("/retention/week1/eligible"));
    let definition =
        format!("Active on any of the days 1 to 7 after the first: {} of {}.", number(week), number(eligible));
    tile(html, "Week 1", &share(week, eligible), &definition);
    tile(
        html,
        "Churned",
        &number(at("/churned_2d_then_14d_silent")),
        "Active on two days or more, then silent for more than 14.",
    );
    tile(
        html,
        "Installations",
        &number(at("/installs")),
        "Ever seen: a machine id where one was sent, else a random id.",
    );
    html.push_str("</dl>");
}

fn tile(html: &mut String, name: &str, value: &str, definition: &str) {
    let _ = write!(html, "<div><dt>{name}</dt><dd class=\"big\">{value}</dd><dd class=\"def\">{definition}</dd></div>");
}

fn activity(html: &mut String, figures: &Value) {
    heading(html, "Activity over time", "Installations active in the 1, 7 and 30 days that end on each day.");
    html.push_str(
        "<ul class=\"key\"><li class=\"k1\">1 day</li><li class=\"k2\">7 days</li><li class=\"k3\">30 days</li></ul>",
    );
    let series = |name| {
        let all = chart::values(figures.get(name));
        let skip = all.len().saturating_sub(CHART_DAYS);
        all.into_iter().skip(skip).collect::<Vec<_>>()
    };
    let (dau, wau, mau) = (series("dau"), series("wau"), series("mau"));
    let last = figures.pointer("/last_day").and_then(Value::as_str).and_then(Day::parse).unwrap_or(Day(0));
    let first = last.minus(u16::try_from(dau.len().saturating_sub(1)).unwrap_or(0));
    let day = |index: usize| first.plus(u16::try_from(index).unwrap_or(0)).to_string();
    let rows: Vec<Vec<String>> = (0..dau.len())
        .rev()
        .map(|index| {
            let shown = |values: &[Option<u64>]| match values.get(index) {
                Some(Some(value)) => value.to_string(),
                _ => "hidden".to_owned(),
            };
            vec![day(index), shown(&dau), shown(&wau), shown(&mau)]
        })
        .collect();
    let all = [
        Series {
            name: "30 days",
            class: "s3",
            values: mau,
        },
        Series {
            name: "7 days",
            class: "s2",
            values: wau,
        },
        Series {
            name: "1 day",
            class: "s1",
            values: dau,
        },
    ];
    chart::lines(html, "Active installations by day, week and month", &first.to_string(), &last.to_string(), &all);
    html.push_str("<details><summary>Activity as a table</summary>");
    table(html, "Active installations, latest day first", &["Day", "1 day", "7 days", "30 days"], &rows);
    html.push_str("</details>");
}

fn funnel(html: &mut String, figures: &Value) {
    let reports = number(figures.pointer("/funnel/reports"));
    let schemas = figures.pointer("/funnel/schemas").and_then(Value::as_array);
    let schemas = match schemas.map(Vec::as_slice) {
        Some([Value::Number(low), Value::Number(high)]) => format!("{low}–{high}"),
        Some(_) => "hidden".to_owned(),
        _ => "–".to_owned(),
    };
    let definition = format!(
        "How many ever reached each step, in any of their reports, and how many reached it and all earlier ones (strict). Reports behind it: {reports}; schema: {schemas}."
    );
    heading(html, "Activation funnel", &definition);
    let label = |step: &str| match step {
        "first_run" => "First run",
        "server_configured" => "Server configured",
        "server_connected" => "Server connected",
        "client_connected" => "AI client seen",
        _ => "retrieve_tools called",
    };
    let strict = |step: &str| figures.pointer(&format!("/funnel/strict/{step}"));
    let bars: Vec<_> =
        STEPS.iter().map(|step| (label(step).to_owned(), strict(step).and_then(Value::as_u64))).collect();
    chart::bars(html, "Installations that reached each step and all earlier ones", &bars);
    let mut before: Option<&Value> = None;
    let mut rows = Vec::new();
    for step in STEPS {
        let each = figures.pointer(&format!("/funnel/each/{step}"));
        let now = strict(step);
        let conversion = if before.is_some() { share(now, before) } else { "–".to_owned() };
        rows.push(vec![
            label(step).to_owned(),
            number(each),
            number(now),
            conversion,
            share(now, strict("first_run")),
        ]);
        before = now;
    }
    let head = ["Step", "Each", "Strict", "Of the step before", "Of all"];
    table(html, "Installations by step", &head, &rows);
}

fn cohorts(html: &mut String, figures: &Value) {
    heading(
        html,
        "Weekly cohorts",
        "Installations by the week (Monday to Sunday) of their first day, and how many were active so many weeks later.",
    );
    let first = figures.pointer("/first_day").and_then(Value::as_str).and_then(Day::parse).unwrap_or(Day(0)).week();
    let Some(weekly) = figures.get("weekly_cohorts").and_then(Value::as_object) else {
        return;
    };
    let mut weeks: Vec<(u16, &Map<String, Value>)> =
        weekly.iter().filter_map(|(week, row)| Some((week.parse().ok()?, row.as_object()?))).collect();
    weeks.sort_by_key(|(week, _)| *week);
    let skip = weeks.len().saturating_sub(12);
    let weeks = weeks.split_off(skip);
    let most = weeks.iter().filter_map(|(_, row)| row.keys().filter_map(|age| age.parse::<u16>().ok()).max()).max();
    let ages: Vec<u16> = (0..=most.unwrap_or(0).min(12)).collect();
    let mut head = vec!["Week of".to_owned()];
    head.extend(ages.iter().map(|age| format!("+{age}")));
    let rows: Vec<Vec<String>> = weeks
        .iter()
        .map(|(week, row)| {
            let mut cells = vec![Day::monday(first + week).to_string()];
            cells.extend(
                ages.iter().map(|age| row.get(&age.to_string()).map_or(String::new(), |cell| heat(cell, row.get("0")))),
            );
            cells
        })
        .collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    table(html, "Installations active, by weeks since the first", &head, &rows);
}

/// A cell whose background is stronger if more of the cohort were active.
fn heat(cell: &Value, all: Option<&Value>) -> String {
    let shown = number(Some(cell));
    match (cell.as_u64(), all.and_then(Value::as_u64)) {
        (Some(active), Some(all)) if all > 0 => {
            format!("<span class=\"heat\" style=\"--p:{}%\">{shown}</span>", (active * 40).div_ceil(all).min(40))
        }
        _ => shown,
    }
}

fn versions(html: &mut String, figures: &Value) {
    heading(html, "Versions", "Latest version of installations that were active in the last 14 days.");
    words(html, "Installations by version", "Version", figures.get("versions_active_14d"));
}

fn launches(html: &mut String, figures: &Value) {
    heading(
        html,
        "Launch source, 30 days",
        "Days of installations in the last 30 days, by how the core was started according to the last report of that day. Old and new versions name sources differently.",
    );
    words(html, "Days of installations by launch source", "Source", figures.get("launch_source_30d"));
}

fn kinds(html: &mut String, figures: &Value) {
    heading(
        html,
        "Kinds of machine",
        "Installations by the kind of environment on most of their days, and days of the last 7 by the kind of that day.",
    );
    words(html, "Installations by usual kind", "Kind", figures.get("env_kinds"));
    words(html, "Days in the last 7 by kind", "Kind", figures.get("env_kind_days_7d"));
}

fn clients(html: &mut String, figures: &Value) {
    heading(html, "AI clients", "Installations that ever listed each client; one installation can list several.");
    words(html, "Installations by client", "Client", figures.get("clients"));
}

fn opt_outs(html: &mut String, figures: &Value) {
    heading(
        html,
        "Opt-outs",
        "Ids that sent the opt-out message of the Go core, each once. The Rust core sends none, so this is a lower bound.",
    );
    let _ = write!(html, "<p>{}</p>", number(figures.get("opt_outs")));
}

fn quality(html: &mut String, figures: &Value) {
    heading(
        html,
        "Data quality",
        "Everything that arrived and how it was counted, over all audiences. Every drop has its reason.",
    );
    let quality = figures.get("quality");
    let get = |name: &str| quality.and_then(|quality| quality.get(name));
    let mut rows = Vec::new();
    for (name, label) in [
        ("accepted", "Accepted reports"),
        ("repeated", "Repeats of the same bytes, not counted again"),
        ("clock_untrusted", "Reports whose own time differs from their receipt"),
        ("clock_off_by_a_day", "… by more than a day, or with no usable time"),
        ("suspect_installs", "Installations from a flood of new ids, in no figure"),
    ] {
        rows.push(vec![label.to_owned(), number(get(name))]);
    }
    for (group, label) in [
        ("rejected", "Rejected"),
        ("refused", "Refused (too many)"),
        ("unknown_fields", "Unknown field, dropped"),
        ("dropped_values", "Unknown value, dropped"),
    ] {
        for (name, count) in sorted(get(group)).into_iter().take(ROWS) {
            rows.push(vec![format!("{label}: {}", escape(name)), number(Some(count))]);
        }
    }
    table(html, "Counts since the first day", &["What", "Count"], &rows);
}

fn sorted(map: Option<&Value>) -> Vec<(&str, &Value)> {
    let mut rows: Vec<(&str, &Value)> = match map.and_then(Value::as_object) {
        Some(map) => map.iter().map(|(word, count)| (word.as_str(), count)).collect(),
        None => Vec::new(),
    };
    rows.sort_by(|one, other| other.1.as_u64().cmp(&one.1.as_u64()).then(one.0.cmp(other.0)));
    rows
}

fn words(html: &mut String, caption: &str, first: &str, map: Option<&Value>) {
    let rows: Vec<Vec<String>> = sorted(map)
        .into_iter()
        .filter(|(_, count)| count.as_u64() != Some(0))
        .take(ROWS)
        .map(|(word, count)| {
            vec![
                escape(if word.is_empty() { "(none)" } else { word }),
                number(Some(count)),
            ]
        })
        .collect();
    table(html, caption, &[first, "Count"], &rows);
}

fn table(html: &mut String, caption: &str, head: &[&str], rows: &[Vec<String>]) {
    let _ = write!(
        html,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table><caption>{caption}</caption><thead><tr>"
    );
    for cell in head {
        let _ = write!(html, "<th scope=\"col\">{cell}</th>");
    }
    html.push_str("</tr></thead><tbody>");
    if rows.is_empty() {
        let _ = write!(html, "<tr><td colspan=\"{}\">None</td></tr>", head.len());
    }
    for row in rows {
        html.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let _ = match index {
                0 => write!(html, "<th scope=\"row\">{cell}</th>"),
                _ => write!(html, "<td>{cell}</td>"),
            };
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
}
