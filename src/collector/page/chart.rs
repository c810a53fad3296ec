//! Charts as SVG. Each has a title for screen readers and a table with the same numbers.

use std::fmt::Write as _;

use serde_json::Value;

/// About the width of a phone, so that text stays legible there.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 20.0;
/// The space for the labels of bars, and for their numbers.
const LABELS: f64 = 136.0;
const NUMBERS: f64 = 50.0;
const TOP: f64 = 8.0;

/// A line of a chart: its name, its class and its numbers. A hidden number leaves a gap.
pub(super) struct Series<'a> {
    pub name: &'a str,
    pub class: &'a str,
    pub values: Vec<Option<u64>>,
}

/// Converts an array of figures.
pub(super) fn values(array: Option<&Value>) -> Vec<Option<u64>> {
    array.and_then(Value::as_array).map(|items| items.iter().map(Value::as_u64).collect()).unwrap_or_default()
}

/// Draws lines over days. `title` describes them.
pub(super) fn lines(html: &mut String, title: &str, from: &str, to: &str, all: &[Series<'_>]) {
    let highest = all.iter().flat_map(|series| series.values.iter().flatten()).copied().max().unwrap_or(0).max(1);
    let top = round_up(highest);
    let _ = write!(
        html,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
    );
    for part in 0..=4_u64 {
        let value = top * part / 4;
        let at = height_of(value, top);
        let _ = write!(
            html,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for series in all {
        line(html, series, top);
    }
    let _ = write!(
        html,
        "<text x=\"{LEFT}\" y=\"{}\">{from}</text><text x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">{to}</text></svg>",
        HEIGHT - 4.0,
        HEIGHT - 4.0
    );
}

fn line(html: &mut String, series: &Series<'_>, top: u64) {
    let steps = series.values.len().saturating_sub(1).max(1) as f64;
    let mut path = String::new();
    let mut pen_is_down = false;
    for (index, value) in series.values.iter().enumerate() {
        let Some(value) = value else {
            pen_is_down = false;
            continue;
        };
        let across = LEFT + (WIDTH - LEFT - 2.0) * index as f64 / steps;
        let command = if pen_is_down { 'L' } else { 'M' };
        let _ = write!(path, "{command}{across:.0} {:.0}", height_of(*value, top));
        if !pen_is_down {
            // A single day between two gaps becomes a dot.
            let _ = write!(path, "h.1");
        }
        pen_is_down = true;
    }
    let _ = write!(
        html,
        "<path class=\"{}\" stroke-width=\"2\" stroke-linecap=\"round\" d=\"{path}\"><title>{}</title></path>",
        series.class, series.name
    );
}

/// Draws a bar for each row: its label, its part and its total.
pub(super) fn bars(html: &mut String, title: &str, rows: &[(String, Option<u64>)]) {
    let most = rows.iter().filter_map(|(_, value)| *value).max().unwrap_or(0).max(1);
    let height = 26.0 * rows.len() as f64 + 4.0;
    let _ = write!(
        html,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
    );
    for (index, (label, value)) in rows.iter().enumerate() {
        let at = 26.0 * index as f64 + 4.0;
        let width = (WIDTH - LABELS - NUMBERS) * value.unwrap_or(0) as f64 / most as f64;
        let shown = value.map_or("hidden".to_owned(), |value| value.to_string());
        let _ = write!(
            html,
            "<text x=\"0\" y=\"{:.0}\">{label}</text><rect class=\"f1\" x=\"{LABELS}\" y=\"{at:.0}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/><text x=\"{:.0}\" y=\"{:.0}\">{shown}</text>",
            at + 13.0,
            LABELS + 6.0 + width,
            at + 13.0
        );
    }
    html.push_str("</svg>");
}

fn height_of(value: u64, top: u64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value as f64 / top as f64
}

/// Rounds up to the next of 4, 8, 20, 40, 80, 200 …, which four grid lines divide evenly.
fn round_up(value: u64) -> u64 {
    let mut unit = 4_u64;
    loop {
        for factor in [1, 2, 5] {
            if unit.saturating_mul(factor) >= value {
                return unit.saturating_mul(factor);
            }
        }
        unit = unit.saturating_mul(10);
    }
}
