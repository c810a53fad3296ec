//! Adding servers: by command, by URL, from another program's configuration, or from pasted text.

use maud::{Markup, html};

use crate::contract::api::{ImportPath, ImportResult};
use crate::server::page::find::search_form;
use crate::server::page::layout::{Frame, badge, foreign, heading, number, page, token};

/// The user's input, to show it again with an error.
#[derive(Debug, Default, Clone)]
pub(super) struct Entered {
    pub name: String,
    pub command: String,
    pub url: String,
    pub error: Option<String>,
    pub pasted: String,
}

pub(super) fn view(frame: &Frame, paths: &[ImportPath], entered: &Entered) -> Markup {
    let contents = html! {
        p.crumbs { a href="/ui/servers" { "Servers" } }
        (heading("Add a server", "It does not run until you have reviewed it.", &html! {}))
        @if let Some(error) = &entered.error { div.notice.bad role="alert" { (error) } }
        section aria-labelledby="find" {
            h2 #find { "Find a server" }
            (search_form(""))
        }
        div.columns {
            section.panel aria-labelledby="local" {
                h2 #local { "On this computer" }
                form.fields method="post" action="/ui/add/local" {
                    (token(frame))
                    label { span { "Name" } input name="name" value=(entered.name) required pattern="[A-Za-z0-9_.\\-]{1,64}" autocomplete="off" placeholder="Letters, digits, - and _" title="Letters, digits, - and _"; }
                    label { span { "Command" } input name="command" value=(entered.command) required placeholder="npx -y @modelcontextprotocol/server-everything" autocomplete="off"; }
                    label { span { "Environment variables" small { "NAME=VALUE, one per line" } } textarea name="env" rows="3" {} }
                    button.primary type="submit" { "Add and review" }
                }
            }
            section.panel aria-labelledby="remote" {
                h2 #remote { "On the web" }
                form.fields method="post" action="/ui/add/remote" {
                    (token(frame))
                    label { span { "Name" } input name="name" value=(entered.name) required pattern="[A-Za-z0-9_.\\-]{1,64}" autocomplete="off" placeholder="Letters, digits, - and _" title="Letters, digits, - and _"; }
                    label { span { "URL" } input type="url" name="url" value=(entered.url) required placeholder="https://example.com/mcp" autocomplete="off"; }
                    label { span { "Headers" small { "Name: value, one per line" } } textarea name="headers" rows="3" {} }
                    button.primary type="submit" { "Add and review" }
                }
                p.quiet { "If the server asks you to sign in, MCPProxy offers that after the review." }
            }
        }
        section aria-labelledby="import" {
            h2 #import { "Import from an AI client" }
            (sources(frame, paths))
        }
        section.panel aria-labelledby="paste" {
            h2 #paste { "Paste a configuration" }
            form.fields method="post" action="/ui/import/text" {
                (token(frame))
                label { span { "JSON, TOML or YAML" small { "in the layout of any AI client" } } textarea.code name="content" rows="6" required spellcheck="false" { (entered.pasted) } }
                button type="submit" { "Show what would be imported" }
            }
        }
    };
    page(frame, "/ui/servers", "Add a server", &contents)
}

fn sources(frame: &Frame, paths: &[ImportPath]) -> Markup {
    let found: Vec<&ImportPath> = paths.iter().filter(|path| path.exists).collect();
    html! {
        @if found.is_empty() {
            p.quiet { "No configuration of an AI client was found. MCPProxy looks for " (number(paths.len(), "client", "clients")) "." }
        } @else {
            ul.cards { @for path in found {
                li.card {
                    div.between { strong { (path.name) } }
                    p.quiet { code.clip { (foreign(&path.path)) } }
                    div.actions {
                        form.inline method="post" action="/ui/import/path" {
                            (token(frame))
                            input type="hidden" name="path" value=(path.path);
                            input type="hidden" name="format" value=(path.format);
                            button type="submit" { "Show servers" span.hidden { " of " (path.name) } }
                        }
                    }
                }
            } }
        }
    }
}

/// The source of the servers in a preview.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Path { path: String, format: String },
    Text { content: String },
}

/// A preview of an import, with a checkbox per server.
pub(super) fn preview(frame: &Frame, result: &ImportResult, source: &Source) -> Markup {
    let contents = html! {
        p.crumbs { a href="/ui/add" { "Add a server" } }
        (heading(&format!("Import from {}", result.format_name), &number(result.imported.len(), "server can be imported", "servers can be imported"), &html! {}))
        @if result.imported.is_empty() {
            p.quiet { "There is nothing new to import." }
        } @else {
            form method="post" action={"/ui/import/" (match source { Source::Path { .. } => "path", Source::Text { .. } => "text" })} {
                (token(frame))
                input type="hidden" name="go" value="1";
                @match source {
                    Source::Path { path, format } => {
                        input type="hidden" name="path" value=(path);
                        input type="hidden" name="format" value=(format);
                    }
                    Source::Text { content } => { textarea.hidden name="content" aria-label="Configuration" tabindex="-1" { (content) } }
                }
                div.table { table {
                    thead { tr { th { span.hidden { "Import" } } th { "Server" } th { "Runs" } } }
                    tbody { @for (index, server) in result.imported.iter().enumerate() {
                        @let id = format!("server{index}");
                        tr {
                            td { input type="checkbox" id=(id) name="server" value=(server.original_name) checked; }
                            td.name { label for=(id) { (foreign(&server.name)) } @for warning in &server.warnings { p.quiet { (foreign(warning)) } } }
                            td { code { (foreign(&server.url.clone().unwrap_or_else(|| command(server.command.as_deref(), &server.args)))) } }
                        }
                    } }
                } }
                div.actions { button.primary type="submit" { "Import and review" } a.button href="/ui/add" { "Cancel" } }
            }
        }
        @if !result.skipped.is_empty() {
            h2 { "Not needed" }
            ul.plain { @for one in &result.skipped { li { strong { (foreign(&one.name)) } " – " (foreign(&one.reason)) } } }
        }
        @if !result.failed.is_empty() {
            h2 { "Cannot be imported" }
            ul.plain { @for one in &result.failed { li { strong { (foreign(&one.name)) } " " (badge("bad", "Error")) " " (foreign(&one.error)) } } }
        }
        @for warning in &result.warnings { p.quiet { (foreign(warning)) } }
    };
    page(frame, "/ui/servers", "Import", &contents)
}

fn command(command: Option<&str>, args: &[String]) -> String {
    command.into_iter().chain(args.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::api::ImportedServer;

    #[test]
    fn an_import_is_shown_before_it_happens() {
        let result = ImportResult {
            format_name: "Cursor".into(),
            imported: vec![ImportedServer {
                name: "files".into(),
                original_name: "files".into(),
                command: Some("npx".into()),
                args: vec!["<x>".into()],
                ..ImportedServer::default()
            }],
            ..ImportResult::default()
        };
        let source = Source::Path {
            path: "/c.json".into(),
            format: "cursor".into(),
        };
        let text = preview(&Frame::default(), &result, &source).into_string();
        assert!(text.contains("npx &lt;x&gt;") && text.contains("1 server can be imported"), "{text}");
    }
}
