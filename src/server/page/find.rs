//! Finding servers in registries, and adding one with a form made from its record.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::contract::registry::{
    InputKind, RegistryInput, RegistryList, RegistryOption, RegistryServer, RegistryServers,
};
use crate::contract::words::RegistryStatus;
use crate::server::page::form::Fields;
use crate::server::page::layout::{Frame, badge, encoded, foreign, heading, page, token};

/// A search and its result.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub words: String,
    pub registries: RegistryList,
    /// `None` before a search.
    pub found: Option<Result<RegistryServers, String>>,
}

/// Renders the field for a search; nothing is contacted before it is used.
pub(super) fn search_form(words: &str) -> Markup {
    html! {
        form.search role="search" method="get" action="/ui/find" {
            label { span.hidden { "Find a server" } input type="search" name="q" value=(words) required placeholder="For example: airtable" autocomplete="off"; }
            button type="submit" { "Search registries" }
        }
    }
}

pub(super) fn view(frame: &Frame, search: &Search) -> Markup {
    let contents = html! {
        p.crumbs { a href="/ui/servers" { "Servers" } }
        (heading("Find a server", "Anyone can publish in a registry. A server does not run until you have reviewed it.", &html! {}))
        (search_form(&search.words))
        @match &search.found {
            None => { p.quiet { "Your words are sent to " (registries(&search.registries)) "." } }
            Some(Err(error)) => { div.notice.bad role="alert" { (foreign(error)) } }
            Some(Ok(found)) => { div data-still { (results(found)) } }
        }
    };
    page(frame, "/ui/servers", "Find a server", &contents)
}

fn registries(list: &RegistryList) -> String {
    let names = list.registries.iter().filter(|registry| registry.unsupported.is_none());
    let names: Vec<String> =
        names.map(|registry| format!("{} ({})", foreign(&registry.name), foreign(&registry.url))).collect();
    if names.is_empty() {
        "no registry, because none is configured".to_owned()
    } else {
        names.join(", ")
    }
}

fn results(found: &RegistryServers) -> Markup {
    html! {
        @if let Some(unavailable) = &found.unavailable { div.notice role="status" { (foreign(&unavailable.reason)) } }
        @if let Some(cache) = &found.cache { p.quiet { "From the cache, received " (foreign(&cache.fetched_at)) "." } }
        @if found.servers.is_empty() {
            p.quiet { "No servers found. Registries compare words with names first: try one word." }
        } @else {
            div.table { table {
                thead { tr { th { "Server" } th.wide { "Runs" } th { span.hidden { "Actions" } } } }
                tbody { @for server in &found.servers { (result_row(server)) } }
            } }
        }
    }
}

fn result_row(server: &RegistryServer) -> Markup {
    let usable = server.options.iter().find(|option| option.is_usable());
    let path = format!("/ui/find/{}/{}", encoded(&server.registry), encoded(&server.name));
    html! {
        tr {
            td.name {
                a href=(path) { (server.name) }
                @if server.status == RegistryStatus::Deprecated { " " (badge("warn", "Deprecated")) }
                p.quiet.clamp { (foreign(&server.description)) }
            }
            td.wide {
                @match usable {
                    Some(option) => { code.clip { (foreign(option.runs.as_deref().unwrap_or_default())) } }
                    None => { span.quiet { "Not supported" } }
                }
            }
            td.right { @if usable.is_some() { a.button href=(path) { "Add…" span.hidden { " " (server.name) } } } }
        }
    }
}

/// The user's input, to show it again with an error. Secrets are not shown again.
#[derive(Debug, Default)]
pub(super) struct Entered {
    pub option: String,
    pub name: String,
    pub values: BTreeMap<String, String>,
    pub error: Option<String>,
}

pub(super) fn details(frame: &Frame, server: &RegistryServer, entered: &Entered) -> Markup {
    let title = if server.title.is_empty() { &server.name } else { &server.title };
    let contents = html! {
        p.crumbs { a href="/ui/servers" { "Servers" } " / " a href="/ui/find" { "Find a server" } }
        (heading(&foreign(title), "It does not run until you have reviewed it.", &html! {}))
        @if let Some(error) = &entered.error { div.notice.bad role="alert" { (foreign(error)) } }
        p { (foreign(&server.description)) }
        dl.facts {
            dt { "Name" } dd { code { (server.name) } }
            @if !server.version.is_empty() { dt { "Version" } dd { (foreign(&server.version)) } }
            dt { "Registry" } dd { (foreign(&server.registry)) }
            @if let Some(url) = &server.source_code_url { dt { "Source" } dd { a href=(url) rel="noreferrer noopener" target="_blank" { (foreign(url)) } } }
            @if server.status == RegistryStatus::Deprecated { dt { "Status" } dd { (badge("warn", "Deprecated")) } }
        }
        @for option in &server.options { (option_form(frame, server, option, entered)) }
    };
    page(frame, "/ui/servers", &server.name, &contents)
}

fn option_form(frame: &Frame, server: &RegistryServer, option: &RegistryOption, entered: &Entered) -> Markup {
    let id = format!("option-{}", option.id);
    let again = entered.option == option.id;
    let path = format!("/ui/find/{}/{}", encoded(&server.registry), encoded(&server.name));
    html! {
        section.panel aria-labelledby=(id) {
            h2 id=(id) { (foreign(&option.id)) }
            @if let Some(reason) = &option.unsupported {
                p.quiet { "Not supported: " (foreign(reason)) }
            } @else {
                p { code { (foreign(option.runs.as_deref().unwrap_or_default())) } }
                form.fields method="post" action=(path) {
                    (token(frame))
                    input type="hidden" name="option" value=(option.id);
                    label { span { "Name" small { "taken from the registry if empty" } } input name="name" value=(if again { entered.name.as_str() } else { "" }) pattern="[A-Za-z0-9_\\-]{1,64}" autocomplete="off" title="Letters, digits, - and _"; }
                    @for input in &option.inputs { (field(input, if again { Some(entered) } else { None })) }
                    @if option.inputs.iter().any(|input| input.secret) {
                        label.check { input type="checkbox" name="keep_secrets_in_file" value="1"; span { "Keep secrets in the configuration file, not in the keychain" } }
                    }
                    button.primary type="submit" { "Add and review" }
                }
            }
        }
    }
}

/// The name of an input's field.
fn field_name(input: &RegistryInput) -> String {
    let kind = match input.kind {
        InputKind::Env => "env",
        InputKind::Header => "headers",
        InputKind::Arg => "args",
    };
    format!("{kind}.{}", input.name)
}

fn field(input: &RegistryInput, entered: Option<&Entered>) -> Markup {
    let name = field_name(input);
    let given = entered.and_then(|entered| entered.values.get(&name)).map(String::as_str);
    let value = given.or(input.default.as_deref().filter(|_| input.required)).unwrap_or_default();
    html! {
        label {
            span { (input.name) @if !input.required { " (optional)" } @if !input.description.is_empty() { small { (foreign(&input.description)) } } }
            @if input.secret {
                input type="password" name=(name) required[input.required] autocomplete="off";
            } @else if !input.choices.is_empty() {
                select name=(name) required[input.required] {
                    @if !input.required || value.is_empty() { option value="" { "" } }
                    @for choice in &input.choices { option value=(choice) selected[choice.as_str() == value] { (foreign(choice)) } }
                }
            } @else if input.repeated {
                textarea name=(name) rows="3" required[input.required] placeholder="One per line" { (value) }
            } @else {
                input name=(name) value=(value) required[input.required] placeholder=(foreign(&input.placeholder)) autocomplete="off";
            }
        }
    }
}

/// Returns the body of the request that adds a server.
pub(super) fn wanted(fields: &Fields) -> Value {
    let map = |prefix: &str| {
        let given = fields.starting(prefix).filter(|(_, value)| !value.trim().is_empty());
        given.map(|(name, value)| (name.to_owned(), Value::from(value.trim()))).collect::<serde_json::Map<_, _>>()
    };
    let some = |key: &str| Some(fields.text(key)).filter(|text| !text.is_empty());
    json!({"name": some("name"), "option": some("option"), "env": map("env."), "headers": map("headers."),
        "args": map("args."), "keep_secrets_in_file": fields.has("keep_secrets_in_file")})
}

/// Returns the user's input, without secrets.
pub(super) fn entered(server: &RegistryServer, fields: &Fields, error: String) -> Entered {
    let inputs = server.options.iter().filter(|option| option.id == fields.text("option")).flat_map(|one| &one.inputs);
    let values = inputs.filter(|input| !input.secret).map(|input| {
        let name = field_name(input);
        let value = fields.text(&name).to_owned();
        (name, value)
    });
    Entered {
        option: fields.text("option").to_owned(),
        name: fields.text("name").to_owned(),
        values: values.collect(),
        error: Some(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> RegistryServer {
        let input = |kind, name: &str, secret| RegistryInput {
            kind,
            name: name.to_owned(),
            description: "<b>why</b>".to_owned(),
            required: true,
            secret,
            ..RegistryInput::default()
        };
        RegistryServer {
            name: "a.b/c".into(),
            description: "<script>alert(1)</script>".into(),
            registry: "official".into(),
            source_code_url: Some("https://h/\"onclick=".into()),
            options: vec![
                RegistryOption {
                    id: "npm".into(),
                    runs: Some("npx -y c".into()),
                    unsupported: None,
                    inputs: vec![input(InputKind::Env, "KEY", true), input(InputKind::Arg, "dir", false)],
                },
                RegistryOption {
                    id: "mcpb".into(),
                    unsupported: Some("a bundle".into()),
                    ..RegistryOption::default()
                },
            ],
            ..RegistryServer::default()
        }
    }

    #[test]
    fn a_record_becomes_a_form_and_its_text_stays_text() {
        let text = details(&Frame::default(), &server(), &Entered::default()).into_string();
        assert!(!text.contains("<script>alert") && !text.contains("<b>why") && !text.contains("\"onclick"), "{text}");
        assert!(text.contains(r#"<input type="password" name="env.KEY" required"#), "{text}");
        assert!(
            text.contains(r#"action="/ui/find/official/a%2Eb%2Fc""#)
                || text.contains(r#"action="/ui/find/official/a.b%2Fc""#),
            "{text}"
        );
        assert!(text.contains("Not supported: a bundle"));
        let found = RegistryServers {
            servers: vec![server()],
            ..RegistryServers::default()
        };
        let search = Search {
            found: Some(Ok(found)),
            ..Search::default()
        };
        assert!(!view(&Frame::default(), &search).into_string().contains("<script>alert"));
    }

    #[test]
    fn a_form_becomes_a_request_and_is_shown_again_without_its_secrets() {
        let fields = Fields::parse("option=npm&name=x&env.KEY=s3cret&args.dir=%2Fa%0D%0A%2Fb&args.none=");
        let wanted = wanted(&fields);
        assert_eq!(wanted["env"], json!({"KEY": "s3cret"}));
        assert_eq!(wanted["args"], json!({"dir": "/a\r\n/b"}));
        assert_eq!((wanted["option"].as_str(), wanted["keep_secrets_in_file"].as_bool()), (Some("npm"), Some(false)));
        let again = entered(&server(), &fields, "no".into());
        let text = details(&Frame::default(), &server(), &again).into_string();
        assert!(!text.contains("s3cret") && text.contains("/a"), "{text}");
    }
}
