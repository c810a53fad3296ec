//! The page *Activity*: calls, decisions and changes.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use serde_json::Value;

use crate::activity::UsageWindow;
use crate::contract::api::{
    ActivityKind, ActivityList, ActivityRecord, ActivitySource, ActivityStatus, ActivityUsage, CallIntent,
    ServerStatus, TokenSavings,
};
use crate::contract::tokens;
use crate::server::page::form::Fields;
use crate::server::page::layout::{
    Frame, badge, empty, encoded, foreign, grouped, heading, message, number, page, pager, size, time,
};
use crate::server::page::settings_undo::{self, SettingsChange};
use crate::server::page::usage::{self, tokens_of};

/// Records per page.
pub(super) const PAGE: usize = 30;

/// Maximum number of servers in a selection. With more, the user enters the name.
const MOST_OPTIONS: usize = 60;

/// The types of records to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Types {
    #[default]
    All,
    Calls,
    Changes,
}

impl Types {
    const ALL: [(Types, &str); 3] = [
        (Types::All, "Everything"),
        (Types::Calls, "Calls"),
        (Types::Changes, "Changes"),
    ];

    fn of(word: &str) -> Types {
        Types::ALL.into_iter().find(|(types, _)| types.word() == word).map_or(Types::All, |(types, _)| types)
    }

    fn word(self) -> &'static str {
        match self {
            Types::All => "",
            Types::Calls => "calls",
            Types::Changes => "changes",
        }
    }

    /// Returns the types for REST; empty for all of them.
    fn api_words(self) -> String {
        let are_calls = match self {
            Types::All => return String::new(),
            Types::Calls => true,
            Types::Changes => false,
        };
        let words = ActivityKind::WORDS.iter().filter(|word| ActivityKind::from(**word).is_call() == are_calls);
        words.copied().collect::<Vec<_>>().join(",")
    }
}

/// The filters selected by the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub text: String,
    pub server: String,
    /// Empty for any.
    pub status: ActivityStatus,
    pub types: Types,
    /// Only the latest entries; `None` for all.
    pub since: Option<UsageWindow>,
    pub sensitive: bool,
    pub window: UsageWindow,
    pub offset: usize,
}

impl Chosen {
    pub(super) fn of(query: &Fields) -> Chosen {
        Chosen {
            text: query.text("q").to_owned(),
            server: query.text("server").to_owned(),
            status: query.text("status").into(),
            types: Types::of(query.text("kind")),
            since: UsageWindow::of(query.text("since")),
            sensitive: query.has("sensitive"),
            window: UsageWindow::of(query.text("window")).unwrap_or_default(),
            offset: query.text("offset").parse().unwrap_or_default(),
        }
    }

    /// Returns the query for REST.
    pub(super) fn api_query(&self, now: Timestamp) -> String {
        let types = self.types.api_words();
        // In whole minutes: the query is part of the page, which should not change with each second.
        let start = self.since.and_then(|since| {
            let start = now.checked_sub(SignedDuration::from_secs(since.seconds())).ok()?;
            Timestamp::from_second(start.as_second().div_euclid(60) * 60).ok()
        });
        let start = start.map(|start| start.to_string()).unwrap_or_default();
        let pairs = [
            ("q", &*self.text),
            ("server", &*self.server),
            ("status", self.status.word()),
            ("type", &*types),
            ("start_time", &*start),
        ];
        let mut query: String = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("&{name}={}", encoded(value)))
            .collect();
        if self.sensitive {
            query.push_str("&sensitive_data=true");
        }
        query
    }

    /// Returns the link to the same list with another period in the chart.
    fn link_to_window(&self, window: UsageWindow) -> String {
        Chosen { window, ..self.clone() }.link(self.offset)
    }

    fn link(&self, offset: usize) -> String {
        let pairs = [
            ("q", &*self.text),
            ("server", &*self.server),
            ("status", self.status.word()),
            ("kind", self.types.word()),
            ("since", self.since.map_or("", UsageWindow::word)),
            ("window", self.window.word()),
        ];
        let given: String = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}&", encoded(value)))
            .collect();
        let sensitive = if self.sensitive { "sensitive=1&" } else { "" };
        format!("/ui/activity?{given}{sensitive}offset={offset}")
    }

    fn is_filtered(&self) -> bool {
        !self.api_query(Timestamp::UNIX_EPOCH).is_empty()
    }
}

/// The page's data.
#[derive(Debug, Default)]
pub(super) struct Activity {
    pub chosen: Chosen,
    pub now: Timestamp,
    pub list: ActivityList,
    pub usage: ActivityUsage,
    pub savings: TokenSavings,
    pub servers: Vec<String>,
}

pub(super) fn view(frame: &Frame, activity: &Activity) -> Markup {
    let chosen = &activity.chosen;
    let export = |format: &str| format!("/ui/activity/export?format={format}{}", chosen.api_query(activity.now));
    let actions = html! { a.button href=(export("csv")) download { "Export CSV" } a.button href=(export("jsonl")) download { "Export JSON" } };
    let contents = html! {
        (heading("Activity", "Calls of tools, decisions and changes on this computer. Arguments and results are not stored unless you turn that on.", &actions))
        (usage::view(&activity.usage, activity.chosen.window, &|window| chosen.link_to_window(window)))
        (savings(&activity.savings))
        (filters(activity))
        @if activity.list.activities.is_empty() {
            @if chosen.is_filtered() { (empty("Nothing matches", "Change the filters to see more.", &html! { a.button href="/ui/activity" { "Show everything" } })) }
            @else { (empty("No activity yet", "The calls of your AI clients appear here as they happen.", &html! { a.button.primary href="/ui/clients" { "Connect a client" } })) }
        } @else {
            p.quiet { (number(activity.list.total, "entry", "entries")) }
            div.table { table {
                thead { tr { th { "Time" } th { "What" } th { "Client" } th { "Result" } th.right { "Duration" } } }
                tbody { @for record in &activity.list.activities { (row(record)) } }
            } }
            (pager(chosen.offset, PAGE, activity.list.total, ["Newer", "Older"], &|offset| chosen.link(offset)))
        }
    };
    page(frame, "/ui/activity", "Activity", &contents)
}

fn filters(activity: &Activity) -> Markup {
    let chosen = &activity.chosen;
    let results = [
        ("", "Any result"),
        (ActivityStatus::Success.word(), "Succeeded"),
        (ActivityStatus::Error.word(), "Failed"),
        (ActivityStatus::Blocked.word(), "Blocked"),
    ];
    let times = [
        ("", "Any time"),
        (UsageWindow::Hour.word(), "Last hour"),
        (UsageWindow::Day.word(), "Last 24 hours"),
        (UsageWindow::Week.word(), "Last 7 days"),
        (UsageWindow::Month.word(), "Last 30 days"),
    ];
    let options = |name: &str, label: &str, given: &str, values: &[(&str, &str)]| {
        html! {
            label { span.hidden { (label) } select name=(name) data-submit {
                @for (value, word) in values { option value=(value) selected[*value == given] { (word) } }
            } }
        }
    };
    html! {
        form.search.filters method="get" action="/ui/activity" role="search" {
            label { span.hidden { "Text" } input type="search" name="q" value=(chosen.text) placeholder="Tool, server, client or error" data-shortcut="/"; }
            (options("kind", "Type", chosen.types.word(), &Types::ALL.map(|(types, name)| (types.word(), name))))
            (options("since", "Time", chosen.since.map_or("", UsageWindow::word), &times))
            (options("status", "Result", chosen.status.word(), &results))
            @if activity.servers.len() > MOST_OPTIONS {
                label { span.hidden { "Server" } input name="server" value=(chosen.server) placeholder="Server" autocomplete="off"; }
            } @else {
                label { span.hidden { "Server" } select name="server" data-submit {
                    option value="" { "All servers" }
                    @for server in &activity.servers { option value=(server) selected[*server == chosen.server] { (foreign(server)) } }
                } }
            }
            label.check { input type="checkbox" name="sensitive" value="1" checked[chosen.sensitive] data-submit; span { "Sensitive data" } }
            input type="hidden" name="window" value=(chosen.window.word());
            button type="submit" { "Filter" }
        }
    }
}

/// Maximum number of rows in the table of savings.
const MOST_DAYS: usize = 60;

/// Renders the tokens that the search saved, by day and client.
fn savings(savings: &TokenSavings) -> Markup {
    html! {
        section.panel aria-labelledby="savings" {
            h2 #savings { "Tokens saved" }
            p { "Today " strong { (grouped(savings.today.saved_tokens)) } ", this month " strong { (grouped(savings.this_month.saved_tokens)) } "." }
            @if !savings.days.is_empty() {
                details { summary { "By day and client" } div.table { table {
                    thead { tr { th { "Day (UTC)" } th { "Client" } th.right { "Sessions" } th.right { "All tools" } th.right { "Received" } th.right { "Saved" } } }
                    tbody { @for day in savings.days.iter().take(MOST_DAYS) { tr {
                        td.nowrap { (day.day) }
                        td { @if day.client.is_empty() { "Other clients" } @else { (foreign(&day.client)) } }
                        td.right { (day.sessions) } td.right { (tokens_of(day.all_tools_tokens)) } td.right { (tokens_of(day.received_tokens)) }
                        td.right { (grouped(day.saved_tokens)) }
                    } } }
                } }
                @if savings.days.len() > MOST_DAYS { p.quiet { "The newest " (MOST_DAYS) " of " (savings.days.len()) " rows." } } }
            }
            details { summary { "How this is calculated" }
                p { "A client of " code { "/mcp" } " receives a few tools that search. At " code { "/mcp/all" } " it would receive the definitions of all tools that it can see. "
                    "For each session, " em { "All tools" } " is the size of that list when the session first lists its tools; "
                    em { "Received" } " is its own list and all results of " code { "retrieve_tools" } " and " code { "describe_tool" } "; "
                    em { "Saved" } " is the difference, which can be negative." }
                p { "A session that receives the servers' tools directly, because there are few, saves nothing and is not counted. The same applies to clients without a session." }
                p { (tokens::ERROR) " The activity entries of a session show each number." }
            }
        }
    }
}

/// One record in a table with the columns time, what, client, result and duration.
pub(super) fn row(record: &ActivityRecord) -> Markup {
    html! {
        tr {
            td.nowrap { (time(&record.timestamp)) }
            td.name {
                a href={"/ui/activity/" (record.id)} { (what(record)) }
                @if record.has_sensitive_data { " " (badge("warn", "Sensitive data")) }
                @if let Some(error) = &record.error_message { p.quiet.clamp { (message(error)) } }
            }
            td { (foreign(&by(record))) }
            td { (outcome(record)) }
            td.right.nowrap { @if record.kind.is_call() { (record.duration_ms) " ms" } }
        }
    }
}

fn detail<'a>(record: &'a ActivityRecord, key: &str) -> &'a str {
    record.metadata.as_ref().and_then(|metadata| metadata.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the caller or actor.
fn by(record: &ActivityRecord) -> String {
    let client = record.client_name.as_deref().unwrap_or_default();
    match (client, detail(record, "by"), &record.source) {
        ("", "", ActivitySource::Api) => "MCPProxy".to_owned(),
        ("", by, _) => by.to_owned(),
        (client, ..) => client.to_owned(),
    }
}

/// Describes the event.
pub(super) fn what(record: &ActivityRecord) -> String {
    let (server, tool) = (foreign(&record.server_name), foreign(&record.tool_name));
    let action = detail(record, "action");
    match &record.kind {
        ActivityKind::ToolCall => format!("{server}:{tool}"),
        ActivityKind::InternalToolCall => tool,
        ActivityKind::QuarantineChange => format!("{server} {action}"),
        ActivityKind::ToolQuarantineChange => format!("Tools of {server} {action}"),
        ActivityKind::ConfigChange if server.is_empty() => "Settings changed".to_owned(),
        ActivityKind::ConfigChange => format!("{server} {action}"),
        ActivityKind::ServerChange => match ServerStatus::from(detail(record, "state")) {
            ServerStatus::Error => format!("{server} failed"),
            state => format!("{server} {state}"),
        },
        ActivityKind::ServerFix => format!("{server}: {tool}"),
        ActivityKind::SystemStart => "MCPProxy started".to_owned(),
        ActivityKind::SystemStop => "MCPProxy stopped".to_owned(),
        ActivityKind::Unknown(other) => other.replace('_', " "),
    }
}

fn outcome(record: &ActivityRecord) -> Markup {
    match record.status {
        ActivityStatus::Error => badge("bad", "Failed"),
        ActivityStatus::Blocked | ActivityStatus::Rejected => badge("warn", "Blocked"),
        ActivityStatus::Success | ActivityStatus::Unknown(_) if record.kind.is_call() => badge("good", "Succeeded"),
        ActivityStatus::Success | ActivityStatus::Unknown(_) => html! {},
    }
}

/// `config` is the configuration without secrets.
pub(super) fn details(frame: &Frame, record: &ActivityRecord, config: &Value) -> Markup {
    let change = SettingsChange::of(record);
    let undo = html! { @if let Some(change) = &change { (settings_undo::button(frame, change, config)) } };
    let contents = html! {
        p.crumbs { a href="/ui/activity" { "Activity" } }
        (heading(&what(record), "", &undo))
        p.state { (outcome(record)) " " (time(&record.timestamp)) }
        @if let Some(error) = &record.error_message { div.notice.bad { (message(error)) } }
        @if !record.detections.is_empty() {
            div.notice.warn { strong { "Sensitive data" } ul.plain { @for one in &record.detections {
                li { (one.rule) " in the " (one.place.word()) " (" (number(usize::try_from(one.count).unwrap_or(usize::MAX), "place", "places")) ")" }
            } } }
        }
        section.panel { dl.facts {
            (fact("Client", record.client_name.as_deref()))
            (fact("Session", record.session_id.as_deref()))
            (fact("Profile", record.profile.as_deref()))
            (fact("Declared as", record.intent.as_ref().map(CallIntent::word)))
            @if record.kind.is_call() { dt { "Duration" } dd { (record.duration_ms) " ms" } }
            @if let Some(bytes) = record.request_bytes { dt { "Arguments" } dd { (size(bytes)) } }
            @if let Some(bytes) = record.response_bytes { dt { "Result" } dd { (size(bytes)) } }
            @if let Some(tokens) = record.request_tokens { dt { "Tokens in" } dd { (tokens_of(tokens)) } }
            @if let Some(tokens) = record.response_tokens { dt { "Tokens out" } dd { (tokens_of(tokens)) } }
            @if let Some(tokens) = record.saved_tokens { dt { "Tokens saved" } dd { (grouped(tokens)) } }
            @if let Some(Value::Object(metadata)) = &record.metadata { @for (key, value) in metadata.iter().filter(|(key, _)| change.is_none() || *key != "settings") {
                dt { (foreign(key)) } dd { code { (foreign(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))) } }
            } }
            dt { "ID" } dd { code { (record.id) } }
        } }
        @if let Some(change) = &change { section.panel aria-labelledby="changed" { h2 #changed { "Changed settings" } (settings_undo::values(change)) } }
        @if record.kind.is_call() { (bodies(record)) }
    };
    page(frame, "/ui/activity", &what(record), &contents)
}

fn fact(name: &str, value: Option<&str>) -> Markup {
    html! { @if let Some(value) = value { dt { (name) } dd { (foreign(value)) } } }
}

fn bodies(record: &ActivityRecord) -> Markup {
    html! {
        @if record.arguments.is_none() && record.response.is_none() {
            p.quiet { "Arguments and result were not stored. " a href="/ui/privacy#bodies" { "Change what is stored" } }
        }
        @if let Some(arguments) = &record.arguments {
            h2 { "Arguments" } pre.code tabindex="0" aria-label="Arguments" { (foreign(&serde_json::to_string_pretty(arguments).unwrap_or_default())) }
        }
        @if let Some(response) = &record.response {
            h2 { "Result" @if record.response_truncated { small { " (the first part)" } } }
            pre.code tabindex="0" aria-label="Result" { (foreign(response)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::api::{DaySavings, ToolUsage};

    #[test]
    fn filters_reach_rest_and_survive_paging() {
        let chosen = Chosen::of(&Fields::parse("q=a%26b&status=error&kind=calls&sensitive=1&offset=50&window=x"));
        assert_eq!(
            chosen.api_query(Timestamp::UNIX_EPOCH),
            "&q=a%26b&status=error&type=tool_call%2Cinternal_tool_call&sensitive_data=true"
        );
        assert!(chosen.link(100).contains("q=a%26b&") && chosen.link(100).ends_with("offset=100"));
        assert_eq!(chosen.window, UsageWindow::Day);
        let changes = Chosen::of(&Fields::parse("kind=changes")).api_query(Timestamp::UNIX_EPOCH);
        let all =
            "quarantine_change,tool_quarantine_change,config_change,server_change,server_fix,system_start,system_stop";
        assert_eq!(changes, format!("&type={}", encoded(all)));
        assert!(!Chosen::of(&Fields::default()).is_filtered());
        let latest = Chosen::of(&Fields::parse("since=24h"));
        assert!(latest.is_filtered() && latest.link(30).contains("since=24h&"), "{}", latest.link(30));
        let now = "2026-01-02T10:02:07Z".parse().unwrap();
        assert_eq!(latest.api_query(now), format!("&start_time={}", encoded("2026-01-01T10:02:00Z")));
    }

    #[test]
    fn each_record_says_what_happened() {
        let record = |kind, metadata: Value| ActivityRecord {
            kind,
            server_name: "s".into(),
            tool_name: "t".into(),
            metadata: Some(metadata),
            ..ActivityRecord::default()
        };
        assert_eq!(what(&record(ActivityKind::ToolCall, json!({}))), "s:t");
        assert_eq!(what(&record(ActivityKind::ConfigChange, json!({"action": "added"}))), "s added");
        assert_eq!(by(&record(ActivityKind::ConfigChange, json!({"by": "tray"}))), "tray");
    }

    #[test]
    fn tokens_are_shown_for_calls_tools_and_days() {
        let record = ActivityRecord {
            kind: ActivityKind::InternalToolCall,
            request_tokens: Some(12),
            response_tokens: Some(3_456),
            saved_tokens: Some(-3_456),
            ..ActivityRecord::default()
        };
        let page = details(&Frame::default(), &record, &Value::Null).into_string();
        for part in ["<dt>Tokens in</dt><dd>12</dd>", "<dd>3,456</dd>", "<dd>−3,456</dd>"] {
            assert!(page.contains(part), "{part} in {page}");
        }
        let mut activity = Activity::default();
        activity.usage.tools = vec![ToolUsage {
            total_req_tokens: 1_001,
            total_resp_tokens: 2_002,
            ..ToolUsage::default()
        }];
        activity.savings.this_month.saved_tokens = 9_009;
        activity.savings.days = vec![DaySavings {
            day: "2026-03-01".into(),
            client: "<cursor>".into(),
            sessions: 2,
            all_tools_tokens: 10_010,
            received_tokens: 1_001,
            saved_tokens: 9_009,
        }];
        let page = view(&Frame::default(), &activity).into_string();
        let row = "<td class=\"nowrap\">2026-03-01</td><td>&lt;cursor&gt;</td><td class=\"right\">2</td>";
        for part in [
            row,
            "10,010",
            "9,009",
            ">1,001<",
            ">2,002<",
            "How this is calculated",
            "o200k",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn an_empty_log_and_an_empty_result_are_told_apart() {
        let mut activity = Activity::default();
        assert!(view(&Frame::default(), &activity).into_string().contains("No activity yet"));
        activity.chosen.status = "error".into();
        assert!(view(&Frame::default(), &activity).into_string().contains("Nothing matches"));
    }
}
