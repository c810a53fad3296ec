//! Lists the prompts, resources and templates of several servers, and finds the server that owns one.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use rmcp::model::{Prompt, Resource, ResourceTemplate};
use rmcp::service::{Peer, RoleClient};
use serde_json::json;

use crate::contract::failure::{Failure, FailureKind};
use crate::contract::names;
use crate::gateway::direct_mode::qualified_name::may_be_of;
use crate::gateway::direct_mode::scope::Scope;
use crate::gateway::failures::invalid;
use crate::gateway::tool_calls::Proxy;
use crate::upstream::list::list_resources;
use crate::upstream::offers;
use crate::upstream::offers::{Offer, OfferKind};
use crate::upstream::pool::UpstreamPool;
use crate::upstream::snapshot::Snapshot;

/// Timeout for one server. A slower server is omitted from the list.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// Lists from each of these servers. Servers that fail are omitted.
async fn ask_each<'a, T, F>(
    pool: &UpstreamPool,
    servers: impl Iterator<Item = &'a Snapshot>,
    ask: impl Fn(Peer<RoleClient>, String) -> F,
) -> Vec<(String, Vec<T>)>
where
    F: Future<Output = Result<Vec<T>, String>>,
{
    let one = |server: &Snapshot| {
        let (name, peer) = (server.config.name.clone(), pool.peer(&server.config.name));
        let peer = peer.ok().filter(|_| !is_held_whole(pool, server));
        let answer = peer.map(|peer| ask(peer, name.clone()));
        async move {
            let listed = tokio::time::timeout(LIST_LIMIT, answer?).await;
            match listed {
                Ok(Ok(listed)) => Some((name, listed)),
                Ok(Err(error)) => {
                    tracing::debug!(server = name, "omitted from a list: {error}");
                    None
                }
                Err(_) => {
                    tracing::warn!(server = name, "omitted from a list: no response within {} s", LIST_LIMIT.as_secs());
                    None
                }
            }
        }
    };
    join_all(servers.map(one)).await.into_iter().flatten().collect()
}

/// Whether nothing of a server is shown: it is not known what the user approved of it, and its tools need approval.
fn is_held_whole(pool: &UpstreamPool, server: &Snapshot) -> bool {
    !server.pending_tools().is_empty() && pool.approvals().holds_all(&server.config.name)
}

/// Returns the approved prompts of each server.
pub async fn prompts(proxy: &Proxy, scope: &Scope) -> Vec<(String, Vec<Prompt>)> {
    let shown = scope.servers().iter().filter(|server| server.config.expose_prompts != Some(false));
    let ask = |peer: Peer<RoleClient>, server: String| async move { offers::prompts(&peer, &server).await };
    let lists = ask_each(proxy.upstreams(), shown, ask).await;
    approved(proxy, OfferKind::Prompt, lists, Offer::prompt).await
}

/// Removes offers that the user has not approved.
async fn approved<T: Send + 'static>(
    proxy: &Proxy,
    kind: OfferKind,
    lists: Vec<(String, Vec<T>)>,
    offer: impl Fn(&T) -> Offer,
) -> Vec<(String, Vec<T>)> {
    let offers: Vec<(String, Vec<Offer>)> =
        lists.iter().map(|(server, list)| (server.clone(), list.iter().map(&offer).collect())).collect();
    let approvals = proxy.offers().clone();
    // The first list of a server is saved to disk, which must not block the async runtime.
    let checked = tokio::task::spawn_blocking(move || {
        let check = |(server, offers): &(String, Vec<Offer>)| {
            let approved = approvals.check(server, kind, offers);
            for (offer, _) in offers.iter().zip(&approved).filter(|(_, approved)| !**approved) {
                tracing::warn!(
                    server,
                    offer = offer.key(),
                    "hidden, because it is new or has changed since the approval"
                );
            }
            approved
        };
        offers.iter().map(check).collect::<Vec<_>>()
    });
    let checked = checked.await.unwrap_or_default();
    let keep = |((server, list), approved): ((String, Vec<T>), Vec<bool>)| {
        let kept = list.into_iter().zip(approved).filter(|(_, approved)| *approved).map(|(item, _)| item);
        (server, kept.collect())
    };
    lists.into_iter().zip(checked).map(keep).collect()
}

async fn resources_of_each(proxy: &Proxy, scope: &Scope) -> Vec<(String, Vec<Resource>)> {
    let ask = |peer: Peer<RoleClient>, server: String| async move {
        match has_resources(&peer) {
            true => list_resources(&peer, &server).await,
            false => Ok(Vec::new()),
        }
    };
    ask_each(proxy.upstreams(), scope.servers().iter(), ask).await
}

async fn templates_of_each(proxy: &Proxy, scope: &Scope) -> Vec<(String, Vec<ResourceTemplate>)> {
    let ask = |peer: Peer<RoleClient>, server: String| async move { offers::templates(&peer, &server).await };
    let lists = ask_each(proxy.upstreams(), scope.servers().iter(), ask).await;
    approved(proxy, OfferKind::Template, lists, Offer::template).await
}

/// Returns the resources of all servers, each URI once.
pub async fn resources(proxy: &Proxy, scope: &Scope) -> Vec<Resource> {
    unique(
        resources_of_each(proxy, scope).await,
        |resource| resource.uri.clone(),
        |resource, note| {
            resource.description = Some(note);
        },
    )
}

/// Returns the resource templates of all servers, each URI template once.
pub async fn templates(proxy: &Proxy, scope: &Scope) -> Vec<ResourceTemplate> {
    unique(
        templates_of_each(proxy, scope).await,
        |template| template.uri_template.clone(),
        |template, note| {
            template.description = Some(note);
        },
    )
}

/// Keeps the first of several entries with the same key. Adds a note about the endpoints where each can be read.
fn unique<T>(lists: Vec<(String, Vec<T>)>, key: impl Fn(&T) -> String, describe: impl Fn(&mut T, String)) -> Vec<T> {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (server, list) in &lists {
        for item in list {
            let servers = owners.entry(key(item)).or_default();
            if !servers.contains(server) {
                servers.push(server.clone());
            }
        }
    }
    let mut unique = Vec::new();
    for mut item in lists.into_iter().flat_map(|(_, list)| list) {
        if let Some(servers) = owners.remove(&key(&item)) {
            if servers.len() > 1 {
                describe(&mut item, ambiguous(&servers));
            }
            unique.push(item);
        }
    }
    unique
}

fn ambiguous(servers: &[String]) -> String {
    let endpoints: Vec<String> = servers.iter().map(|server| format!("`{}/{server}`", names::MCP_ALL_PATH)).collect();
    format!("Several servers offer this URI: use the endpoint of one server, {}.", endpoints.join(" or "))
}

/// Returns the server that owns a URI. Other servers must not see the URI, because it may contain private data.
///
/// # Errors
/// No server owns it, or several do.
pub async fn owner(proxy: &Proxy, scope: &Scope, uri: &str) -> Result<String, Failure> {
    if let [only] = scope.servers()
        && !scope.is_qualified()
        && !is_held_whole(proxy.upstreams(), only)
    {
        return Ok(only.config.name.clone());
    }
    let (resources, templates) = tokio::join!(resources_of_each(proxy, scope), templates_of_each(proxy, scope));
    let resources = resources.iter().map(|(server, list)| (server, list.iter().any(|resource| resource.uri == uri)));
    let templates = templates.iter().map(|(server, list)| {
        let fits = |template: &ResourceTemplate| template.uri_template == uri || may_be_of(&template.uri_template, uri);
        (server, list.iter().any(fits))
    });
    only_owner(resources, templates, uri)
}

/// Finds the only owner. A listed resource takes precedence over a template.
fn only_owner<'a>(
    resources: impl Iterator<Item = (&'a String, bool)>,
    templates: impl Iterator<Item = (&'a String, bool)>,
    uri: &str,
) -> Result<String, Failure> {
    let owners = |list: &mut dyn Iterator<Item = (&'a String, bool)>| -> Vec<String> {
        list.filter(|(_, owns)| *owns).map(|(server, _)| server.clone()).collect()
    };
    let mut found = owners(&mut { resources });
    if found.is_empty() {
        found = owners(&mut { templates });
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            let text = format!(
                "no connected server has the resource `{uri}`; the endpoint `{}/SERVER` passes any URI to that server",
                names::MCP_ALL_PATH
            );
            Err(Failure::new(FailureKind::NoResource, text).with(json!({"uri": uri})))
        }
        several => Err(invalid(format!("the resource `{uri}` is ambiguous. {}", ambiguous(several)))
            .with(json!({"uri": uri, "servers": several}))),
    }
}

/// Returns the server of a prompt, and the prompt's name there.
///
/// # Errors
/// No server has the prompt.
pub async fn prompt_owner(proxy: &Proxy, scope: &Scope, name: &str) -> Result<(String, String), Failure> {
    let prompts = prompts(proxy, scope).await;
    let has = |server: &str, own: &str| {
        prompts.iter().any(|(name, listed)| name == server && listed.iter().any(|prompt| prompt.name == own))
    };
    let found = scope.prompt_meanings(name).into_iter().find(|(server, own)| has(server, own));
    let found = found.map(|(server, own)| (server.to_owned(), own.to_owned()));
    found.ok_or_else(|| Failure::new(FailureKind::NotFound, format!("no connected server has the prompt `{name}`")))
}

fn has_resources(peer: &Peer<RoleClient>) -> bool {
    peer.peer_info().is_some_and(|info| info.capabilities.resources.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(resources: &[(&str, bool)], templates: &[(&str, bool)]) -> Result<String, String> {
        let owned = |list: &[(&str, bool)]| -> Vec<(String, bool)> {
            list.iter().map(|(server, owns)| ((*server).to_owned(), *owns)).collect()
        };
        let (resources, templates) = (owned(resources), owned(templates));
        let each = |list: &'static [(String, bool)]| list.iter().map(|(server, owns)| (server, *owns));
        let (resources, templates): (&'static [_], &'static [_]) = (resources.leak(), templates.leak());
        only_owner(each(resources), each(templates), "x://y/z").map_err(|error| error.message)
    }

    #[test]
    fn a_uri_of_two_servers_is_read_from_neither() {
        assert_eq!(owners(&[("a", true), ("b", false)], &[("b", true)]), Ok("a".to_owned()));
        assert_eq!(owners(&[("a", false)], &[("a", false), ("b", true)]), Ok("b".to_owned()));
        let error = owners(&[("a", true), ("b", true)], &[]).unwrap_err();
        assert!(error.contains("ambiguous") && error.contains("`/mcp/all/a` or `/mcp/all/b`"), "{error}");
        assert!(owners(&[], &[("a", true), ("b", true)]).unwrap_err().contains("ambiguous"));
        assert!(owners(&[("a", false)], &[]).unwrap_err().contains("no connected server"));
    }

    #[test]
    fn a_uri_of_two_servers_is_listed_once_with_a_note() {
        let item = |uri: &str| (uri.to_owned(), String::new());
        let lists = vec![
            ("a".to_owned(), vec![item("x"), item("y")]),
            ("b".to_owned(), vec![item("y"), item("z")]),
        ];
        let listed = unique(lists, |(uri, _)| uri.clone(), |(_, note), text| *note = text);
        let uris: Vec<&str> = listed.iter().map(|(uri, _)| uri.as_str()).collect();
        assert_eq!(uris, ["x", "y", "z"]);
        let noted: Vec<bool> = listed.iter().map(|(_, note)| note.contains("`/mcp/all/b`")).collect();
        assert_eq!(noted, [false, true, false]);
    }
}
