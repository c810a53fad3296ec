//! Lists what a server offers, page by page. One odd page or tool does not lose the others.

use std::collections::HashSet;
use std::fmt::Display;
use std::io;

use rmcp::model::{
    ClientRequest, ListPromptsRequest, ListResourceTemplatesRequest, ListResourcesRequest, ListToolsRequest,
    PaginatedRequestParams, Prompt, Resource, ResourceTemplate, Tool,
};
use rmcp::service::{Peer, RoleClient};
use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::os::block_in_place::block_in_place_if_large;
use crate::os::memory;
use crate::upstream::list_items::{Item, Page, read};
use crate::upstream::session::in_flight::Answer;
use crate::upstream::transport::stdio::{Pending, StdioFastPath};

/// Bytes of a list with several pages: some hundred thousand tools. A server that always names a further page must not fill the
/// memory.
const LARGEST: usize = 64 << 20;

/// Pages of a list; a server may always name a further one without an item on it.
const MOST_PAGES: usize = 2000;

/// The tools of a server, on the fast path if there is one: the library takes several times as long to read a list.
///
/// # Errors
/// Why there is no list.
pub async fn list_tools(
    peer: &Peer<RoleClient>,
    fast_path: Option<&StdioFastPath>,
    server: &str,
) -> Result<Vec<Tool>, String> {
    if peer.peer_info().is_some_and(|info| info.capabilities.tools.is_none()) {
        return Ok(Vec::new());
    }
    let page = |cursor: Option<String>| async move {
        let params = After {
            cursor: cursor.as_deref(),
        };
        if let Some(pending) = fast_path.and_then(|fast_path| fast_path.ask("tools/list", &params)) {
            return fast_page(pending, server).await;
        }
        let request = ListToolsRequest {
            method: Default::default(),
            params: Some(after(cursor)),
            extensions: Default::default(),
        };
        library_page(peer, ClientRequest::ListToolsRequest(request), server).await
    };
    let listed = pages(page).await.map_err(|error| format!("could not list its tools: {error}"))?;
    if let Some(reason) = listed.incomplete {
        tracing::warn!(server, tools = listed.items.len(), "could not list all of its tools: {reason}");
    }
    Ok(without_duplicates(listed.items, server))
}

/// Leaves out tools whose name another tool has: calls and approvals go by name.
fn without_duplicates(mut tools: Vec<Tool>, server: &str) -> Vec<Tool> {
    let mut names = HashSet::with_capacity(tools.len());
    tools.retain(|tool| {
        let is_first = names.insert(tool.name.clone());
        if !is_first {
            tracing::warn!(server, tool = %tool.name, "left out a tool: another tool has the same name");
        }
        is_first
    });
    tools
}

/// One page through the library. A page with odd items reaches this as plain JSON, so both are read again.
async fn library_page<T: Item>(
    peer: &Peer<RoleClient>,
    request: ClientRequest,
    server: &str,
) -> Result<Page<T>, String> {
    let result = peer.send_request(request).await.map_err(|error| error.to_string())?;
    let page = to_raw_value(&result).map_err(|error| error.to_string())?;
    block_in_place_if_large(page.get().len(), || read(page.get(), server))
}

/// The prompts of a server.
///
/// # Errors
/// Why there is no list.
pub async fn list_prompts(peer: &Peer<RoleClient>, server: &str) -> Result<Vec<Prompt>, String> {
    all_pages(async |cursor| {
        let request = ListPromptsRequest {
            method: Default::default(),
            params: Some(after(cursor)),
            extensions: Default::default(),
        };
        library_page(peer, ClientRequest::ListPromptsRequest(request), server).await
    })
    .await
}

/// The resources of a server.
///
/// # Errors
/// Why there is no list.
pub async fn list_resources(peer: &Peer<RoleClient>, server: &str) -> Result<Vec<Resource>, String> {
    all_pages(async |cursor| {
        let request = ListResourcesRequest {
            method: Default::default(),
            params: Some(after(cursor)),
            extensions: Default::default(),
        };
        library_page(peer, ClientRequest::ListResourcesRequest(request), server).await
    })
    .await
}

/// The resource templates of a server.
///
/// # Errors
/// Why there is no list.
pub async fn list_templates(peer: &Peer<RoleClient>, server: &str) -> Result<Vec<ResourceTemplate>, String> {
    all_pages(async |cursor| {
        let request = ListResourceTemplatesRequest {
            method: Default::default(),
            params: Some(after(cursor)),
            extensions: Default::default(),
        };
        library_page(peer, ClientRequest::ListResourceTemplatesRequest(request), server).await
    })
    .await
}

/// The parameters of a request for the page at this cursor.
fn after(cursor: Option<String>) -> PaginatedRequestParams {
    let mut params = PaginatedRequestParams::default();
    params.cursor = cursor;
    params
}

/// A list, and why it is incomplete.
#[derive(Debug)]
struct Listed<T> {
    items: Vec<T>,
    incomplete: Option<String>,
}

/// Requests page after page. Returns what was listed if a later page fails, or the pages do not end.
///
/// # Errors
/// The first page failed, or the list is too large.
async fn all_pages<T, F, E>(page: impl FnMut(Option<String>) -> F) -> Result<Vec<T>, String>
where
    T: Serialize,
    F: Future<Output = Result<Page<T>, E>>,
    E: Display,
{
    let listed = pages(page).await?;
    if let Some(reason) = listed.incomplete {
        tracing::warn!("a list is incomplete: {reason}");
    }
    Ok(listed.items)
}

async fn pages<T, F, E>(mut page: impl FnMut(Option<String>) -> F) -> Result<Listed<T>, String>
where
    T: Serialize,
    F: Future<Output = Result<Page<T>, E>>,
    E: Display,
{
    // Some servers send an empty cursor at the end.
    let cursor = |next: Option<String>| next.filter(|cursor| !cursor.is_empty());
    let (mut items, next) = page(None).await.map_err(|error| error.to_string())?;
    let mut next = cursor(next);
    let mut size = if next.is_some() { length(&items) } else { 0 };
    let mut cursors = HashSet::new();
    let incomplete = loop {
        let Some(at) = next else { break None };
        if !cursors.insert(at.clone()) {
            break Some("its pages repeat".to_owned());
        }
        if cursors.len() > MOST_PAGES {
            break Some(format!("it has more than {MOST_PAGES} pages"));
        }
        let (more, further) = match page(Some(at)).await {
            Ok(page) => page,
            Err(error) => break Some(error.to_string()),
        };
        size += length(&more);
        if size > LARGEST {
            // Not kept: as tools they would take several times as much memory.
            drop((items, more));
            block_in_place_if_large(size, memory::give_back);
            return Err(format!("they exceed {} MiB", LARGEST >> 20));
        }
        items.extend(more);
        next = cursor(further);
    };
    Ok(Listed { items, incomplete })
}

#[derive(Serialize)]
struct After<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
}

/// Cancels a request if it is dropped before its response arrives.
struct CancelOnDrop(Option<Pending>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(pending) = self.0.take() {
            pending.cancel("the list is no longer needed");
        }
    }
}

async fn fast_page(pending: Pending, server: &str) -> Result<Page<Tool>, String> {
    let mut guard = CancelOnDrop(Some(pending));
    let answer = match &mut guard.0 {
        Some(pending) => pending.answer().await,
        None => None,
    };
    guard.0 = None;
    match answer {
        Some(Answer::Result(result)) => block_in_place_if_large(result.get().len(), || read(result.get(), server)),
        Some(Answer::Error(error)) => Err(Answer::error_of(&error).to_string()),
        None => Err("the server ended before it answered".to_owned()),
    }
}

/// The bytes of a value as JSON.
fn length(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn listed(of: impl Fn(usize) -> Page<String>) -> Listed<String> {
        let mut requested = 0;
        let listed = pages(|cursor| {
            assert_eq!(cursor.is_some(), requested > 0);
            requested += 1;
            std::future::ready(Ok::<_, String>(of(requested)))
        });
        listed.await.unwrap()
    }

    #[tokio::test]
    async fn pages_are_joined_in_order_and_an_empty_cursor_is_the_end() {
        let listed =
            listed(|at| (vec![at.to_string()], Some(if at < 3 { at.to_string() } else { String::new() }))).await;
        assert_eq!((listed.items, listed.incomplete), (vec!["1".into(), "2".into(), "3".into()], None));
    }

    #[tokio::test]
    async fn listed_items_are_kept_when_the_rest_is_given_up() {
        let circle = listed(|at| (vec![at.to_string()], Some((at % 2).to_string()))).await;
        assert_eq!((circle.items.len(), circle.incomplete.as_deref()), (3, Some("its pages repeat")));
        let empty = listed(|at| (Vec::new(), Some(at.to_string()))).await;
        assert!(empty.incomplete.unwrap().contains("more than 2000 pages"));
        let mut requested = 0;
        let broken = pages(|_| {
            requested += 1;
            let page = (vec![requested], Some(requested.to_string()));
            std::future::ready(if requested < 3 { Ok(page) } else { Err("it broke") })
        });
        let broken = broken.await.unwrap();
        assert_eq!((broken.items, broken.incomplete.as_deref()), (vec![1, 2], Some("it broke")));
    }

    #[tokio::test]
    async fn a_list_that_is_too_large_is_an_error() {
        let large = "x".repeat(1 << 20);
        let mut requested = 0;
        let endless = pages(|_| {
            requested += 1;
            std::future::ready(Ok::<_, String>((vec![large.clone()], Some(requested.to_string()))))
        });
        assert!(endless.await.unwrap_err().contains("64 MiB"));
    }

    #[test]
    fn the_second_tool_of_a_name_is_left_out() {
        let tool = |name: &'static str, description: &'static str| Tool::new(name, description, serde_json::Map::new());
        let tools = without_duplicates(vec![tool("a", "one"), tool("b", ""), tool("a", "two")], "s");
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!((names, tools[0].description.as_deref()), (vec!["a", "b"], Some("one")));
    }
}
