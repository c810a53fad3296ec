//! The page *Clients*: the AI clients of this computer, and MCPProxy's entry in their configurations.

use maud::{Markup, html};

use crate::contract::api::{AccessState, AiClient, ConnectPreview};
use crate::server::page::layout::{Frame, badge, button_for, encoded, foreign, heading, page, token};

/// The page's data.
#[derive(Debug, Default)]
pub(super) struct Clients {
    pub clients: Vec<AiClient>,
    /// URL for clients that are set up by hand.
    pub endpoint: String,
    pub has_profiles: bool,
}

/// The profile that a client is to be connected with.
#[derive(Debug, Default)]
pub(super) struct ChosenProfile {
    /// Empty for all servers.
    pub name: String,
    pub profiles: Vec<String>,
}

pub(super) fn list(frame: &Frame, shown: &Clients) -> Markup {
    let (found, missing): (Vec<&AiClient>, Vec<&AiClient>) = shown.clients.iter().partition(|client| client.exists);
    let contents = html! {
        (heading("Clients", "Connect an AI client once; it then finds the tools of all your servers.", &html! {}))
        @if found.is_empty() {
            div.empty { h2 { "No AI client found" } p { "Install one, or add the URL below to a client by hand." } }
        } @else {
            ul.cards { @for client in found { (card(frame, client, shown.has_profiles)) } }
        }
        section.panel aria-labelledby="hand" {
            h2 #hand { "Any other client" }
            p { "Add this URL as a server of type HTTP (streamable HTTP):" }
            p { code.large { (shown.endpoint) } }
            @if shown.has_profiles { p.quiet { "For a client that is to see the servers of a profile only, use the URL of the " a href="/ui/profiles" { "profile" } "." } }
        }
        @if !missing.is_empty() {
            p.quiet { "Also supported, but not found on this computer: " (missing.iter().map(|client| client.name.as_str()).collect::<Vec<_>>().join(", ")) "." }
        }
    };
    page(frame, "/ui/clients", "Clients", &contents)
}

fn card(frame: &Frame, client: &AiClient, has_profiles: bool) -> Markup {
    let base = format!("/ui/clients/{}", encoded(&client.id));
    let (kind, word) = match (client.connected, &client.access_state) {
        (true, _) => ("good", "Connected"),
        (_, AccessState::Malformed) => ("bad", "Its configuration has an error"),
        (_, AccessState::Denied) => ("bad", "Its configuration cannot be read"),
        (_, AccessState::NotChecked | AccessState::Accessible | AccessState::Absent | AccessState::Unknown(_)) => {
            ("off", "Not connected")
        }
    };
    html! {
        li.card {
            div.between { strong.name { (client.name) } (badge(kind, word)) }
            p.quiet { code.clip { (foreign(&client.config_path)) } }
            @if let Some(reason) = &client.reason { p { (foreign(reason)) } }
            div.actions {
                @if client.connected {
                    @if has_profiles { a.button href=(base) { "Choose profile" span.hidden { " of " (client.name) } } }
                    (button_for(frame, &format!("{base}/disconnect"), "Disconnect", "", &client.name, ""))
                    (button_for(frame, &format!("{base}/undo"), "Undo", "", &format!("the change in {}", client.name), &format!("Restore the configuration of {} as it was before MCPProxy changed it?", client.name)))
                } @else if client.supported {
                    a.button.primary href=(base) { "Connect" span.hidden { " " (client.name) } }
                }
            }
        }
    }
}

/// A preview of the entry that connecting a client would write.
pub(super) fn preview(frame: &Frame, client: &AiClient, preview: &ConnectPreview, chosen: &ChosenProfile) -> Markup {
    let contents = html! {
        p.crumbs { a href="/ui/clients" { "Clients" } }
        (heading(&format!("Connect {}", client.name), "One entry is added to the client's configuration. Everything else in the file stays as it is, and you can undo it.", &html! {}))
        @if !chosen.profiles.is_empty() { (profiles(chosen)) }
        section.panel {
            dl.facts { dt { "File" } dd { code { (foreign(&preview.config_path)) } } dt { "Entry" } dd { code { (foreign(&preview.server_key)) "." (foreign(&preview.server_name)) } } }
            pre.code tabindex="0" aria-label="Entry" { ins { (foreign(&preview.entry_text)) } }
            @if preview.contains_api_key { p { "The entry holds MCPProxy's API key (masked here), because clients need it." } }
        }
        @if let Some(refusal) = &preview.connect_refusal { div.notice.bad role="alert" { (foreign(refusal)) } }
        @else {
            form method="post" action={"/ui/clients/" (encoded(&client.id)) "/connect"} {
                (token(frame))
                input type="hidden" name="profile" value=(chosen.name);
                input type="hidden" name="precondition_token" value=(preview.precondition_token);
                @if preview.entry_exists {
                    label.check { input type="checkbox" name="force" value="1" required; span { "Replace the entry that has this name" } }
                }
                div.actions { button.primary type="submit" { "Connect" } a.button href="/ui/clients" { "Cancel" } }
            }
        }
    };
    page(frame, "/ui/clients", "Connect", &contents)
}

/// Renders the choice of a profile. The page shows the change with the chosen one.
fn profiles(chosen: &ChosenProfile) -> Markup {
    html! {
        form.search method="get" {
            label { span { "Servers that it sees " }
                select name="profile" data-submit {
                    option value="" { "All servers" }
                    @for name in &chosen.profiles { option value=(name) selected[*name == chosen.name] { "Profile " (foreign(name)) } }
                }
            }
            noscript { button type="submit" { "Choose" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_offers_the_action_that_fits() {
        let client = |connected| AiClient {
            id: "cursor".into(),
            name: "Cursor".into(),
            exists: true,
            supported: true,
            connected,
            ..AiClient::default()
        };
        let shown = |connected| {
            list(
                &Frame::default(),
                &Clients {
                    clients: vec![client(connected)],
                    endpoint: "http://x/mcp".into(),
                    has_profiles: false,
                },
            )
            .into_string()
        };
        assert!(shown(false).contains("href=\"/ui/clients/cursor\"") && !shown(false).contains("Disconnect"));
        assert!(shown(true).contains("/ui/clients/cursor/disconnect"));
    }

    #[test]
    fn a_client_is_connected_with_the_profile_that_the_page_shows() {
        let chosen = |name: &str, profiles: &[&str]| ChosenProfile {
            name: name.into(),
            profiles: profiles.iter().map(|name| (*name).to_owned()).collect(),
        };
        let shown = |chosen: &ChosenProfile| {
            preview(&Frame::default(), &AiClient::default(), &ConnectPreview::default(), chosen).into_string()
        };
        let text = shown(&chosen("work", &["home", "work"]));
        assert!(text.contains(r#"<option value="work" selected>Profile work"#), "{text}");
        assert!(text.contains(r#"<input type="hidden" name="profile" value="work">"#), "{text}");
        assert!(!shown(&chosen("", &[])).contains("<select"));
    }
}
