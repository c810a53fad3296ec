//! Lines of a file that `replay` reads and `export` writes: `{"received_at", "src", "body"}`, with the exact body as a
//! string.
//!
//! An export contains bodies reduced to the stored facts. Such a line also contains the hash of the original, so that
//! `replay` recognises repeats of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::collector::judge::{Verdict, body_hash, judge};
use crate::collector::repeat::Kept;
use crate::collector::report::{Day, Id, Moment, Reached, Report, launch_word};
use crate::collector::store::{Entry, Stored};

/// One line. `src` is ignored: the collector stores no address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    pub received_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Hash of the original body, as 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspect: bool,
    /// Seconds from the original's own time to its receipt, because a reduced body has no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew: Option<i32>,
    /// Replaces the body for events that are only counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
}

/// Events that are only counted, per day.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Counted {
    pub name: String,
    pub count: u64,
}

/// Why a line is not a report. Such a line is neither stored nor counted: a broken file is not a sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("it is not JSON with `received_at` and `body`")]
    Json,
    #[error("`received_at` is not a time between 2020 and 2139 in RFC 3339")]
    Receipt,
}

/// Reads one line.
///
/// # Errors
/// [`LineError`].
pub fn read(line: &str) -> Result<Entry, LineError> {
    let line: Line = serde_json::from_str(line).map_err(|_| LineError::Json)?;
    let received = Moment::parse(&line.received_at).filter(|at| at.is_plausible_receipt()).ok_or(LineError::Receipt)?;
    let day = Day::of(received);
    if let Some(Counted { name, count }) = line.counted {
        return Ok(Entry::count(day, name, count));
    }
    let body = line.body.ok_or(LineError::Json)?;
    Ok(match judge(body.as_bytes(), received) {
        Verdict::OptOut(id) => Entry::OptOut { id, received },
        Verdict::Rejected(rejection) => Entry::Count {
            day,
            name: format!("rejected:{}", rejection.reason),
            count: 1,
            // Recognises the line if the file is read again.
            entry: body_hash(body.as_bytes()) ^ received.0.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15),
            of_line: true,
        },
        Verdict::Report(judged) => {
            let mut facts = judged.facts;
            let hash = line.hash.and_then(|hash| u64::from_str_radix(&hash, 16).ok());
            if hash.is_some() {
                facts.skew = line.skew;
            }
            Entry::Report(Box::new(Report {
                id: judged.id,
                machine: judged.machine,
                received,
                hash: hash.unwrap_or(judged.hash),
                suspect: line.suspect,
                facts,
                unknown: if hash.is_some() { line.unknown } else { judged.unknown },
            }))
        }
    })
}

/// The lines of everything received under one id, one per receipt.
pub fn of_id(id: Id, stored: &Stored) -> Vec<Line> {
    let mut lines = Vec::new();
    for body in &stored.bodies {
        let text = reduced(id, body).to_string();
        lines.extend(body.receipts.iter().map(|receipt| Line {
            received_at: receipt.to_string(),
            body: Some(text.clone()),
            hash: Some(format!("{:016x}", body.hash)),
            unknown: body.unknown.clone(),
            suspect: body.suspect,
            skew: body.facts.skew,
            counted: None,
        }));
    }
    lines.extend(stored.opted_out.map(|at| Line {
        received_at: at.to_string(),
        body: Some(json!({"event": "telemetry_disabled", "anonymous_id": id.to_uuid()}).to_string()),
        hash: None,
        unknown: Vec::new(),
        suspect: false,
        skew: None,
        counted: None,
    }));
    lines
}

/// The line of an event that is only counted.
pub fn of_count(day: Day, name: &str, count: u64) -> Line {
    Line {
        received_at: format!("{day}T00:00:00Z"),
        body: None,
        hash: None,
        unknown: Vec::new(),
        suspect: false,
        skew: None,
        counted: Some(Counted {
            name: name.to_owned(),
            count,
        }),
    }
}

/// A body that contains only the stored facts of a report.
pub fn reduced(id: Id, body: &Kept) -> Value {
    let facts = &body.facts;
    let mut map = Map::new();
    map.insert("anonymous_id".into(), json!(id.to_uuid()));
    if let Some(machine) = body.machine {
        map.insert("machine_id".into(), json!(machine.to_machine()));
    }
    map.insert("version".into(), json!(facts.version));
    map.insert("os".into(), json!(facts.system.word()));
    map.insert("schema_version".into(), json!(facts.schema));
    map.insert("env_kind".into(), json!(facts.kind.word()));
    map.insert("launch_source".into(), json!(launch_word(facts.launch)));
    map.insert("server_count".into(), json!(u8::from(facts.reached.has(Reached::CONFIGURED))));
    map.insert("builtin_tool_calls".into(), json!({"retrieve_tools": facts.calls}));
    map.insert(
        "activation".into(),
        json!({
            "first_connected_server_ever": facts.reached.has(Reached::CONNECTED),
            "first_mcp_client_ever": facts.reached.has(Reached::CLIENT),
            "first_retrieve_tools_call_ever": facts.reached.has(Reached::RETRIEVE),
            "mcp_clients_seen_ever": facts.clients,
        }),
    );
    Value::Object(map)
}
