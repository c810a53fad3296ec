//! Commands that show figures, the same ones as the page and `/v1/stats`.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::args::{Figures, Format};
use super::outcome::{Failure, Outcome, say};
use crate::collector::audience::Audience;
use crate::collector::figures::STEPS;
use crate::collector::place::Place;
use crate::collector::report::Day;
use crate::collector::stats;

fn take(place: &Place, wish: &Figures) -> Result<Value, Failure> {
    let audience = Audience::parse(&wish.who, &wish.os).ok_or_else(|| {
        let (name, value) = match Audience::parse(&wish.who, "") {
            None => ("who", &wish.who),
            Some(_) => ("os", &wish.os),
        };
        Failure::new(format!("could not read --{name}: there is no `{value}`"))
            .help("use people, all or a kind for --who, and linux, darwin, windows or other for --os")
    })?;
    let until = match &wish.until {
        None => None,
        Some(text) => Some(Day::parse(text).ok_or_else(|| {
            Failure::new(format!("could not read --until {text}: not a day")).help("write it as 2026-01-31")
        })?),
    };
    let mut store = open(place)?;
    let stats = stats::take(store.as_mut(), until).map_err(|error| could_not_read(&error.to_string()))?;
    Ok(stats.to_json(audience))
}

pub(super) fn open(place: &Place) -> Result<Box<dyn crate::collector::store::Store>, Failure> {
    place.open_for_reading().map_err(|error| could_not_read(&error))
}

fn could_not_read(error: &str) -> Failure {
    Failure::new(format!("could not read the database: {error}"))
        .help("run `mcpproxy-collector serve` once, or name the directory with --data")
}

pub(super) fn stats(place: &Place, wish: &Figures) -> Outcome {
    let all = take(place, wish)?;
    show(wish.output, &all, |all| {
        let mut rows = vec![
            row("Counted", at(all, "/audience")),
            row("First day", at(all, "/first_day")),
            row("Last day", at(all, "/last_day")),
            row("Installations", at(all, "/installs")),
            row("DAU", at(all, "/dau_last")),
            row("WAU", at(all, "/wau_last")),
            row("MAU", at(all, "/mau_last")),
        ];
        rows.extend(returns(all));
        rows.extend(steps(all));
        rows.push(row("Opt-outs", at(all, "/opt_outs")));
        rows.extend(pairs("Version", at(all, "/versions_active_14d")));
        rows.extend(pairs("Launch source (30 days)", at(all, "/launch_source_30d")));
        rows.extend(pairs("Kind", at(all, "/env_kinds")));
        rows.extend(pairs("Client", at(all, "/clients")));
        rows.extend(pairs("Quality", at(all, "/quality")));
        rows
    })
}

pub(super) fn funnel(place: &Place, wish: &Figures) -> Outcome {
    let all = take(place, wish)?;
    show(wish.output, at(&all, "/funnel"), |_| steps(&all))
}

pub(super) fn retention(place: &Place, wish: &Figures) -> Outcome {
    let all = take(place, wish)?;
    let part = json!({
        "retention": at(&all, "/retention"), "one_and_done": at(&all, "/one_and_done"),
        "churned_2d_then_14d_silent": at(&all, "/churned_2d_then_14d_silent"), "weekly_cohorts": at(&all, "/weekly_cohorts"),
    });
    show(wish.output, &part, |_| returns(&all))
}

pub(super) fn versions(place: &Place, wish: &Figures) -> Outcome {
    let all = take(place, wish)?;
    show(wish.output, at(&all, "/versions_active_14d"), |versions| pairs("Version", versions))
}

static NOTHING: Value = Value::Null;

/// A part of the figures.
fn at<'a>(all: &'a Value, pointer: &str) -> &'a Value {
    all.pointer(pointer).unwrap_or(&NOTHING)
}

type Row = (String, String);

fn row(name: &str, value: &Value) -> Row {
    (name.to_owned(), plain(value))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none yet".to_owned(),
        other => other.to_string(),
    }
}

fn pairs(name: &str, map: &Value) -> Vec<Row> {
    let Some(map) = map.as_object() else { return Vec::new() };
    map.iter()
        .flat_map(|(word, value)| match value {
            Value::Object(inner) => {
                inner.iter().map(|(key, value)| (format!("{name}: {word} {key}"), plain(value))).collect()
            }
            value => vec![(format!("{name}: {word}"), plain(value))],
        })
        .collect()
}

fn share(part: &Value, whole: &Value) -> String {
    match (part.as_u64(), whole.as_u64()) {
        (Some(part), Some(whole)) if whole > 0 => {
            format!("{part} of {whole} ({:.1} %)", 100.0 * part as f64 / whole as f64)
        }
        _ => "none yet".to_owned(),
    }
}

fn returns(all: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    for day in ["d1", "d7", "d30"] {
        let of = at(all, &format!("/retention/{day}"));
        rows.push((format!("{} exact", day.to_uppercase()), share(at(of, "/retained"), at(of, "/eligible"))));
        rows.push((
            format!("{} on or after", day.to_uppercase()),
            share(at(of, "/retained_on_or_after"), at(of, "/eligible")),
        ));
    }
    let week = at(all, "/retention/week1");
    rows.push(("Week 1".to_owned(), share(at(week, "/retained"), at(week, "/eligible"))));
    let once = at(all, "/one_and_done");
    rows.push(("Came once".to_owned(), share(at(once, "/once"), at(once, "/eligible"))));
    rows.push(row("Churned", at(all, "/churned_2d_then_14d_silent")));
    rows
}

fn steps(all: &Value) -> Vec<Row> {
    let funnel = at(all, "/funnel");
    let mut rows: Vec<Row> = STEPS
        .iter()
        .map(|step| {
            let text = format!(
                "{} each, {} strict",
                at(funnel, &format!("/each/{step}")),
                at(funnel, &format!("/strict/{step}"))
            );
            (format!("Funnel: {step}"), text)
        })
        .collect();
    rows.push(row("Funnel rests on reports", at(funnel, "/reports")));
    rows
}

fn show(format: Format, value: &Value, rows: impl FnOnce(&Value) -> Vec<Row>) -> Outcome {
    match format {
        Format::Json => {
            let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(error.to_string()))?;
            say(&text)?;
        }
        Format::Csv => {
            let mut lines = vec!["name,value".to_owned()];
            csv("", value, &mut lines);
            say(&lines.join("\n"))?;
        }
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            for (name, value) in rows(value) {
                table.add_row([name, value]);
            }
            say(&table.trim_fmt())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a line for each number, with its path as the name. Names come from closed sets and contain no commas.
fn csv(path: &str, value: &Value, lines: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| csv(&below(key), value, lines)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| csv(&below(&index.to_string()), value, lines));
        }
        value => lines.push(format!("{path},{}", plain(value))),
    }
}
