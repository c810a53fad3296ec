//! A tool in a result of `retrieve_tools` or `describe_tool`: in full, in one line, or shortened to fit.

use std::borrow::Cow;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde::Serialize;

use crate::catalog::call_variant::Intent;
use crate::catalog::search_index::Found;
use crate::catalog::tool_id;
use crate::contract::tokens::estimate;
use crate::gateway::call_log::Used;
use crate::gateway::search_mode::schema::pruned;
use crate::gateway::search_mode::signature::Signature;

/// A tool's definition for a model that wants to call the tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Definition {
    name: String,
    description: Option<Cow<'static, str>>,
    /// Absent if the definition was shortened.
    #[serde(rename = "inputSchema", skip_serializing_if = "Option::is_none")]
    input_schema: Option<JsonObject>,
    call_with: &'static str,
}

impl Definition {
    pub fn of(server: &str, tool: &Tool) -> Definition {
        let description = tool.description.as_deref().unwrap_or_default();
        Definition {
            name: tool_id::join(server, &tool.name),
            input_schema: Some(pruned(&tool.input_schema, description)),
            description: tool.description.clone(),
            call_with: Intent::recommended(tool.annotations.as_ref()).tool(),
        }
    }
}

/// A tool in one line, with the same keys as in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    name: String,
    sig: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_with: Option<&'static str>,
}

/// A tool in one line, with the keys of `detail: "compact"`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompactLine {
    id: String,
    sig: String,
    desc: String,
    lossy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_with: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Shape {
    Full(Definition),
    Line(Line),
    Compact(CompactLine),
}

/// How a tool was found; for `debug`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Origin {
    score: f64,
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<ToolAnnotations>,
}

/// The latest calls of a tool; for `include_stats`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Usage {
    usage_count: u64,
    /// RFC 3339.
    last_used: Option<String>,
}

/// The parameters of a definition without its schema.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Parameters {
    sig: String,
    lossy: bool,
}

/// A tool in a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolEntry {
    #[serde(flatten)]
    shape: Shape,
    #[serde(flatten)]
    origin: Option<Origin>,
    #[serde(flatten)]
    usage: Option<Usage>,
    #[serde(flatten)]
    parameters: Option<Parameters>,
}

impl ToolEntry {
    /// Shows a tool in full.
    pub fn full(found: &Found<'_>) -> ToolEntry {
        ToolEntry::new(Shape::Full(Definition::of(&found.entry.server, &found.entry.tool)))
    }

    /// Shows a tool in one line of at most this many tokens, unless its name alone takes more.
    pub fn line(found: &Found<'_>, tokens: u64) -> ToolEntry {
        let tool = &found.entry.tool;
        let line = |Signature { sig, desc, .. }: Signature| {
            ToolEntry::new(Shape::Line(Line {
                name: tool_id::join(&found.entry.server, &tool.name),
                sig,
                description: desc,
                call_with: unusual_call_tool(tool),
            }))
        };
        let mut lines = Signature::short(tool).map(line);
        lines.find(|line| line.tokens() <= tokens).unwrap_or_else(|| line(Signature::shortest(tool)))
    }

    /// Shows a tool in one line, for `detail: "compact"`.
    pub fn compact(found: &Found<'_>) -> ToolEntry {
        let Signature { sig, desc, lossy } = Signature::of(&found.entry.tool);
        ToolEntry::new(Shape::Compact(CompactLine {
            id: tool_id::join(&found.entry.server, &found.entry.tool.name),
            sig,
            desc,
            lossy,
            call_with: unusual_call_tool(&found.entry.tool),
        }))
    }

    fn new(shape: Shape) -> ToolEntry {
        ToolEntry {
            shape,
            origin: None,
            usage: None,
            parameters: None,
        }
    }

    /// Adds how the tool was found.
    pub fn add_origin(&mut self, found: &Found<'_>) {
        self.origin = Some(Origin {
            score: found.score.into(),
            server: found.entry.server.clone(),
            annotations: found.entry.tool.annotations.clone(),
        });
    }

    /// Adds the latest calls.
    pub fn add_usage(&mut self, used: Option<Used>) {
        self.usage = Some(Usage {
            usage_count: used.map_or(0, |used| used.count),
            last_used: used.map(|used| used.last.to_string()),
        });
    }

    fn has_schema(&self) -> bool {
        matches!(&self.shape, Shape::Full(definition) if definition.input_schema.is_some())
    }

    /// Returns the entry with a shortened schema and description. An entry in one line is short already.
    fn shortened(&self, found: &Found<'_>) -> ToolEntry {
        let mut short = self.clone();
        if let Shape::Full(definition) = &mut short.shape
            && definition.input_schema.take().is_some()
        {
            let Signature { sig, desc, lossy } = Signature::of(&found.entry.tool);
            definition.description = Some(desc.into());
            short.parameters = Some(Parameters { sig, lossy });
        }
        short
    }

    /// Returns the entry's estimated size in a result, in tokens.
    pub fn tokens(&self) -> u64 {
        serde_json::to_string(self).map_or(0, |text| estimate(&text))
    }

    /// Returns the entry's size in a result, in characters.
    fn size(&self) -> usize {
        serde_json::to_string(self).map_or(0, |text| text.chars().count() + 1)
    }
}

/// Returns the call tool if it is not `call_tool_read`.
fn unusual_call_tool(tool: &Tool) -> Option<&'static str> {
    let intent = Intent::recommended(tool.annotations.as_ref());
    (intent != Intent::Read).then(|| intent.tool())
}

/// The number of tools that were shortened or omitted because the result would be too large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reduction {
    pub shortened: usize,
    left_out: usize,
}

impl Reduction {
    pub fn notice(self) -> Option<String> {
        let shortened = match self.shortened {
            0 => None,
            1 => Some("The last tool is shown without its inputSchema".to_owned()),
            several => Some(format!("The last {several} tools are shown without their inputSchema")),
        };
        let left_out = match self.left_out {
            0 => None,
            1 => Some("1 less relevant tool is omitted".to_owned()),
            several => Some(format!("{several} less relevant tools are omitted")),
        };
        let what: Vec<String> = shortened.into_iter().chain(left_out).collect();
        (!what.is_empty()).then(|| {
            let what = what.join(", and ");
            format!("{what}, because the result would be too long (tool_response_limit). describe_tool shows the full definition of a tool.")
        })
    }
}

/// Shortens the tools until they fit. Shows the best one in full if possible, and the next ones while the others fit on
/// one line each.
pub fn cut(tools: &mut Vec<ToolEntry>, found: &[Found<'_>], room: usize) -> Reduction {
    let whole: Vec<usize> = tools.iter().map(ToolEntry::size).collect();
    if whole.iter().sum::<usize>() <= room {
        return Reduction::default();
    }
    let shorter = |((entry, found), whole): ((&ToolEntry, &Found<'_>), &usize)| {
        let short = entry.shortened(found);
        if short.size() < *whole { short } else { entry.clone() }
    };
    let short: Vec<ToolEntry> = tools.iter().zip(found).zip(&whole).map(shorter).collect();
    let mut sizes: Vec<usize> = short.iter().map(ToolEntry::size).collect();
    if let (Some(size), Some(whole)) = (sizes.first_mut(), whole.first())
        && *whole <= room
    {
        *size = *whole;
    }
    let mut used: usize = sizes.iter().sum();
    let mut left_out = 0;
    for size in sizes.iter().skip(1).rev() {
        if used <= room {
            break;
        }
        used -= size;
        left_out += 1;
    }
    tools.truncate(tools.len() - left_out);
    let stay = whole.iter().zip(&sizes).take_while(|(whole, short)| {
        used += *whole - *short;
        used <= room
    });
    let stay = stay.count();
    let mut cut = Reduction { shortened: 0, left_out };
    for (entry, short) in tools.iter_mut().zip(short).skip(stay) {
        cut.shortened += usize::from(entry.has_schema() && !short.has_schema());
        *entry = short;
    }
    cut
}
