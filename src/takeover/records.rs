//! What the Go core's `config.db` says that its configuration file does not: approvals, tools that were turned off, how far
//! the installation has come, and what it keeps that has no counterpart here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde::Deserialize;

use super::bolt::{Bolt, BoltError, ReadAt};

/// The newest layout of the records that is understood.
const NEWEST_SCHEMA: u64 = 3;
/// More records than this are not a person's.
const MOST_RECORDS: usize = 200_000;

/// Why nothing is taken from a database.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Bolt(#[from] BoltError),
    #[error("it has no record of its layout, so it is not a database of MCPProxy")]
    NotOurs,
    #[error("its layout is version {0}, and the newest known is {NEWEST_SCHEMA}")]
    NewerSchema(u64),
    #[error("another MCPProxy wrote to it while it was read")]
    Changing,
}

/// How the Go core judged a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Approved,
    /// New and not approved.
    Pending,
    /// Approved once, and different since.
    Changed,
}

/// The record of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRecord {
    pub status: Status,
    /// Hash of the definition that was approved; `None` if none was.
    pub approved_hash: Option<String>,
    pub hash_version: u64,
    /// The approved description and schemas, in the Go core's normal form.
    pub approved: Contents,
    /// A person turned the tool off or blocked it.
    pub disabled: bool,
}

/// The part of a tool definition that a record contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub description: String,
    pub input_schema: String,
    pub output_schema: String,
}

/// The Go core's last record of a server, for entries of the configuration file that do not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerRecord {
    pub enabled: bool,
    /// It is held back until a person approves it.
    pub quarantined: bool,
}

/// The one-way flags and counts of the Go core's telemetry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activation {
    pub connected_server: bool,
    pub mcp_client: bool,
    pub retrieve_tools_call: bool,
    pub real_tool_call: bool,
    pub clients: Vec<String>,
    /// Count and start of the window in Unix seconds.
    pub retrieve_tools_calls: (u64, i64),
    pub tokens_saved: (u64, i64),
    pub installer_pending: bool,
}

/// Everything that is taken from a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// The transaction that was read.
    pub transaction: u64,
    /// The servers that the Go core has loaded, by name.
    pub servers: BTreeMap<String, ServerRecord>,
    /// By server, then by tool.
    pub tools: BTreeMap<String, BTreeMap<String, ToolRecord>>,
    /// Servers with a record that could not be understood.
    pub unreadable: BTreeSet<String>,
    /// Servers with a prompt that is not approved.
    pub held_prompts: BTreeSet<String>,
    pub activation: Activation,
    /// When each server was first seen, RFC 3339.
    pub first_seen: BTreeMap<String, String>,
    /// Servers with a sign-in.
    pub sign_ins: BTreeSet<String>,
    pub agent_tokens: usize,
    pub has_activity: bool,
}

/// The last transaction of a database.
///
/// # Errors
/// [`ReadError`]; it is damaged.
pub fn transaction(source: impl ReadAt) -> Result<u64, ReadError> {
    Ok(Bolt::open(source)?.transaction())
}

/// Reads a database. Two reads of it see the same transaction, or the result is [`ReadError::Changing`].
///
/// # Errors
/// [`ReadError`]; then nothing that it may hold is known.
pub fn read(source: impl ReadAt) -> Result<Records, ReadError> {
    let bolt = Bolt::open(source)?;
    let schema = read_schema(&bolt)?;
    let mut records = Records {
        transaction: bolt.transaction(),
        ..Records::default()
    };
    read_servers(&bolt, &mut records)?;
    // The versions before it had no approvals of tools.
    if !read_tools(&bolt, &mut records)? && schema >= NEWEST_SCHEMA {
        return Err(BoltError::Damaged("it has no approvals of tools".into()).into());
    }
    read_prompts(&bolt, &mut records)?;
    read_activation(&bolt, &mut records.activation)?;
    read_identities(&bolt, &mut records)?;
    read_sign_ins(&bolt, &mut records)?;
    bolt.visit(b"agent_tokens", &mut |_, _| {
        records.agent_tokens += 1;
        ControlFlow::Continue(())
    })?;
    bolt.visit(b"activity_records", &mut |_, _| {
        records.has_activity = true;
        ControlFlow::Break(())
    })?;
    if bolt.is_current()? { Ok(records) } else { Err(ReadError::Changing) }
}

fn read_schema<R: ReadAt>(bolt: &Bolt<R>) -> Result<u64, ReadError> {
    let mut schema = None;
    bolt.visit(b"meta", &mut |key, value| {
        if key == b"schema" {
            schema = value.and_then(|value| value.try_into().ok()).map(u64::from_le_bytes);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    match schema {
        None => Err(ReadError::NotOurs),
        Some(newer) if newer > NEWEST_SCHEMA => Err(ReadError::NewerSchema(newer)),
        Some(known) => Ok(known),
    }
}

/// As the Go core writes it; omitted fields have a default, and unknown fields are ignored.
#[derive(Deserialize)]
struct WrittenTool {
    server_name: String,
    tool_name: String,
    #[serde(default)]
    approved_hash: String,
    #[serde(default)]
    hash_schema_version: u64,
    status: String,
    #[serde(default)]
    previous_description: String,
    #[serde(default)]
    current_description: String,
    #[serde(default)]
    previous_schema: String,
    #[serde(default)]
    current_schema: String,
    #[serde(default)]
    previous_output_schema: String,
    #[serde(default)]
    current_output_schema: String,
    #[serde(default)]
    disabled: bool,
}

impl From<WrittenTool> for ToolRecord {
    fn from(written: WrittenTool) -> ToolRecord {
        let status = match written.status.as_str() {
            "approved" => Status::Approved,
            "changed" => Status::Changed,
            // A state that only a newer core knows is not an approval.
            _ => Status::Pending,
        };
        let current = Contents {
            description: written.current_description,
            input_schema: written.current_schema,
            output_schema: written.current_output_schema,
        };
        let previous = Contents {
            description: written.previous_description,
            input_schema: written.previous_schema,
            output_schema: written.previous_output_schema,
        };
        ToolRecord {
            status,
            approved_hash: Some(written.approved_hash).filter(|hash| !hash.is_empty() && status != Status::Pending),
            hash_version: written.hash_schema_version,
            approved: if status == Status::Changed { previous } else { current },
            disabled: written.disabled,
        }
    }
}

fn read_servers<R: ReadAt>(bolt: &Bolt<R>, records: &mut Records) -> Result<(), ReadError> {
    #[derive(Deserialize)]
    struct WrittenServer {
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        enabled: Option<bool>,
        #[serde(default)]
        quarantined: Option<bool>,
    }
    bolt.visit(b"upstreams", &mut |key, value| {
        let written = value.and_then(|value| serde_json::from_slice::<WrittenServer>(value).ok());
        let record = ServerRecord {
            enabled: written.as_ref().and_then(|written| written.enabled).unwrap_or(false),
            // A record that cannot be understood is not an approval.
            quarantined: written.as_ref().is_none_or(|written| written.quarantined.unwrap_or(false)),
        };
        let name = written.and_then(|written| written.name).filter(|name| !name.is_empty());
        records.servers.insert(name.unwrap_or_else(|| String::from_utf8_lossy(key).into_owned()), record);
        match records.servers.len() <= MOST_RECORDS {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(())
}

/// Whether the database has approvals of tools.
fn read_tools<R: ReadAt>(bolt: &Bolt<R>, records: &mut Records) -> Result<bool, ReadError> {
    let mut wrong = None;
    let mut count = 0;
    let exists = bolt.visit(b"tool_approvals", &mut |key, value| {
        count += 1;
        let Some((server, tool)) = split(key).filter(|_| count <= MOST_RECORDS) else {
            wrong = Some(BoltError::Damaged("a record of a tool has no name".into()));
            return ControlFlow::Break(());
        };
        let written = value.and_then(|value| serde_json::from_slice::<WrittenTool>(value).ok());
        match written.filter(|written| written.server_name == server && written.tool_name == tool) {
            Some(written) => {
                records.tools.entry(server).or_default().insert(tool, written.into());
            }
            None => {
                records.unreadable.insert(server);
            }
        }
        ControlFlow::Continue(())
    })?;
    wrong.map_or(Ok(exists), |error| Err(error.into()))
}

fn read_prompts<R: ReadAt>(bolt: &Bolt<R>, records: &mut Records) -> Result<(), ReadError> {
    #[derive(Deserialize)]
    struct WrittenPrompt {
        status: String,
        #[serde(default)]
        disabled: bool,
    }
    bolt.visit(b"prompt_approvals", &mut |key, value| {
        let written = value.and_then(|value| serde_json::from_slice::<WrittenPrompt>(value).ok());
        let is_open = written.is_some_and(|written| written.status == "approved" && !written.disabled);
        if let Some((server, _)) = split(key).filter(|_| !is_open) {
            records.held_prompts.insert(server);
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

fn read_activation<R: ReadAt>(bolt: &Bolt<R>, activation: &mut Activation) -> Result<(), ReadError> {
    bolt.visit(b"activation", &mut |key, value| {
        let value = value.unwrap_or_default();
        let flag = value.first().is_some_and(|byte| *byte != 0);
        match key {
            b"first_connected_server_ever" => activation.connected_server = flag,
            b"first_mcp_client_ever" => activation.mcp_client = flag,
            b"first_retrieve_tools_call_ever" => activation.retrieve_tools_call = flag,
            b"first_real_tool_call_ever" => activation.real_tool_call = flag,
            b"installer_heartbeat_pending" => activation.installer_pending = flag,
            b"mcp_clients_seen_ever" => activation.clients = serde_json::from_slice(value).unwrap_or_default(),
            b"retrieve_tools_calls_24h" => activation.retrieve_tools_calls = counter(value),
            b"estimated_tokens_saved_24h" => activation.tokens_saved = counter(value),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// A count and the start of its window, big-endian.
fn counter(value: &[u8]) -> (u64, i64) {
    match (value.get(..8).and_then(|count| count.try_into().ok()), value.get(8..16).and_then(|at| at.try_into().ok())) {
        (Some(count), Some(start)) => (u64::from_be_bytes(count), i64::from_be_bytes(start)),
        _ => (0, 0),
    }
}

fn read_identities<R: ReadAt>(bolt: &Bolt<R>, records: &mut Records) -> Result<(), ReadError> {
    #[derive(Deserialize)]
    struct WrittenIdentity {
        server_name: String,
        first_seen: String,
    }
    bolt.visit(b"server_identities", &mut |_, value| {
        if let Some(Ok(written)) = value.map(serde_json::from_slice::<WrittenIdentity>) {
            let first = records.first_seen.entry(written.server_name).or_insert_with(|| written.first_seen.clone());
            if written.first_seen < *first {
                *first = written.first_seen;
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

fn read_sign_ins<R: ReadAt>(bolt: &Bolt<R>, records: &mut Records) -> Result<(), ReadError> {
    #[derive(Deserialize)]
    struct WrittenTokens {
        server_name: String,
        #[serde(default)]
        display_name: String,
    }
    bolt.visit(b"oauth_tokens", &mut |_, value| {
        if let Some(Ok(written)) = value.map(serde_json::from_slice::<WrittenTokens>) {
            let shown = !written.display_name.is_empty();
            records.sign_ins.insert(if shown { written.display_name } else { written.server_name });
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// `server:tool`; a server's name has no colon.
fn split(key: &[u8]) -> Option<(String, String)> {
    let (server, tool) = std::str::from_utf8(key).ok()?.split_once(':')?;
    (!server.is_empty() && !tool.is_empty()).then(|| (server.to_owned(), tool.to_owned()))
}
