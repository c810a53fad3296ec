//! Approvals of the Go core that wait until their server lists its tools: only then can its hashes be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::go_hash::{GoTool, WITH_OUTPUT_SCHEMA, normal_form};
use super::records::{Status, ToolRecord};
use crate::os::files;

/// No approvals of a person come near this.
const LARGEST: u64 = 64 << 20;

/// The imported approvals of all servers that have not listed their tools yet, in a file.
#[derive(Debug, Default)]
pub struct ImportedApprovals {
    path: Option<PathBuf>,
    servers: BTreeMap<String, ImportedServer>,
}

impl ImportedApprovals {
    /// Those of a file, which need not exist.
    ///
    /// # Errors
    /// The file exists and could not be read.
    pub fn load(path: &Path) -> io::Result<ImportedApprovals> {
        let servers = match files::read_bounded(path, LARGEST) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(ImportedApprovals {
            path: Some(path.to_path_buf()),
            servers,
        })
    }

    /// Writes the approvals of a takeover.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write(path: &Path, servers: &BTreeMap<String, ImportedServer>) -> io::Result<()> {
        files::replace_private(path, &serde_json::to_vec(servers)?)
    }

    /// Those of a server.
    pub fn get(&self, server: &str) -> Option<&ImportedServer> {
        self.servers.get(server)
    }

    /// Whether a server's could not be read.
    pub fn holds_all(&self, server: &str) -> bool {
        self.get(server).is_some_and(|server| server.hold_all)
    }

    /// Forgets a server's approvals, which have been applied. The tools that were held back stay known.
    pub fn forget_applied(&mut self, server: &str) {
        let Some(known) = self.servers.get_mut(server) else { return };
        known.tools.clear();
        if known.held.is_empty() {
            self.servers.remove(server);
        }
        self.save();
    }

    /// The tools of a server that the Go core held back and that no person has approved since.
    pub fn held(&self, server: &str) -> BTreeSet<String> {
        self.get(server).map(|server| server.held.clone()).unwrap_or_default()
    }

    /// Forgets that these tools were held back: a person has approved them.
    pub fn release<'a>(&mut self, server: &str, tools: impl Iterator<Item = &'a str>) {
        let Some(known) = self.servers.get_mut(server) else { return };
        let before = known.held.len();
        for tool in tools {
            known.held.remove(tool);
        }
        if known.held.len() == before {
            return;
        }
        if known.held.is_empty() && known.tools.is_empty() && !known.hold_all {
            self.servers.remove(server);
        }
        self.save();
    }

    /// Forgets those of all other servers.
    pub fn retain(&mut self, servers: &[&str]) {
        let before = self.servers.len();
        self.servers.retain(|name, _| servers.contains(&name.as_str()));
        if self.servers.len() != before {
            self.save();
        }
    }

    fn save(&self) {
        let Some(path) = &self.path else { return };
        if let Err(error) = ImportedApprovals::write(path, &self.servers) {
            tracing::error!("could not write `{}`: {error}", path.display());
        }
    }
}

/// The imported approvals of one server's tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedServer {
    /// The database could not be read: no tool of this server is open, whatever its trust mode.
    #[serde(default)]
    pub hold_all: bool,
    /// The tools that were approved, as they were then. Any other tool is new.
    #[serde(default)]
    pub tools: BTreeMap<String, ImportedTool>,
    /// The tools that the Go core held back. Only a person approves them, whatever a scan finds.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<String>,
}

/// An approved definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedTool {
    pub hash: String,
    pub hash_version: u64,
    pub description: String,
    pub input_schema: String,
    pub output_schema: String,
}

/// How a tool compares with what the Go core approved under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison<'a> {
    Same,
    Changed {
        approved_description: &'a str,
        input_schema_differs: bool,
        output_schema_differs: bool,
    },
    /// Nothing was approved under this name.
    New,
}

impl ImportedTool {
    /// Whether an approval of an earlier version, whose hash included other parts, is of these contents. The Go core
    /// compares them in the same way.
    fn has_contents_of(&self, now: &GoTool) -> bool {
        self.hash_version < WITH_OUTPUT_SCHEMA
            && !self.input_schema.is_empty()
            && self.description == now.description
            && normal_form(&self.input_schema).is_some_and(|schema| schema == now.input_schema)
    }
}

impl ImportedServer {
    /// The approvals in these records.
    pub fn new(records: &BTreeMap<String, ToolRecord>) -> ImportedServer {
        let held = records.iter().filter(|(_, record)| record.status != Status::Approved);
        let approved = records.iter().filter_map(|(name, record)| {
            let hash = record.approved_hash.clone().filter(|_| record.status != Status::Pending)?;
            let tool = ImportedTool {
                hash,
                hash_version: record.hash_version,
                description: record.approved.description.clone(),
                input_schema: record.approved.input_schema.clone(),
                output_schema: record.approved.output_schema.clone(),
            };
            Some((name.clone(), tool))
        });
        ImportedServer {
            hold_all: false,
            tools: approved.collect(),
            held: held.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// No tool of the server is known to be approved.
    pub fn held() -> ImportedServer {
        ImportedServer {
            hold_all: true,
            ..ImportedServer::default()
        }
    }

    /// Compares a tool as it is now.
    pub fn compare(&self, now: &GoTool) -> Comparison<'_> {
        let Some(approved) = self.tools.get(&now.name) else { return Comparison::New };
        if now.hash(approved.hash_version) == approved.hash || approved.has_contents_of(now) {
            return Comparison::Same;
        }
        Comparison::Changed {
            approved_description: &approved.description,
            input_schema_differs: approved.input_schema != now.input_schema,
            output_schema_differs: approved.output_schema != now.output_schema,
        }
    }
}
