//! The page *Privacy*: data that leaves the computer, and data stored on it.

use maud::{Markup, html};
use serde_json::Value;

use crate::contract::api::{Sending, TelemetryState};
use crate::server::page::layout::{Frame, badge, button_for, foreign, heading, message, number, page, time, token};
use crate::server::page::shown_values;

/// The page's data.
#[derive(Debug, Default)]
pub(super) struct Privacy {
    pub telemetry: Option<TelemetryState>,
    /// The next report, or why there is none.
    pub report: Option<Value>,
    pub reason: String,
    pub settings: Value,
    pub stored: usize,
    /// The collector's data about this installation, or why it is unknown; `None` until the user asks.
    pub received: Option<Result<Value, String>>,
}

pub(super) fn view(frame: &Frame, shown: &Privacy) -> Markup {
    let contents = html! {
        (heading("Privacy", "Data that leaves this computer, and data that is stored on it.", &html! {}))
        (reports(frame, shown))
        (received(frame, shown))
        (bodies(frame, shown))
        section.panel aria-labelledby="delete" {
            h2 #delete { "Delete the activity log" }
            div.between {
                p { (number(shown.stored, "entry is", "entries are")) " stored on this computer. Nothing of the log is ever sent." }
                (button_for(frame, "/ui/privacy/purge", "Delete all activity", "danger", "", "Delete all recorded activity?"))
            }
        }
    };
    page(frame, "/ui/privacy", "Privacy", &contents)
}

fn reports(frame: &Frame, shown: &Privacy) -> Markup {
    let enabled = shown.telemetry.as_ref().is_some_and(|state| state.enabled);
    let sending = shown.telemetry.as_ref().is_some_and(|state| state.sending == Sending::On);
    let no_collector = shown.telemetry.as_ref().is_some_and(TelemetryState::has_no_collector);
    html! {
        section.panel aria-labelledby="reports" {
            div.between {
                h2 #reports { "Anonymous usage reports" }
                @if sending { (badge("good", "On")) }
                @else if no_collector { (badge("off", "Nothing is sent")) }
                @else if enabled { (badge("off", "On, but nothing is sent")) }
                @else { (badge("off", "Off")) }
            }
            @if let Some(state) = &shown.telemetry { p { (state.reason) } }
            @if enabled || shown.settings.pointer("/telemetry/enabled") == Some(&Value::Bool(false)) {
                form.inline method="post" action="/ui/privacy/reports" {
                    (token(frame))
                    input type="hidden" name="enabled" value=(if enabled { "false" } else { "true" });
                    button type="submit" { @if enabled { "Turn off" } @else { "Turn on" } }
                }
            } @else { p.quiet { "To turn reports on, remove this variable and restart MCPProxy." } }
            h3 { "The next report" }
            @match &shown.report {
                Some(report) => {
                    p.quiet {
                        @if no_collector { "It would contain this, if it could be sent: " } @else { "This is all of it: " }
                        "counts and categories, no names and no content."
                    }
                    div.table { table.narrow { thead { tr { th { "Field" } th { "Value" } } } tbody { (fields("", report)) } } }
                }
                None if shown.telemetry.as_ref().is_some_and(|state| state.reason == shown.reason) => { p.quiet { "There is none." } }
                None => { p.quiet { (foreign(&shown.reason)) } }
            }
        }
    }
}

/// Renders what the collector stores. Asks the collector only when the user wants to see it.
fn received(frame: &Frame, shown: &Privacy) -> Markup {
    html! {
        section.panel aria-labelledby="received" data-still[shown.received.is_some()] {
            h2 #received { "Reports that were sent" }
            @match &shown.received {
                None => {
                    p { "The collector keeps the reports of this installation under a random ID." }
                    div.actions { a.button href="/ui/privacy?received=1#received" { "Show what was received" } }
                }
                Some(Err(reason)) => { p { (message(reason)) } }
                Some(Ok(stored)) => { (reports_received(frame, stored)) }
            }
        }
    }
}

/// Maximum number of received reports whose times are listed.
const MOST_TIMES: usize = 30;

fn reports_received(frame: &Frame, stored: &Value) -> Markup {
    let none = Vec::new();
    let reports = stored.get("reports").and_then(Value::as_array).unwrap_or(&none);
    let received_at = |report: &Value| report.get("received_at").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut times: Vec<String> = reports.iter().map(received_at).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let latest = reports.iter().max_by_key(|report| received_at(report));
    html! {
        @if reports.is_empty() { p { "The collector stores no report of this installation." } }
        @else {
            p { "The collector stores " (number(reports.len(), "report", "reports")) ". Received: " }
            ul.plain { @for at in times.iter().take(MOST_TIMES) { li { (time(at)) } } }
            @if times.len() > MOST_TIMES { p.quiet { "And " (times.len() - MOST_TIMES) " older ones." } }
            @if let Some(kept) = latest.and_then(|report| report.get("kept_of_body")) {
                details {
                    summary { "What it keeps of the latest report" }
                    div.table { table.narrow { thead { tr { th { "Field" } th { "Value" } } } tbody { (fields("", &parsed(kept))) } } }
                }
            }
        }
        @if let Some(id) = stored.get("anonymous_id").and_then(Value::as_str) { p.quiet { "ID: " code { (id) } } }
        div.between.danger {
            p.quiet { "Deleting also gives this installation a new ID, so that later reports cannot be linked to earlier ones." }
            (button_for(frame, "/ui/privacy/forget", "Delete these reports", "danger", "", "Delete everything that the collector stores about this installation?"))
        }
    }
}

/// Returns a value that may be JSON in a string.
fn parsed(value: &Value) -> Value {
    value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| value.clone())
}

fn fields(prefix: &str, value: &Value) -> Markup {
    html! {
        @match value {
            Value::Object(map) => { @for (key, value) in map {
                @let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                (fields(&name, value))
            } }
            other => { tr { td { code { (prefix) } } td { code { (other) } } } }
        }
    }
}

/// The settings of the activity log in a form: the key, and the name of the field.
pub(super) const ACTIVITY_FIELDS: [(&str, &str); 4] = [
    ("activity_bodies", "activity_bodies"),
    ("sensitive_data.arguments", "arguments"),
    ("sensitive_data.results", "results"),
    ("activity_retention_days", "days"),
];

/// Returns the value that the form shows for a key of [`ACTIVITY_FIELDS`].
pub(super) fn shown_activity(settings: &Value, key: &str) -> String {
    let value = settings.pointer(&format!("/{}", key.replace('.', "/")));
    match key {
        "activity_retention_days" => value.and_then(Value::as_u64).filter(|days| *days > 0).unwrap_or(30).to_string(),
        "activity_bodies" => value.and_then(Value::as_str).unwrap_or("off").to_owned(),
        _ => value.and_then(Value::as_str).unwrap_or("warn").to_owned(),
    }
}

fn bodies(frame: &Frame, shown: &Privacy) -> Markup {
    let [stored, arguments, results, days] = ACTIVITY_FIELDS.map(|(key, _)| shown_activity(&shown.settings, key));
    let values = ACTIVITY_FIELDS.map(|(key, _)| (key, shown_activity(&shown.settings, key)));
    let choose = |name: &str, label: &str, given: &str, choices: &[(&str, &str)]| {
        html! {
            label { span { (label) } select name=(name) { @for (value, word) in choices { option value=(value) selected[*value == given] { (word) } } } }
        }
    };
    let actions = [
        ("off", "Do not look"),
        ("warn", "Mark the call"),
        ("redact", "Replace it"),
        ("block", "Refuse the call"),
    ];
    html! {
        section.panel aria-labelledby="bodies" {
            h2 #bodies { "Activity on this computer" }
            form.fields method="post" action="/ui/privacy/activity" {
                (token(frame))
                (shown_values::field(values))
                (choose("activity_bodies", "Arguments and results of calls", &stored, &[("off", "Do not store"), ("redacted", "Store without secrets"), ("full", "Store everything")]))
                (choose("arguments", "Sensitive data in arguments", &arguments, &actions))
                (choose("results", "Sensitive data in results", &results, &actions))
                label { span { "Keep entries for (days)" } input type="number" name="days" min="1" max="3650" value=(days); }
                button.primary type="submit" { "Save" }
            }
            p.quiet { "Sensitive data means keys and tokens of known services, private keys, passwords, card numbers and paths of credential files." }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn received_reports_are_shown_when_the_user_asks_and_can_be_deleted() {
        let shown = |received| {
            let privacy = Privacy {
                received,
                ..Privacy::default()
            };
            view(&Frame::default(), &privacy).into_string()
        };
        assert!(shown(None).contains("Show what was received") && !shown(None).contains("/ui/privacy/forget"));
        assert!(!shown(None).contains("data-still"));
        let kept = r#"{"calls":3}"#;
        let stored = json!({"anonymous_id": "an-id", "reports": [
            {"received_at": "2026-01-02T00:00:00Z", "kept_of_body": kept},
            {"received_at": "2026-01-01T00:00:00Z", "kept_of_body": "{}"},
        ]});
        let text = shown(Some(Ok(stored)));
        assert!(text.contains("2 reports") && text.contains("<code>calls</code>"), "{text}");
        assert!(text.contains("an-id") && text.contains("/ui/privacy/forget"), "{text}");
        assert!(text.contains("data-still"), "an update of the page would ask the collector again");
        assert!(shown(Some(Err("not `reachable`".into()))).contains("<code>reachable</code>"));
    }

    #[test]
    fn a_switch_is_offered_only_if_it_has_an_effect() {
        let shown = |settings: Value| {
            let privacy = Privacy {
                telemetry: Some(TelemetryState::default()),
                settings,
                ..Privacy::default()
            };
            view(&Frame::default(), &privacy).into_string()
        };
        assert!(shown(json!({"telemetry": {"enabled": false}})).contains("Turn on"));
        let by_variable = shown(json!({}));
        assert!(!by_variable.contains("Turn on") && by_variable.contains("remove this variable"), "{by_variable}");
    }

    #[test]
    fn reports_that_cannot_be_sent_are_not_shown_as_on() {
        let shown = |needs: Option<&str>| {
            let telemetry = TelemetryState {
                enabled: true,
                sending: Sending::Waiting,
                needs: needs.map(Into::into),
                ..TelemetryState::default()
            };
            let privacy = Privacy {
                telemetry: Some(telemetry),
                report: Some(json!({"a": 1})),
                ..Privacy::default()
            };
            view(&Frame::default(), &privacy).into_string()
        };
        let text = shown(Some("endpoint"));
        assert!(text.contains(">Nothing is sent<") && text.contains("if it could be sent"), "{text}");
        assert!(text.contains("Turn off"), "{text}");
        let text = shown(Some("notice"));
        assert!(text.contains("On, but nothing is sent") && text.contains("This is all of it"), "{text}");
    }

    #[test]
    fn every_field_of_the_report_is_shown() {
        let shown = Privacy {
            report: Some(json!({"a": {"b": 1}, "c": "x"})),
            ..Privacy::default()
        };
        let text = view(&Frame::default(), &shown).into_string();
        assert!(text.contains("a.b") && text.contains("&quot;x&quot;"), "{text}");
    }
}
