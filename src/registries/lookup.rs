//! Searches registries and finds records, with the cache for those that do not answer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::contract::failure::FailureKind;
use crate::contract::registry::{RegistryCache, RegistryList, RegistryServer, RegistryServers, RegistryUnavailable};
use crate::contract::words::RegistryProvenance;
use crate::registries::cache::Cached;
use crate::registries::entry::{Answers, BuildError, Built, build};
use crate::registries::fetch::{self, Received};
use crate::registries::identifier::is_server_name;
use crate::registries::options::describe;
use crate::registries::query::Query;
use crate::registries::record::Record;
use crate::registries::source::{ALL, Source, sources};

/// Most servers in an answer.
pub const MOST_SERVERS: usize = 50;
/// Most names that an error suggests.
const MOST_NAMES: usize = 5;

/// The reason why a search failed or a record was not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    #[error("no registry is named `{0}`")]
    Unknown(String),
    #[error("no registry is configured: `mcpproxy registry add-source NAME URL` adds one")]
    None,
    #[error("could not search `{0}`: {1}")]
    Unsupported(String, String),
    #[error("could not reach the registry `{0}`: {1}")]
    Unreachable(String, String),
    #[error("no registry has a server named `{0}`: search for it with `mcpproxy registry search WORDS`")]
    NotFound(String),
    #[error("several servers are named `{0}`: use one of {names}", names = .1.join(", "))]
    Ambiguous(String, Vec<String>),
}

impl RegistryError {
    /// The kind of the failure.
    pub fn kind(&self) -> FailureKind {
        match self {
            RegistryError::Unknown(_) | RegistryError::NotFound(_) => FailureKind::NotFound,
            RegistryError::None | RegistryError::Unsupported(..) => FailureKind::Invalid,
            RegistryError::Ambiguous(..) => FailureKind::Conflict,
            RegistryError::Unreachable(..) => FailureKind::Upstream,
        }
    }
}

/// A record that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub record: Record,
    /// ID of its registry.
    pub registry: String,
    provenance: RegistryProvenance,
    /// Set if it comes from the cache.
    pub cache: Option<RegistryCache>,
}

impl Found {
    /// The record as the programs exchange it.
    pub fn described(&self) -> RegistryServer {
        describe(&self.record, &self.registry)
    }

    /// Builds the entry, as `build` does, with its origin.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(
        &self,
        option: Option<&str>,
        name: Option<&str>,
        answers: &Answers,
        keeps_secrets: bool,
    ) -> Result<Built, BuildError> {
        let mut built = build(&self.record, option, name, answers, keeps_secrets)?;
        built.entry.insert("source_registry_id".into(), json!(self.registry));
        built.entry.insert("source_registry_provenance".into(), json!(self.provenance));
        Ok(built)
    }
}

/// The registries of a configuration, with their cache.
#[derive(Debug, Clone)]
pub struct Registries {
    sources: Vec<Source>,
    cache: PathBuf,
}

/// The answer of one registry.
struct Answer {
    source: Source,
    records: Vec<Record>,
    cached_at: Option<i64>,
    problem: Option<String>,
}

impl Registries {
    /// The registries of a configuration, and the directory of their cache.
    pub fn new(config: &Config, cache: PathBuf) -> Registries {
        Registries {
            sources: sources(config),
            cache,
        }
    }

    /// Lists the registries. Contacts none.
    pub fn list(&self) -> RegistryList {
        RegistryList {
            registries: self.sources.iter().map(|source| source.registry.clone()).collect(),
            total: self.sources.len(),
        }
    }

    /// Searches one registry, or all.
    ///
    /// # Errors
    /// [`RegistryError`]; a registry that does not answer fails the search only if the cache has nothing either.
    pub async fn search(&self, id: Option<&str>, words: &str, limit: usize) -> Result<RegistryServers, RegistryError> {
        let query = Query::new(words);
        let answers = self.ask(id, |source, cache| search_one(source, cache, query.clone())).await?;
        let is_useful = answers.iter().any(|answer| answer.problem.is_none() || !answer.records.is_empty());
        if !is_useful && let Some(error) = answers.iter().find_map(unreachable) {
            return Err(error);
        }
        let reasons: Vec<String> = answers.iter().filter_map(unreachable).map(|error| error.to_string()).collect();
        let cache = age(answers.iter().filter_map(|answer| answer.cached_at).min());
        let mut servers = Vec::new();
        for answer in answers {
            let id = answer.source.registry.id;
            servers.extend(query.ranked(answer.records).iter().map(|record| describe(record, &id)));
        }
        servers.truncate(limit.clamp(1, MOST_SERVERS));
        Ok(RegistryServers {
            registry_id: id.unwrap_or(ALL).to_owned(),
            total: servers.len(),
            servers,
            query: words.to_owned(),
            cache,
            unavailable: (!reasons.is_empty()).then(|| RegistryUnavailable {
                reason: reasons.join("; "),
            }),
        })
    }

    /// Finds a server by its name in a registry, or by the last part of the name if only one server has it.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn find(&self, id: Option<&str>, name: &str) -> Result<Found, RegistryError> {
        if !name.contains('/') {
            return self.find_short(id, name).await;
        }
        if !is_server_name(name) {
            return Err(RegistryError::NotFound(crate::registries::record::shown(name)));
        }
        let wanted = name.to_owned();
        let answers = self.ask(id, |source, cache| find_one(source, cache, wanted.clone())).await?;
        let problem = answers.iter().find_map(unreachable);
        let found = answers.into_iter().find_map(|answer| {
            Some(Found {
                record: answer.records.into_iter().next()?,
                registry: answer.source.registry.id,
                provenance: answer.source.registry.provenance,
                cache: age(answer.cached_at),
            })
        });
        found.ok_or_else(|| problem.unwrap_or_else(|| RegistryError::NotFound(name.to_owned())))
    }

    async fn find_short(&self, id: Option<&str>, name: &str) -> Result<Found, RegistryError> {
        let found = self.search(id, name, MOST_SERVERS).await?.servers;
        let last = |server: &RegistryServer| {
            server.name.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(name))
        };
        // Several registries may have the same server: the first one's is used, as for a complete name.
        let mut seen = BTreeSet::new();
        let same: Vec<&RegistryServer> =
            found.iter().filter(|server| last(server) && seen.insert(server.name.as_str())).collect();
        match same.as_slice() {
            [one] => {
                let (registry, name) = (one.registry.clone(), one.name.clone());
                Box::pin(self.find(Some(&registry), &name)).await
            }
            [] => Err(RegistryError::NotFound(crate::registries::record::shown(name))),
            several => {
                let names = several.iter().take(MOST_NAMES).map(|server| format!("`{}`", server.name)).collect();
                Err(RegistryError::Ambiguous(name.to_owned(), names))
            }
        }
    }

    /// Asks one registry, or all that can be searched, at the same time. The answers are in the order of the registries.
    async fn ask<F>(&self, id: Option<&str>, ask: impl Fn(Source, PathBuf) -> F) -> Result<Vec<Answer>, RegistryError>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let id = id.filter(|id| *id != ALL);
        let chosen: Vec<&Source> = self
            .sources
            .iter()
            .filter(|source| id.is_none_or(|id| source.registry.id.eq_ignore_ascii_case(id)))
            .collect();
        let unsupported = chosen.iter().find_map(|source| {
            source
                .registry
                .unsupported
                .clone()
                .map(|reason| RegistryError::Unsupported(source.registry.id.clone(), reason))
        });
        let usable: Vec<Source> =
            chosen.iter().filter(|source| source.servers.is_some()).map(|one| (*one).clone()).collect();
        if usable.is_empty() {
            let absent = id.map_or(RegistryError::None, |id| RegistryError::Unknown(id.to_owned()));
            return Err(unsupported.unwrap_or(absent));
        }
        let mut running = JoinSet::new();
        for (index, source) in usable.into_iter().enumerate() {
            let asked = ask(source, self.cache.clone());
            running.spawn(async move { (index, asked.await) });
        }
        let mut answers = running.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}

fn unreachable(answer: &Answer) -> Option<RegistryError> {
    let problem = answer.problem.clone()?;
    Some(RegistryError::Unreachable(answer.source.registry.id.clone(), problem))
}

fn age(cached_at: Option<i64>) -> Option<RegistryCache> {
    let cached_at = cached_at?;
    let fetched_at = jiff::Timestamp::from_second(cached_at).ok()?;
    Some(RegistryCache {
        fetched_at: format!("{fetched_at:.0}"),
        age_seconds: crate::os::clock::now().as_second().saturating_sub(cached_at).max(0),
        stale: true,
    })
}

async fn search_one(source: Source, cache: PathBuf, query: Query) -> Answer {
    let Some(servers) = source.servers.clone() else { return empty(source) };
    let mut running = JoinSet::new();
    for (index, search) in query.searches().into_iter().enumerate() {
        let servers = servers.clone();
        running.spawn(async move { (index, fetch::search(&servers, &search).await) });
    }
    let mut results = running.join_all().await;
    results.sort_by_key(|(index, _)| *index);
    let problem = results.iter().find_map(|(_, result)| result.as_ref().err().cloned());
    let received: Vec<Received> = results.into_iter().filter_map(|(_, result)| result.ok()).flatten().collect();
    if received.is_empty() && problem.is_some() {
        let cached = read_cache(&cache, servers.as_str()).await;
        let records = cached.records.values().filter_map(|one| Some((Record::read(&one.item)?, one.fetched_at)));
        let (records, times): (Vec<Record>, Vec<i64>) = records.unzip();
        return Answer {
            cached_at: times.into_iter().min(),
            source,
            records,
            problem,
        };
    }
    Answer {
        records: keep(&cache, servers.as_str(), received).await,
        source,
        cached_at: None,
        problem: None,
    }
}

async fn find_one(source: Source, cache: PathBuf, name: String) -> Answer {
    let Some(servers) = source.servers.clone() else { return empty(source) };
    match fetch::one(&servers, &name).await {
        Ok(received) => Answer {
            records: keep(&cache, servers.as_str(), received.into_iter().collect()).await,
            source,
            cached_at: None,
            problem: None,
        },
        Err(problem) => {
            let cached = read_cache(&cache, servers.as_str()).await;
            let found = cached.records.get(&name);
            Answer {
                source,
                records: found.and_then(|one| Record::read(&one.item)).into_iter().collect(),
                cached_at: found.map(|one| one.fetched_at),
                problem: Some(problem),
            }
        }
    }
}

fn empty(source: Source) -> Answer {
    Answer {
        source,
        records: Vec::new(),
        cached_at: None,
        problem: None,
    }
}

async fn read_cache(directory: &Path, url: &str) -> Cached {
    let (directory, url) = (directory.to_owned(), url.to_owned());
    tokio::task::spawn_blocking(move || Cached::read(&directory, &url)).await.unwrap_or_default()
}

/// Stores the answer of a registry, and returns its records. It does not fail if the cache cannot be written.
async fn keep(directory: &Path, url: &str, received: Vec<Received>) -> Vec<Record> {
    let (records, items): (Vec<Record>, Vec<Value>) = received.into_iter().unzip();
    let named: Vec<(String, Value)> = records.iter().map(|record| record.name.clone()).zip(items).collect();
    if !named.is_empty() {
        let (directory, url) = (directory.to_owned(), url.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            let mut cached = Cached::read(&directory, &url);
            cached.add(named, crate::os::clock::now().as_second());
            cached.write(&directory, &url)
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!("could not store the registry's answer: {error}");
        }
    }
    records
}
