//! The page *Tools*: search like a model, and try one tool.

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::contract::api::{FoundTool, FoundTools, RankExplanation, SearchCounts, ServerTool};
use crate::server::page::form::Fields;
use crate::server::page::layout::{
    Frame, SUMMARY, badge, empty, encoded, foreign, heading, message, number, page, pager, start_of, token,
};
use crate::server::page::servers::tool_state;
use crate::server::rest::views;
use crate::upstream::snapshot::Snapshot;

/// Maximum number of tools on one page.
pub(super) const PAGE: usize = 30;

/// The page's data.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pub query: String,
    /// The result of a search.
    pub found: Option<FoundTools>,
    /// A page of all tools, without a search.
    pub page: Vec<ServerTool>,
    /// The number of all tools.
    pub total: usize,
    /// Only the tools of this server; empty for all.
    pub server: String,
    pub offset: usize,
    pub counts: SearchCounts,
}

/// Returns a page of the tools of these servers, and the number of all. Builds only the tools of the servers on the page,
/// because computing the fingerprints of 10,000 tools takes long.
pub(super) fn page_of(servers: &[Snapshot], offset: usize, size: usize) -> (Vec<ServerTool>, usize) {
    let mut total = 0;
    let mut page = Vec::new();
    for server in servers {
        let count = server.tool_count();
        let is_shown = total + count > offset && page.len() < size;
        if is_shown {
            let first = offset.saturating_sub(total);
            let room = size.saturating_sub(page.len());
            page.extend(views::server_tools(server).tools.into_iter().skip(first).take(room));
        }
        total += count;
    }
    (page, total)
}

pub(super) fn list(frame: &Frame, tools: &Tools) -> Markup {
    let lead = match &tools.found {
        Some(found) => number(found.results.len(), "result", "results"),
        None => number(tools.total, "tool", "tools"),
    };
    let contents = html! {
        @if !tools.server.is_empty() { p.crumbs { a href="/ui/tools" { "Tools" } " / " a href={"/ui/servers/" (encoded(&tools.server))} { (foreign(&tools.server)) } } }
        (heading("Tools", &lead, &html! {}))
        form.search method="get" action="/ui/tools" role="search" {
            label { span.hidden { "Search tools" } input type="search" name="q" value=(tools.query) placeholder="For example: list open issues" data-shortcut="/"; }
            button type="submit" { "Search" }
        }
        @match &tools.found {
            Some(found) => (results(found)),
            None => (all(tools)),
        }
        @if tools.counts.searches > 0 { p.quiet { (tools.counts.in_words()) "." } }
    };
    page(frame, "/ui/tools", "Tools", &contents)
}

fn results(found: &FoundTools) -> Markup {
    html! {
        p.quiet { "An AI client gets these tools for this search, best first. Each word that matches adds to a tool’s score." }
        @if found.results.is_empty() { (empty("No tool matches", "Try other words, or check in Servers whether the server is connected and its tools are approved.", &html! {})) }
        ol.stack { @for one in &found.results { (result(one)) } }
    }
}

fn result(one: &FoundTool) -> Markup {
    html! {
        li.panel {
            div.between {
                a.name href=(link(&one.tool)) { (foreign(&one.tool.server_name)) ":" (foreign(&one.tool.name)) }
                span.quiet { "score " (format!("{:.2}", one.score)) " · " code { (one.call_with.word()) } }
            }
            p.foreign.clamp { (foreign(&start_of(&one.tool.description, SUMMARY))) }
            @if let Some(why) = &one.explanation { (reasons(why)) }
        }
    }
}

/// Renders the reasons for a tool's rank.
fn reasons(why: &RankExplanation) -> Markup {
    let percent = |share: f32| format!("{:.0} %", 100.0 * share);
    html! {
        p.why { @for word in &why.words {
            span.chip {
                strong { (foreign(&word.word)) }
                @if word.matches.is_empty() { " no match" } @else { " +" (format!("{:.2}", word.adds)) " " (message(&word.matches)) }
            }
        } }
        p.quiet { (percent(why.share_of_query)) " of the search’s words are in the tool; " (percent(why.share_of_name)) " of the words in its name are in the search." }
    }
}

fn link(tool: &ServerTool) -> String {
    format!("/ui/tools/{}/{}", encoded(&tool.server_name), encoded(&tool.name))
}

fn all(tools: &Tools) -> Markup {
    if tools.page.is_empty() && tools.offset == 0 {
        return empty(
            "No tools yet",
            "Tools appear here once a server is connected.",
            &html! { a.button.primary href="/ui/servers" { "Servers" } },
        );
    }
    html! {
        div.table { table {
            thead { tr { th { "Tool" } th { "Server" } th { "State" } } }
            tbody { @for tool in &tools.page {
                @let (kind, word) = tool_state(tool);
                tr {
                    td.name { a href=(link(tool)) { (foreign(&tool.name)) } p.quiet.clamp { (foreign(&start_of(&tool.description, SUMMARY))) } }
                    td { a href={"/ui/servers/" (encoded(&tool.server_name))} { (foreign(&tool.server_name)) } }
                    td { (badge(kind, word)) }
                }
            } }
        } }
        (pager(tools.offset, PAGE, tools.total, ["Previous", "Next"], &|offset| {
            format!("/ui/tools?server={}&offset={offset}", encoded(&tools.server))
        }))
    }
}

/// One tool, and the result of trying it.
#[derive(Debug, Default)]
pub(super) struct Trial {
    pub tool: ServerTool,
    pub call_with: &'static str,
    /// The arguments entered by the user.
    pub entered: Map<String, Value>,
    pub outcome: Option<Outcome>,
}

/// The result of trying a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub is_error: bool,
    pub text: String,
    pub milliseconds: u128,
}

pub(super) fn details(frame: &Frame, trial: &Trial) -> Markup {
    let tool = &trial.tool;
    let (kind, word) = tool_state(tool);
    let is_available = kind == "good";
    let contents = html! {
        p.crumbs { a href="/ui/tools" { "Tools" } " / " a href={"/ui/servers/" (encoded(&tool.server_name))} { (foreign(&tool.server_name)) } }
        (heading(&foreign(&tool.name), "", &switch(frame, tool)))
        p.state { (badge(kind, word)) @if !trial.call_with.is_empty() { " AI clients call it with " code { (trial.call_with) } } }
        p.foreign { (foreign(&tool.description)) }
        section.panel aria-labelledby="try" {
            h2 #try { "Try it" }
            @if is_available {
                p.quiet { "This is a real call. It appears in Activity." }
                form.fields method="post" action={(link(tool)) "#result"} {
                    (token(frame))
                    (inputs(&tool.schema, &trial.entered))
                    button.primary type="submit" { "Call the tool" }
                }
            } @else { p.quiet { "A tool can be tried once it is approved and enabled." } }
            @if let Some(outcome) = &trial.outcome {
                h3 #result { @if outcome.is_error { "Error" } @else { "Result" } " " small { (outcome.milliseconds) " ms" } }
                pre.code.bad[outcome.is_error] tabindex="0" aria-label="Result" { (foreign(&outcome.text)) }
            }
        }
        details.panel { summary { "Schema" } pre.code tabindex="0" { (foreign(&serde_json::to_string_pretty(&tool.schema).unwrap_or_default())) } }
    };
    page(frame, "/ui/tools", &tool.name, &contents)
}

/// Renders the button that enables or disables a tool, and returns to its page.
fn switch(frame: &Frame, tool: &ServerTool) -> Markup {
    let (action, label) = if tool.disabled { ("enable", "Enable") } else { ("disable", "Disable") };
    html! {
        form.inline method="post" action={"/ui/servers/" (encoded(&tool.server_name)) "/tools/" (encoded(&tool.name)) "/" (action)} {
            (token(frame))
            input type="hidden" name="back" value="tool";
            button type="submit" { (label) span.hidden { " " (tool.name) } }
        }
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    required.into_iter().any(|one| one.as_str() == Some(name))
}

/// Returns the type of a property, if it has one.
fn kind(property: &Value) -> &str {
    match property.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or(""),
        _ => "",
    }
}

fn inputs(schema: &Value, entered: &Map<String, Value>) -> Markup {
    html! {
        @if properties(schema).next().is_none() { p.quiet { "It takes no arguments." } }
        @for (name, property) in properties(schema) { (input(name, property, is_required(schema, name), entered.get(name))) }
    }
}

fn input(name: &str, property: &Value, required: bool, entered: Option<&Value>) -> Markup {
    let field = format!("arg.{name}");
    let help = property.get("description").and_then(Value::as_str).unwrap_or_default();
    let given = entered.or_else(|| property.get("default"));
    let text = given.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default();
    let choices: Vec<&str> =
        property.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    html! {
        label {
            span { (foreign(name)) @if required { " *" } @if !help.is_empty() { small { (foreign(help)) } } }
            @if !choices.is_empty() {
                select name=(field) required[required] {
                    @if !required { option value="" { } }
                    @for choice in choices { option value=(choice) selected[choice == text] { (foreign(choice)) } }
                }
            } @else {
                @match kind(property) {
                    "boolean" => select name=(field) {
                        option value="" selected[text.is_empty()] { "Not given" }
                        option value="true" selected[text == "true"] { "Yes" }
                        option value="false" selected[text == "false"] { "No" }
                    },
                    "integer" => input type="number" step="1" name=(field) value=(text) required[required];,
                    "number" => input type="number" step="any" name=(field) value=(text) required[required];,
                    "object" | "array" => textarea.code name=(field) rows="3" placeholder="JSON" spellcheck="false" required[required] { (text) },
                    _ => textarea name=(field) rows="1" required[required] { (text) },
                }
            }
        }
    }
}

/// Parses the arguments in a form, using the tool's schema.
///
/// # Errors
/// A message about the first invalid field.
pub(super) fn arguments(schema: &Value, fields: &Fields) -> Result<Map<String, Value>, String> {
    let mut arguments = Map::new();
    for (name, property) in properties(schema) {
        let text = fields.text(&format!("arg.{name}"));
        if text.is_empty() {
            if is_required(schema, name) && kind(property) == "string" {
                arguments.insert(name.clone(), Value::String(String::new()));
            }
            continue;
        }
        let value = match kind(property) {
            "string" => Value::String(text.to_owned()),
            "boolean" => Value::Bool(text == "true"),
            "integer" | "number" | "object" | "array" => {
                serde_json::from_str(text).map_err(|error| format!("`{name}` is not valid: {error}"))?
            }
            _ => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        };
        arguments.insert(name.clone(), value);
    }
    Ok(arguments)
}

/// Returns the readable text of a result.
pub(super) fn text_of(result: &Value) -> String {
    let blocks = result.get("content").and_then(Value::as_array);
    let texts: Option<Vec<&str>> = blocks
        .map(|blocks| blocks.iter().map(|block| block.get("text").and_then(Value::as_str)).collect::<Option<_>>())
        .unwrap_or_default();
    match texts {
        Some(texts) => texts.join("\n"),
        None => serde_json::to_string_pretty(result).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::api::WordExplanation;

    #[test]
    fn a_form_becomes_arguments_of_the_right_types() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "string"}, "n": {"type": "integer"}, "b": {"type": "boolean"},
            "o": {"type": ["object", "null"]}, "free": {}}});
        let fields = Fields::parse("arg.a=7&arg.n=3&arg.b=false&arg.o=%7B%22x%22%3A1%7D&arg.free=word&arg.unknown=1");
        let expected = json!({"a": "7", "n": 3, "b": false, "o": {"x": 1}, "free": "word"});
        assert_eq!(Value::Object(arguments(&schema, &fields).unwrap()), expected);
        assert!(arguments(&schema, &Fields::parse("arg.n=x")).unwrap_err().contains("`n`"));
        assert_eq!(Value::Object(arguments(&schema, &Fields::parse("arg.n=")).unwrap()), json!({"a": ""}));
    }

    #[test]
    fn a_result_is_its_text_or_all_of_it() {
        assert_eq!(
            text_of(&json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})),
            "a\nb"
        );
        assert!(text_of(&json!({"content": [{"type": "image", "data": "x"}]})).contains("image"));
    }

    #[test]
    fn a_search_shows_why_each_tool_has_its_rank_and_how_many_searches_led_to_a_call() {
        let word = |word: &str, matches: &str| WordExplanation {
            word: word.into(),
            adds: 2.5,
            matches: matches.into(),
        };
        let why = RankExplanation {
            words: vec![word("erase", "synonym `delet`"), word("now", "")],
            share_of_name: 0.5,
            share_of_query: 0.75,
        };
        let found = FoundTools {
            results: vec![FoundTool {
                explanation: Some(why),
                ..FoundTool::default()
            }],
            ..FoundTools::default()
        };
        let counts = SearchCounts {
            searches: 9,
            led_to_call: 7,
            called_best: 4,
            called_first_five: 6,
            ..SearchCounts::default()
        };
        let tools = Tools {
            found: Some(found),
            counts,
            ..Tools::default()
        };
        let text = list(&Frame::default(), &tools).into_string();
        for said in [
            "+2.50 ",
            "synonym <code>delet</code>",
            "no match",
            "75 % of the search’s words are in the tool; 50 % of the words in its name are in the search.",
            "started: 9; 7 led to a call (4 to the best tool, 6 to one of the best five)",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }

    #[test]
    fn every_kind_of_argument_has_an_input() {
        let schema =
            json!({"properties": {"e": {"enum": ["x", "y"]}, "b": {"type": "boolean"}, "n": {"type": "number"}}});
        let tool = ServerTool {
            schema,
            approval_status: "approved".into(),
            ..ServerTool::default()
        };
        let text = details(
            &Frame::default(),
            &Trial {
                tool,
                ..Trial::default()
            },
        )
        .into_string();
        assert!(text.contains("<option value=\"y\">") && text.contains("type=\"number\""), "{text}");
    }
}
