//! Determines the profile of a request from its URL, its session or the configuration, and limits the servers to that
//! profile.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::Uri;
use axum::http::request::Parts;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalog::search_index::ToolIndex;
use crate::catalog::unavailable::UnavailableTools;
use crate::config::Config;
use crate::config::profiles::{Choices, ProfileScope};
use crate::contract::names;
use crate::gateway::search_mode::error_results::failed;
use crate::os::files;
use crate::upstream::error::CallError;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::snapshot::Snapshot;

/// Name of the tool that selects a session's profile.
pub const SET_PROFILE: &str = "set_profile";

/// The parts of a request that determine its profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The profile in the URL.
    url: Option<String>,
    /// The session ID; `None` for clients of the protocol version without sessions.
    session: Option<String>,
}

impl Origin {
    /// Reads the origin of an HTTP request.
    pub fn of_parts(parts: &Parts) -> Origin {
        let session = parts.headers.get("mcp-session-id").and_then(|id| id.to_str().ok());
        Origin {
            url: of_url(&parts.uri),
            session: session.map(str::to_owned),
        }
    }

    /// Reads the origin of a request from the library.
    pub fn of(extensions: &rmcp::model::Extensions) -> Origin {
        extensions.get::<Parts>().map(Origin::of_parts).unwrap_or_default()
    }
}

/// Returns the profile in a URL: `/mcp/p/NAME`, `/mcp/p/NAME/all`.
pub fn of_url(uri: &Uri) -> Option<String> {
    let rest = uri.path().strip_prefix(names::MCP_PROFILE_PATH)?.strip_prefix('/')?;
    let name = rest.split('/').next().unwrap_or_default();
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    Some(name.into_owned())
}

/// Whether the request's endpoint always offers the search, even if there are few tools.
pub fn always_searches(extensions: &rmcp::model::Extensions) -> bool {
    let path = extensions.get::<Parts>().map(|parts| parts.uri.path().trim_end_matches('/'));
    path.is_some_and(|path| path == names::MCP_CALL_PATH || path == names::MCP_CODE_PATH)
}

/// Maximum number of sessions whose profile is stored. The oldest choice is dropped first.
const MOST: usize = 1000;
/// Maximum size of the file; real ones are much smaller.
const LARGEST: u64 = 1 << 20;

/// The profiles that sessions chose. They survive a restart, because a session that lost its profile would see more
/// servers.
#[derive(Debug, Default)]
pub struct SessionProfiles {
    path: Option<PathBuf>,
    chosen: Mutex<VecDeque<Choice>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Choice {
    session: String,
    profile: String,
}

impl SessionProfiles {
    /// Loads the choices from a file, which may be missing.
    pub fn load(path: PathBuf) -> SessionProfiles {
        let chosen = match files::read_bounded(&path, LARGEST) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(
                    "could not read `{}`: {error}; sessions must choose their profile again",
                    path.display()
                );
                VecDeque::new()
            }),
            Err(_) => VecDeque::new(),
        };
        SessionProfiles {
            path: Some(path),
            chosen: Mutex::new(chosen),
        }
    }

    fn of(&self, session: &str) -> Option<String> {
        self.chosen().iter().find(|choice| choice.session == session).map(|choice| choice.profile.clone())
    }

    /// Selects a session's profile; `None` removes the choice.
    ///
    /// # Errors
    /// The file cannot be written; the choice has no effect then.
    fn choose(&self, session: &str, profile: Option<&str>) -> std::io::Result<()> {
        let mut chosen = self.chosen();
        let before = chosen.clone();
        chosen.retain(|choice| choice.session != session);
        chosen.extend(profile.map(|profile| Choice {
            session: session.to_owned(),
            profile: profile.to_owned(),
        }));
        while chosen.len() > MOST {
            chosen.pop_front();
        }
        let Some(path) = &self.path else { return Ok(()) };
        let written = serde_json::to_vec(&*chosen).map_err(Into::into);
        written.and_then(|bytes| files::replace_private(path, &bytes)).inspect_err(|_| *chosen = before)
    }

    fn chosen(&self) -> MutexGuard<'_, VecDeque<Choice>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the servers that a request may see.
    pub fn scope(&self, config: &Config, origin: &Origin) -> ProfileScope {
        let session = origin.session.as_deref().and_then(|session| self.of(session));
        let choices = Choices {
            token: None,
            url: origin.url.as_deref(),
            session: session.as_deref(),
            default: config.active_profile.as_deref(),
        };
        ProfileScope::resolve(&config.profiles, choices)
    }

    /// Handles a call of [`SET_PROFILE`].
    pub fn call(&self, config: &Config, origin: &Origin, arguments: &JsonObject) -> CallToolResult {
        let name = match arguments.get("profile") {
            None | Some(Value::Null) => "",
            Some(Value::String(name)) => name.trim(),
            Some(_) => return failed("`profile` must be a string"),
        };
        let Some(session) = origin.session.as_deref() else {
            return failed("this connection has no session; use the URL of a profile instead: /mcp/p/NAME");
        };
        if !name.is_empty() && !config.profiles.iter().any(|profile| profile.name == name) {
            let known: Vec<&str> = config.profiles.iter().map(|profile| profile.name.as_str()).collect();
            return failed(&format!("unknown profile `{name}`; there are: {}", known.join(", ")));
        }
        if let Err(error) = self.choose(session, (!name.is_empty()).then_some(name)) {
            return failed(&format!("could not save the choice: {error}"));
        }
        let scope = self.scope(config, origin);
        let servers = config.servers.iter().map(|server| server.name.as_str()).filter(|server| scope.allows(server));
        let answer = ChosenProfile {
            active_profile: scope.name().unwrap_or_default(),
            servers: servers.collect(),
        };
        CallToolResult::success(vec![ContentBlock::text(serde_json::to_string(&answer).unwrap_or_default())])
    }
}

/// The result of `set_profile`.
#[derive(Serialize)]
struct ChosenProfile<'a> {
    active_profile: &'a str,
    servers: Vec<&'a str>,
}

/// Returns the definition of [`SET_PROFILE`] if there are profiles.
pub fn definition(config: &Config) -> Option<Tool> {
    if config.profiles.is_empty() {
        return None;
    }
    let known: Vec<&str> = config.profiles.iter().map(|profile| profile.name.as_str()).collect();
    let description = format!(
        "Limit this session to the servers of one profile: {}. An empty name removes the limit.",
        known.join(", ")
    );
    let schema = json!({"type": "object", "properties": {"profile": {"type": "string"}}, "required": ["profile"]});
    let schema = schema.as_object().cloned().unwrap_or_default();
    let annotations = ToolAnnotations::with_title("Set profile").read_only(true).destructive(false).open_world(false);
    Some(Tool::new(SET_PROFILE, description, Arc::new(schema)).with_annotations(annotations))
}

/// The tools to search, and the unavailable tools.
pub type Catalog = (Arc<ToolIndex>, Arc<UnavailableTools>);

/// The catalogs of profiles, cached until the servers' tools change.
#[derive(Default)]
pub struct ProfileCatalogs {
    made: BTreeMap<ProfileScope, Catalog>,
    generation: u64,
}

/// Maximum number of cached catalogs; there are seldom more profiles.
const MOST_CATALOGS: usize = 32;

impl ProfileCatalogs {
    /// Clears the cache because the tools have changed.
    pub fn clear(&mut self) {
        self.made.clear();
        self.generation += 1;
    }

    /// Returns the catalog of a scope.
    ///
    /// # Errors
    /// No catalog is cached. Contains the generation to pass to [`ProfileCatalogs::keep`].
    pub fn get(&self, scope: &ProfileScope) -> Result<Catalog, u64> {
        self.made.get(scope).cloned().ok_or(self.generation)
    }

    /// Caches a catalog, unless the tools have changed since its generation.
    pub fn keep(&mut self, scope: ProfileScope, catalog: Catalog, generation: u64) {
        if generation == self.generation {
            if self.made.len() >= MOST_CATALOGS {
                self.made.clear();
            }
            self.made.insert(scope, catalog);
        }
    }
}

/// The servers within a profile. Servers outside of it appear not to exist.
#[derive(Clone, Copy)]
pub struct View<'a> {
    upstreams: &'a UpstreamPool,
    scope: &'a ProfileScope,
}

impl<'a> View<'a> {
    /// Returns the servers within a scope.
    pub fn new(upstreams: &'a UpstreamPool, scope: &'a ProfileScope) -> View<'a> {
        View { upstreams, scope }
    }

    /// Returns a tool that may be called now.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn tool(&self, server: &str, tool: &str) -> Result<Tool, CallError> {
        self.check(server)?;
        self.upstreams.tool(server, tool)
    }

    /// Returns one server.
    pub fn snapshot(&self, server: &str) -> Option<Snapshot> {
        self.scope.allows(server).then(|| self.upstreams.snapshot(server)).flatten()
    }

    /// Returns all servers.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let mut servers = self.upstreams.snapshots();
        servers.retain(|server| self.scope.allows(&server.config.name));
        servers
    }

    /// Refuses a server outside of the profile as if it did not exist.
    ///
    /// # Errors
    /// [`CallError::UnknownServer`]
    pub fn check(&self, server: &str) -> Result<(), CallError> {
        if self.scope.allows(server) {
            return Ok(());
        }
        let known: Vec<String> = self.snapshots().into_iter().map(|server| server.config.name.clone()).collect();
        Err(CallError::UnknownServer {
            server: server.to_owned(),
            known: known.join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = r#"{"mcpServers":[{"name":"a","command":"x"},{"name":"b","command":"x"}],
            "profiles":[{"name":"one","servers":["a"]},{"name":"none","servers":[]}]}"#;
        Config::parse(std::path::Path::new("/c.json"), text).unwrap()
    }

    fn origin(uri: &str, session: Option<&str>) -> Origin {
        let mut request = axum::http::Request::builder().uri(uri);
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        Origin::of_parts(&request.body(()).unwrap().into_parts().0)
    }

    fn choose(profiles: &SessionProfiles, origin: &Origin, name: &str) -> Result<Value, String> {
        let arguments = json!({"profile": name});
        let result = profiles.call(&config(), origin, arguments.as_object().unwrap());
        let text = result.content[0].as_text().unwrap().text.clone();
        serde_json::from_str(&text).map_err(|_| text)
    }

    #[test]
    fn a_profile_is_read_from_the_url() {
        let of = |path: &str| of_url(&path.parse().unwrap());
        assert_eq!(of("/mcp/p/work").as_deref(), Some("work"));
        assert_eq!(of("/mcp/p/work/all").as_deref(), Some("work"));
        assert_eq!(of("/mcp/p/w%6Frk/").as_deref(), Some("work"));
        assert_eq!(of("/mcp/p/").as_deref(), Some(""));
        assert_eq!((of("/mcp"), of("/mcp/all"), of("/mcp/plain")), (None, None, None));
    }

    #[test]
    fn a_session_keeps_its_profile_over_a_restart_and_the_url_decides_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.json");
        let profiles = SessionProfiles::load(path.clone());
        let (mine, other) = (origin("/mcp", Some("mine")), origin("/mcp", Some("other")));
        let chosen = choose(&profiles, &mine, "one").unwrap();
        assert_eq!(chosen, json!({"active_profile": "one", "servers": ["a"]}));
        let profiles = SessionProfiles::load(path);
        assert!(!profiles.scope(&config(), &mine).allows("b") && profiles.scope(&config(), &other).allows("b"));
        let in_url = origin("/mcp/p/none", Some("mine"));
        assert!(!profiles.scope(&config(), &in_url).allows("a"));
        assert_eq!(choose(&profiles, &mine, "").unwrap()["servers"], json!(["a", "b"]));
        assert!(profiles.scope(&config(), &mine).is_unlimited());
    }

    #[test]
    fn a_choice_of_a_profile_that_is_deleted_shows_nothing() {
        let profiles = SessionProfiles::default();
        let mine = origin("/mcp", Some("mine"));
        choose(&profiles, &mine, "one").unwrap();
        let without = Config {
            profiles: Vec::new(),
            ..config()
        };
        let scope = profiles.scope(&without, &mine);
        assert!(!scope.allows("a") && !scope.allows("b"));
    }

    #[test]
    fn an_unknown_profile_and_a_client_without_a_session_are_errors() {
        let profiles = SessionProfiles::default();
        let error = choose(&profiles, &origin("/mcp", Some("mine")), "two").unwrap_err();
        assert!(error.contains("unknown profile `two`; there are: one, none"), "{error}");
        assert!(choose(&profiles, &origin("/mcp", None), "one").unwrap_err().contains("/mcp/p/NAME"));
    }

    #[test]
    fn the_oldest_choices_are_forgotten_first() {
        let profiles = SessionProfiles::default();
        for number in 0..=MOST {
            profiles.choose(&number.to_string(), Some("one")).unwrap();
        }
        assert_eq!((profiles.of("0"), profiles.of("1").as_deref()), (None, Some("one")));
    }
}
