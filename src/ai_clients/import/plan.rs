//! Decides which servers to import and under which names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::ai_clients::entry::Proxy;
use crate::ai_clients::import::normalize::{Normalized, Unusable, normalize};
use crate::ai_clients::import::read::{Source, single_name};
use crate::ai_clients::import::secrets::{Secret, find};
use crate::ai_clients::import::variables::Values;
use crate::os::environment::{Environment, home_directory};

/// Longest name of a server.
const MAX_NAME: usize = 64;

/// What to import.
#[derive(Debug, Default)]
pub struct Selection {
    /// Only servers with these names, as they are written in the source; empty means all.
    pub only: Vec<String>,
    /// New names by original name.
    pub rename: BTreeMap<String, String>,
}

/// The outcome of an import, before it is applied.
#[derive(Debug, Default)]
pub struct ImportPlan {
    pub imported: Vec<Imported>,
    pub skipped: Vec<Skipped>,
    pub failed: Vec<Failed>,
    pub warnings: Vec<String>,
    /// Names that were selected and that no source has.
    pub unknown: Vec<String>,
}

/// A server to add.
#[derive(Debug, Clone)]
pub struct Imported {
    pub name: String,
    pub original_name: String,
    pub format: &'static str,
    pub format_name: &'static str,
    /// The complete entry for our configuration.
    pub entry: Map<String, Value>,
    pub fields_skipped: Vec<String>,
    pub warnings: Vec<String>,
    pub secrets: Vec<Secret>,
}

/// A server that needs no import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub name: String,
    pub format: &'static str,
    pub reason: String,
    /// The name of the same server in our configuration.
    pub same_as: Option<String>,
}

/// A server that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub name: String,
    pub format: &'static str,
    pub error: String,
}

impl Imported {
    /// The entry to write. With quarantine on, a new server needs approval.
    pub fn into_entry(self, quarantines: bool) -> Map<String, Value> {
        let mut entry = self.entry;
        if quarantines {
            entry.insert("quarantined".to_owned(), json!(true));
        }
        entry
    }
}

impl ImportPlan {
    /// Number of servers that the sources contain.
    pub fn total(&self) -> usize {
        self.imported.len() + self.skipped.len() + self.failed.len()
    }
}

/// Plans an import with the environment of this process; `workspace` is the project of a project's file.
pub fn with_environment(
    sources: &[Source],
    existing: &[(String, Map<String, Value>)],
    selection: &Selection,
    proxy: &Proxy,
    workspace: Option<&Path>,
) -> ImportPlan {
    let home = home_directory().map(|home| home.display().to_string()).unwrap_or_default();
    let workspace = workspace.map(|path| path.display().to_string());
    plan(sources, existing, selection, proxy, |_| Values {
        home: &home,
        workspace: workspace.as_deref(),
        inputs: &[],
        is_set: &|name| !Environment::read(|variable| variable == name).get(name).unwrap_or_default().is_empty(),
    })
}

/// Plans an import. `existing` are the entries of our configuration by name; `values` gives the variables of a source.
pub fn plan<'v>(
    sources: &[Source],
    existing: &[(String, Map<String, Value>)],
    selection: &Selection,
    proxy: &Proxy,
    values: impl Fn(&Source) -> Values<'v>,
) -> ImportPlan {
    let mut plan = ImportPlan::default();
    let mut unmatched: BTreeSet<&str> = selection.only.iter().map(String::as_str).collect();
    for source in sources {
        plan.warnings.extend(source.warnings.iter().cloned());
        let inputs = source.inputs.as_slice();
        let values = values(source);
        let values = Values { inputs, ..values };
        for (original, raw) in &source.servers {
            if !selection.only.is_empty() && !selection.only.contains(original) {
                continue;
            }
            unmatched.remove(original.as_str());
            match normalize(raw, source.syntax, &values, proxy) {
                Ok(normalized) => plan.add(source, original, normalized, existing, selection),
                Err(Unusable::Skip(reason)) => plan.skipped.push(Skipped {
                    name: original.clone(),
                    format: source.format,
                    reason,
                    same_as: None,
                }),
                Err(Unusable::Fail(error)) => plan.failed.push(Failed {
                    name: original.clone(),
                    format: source.format,
                    error,
                }),
            }
        }
    }
    plan.unknown = unmatched.into_iter().map(str::to_owned).collect();
    plan.warnings.extend(plan.unknown.iter().map(|name| format!("no server is named `{name}`")));
    plan
}

impl ImportPlan {
    fn add(
        &mut self,
        source: &Source,
        original: &str,
        normalized: Normalized,
        existing: &[(String, Map<String, Value>)],
        selection: &Selection,
    ) {
        let Normalized {
            entry: fields,
            fields_skipped,
            mut warnings,
        } = normalized;
        let configured = existing.iter().find(|(_, entry)| is_same_server(entry, &fields));
        let planned = self.imported.iter().find(|imported| is_same_server(&imported.entry, &fields));
        let same = configured.map(|(name, _)| (name, format!("already configured as `{name}`"))).or_else(|| {
            planned.map(|one| (&one.name, format!("same server as `{}` from {}", one.name, one.format_name)))
        });
        if let Some((name, reason)) = same {
            self.skipped.push(Skipped {
                name: original.to_owned(),
                format: source.format,
                reason,
                same_as: Some(name.clone()),
            });
            return;
        }
        let wanted = selection.rename.get(original).map_or(original, String::as_str);
        let valid = valid_name(wanted);
        if valid != wanted {
            warnings.push(format!("renamed from `{wanted}`: names have 1-64 letters, digits, `-` or `_`"));
        }
        let is_taken = |name: &str| {
            existing.iter().any(|(taken, _)| taken == name) || self.imported.iter().any(|one| one.name == name)
        };
        let name = free_name(&valid, is_taken);
        if name != valid {
            warnings.push(format!("named `{name}` because a different server is named `{valid}`"));
        }
        let mut entry = Map::from_iter([("name".to_owned(), json!(name))]);
        entry.extend(fields);
        self.imported.push(Imported {
            secrets: find(&name, &entry),
            name,
            original_name: original.to_owned(),
            format: source.format,
            format_name: source.format_name,
            entry,
            fields_skipped,
            warnings,
        });
    }
}

/// A name for an entry that has none, from its package, program or host.
pub fn name_for(fields: &Map<String, Value>) -> String {
    valid_name(&single_name(fields))
}

/// A name that every client and the configuration accept.
fn valid_name(name: &str) -> String {
    let replaced: String = name
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' })
        .collect();
    let trimmed: String = replaced.trim_matches('-').chars().take(MAX_NAME).collect();
    if trimmed.is_empty() { "server".to_owned() } else { trimmed }
}

/// The name, or the name with the first free suffix.
fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(name) {
        return name.to_owned();
    }
    let suffixed = |number: u32| {
        let suffix = format!("-{number}");
        let stem: String = name.chars().take(MAX_NAME - suffix.len()).collect();
        format!("{stem}{suffix}")
    };
    // Among more numbers than servers, one is free.
    (2..).map(suffixed).find(|candidate| !is_taken(candidate)).unwrap_or_else(|| name.to_owned())
}

/// Whether two entries are the same server: the same program or URL with the same settings. A secret in the keychain equals
/// any value.
pub fn is_same_server(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let text = |entry: &Map<String, Value>, key: &str| {
        entry.get(key).and_then(Value::as_str).unwrap_or_default().trim_end_matches('/').to_owned()
    };
    let list = |entry: &Map<String, Value>| entry.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
    let same_text = |key: &str| text(one, key) == text(other, key);
    same_text("url")
        && same_text("command")
        && same_text("working_dir")
        && list(one) == list(other)
        && same_fields(one, other, "env", false)
        && same_fields(one, other, "headers", true)
}

fn same_fields(one: &Map<String, Value>, other: &Map<String, Value>, block: &str, ignore_case: bool) -> bool {
    let fields = |entry: &Map<String, Value>| -> BTreeMap<String, String> {
        let fields = entry.get(block).and_then(Value::as_object).into_iter().flatten();
        let key = |key: &str| if ignore_case { key.to_ascii_lowercase() } else { key.to_owned() };
        fields.map(|(name, value)| (key(name), value.as_str().unwrap_or_default().to_owned())).collect()
    };
    let (one, other) = (fields(one), fields(other));
    let in_keychain = |value: &str| value.contains("${keyring:");
    one.len() == other.len()
        && one.iter().all(|(key, value)| {
            other.get(key).is_some_and(|found| found == value || in_keychain(found) || in_keychain(value))
        })
}
