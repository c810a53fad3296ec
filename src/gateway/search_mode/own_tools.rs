//! The proxy's own tools on `/mcp` that need no server: search, describe, and read a truncated result.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::catalog::search_index::ToolIndex;
use crate::catalog::unavailable::{Unavailable, UnavailableTools, lock};
use crate::config::Config;
use crate::config::profiles::ProfileScope;
use crate::contract::api::SearchCounts;
use crate::contract::exact_numbers::{released, restore_text};
use crate::gateway::call_log::RecentCalls;
use crate::gateway::direct_mode::{instructions, tool_tokens};
use crate::gateway::profile::{Catalog, ProfileCatalogs, View};
use crate::gateway::search_mode::definitions::{DESCRIBE_TOOL, MOST_RECORDS, READ_CACHE, RETRIEVE_TOOLS};
use crate::gateway::search_mode::error_results::failed;
use crate::gateway::search_mode::result_cache::ResultCache;
use crate::gateway::search_mode::retrieve_tools::{Defaults, Detail};
use crate::gateway::search_mode::search_outcomes::SearchOutcomes;
use crate::gateway::search_mode::{describe_tool, retrieve_tools, truncate};
use crate::os::memory;
use crate::telemetry::store::recorder::Recorder;
use crate::telemetry::usage_counts::{Counter, UsageCounts};
use crate::upstream::approvals::PendingTool;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::snapshot::Snapshot;

/// A server's name, its tools if connected, its pending tools, and the reason if all its tools are unavailable.
type Indexed = (String, Option<Arc<Vec<Tool>>>, Arc<Vec<PendingTool>>, Option<Unavailable>);

/// Maximum number of servers whose instructions a search result quotes.
const INSTRUCTED_SERVERS: usize = 2;
/// A text after which memory is returned to the system, in bytes.
const LARGE: usize = 1 << 20;

/// The proxy's own tools, with their index and cache.
pub struct OwnTools {
    upstreams: Arc<UpstreamPool>,
    index: RwLock<Arc<ToolIndex>>,
    locked: RwLock<Arc<UnavailableTools>>,
    /// Catalogs of profiles.
    of_profiles: Mutex<ProfileCatalogs>,
    /// Inputs of both indexes. Kept alive because they are compared by pointer: a new list must not reuse a freed address.
    indexed: Mutex<Vec<Indexed>>,
    config: watch::Receiver<Arc<Config>>,
    recorder: Recorder,
    counts: Arc<UsageCounts>,
    kept: Mutex<ResultCache>,
    recent: Arc<RecentCalls>,
    outcomes: Mutex<SearchOutcomes>,
}

impl OwnTools {
    /// Creates the tools with an empty index; see [`OwnTools::reindex`].
    pub fn new(
        upstreams: Arc<UpstreamPool>,
        config: watch::Receiver<Arc<Config>>,
        recorder: Recorder,
        counts: Arc<UsageCounts>,
        recent: Arc<RecentCalls>,
    ) -> OwnTools {
        OwnTools {
            upstreams,
            index: RwLock::new(Arc::new(ToolIndex::empty())),
            locked: RwLock::new(Arc::new(UnavailableTools::none())),
            of_profiles: Mutex::default(),
            indexed: Mutex::default(),
            config,
            recorder,
            counts,
            kept: Mutex::default(),
            recent,
            outcomes: Mutex::default(),
        }
    }

    /// Records a call of a tool, to count searches that were followed by a call.
    pub fn called(&self, server: &str, tool: &str) {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).called(server, tool, Instant::now());
    }

    /// Returns the results of AI clients' searches since the core started.
    pub fn search_counts(&self) -> SearchCounts {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).counts()
    }

    /// Rebuilds the index if any server's tools have changed. Runs on the blocking pool: indexing thousands of tools
    /// takes long enough to delay requests.
    pub async fn reindex(&self) {
        let indexed_of = |server: &Snapshot| -> Indexed {
            (server.config.name.clone(), server.shared_tools(), server.pending.clone(), lock(server))
        };
        let tools: Vec<Indexed> = self.upstreams.each(indexed_of);
        let same = |(one, other): (&Indexed, &Indexed)| {
            (&one.0, one.3) == (&other.0, other.3)
                && one.1.as_ref().map(Arc::as_ptr) == other.1.as_ref().map(Arc::as_ptr)
                && Arc::ptr_eq(&one.2, &other.2)
        };
        {
            let indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
            if indexed.len() == tools.len() && indexed.iter().zip(&tools).all(same) {
                return;
            }
        }
        let upstreams = self.upstreams.clone();
        let make = move || {
            let servers = upstreams.snapshots();
            // They may be newer than those that were compared.
            let tools: Vec<Indexed> = servers.iter().map(indexed_of).collect();
            (tools, ToolIndex::of(&servers), UnavailableTools::of(&servers, &upstreams.approvals()))
        };
        let Ok((tools, index, locked)) = tokio::task::spawn_blocking(make).await else {
            return;
        };
        *self.locked.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(locked);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
        *self.indexed.lock().unwrap_or_else(PoisonError::into_inner) = tools;
        self.of_profiles.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the current index.
    pub fn index(&self) -> Arc<ToolIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the catalog within a scope. Each profile has its own catalog, so that tools of other servers affect
    /// neither the results nor the ranking.
    fn catalog(&self, scope: &ProfileScope) -> Catalog {
        if scope.is_unlimited() {
            return (self.index(), self.locked.read().unwrap_or_else(PoisonError::into_inner).clone());
        }
        let found = self.of_profiles.lock().unwrap_or_else(PoisonError::into_inner).get(scope);
        let generation = match found {
            Ok(catalog) => return catalog,
            Err(generation) => generation,
        };
        let servers = View::new(&self.upstreams, scope).snapshots();
        let approvals = self.upstreams.approvals();
        let made = (Arc::new(ToolIndex::of(&servers)), Arc::new(UnavailableTools::of(&servers, &approvals)));
        let mut kept = self.of_profiles.lock().unwrap_or_else(PoisonError::into_inner);
        kept.keep(scope.clone(), made.clone(), generation);
        made
    }

    /// Returns the tokens of each server's tools, as `/mcp/all` lists them.
    pub fn tool_tokens(&self, scope: &ProfileScope) -> BTreeMap<String, u64> {
        let (index, _) = self.catalog(scope);
        let is_server = |name: &str| self.upstreams.has(name);
        index.tool_tokens(|entries| tool_tokens::by_server(entries, is_server)).clone()
    }

    /// Handles a call of one of these tools within a scope; returns `None` for other tools.
    pub fn call(&self, name: &str, arguments: &JsonObject, scope: &ProfileScope) -> Option<CallToolResult> {
        match name {
            RETRIEVE_TOOLS => Some(self.retrieve_tools(&released(arguments), scope)),
            DESCRIBE_TOOL => Some(self.describe_tool(&released(arguments), scope)),
            READ_CACHE => Some(self.read_cache(&released(arguments), scope)),
            _ => None,
        }
    }

    fn retrieve_tools(&self, arguments: &JsonObject, scope: &ProfileScope) -> CallToolResult {
        let now = crate::os::clock::now().as_second();
        self.recorder.retrieve_tools_called(now);
        self.counts.add(Counter::RetrieveTools);
        let usual = {
            let config = self.config.borrow();
            Defaults {
                limit: config.tools_limit,
                detail: Detail::of_setting(config.tool_response_mode.as_deref()),
                room: config.tool_response_limit,
            }
        };
        let params = match retrieve_tools::Params::read(arguments, usual) {
            Ok(params) => params,
            Err(sentence) => return failed(&sentence),
        };
        let (index, locked) = self.catalog(scope);
        let mut answer = retrieve_tools::answer(&params, &index, &locked, |tools| self.recent.used(tools));
        self.add_instructions(&mut answer, usual.room);
        let found = answer.found.iter().map(|(server, tool)| (server.as_str(), tool.as_str()));
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).searched(found, Instant::now());
        self.recorder.tools_returned(index.len() as u64, answer.found.len() as u64, now);
        let text = answer.value.to_string();
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).answered(&text);
        CallToolResult::success(vec![ContentBlock::text(text)])
    }

    /// Adds the beginning of the best servers' instructions, labelled as text of the servers, if there is room.
    fn add_instructions(&self, answer: &mut retrieve_tools::Answer, room: usize) {
        let mut excerpts = JsonObject::new();
        for (server, _) in &answer.found {
            if excerpts.len() < INSTRUCTED_SERVERS
                && !excerpts.contains_key(server)
                && let Some(excerpt) = instructions::excerpt(&self.upstreams, server)
            {
                excerpts.insert(server.clone(), json!(excerpt));
            }
        }
        if excerpts.is_empty() {
            return;
        }
        let excerpts = Value::Object(excerpts);
        let fits = || answer.value.to_string().len() + excerpts.to_string().len() + 40 <= room;
        if (room == 0 || fits())
            && let Some(value) = answer.value.as_object_mut()
        {
            value.insert("instructions_of_servers".into(), excerpts);
        }
    }

    fn describe_tool(&self, arguments: &JsonObject, scope: &ProfileScope) -> CallToolResult {
        match describe_tool::Params::read(arguments) {
            Ok(params) => {
                let answer = describe_tool::answer(&params, View::new(&self.upstreams, scope), &self.catalog(scope).0);
                CallToolResult::success(vec![ContentBlock::text(answer.to_string())])
            }
            Err(sentence) => failed(&sentence),
        }
    }

    /// Truncates a result that exceeds the configured limit, and stores the complete one for `read_cache`.
    pub fn shorten(&self, server: &str, tool: &str, result: &mut CallToolResult) {
        let limit = self.config.borrow().tool_response_limit;
        if let Some(structured) =
            result.structured_content.take_if(|value| truncate::is_longer(&value.to_string(), limit))
        {
            // Replaces structured content that is too long by text, unless the server also sent it as text, as MCP
            // advises.
            let text_of =
                |block: &ContentBlock| block.as_text().and_then(|block| serde_json::from_str(&block.text).ok());
            if !result.content.iter().any(|block| text_of(block).is_some_and(|value: Value| value == structured)) {
                result.content.push(ContentBlock::text(structured.to_string()));
            }
        }
        for block in &mut result.content {
            if let ContentBlock::Text(block) = block
                && truncate::is_longer(&block.text, limit)
            {
                block.text = self.cut(server, tool, &block.text, limit);
            }
        }
    }

    /// Truncates a result that the library's types cannot represent.
    pub fn shorten_raw(&self, server: &str, tool: &str, result: &mut Value) {
        let limit = self.config.borrow().tool_response_limit;
        let Some(result) = result.as_object_mut() else { return };
        if result.get("structuredContent").is_some_and(|value| truncate::is_longer(&value.to_string(), limit)) {
            let structured = result.shift_remove("structuredContent").unwrap_or_default();
            if let Some(content) = result.get_mut("content").and_then(Value::as_array_mut) {
                content.push(json!({"type": "text", "text": restore_text(&structured.to_string())}));
            }
        }
        for block in result.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(Value::String(text)) = block.get_mut("text")
                && truncate::is_longer(text, limit)
            {
                *text = self.cut(server, tool, text, limit);
            }
        }
    }

    /// Returns the start of a text, and how to read the rest.
    fn cut(&self, server: &str, tool: &str, text: &str, limit: usize) -> String {
        // Several copies of it were in memory.
        if text.len() > LARGE {
            memory::give_back_soon();
        }
        let start = truncate::start(text, limit);
        let key = self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(server, tool, text, Instant::now());
        let Some(key) = key else {
            return format!("{start}\n\n... [truncated by mcpproxy, cache not available]");
        };
        let (size, records) = (text.chars().count(), truncate::records(text).records.len());
        format!(
            "{start}\n\n... [truncated by mcpproxy]\n\nResponse truncated (limit: {limit} chars, actual: {size} chars, \
            records: {records})\nUse read_cache tool: key=\"{key}\", offset=0, limit=50\nReturns: {{\"records\": [...], \
            \"meta\": {{\"total_records\": {records}, \"total_size\": {size}}}}}"
        )
    }

    fn read_cache(&self, arguments: &JsonObject, scope: &ProfileScope) -> CallToolResult {
        let Some(key) = arguments.get("key").and_then(Value::as_str) else {
            return failed("read_cache needs `key`: it is at the end of the truncated result");
        };
        let number = |name: &str, otherwise: u64| arguments.get(name).map_or(Some(otherwise), Value::as_u64);
        let Some(offset) = number("offset", 0).and_then(|offset| usize::try_from(offset).ok()) else {
            return failed("`offset` must be a non-negative integer");
        };
        let limit = number("limit", 50).filter(|limit| (1..=MOST_RECORDS).contains(limit));
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
            return failed(&format!("`limit` must be between 1 and {MOST_RECORDS}"));
        };
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key, Instant::now());
        // Another profile's result must appear not to exist.
        let Some(kept) = kept.filter(|kept| scope.allows(&kept.server)) else {
            return failed("there is no result with this key: it is wrong or has expired; call the tool again");
        };
        if let Err(error) = self.upstreams.tool(&kept.server, &kept.tool)
            && error.is_blocked()
        {
            return failed(&error.to_string());
        }
        let found = truncate::records(&kept.text);
        let room = self.config.borrow().tool_response_limit;
        let page = truncate::page(&found.records, offset, limit, room);
        let next = offset.saturating_add(page.len());
        let meta = PageMeta {
            key,
            total_records: found.records.len(),
            limit,
            offset,
            total_size: kept.text.chars().count(),
            record_path: found.path,
            next_offset: (next < found.records.len()).then_some(next),
        };
        let answer = serde_json::to_string(&Page { records: page, meta }).unwrap_or_default();
        CallToolResult::success(vec![ContentBlock::text(answer)])
    }
}

/// A page of a stored result.
#[derive(Serialize)]
struct Page<'a, R> {
    records: R,
    meta: PageMeta<'a>,
}

/// The position of a [`Page`] in its result.
#[derive(Serialize)]
struct PageMeta<'a> {
    key: &'a str,
    total_records: usize,
    limit: usize,
    offset: usize,
    /// In characters.
    total_size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
}

/// Whether the proxy can answer a call of this tool without a server.
pub fn asks_no_server(tool: &str) -> bool {
    matches!(tool, RETRIEVE_TOOLS | DESCRIBE_TOOL | READ_CACHE)
}
