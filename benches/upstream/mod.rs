//! The fast upstream of the benchmarks: an MCP server that does minimal work, with any number of tools.

use std::io::{BufRead, Write};

use serde_json::{Value, json};

const CORPUS: &str = include_str!("../corpus/golden45.tools.json");

/// Returns the corpus's tools, each with the name of its `server`.
pub fn corpus() -> Vec<Value> {
    serde_json::from_str(CORPUS).unwrap()
}

/// Generates tools from the corpus's words, always the same: `echo`, then others up to this count.
pub fn generated(count: usize) -> Vec<Value> {
    let corpus = corpus();
    let descriptions = corpus.iter().filter_map(|tool| tool["description"].as_str());
    let words = descriptions.flat_map(|text| text.split(|c: char| !c.is_ascii_alphabetic()));
    let mut words: Vec<String> = words.filter(|word| word.len() > 2).map(str::to_lowercase).collect();
    words.sort_unstable();
    words.dedup();
    let mut state = 1_u64;
    let mut some = |count: usize| {
        let one = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            words[(state >> 33) as usize % words.len()].as_str()
        };
        (0..count).map(one).collect::<Vec<_>>()
    };
    let echo = json!({"name": "echo", "description": "Says it again", "annotations": {"readOnlyHint": true},
        "inputSchema": {"type": "object", "properties": {"message": {"type": "string"}}}});
    let other = |at: usize| {
        let (parameters, mut properties) = (some(2), json!({}));
        for parameter in &parameters {
            properties[parameter] = json!({"type": "string", "description": some(5).join(" ")});
        }
        json!({"name": format!("{}_{at}", some(2).join("_")), "description": some(14).join(" "),
            "annotations": {"readOnlyHint": true},
            "inputSchema": {"type": "object", "properties": properties, "required": parameters.get(..1)}})
    };
    std::iter::once(echo).chain((1..count).map(other)).collect()
}

/// Returns the tools of one server in the corpus.
fn of_corpus(server: &str) -> Vec<Value> {
    let own = corpus().into_iter().filter(|tool| tool["server"] == server);
    own.map(
        |tool| json!({"name": tool["name"], "description": tool["description"], "inputSchema": tool["inputSchema"]}),
    )
    .collect()
}

/// Returns the result of `tools/list`. Created only once, because its time is not part of the proxy's.
pub fn list(tools: &[Value]) -> String {
    json!({"tools": tools}).to_string()
}

/// Returns the response to a message; `None` for a notification.
pub fn answer(message: &[u8], list: &str) -> Option<String> {
    let request: Value = serde_json::from_slice(message).unwrap();
    let id = request.get("id")?;
    let result = match request["method"].as_str()? {
        "initialize" => json!({"protocolVersion": request["params"]["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "fast", "version": "1"}}),
        "tools/list" => return Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{list}}}"#)),
        "tools/call" => json!({"content": [{"type": "text", "text": request["params"]["arguments"]["message"]}]}),
        "ping" => json!({}),
        _ => {
            let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}});
            return Some(error.to_string());
        }
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
}

/// Serves over standard input and output: `COUNT` generated tools, or `corpus SERVER`.
pub fn serve(arguments: &[String]) {
    let tools = match arguments {
        [kind, server] if kind == "corpus" => of_corpus(server),
        [count] => generated(count.parse().unwrap()),
        _ => generated(1),
    };
    let list = list(&tools);
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        if let Some(answer) = answer(line.unwrap().as_bytes(), &list) {
            // One write per line, to wake the reader only once.
            output.write_all(format!("{answer}\n").as_bytes()).unwrap();
            output.flush().unwrap();
        }
    }
}
