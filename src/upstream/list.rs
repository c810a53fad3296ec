//! What a server has, asked for page by page.

use std::fmt::Display;
use std::io;

use rmcp::model::{PaginatedRequestParams, Tool};
use rmcp::service::{Peer, RoleClient};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::os::block_in_place::block_in_place_if_large;
use crate::os::memory;
use crate::upstream::session::in_flight::Answer;
use crate::upstream::transport::stdio::{Pending, StdioFastPath};

/// Bytes of a list that has several pages: some hundred thousand tools. A server that goes on naming a further page must
/// not fill the memory.
const LARGEST: usize = 64 << 20;

/// One page, and where the next begins.
type Page<T> = (Vec<T>, Option<String>);

/// The tools of a server, by the shortcut where there is one: the library reads a list several times as long.
///
/// # Errors
/// Why there is no list, in words.
pub async fn list_tools(
    peer: &Peer<RoleClient>,
    shortcut: Option<&StdioFastPath>,
    server: &str,
) -> Result<Vec<Tool>, String> {
    if peer.peer_info().is_some_and(|info| info.capabilities.tools.is_none()) {
        return Ok(Vec::new());
    }
    let page = |cursor: Option<String>| async move {
        if let Some(asked) = shortcut.and_then(|shortcut| {
            shortcut.ask(
                "tools/list",
                &After {
                    cursor: cursor.as_deref(),
                },
            )
        }) {
            return short_page(asked, server).await;
        }
        let page = peer.list_tools(Some(after(cursor))).await.map_err(|error| error.to_string())?;
        Ok((page.tools, page.next_cursor))
    };
    all_pages(page).await.map_err(|error| format!("its tools cannot be listed: {error}"))
}

/// The parameters of a request for the page at this cursor.
pub fn after(cursor: Option<String>) -> PaginatedRequestParams {
    let mut params = PaginatedRequestParams::default();
    params.cursor = cursor;
    params
}

/// Asks for page after page.
///
/// # Errors
/// The first of a page; or that there is no end of them.
pub async fn all_pages<T, F, E>(mut page: impl FnMut(Option<String>) -> F) -> Result<Vec<T>, String>
where
    T: Serialize,
    F: Future<Output = Result<Page<T>, E>>,
    E: Display,
{
    let said = |error: E| error.to_string();
    let (mut listed, mut next) = page(None).await.map_err(said)?;
    let mut size = if next.is_some() { length(&listed) } else { 0 };
    while let Some(cursor) = next {
        let (more, further) = page(Some(cursor.clone())).await.map_err(said)?;
        if further.as_ref() == Some(&cursor) {
            return Err("it names the same page as the next again".to_owned());
        }
        size += length(&more);
        if size > LARGEST {
            drop((listed, more));
            block_in_place_if_large(size, memory::give_back);
            return Err(format!("they are more than {} MiB, and go on", LARGEST >> 20));
        }
        listed.extend(more);
        next = further;
    }
    Ok(listed)
}

#[derive(Serialize)]
struct After<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
}

/// A page of tools as a server writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    next_cursor: Option<String>,
}

/// A request that is cancelled when nobody waits for its answer any more.
struct Asked(Option<Pending>);

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(pending) = self.0.take() {
            pending.cancel("it is not waited for any more");
        }
    }
}

async fn short_page(pending: Pending, server: &str) -> Result<Page<Tool>, String> {
    let mut asked = Asked(Some(pending));
    let answer = match &mut asked.0 {
        Some(pending) => pending.answer().await,
        None => None,
    };
    asked.0 = None;
    match answer {
        Some(Answer::Result(result)) => block_in_place_if_large(result.get().len(), || read(result.get(), server)),
        Some(Answer::Error(error)) => Err(Answer::error_of(&error).to_string()),
        None => Err("it ended before it answered".to_owned()),
    }
}

/// Reads a page. One tool that is none does not hide the others.
fn read(page: &str, server: &str) -> Result<Page<Tool>, String> {
    let page: Tools<'_> = serde_json::from_str(page).map_err(|error| error.to_string())?;
    let mut left_out = None;
    let tools = page.tools.iter().filter_map(|tool| match serde_json::from_str(tool.get()) {
        Ok(tool) => Some(tool),
        Err(error) => {
            left_out.get_or_insert((tool.get(), error));
            None
        }
    });
    let tools: Vec<Tool> = tools.collect();
    if let Some((tool, error)) = left_out {
        let start: String = tool.chars().take(200).collect();
        tracing::warn!(
            server,
            "{} of its tools are left out, as they are not described as tools are; the first: {error} in {start}",
            page.tools.len() - tools.len()
        );
    }
    Ok((tools, page.next_cursor))
}

/// Its bytes as JSON.
fn length(value: &impl Serialize) -> usize {
    struct Counted(usize);
    impl io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    let _ = serde_json::to_writer(&mut counted, value);
    counted.0
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pages(of: impl Fn(usize) -> Page<String>) -> Result<Vec<String>, String> {
        let mut asked = 0;
        all_pages(|cursor| {
            assert_eq!(cursor.is_some(), asked > 0);
            asked += 1;
            std::future::ready(Ok::<_, String>(of(asked)))
        })
        .await
    }

    #[tokio::test]
    async fn pages_are_put_together_in_order() {
        let listed = pages(|at| (vec![at.to_string()], (at < 3).then(|| at.to_string()))).await;
        assert_eq!(listed.unwrap(), ["1", "2", "3"]);
    }

    #[tokio::test]
    async fn a_list_without_end_is_given_up() {
        let large = "x".repeat(1 << 20);
        let grows = pages(|at| (vec![large.clone()], Some(at.to_string()))).await;
        assert!(grows.unwrap_err().contains("64 MiB"));
        let turns = pages(|_| (Vec::new(), Some("same".to_owned()))).await;
        assert!(turns.unwrap_err().contains("same page"));
    }

    #[test]
    fn a_tool_that_is_none_does_not_hide_the_others() {
        let page =
            r#"{"tools": [{"name": "a", "inputSchema": {"type": "object"}}, {"name": 7}, null], "nextCursor": "c"}"#;
        let (tools, next) = read(page, "s").unwrap();
        assert_eq!((tools.len(), tools[0].name.as_ref(), next.as_deref()), (1, "a", Some("c")));
        assert!(read(r#"{"tools": {}}"#, "s").is_err());
    }
}
