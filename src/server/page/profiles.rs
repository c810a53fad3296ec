//! The pages *Profiles* (named sets of servers) and *Secrets* (the names that server entries refer to).

use maud::{Markup, html};

use crate::contract::api::{Profile, Server};
use crate::server::page::layout::{Frame, badge, button_for, empty, encoded, foreign, heading, number, page, token};

pub(super) fn list(frame: &Frame, profiles: &[Profile], servers: &[Server], active: &str, base_url: &str) -> Markup {
    let contents = html! {
        p.crumbs { a href="/ui/settings" { "Settings" } }
        (heading("Profiles", "A profile limits an AI client to some of your servers. It has an endpoint of its own.", &html! {}))
        @if profiles.is_empty() { (empty("No profiles yet", "Every AI client sees the tools of all servers.", &html! {})) }
        ul.stack { @for profile in profiles {
            @let base = format!("/ui/profiles/{}", encoded(&profile.name));
            li.panel {
                div.between {
                    h2 { (foreign(&profile.name)) }
                    @if profile.name == active { (badge("good", "Default")) }
                }
                p { code { (base_url) "/p/" (foreign(&profile.name)) } " – " (number(usize::try_from(profile.tool_count).unwrap_or(usize::MAX), "tool", "tools")) }
                form method="post" action=(base) {
                    (token(frame))
                    (checkboxes(servers, &profile.servers, &profile.name))
                    button type="submit" { "Save" span.hidden { " " (profile.name) } }
                }
                div.actions {
                    @if profile.name == active { (button_for(frame, "/ui/no-default-profile", "No default", "", "", "")) }
                    @else { (button_for(frame, &format!("{base}/default"), "Make default", "", &profile.name, "")) }
                    (button_for(frame, &format!("{base}/remove"), "Remove", "danger", &profile.name, &format!("Remove the profile “{}”?", profile.name)))
                }
            }
        } }
        section.panel aria-labelledby="new" {
            h2 #new { "New profile" }
            form.fields method="post" action="/ui/profiles" {
                (token(frame))
                label { span { "Name" } input name="name" required autocomplete="off"; }
                (checkboxes(servers, &[], "the new profile"))
                button.primary type="submit" { "Create profile" }
            }
        }
    };
    page(frame, "/ui/settings", "Profiles", &contents)
}

/// Maximum number of check boxes. With more servers, the user enters names.
const MOST_BOXES: usize = 60;

fn checkboxes(servers: &[Server], chosen: &[String], profile: &str) -> Markup {
    if servers.len() > MOST_BOXES {
        return html! {
            label { span { "Servers" span.hidden { " of " (profile) } small { "one name per line" } }
                textarea name="servers" rows=(chosen.len().clamp(3, 10)) spellcheck="false" { (chosen.join("\n")) } }
        };
    }
    html! {
        fieldset {
            legend { "Servers" span.hidden { " of " (profile) } }
            @for server in servers {
                label.check { input type="checkbox" name="server" value=(server.name) checked[chosen.contains(&server.name)]; span { (foreign(&server.name)) } }
            }
            @if servers.is_empty() { p.quiet { "There are no servers yet." } }
        }
    }
}

/// Secrets by name, with the servers that refer to them.
pub(super) fn secrets(frame: &Frame, secrets: &[(String, Vec<String>)]) -> Markup {
    let contents = html! {
        p.crumbs { a href="/ui/settings" { "Settings" } }
        (heading("Secrets", "The secrets that your servers get from the keychain. Their values are never shown.", &html! {}))
        @if secrets.is_empty() {
            (empty("No secrets in use", "Write ${keyring:NAME} in a server's environment or headers instead of a password or key.", &html! {}))
        } @else {
            div.table { table {
                thead { tr { th { "Name" } th { "Used by" } } }
                tbody { @for (name, users) in secrets { tr {
                    td.name { code { (foreign(name)) } }
                    td { @for (index, user) in users.iter().enumerate() { @if index > 0 { ", " } a href={"/ui/servers/" (encoded(user))} { (foreign(user)) } } }
                } } }
            } }
        }
        p.quiet { "Store or replace one in a terminal: " code { "mcpproxy secrets set NAME" } }
    };
    page(frame, "/ui/settings", "Secrets", &contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_shows_its_servers_and_its_endpoint() {
        let profile = Profile {
            name: "work".into(),
            servers: vec!["a".into()],
            tool_count: 2,
        };
        let server = |name: &str| Server {
            name: name.into(),
            ..Server::default()
        };
        let text =
            list(&Frame::default(), &[profile], &[server("a"), server("b")], "work", "http://x/mcp").into_string();
        assert!(text.contains("http://x/mcp</code>") || text.contains("http://x/mcp/p/work"), "{text}");
        assert_eq!(text.matches(" checked").count(), 1);
        assert!(text.contains("Default"));
        let many: Vec<Server> = (0..1000).map(|number| server(&format!("s{number}"))).collect();
        let text = list(&Frame::default(), &[], &many, "", "http://x/mcp").into_string();
        assert!(text.contains("textarea") && text.len() < 20_000, "{}", text.len());
    }
}
