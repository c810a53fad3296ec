//! Lists the servers' own tools on `/mcp` while there are few: searching would cost a client more tokens than it saves.
//!
//! `docs/search-quality.md` derives the limit.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool};
use serde_json::{Value, json};

use crate::catalog::call_variant::Intent;
use crate::catalog::tool_id;
use crate::config::profiles::ProfileScope;
use crate::gateway::direct_mode::qualified_name::offered;
use crate::gateway::direct_mode::scope::Scope;
use crate::gateway::direct_mode::strict_schema;
use crate::gateway::search_mode::schema::pruned;
use crate::gateway::tool_calls::Proxy;

/// Average bytes of a tool's definition per token, measured with o200k on 1,228 tools. `docs/search-quality.md` derives
/// the limit with this ratio; `contract/tokens.rs` is closer, but reads each character.
pub(super) const BYTES_PER_TOKEN: usize = 4;

/// The tools by server.
pub type ToolLists = Vec<(String, Arc<Vec<Tool>>)>;

/// Returns the tools to list; `None` if there are none or too many, or while servers are starting.
pub fn lists(proxy: &Proxy, most_tokens: usize, profile: &ProfileScope) -> Option<ToolLists> {
    if most_tokens == 0 || are_starting(proxy, profile) {
        None
    } else {
        few(proxy, most_tokens, profile)
    }
}

/// Whether the tools so far are few while servers are starting: they may be listed directly soon.
pub fn may_be_listed_soon(proxy: &Proxy, most_tokens: usize, profile: &ProfileScope) -> bool {
    most_tokens > 0 && are_starting(proxy, profile) && few(proxy, most_tokens, profile).is_some()
}

/// Whether servers of this profile are starting. A server that failed and is tried again does not count: the list would
/// change with every retry.
fn are_starting(proxy: &Proxy, profile: &ProfileScope) -> bool {
    proxy.upstreams().any(|server| server.is_starting() && profile.allows(&server.config.name))
}

fn few(proxy: &Proxy, most_tokens: usize, profile: &ProfileScope) -> Option<ToolLists> {
    let lists = Scope::of(proxy, None, profile).ok()?.tool_lists();
    is_few(&lists, most_tokens).then_some(lists)
}

/// Returns the definitions of the tools, under their names in direct mode.
pub fn definitions(lists: &ToolLists, is_server: impl Fn(&str) -> bool) -> Vec<Tool> {
    let of = |(server, tools): &(String, Arc<Vec<Tool>>)| {
        let served = |tool: &Tool| {
            let mut served = tool.clone();
            let description = tool.description.as_deref().unwrap_or_default();
            served.input_schema = Arc::new(pruned(&tool.input_schema, description));
            served.name = offered(server, &tool.name, &is_server).into();
            strict_schema::repair(&mut served);
            served
        };
        tools.iter().map(served).collect::<Vec<_>>()
    };
    lists.iter().flat_map(of).collect()
}

fn is_few(lists: &ToolLists, most_tokens: usize) -> bool {
    let mut room = most_tokens * BYTES_PER_TOKEN;
    let mut any = false;
    for tool in lists.iter().flat_map(|(_, tools)| tools.iter()) {
        any = true;
        let length = serde_json::to_string(tool).map_or(0, |text| text.len());
        match room.checked_sub(length) {
            Some(left) => room = left,
            None => return false,
        }
    }
    any
}

/// Translates a call of `server__tool` into a call of the matching call tool. Works regardless of the current list,
/// because a client may have an older one.
pub fn as_call(proxy: &Proxy, name: String, arguments: JsonObject, profile: &ProfileScope) -> (String, JsonObject) {
    let scope = Scope::of(proxy, None, profile).unwrap_or_default();
    let meant = scope.tool_of(&name).and_then(|(server, tool)| {
        let found = proxy.upstreams().tool(server, tool).ok()?;
        Some((tool_id::join(server, tool), Intent::recommended(found.annotations.as_ref())))
    });
    match meant {
        Some((id, intent)) => {
            let call = JsonObject::from_iter([
                ("name".to_owned(), json!(id)),
                ("args".to_owned(), Value::Object(arguments)),
            ]);
            (intent.tool().to_owned(), call)
        }
        None => (name, arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(descriptions: &[String]) -> ToolLists {
        let tool = |text: &String| Tool::new("t", text.clone(), JsonObject::new());
        vec![
            ("empty".to_owned(), Arc::default()),
            ("s".to_owned(), Arc::new(descriptions.iter().map(tool).collect())),
        ]
    }

    #[test]
    fn few_are_as_many_as_fit_into_the_tokens() {
        assert!(!is_few(&lists(&[]), 1500), "without tools there is nothing to serve");
        assert!(is_few(&lists(&["x".repeat(5000)]), 1500));
        assert!(!is_few(&lists(&["x".repeat(3000), "x".repeat(3000)]), 1500));
    }

    #[test]
    fn tools_are_served_under_the_names_of_direct_mode() {
        let served = definitions(&lists(&["Says".to_owned()]), |name| name == "s");
        assert_eq!(served.iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(), ["s__t"]);
    }
}
