//! Measures the cost and quality of tool searches through a running proxy; `scripts/bench --search` runs it, with other
//! proxies for comparison.
//!
//! `search cost SUBJECT...`, `search quality SUBJECT...` and `search tokens FILE SUBJECT...`, with subjects in the
//! format of `subject::Subject`. Each subject's command begins with its call, a `tools/call` that contains `{query}`
//! and `{limit}`. The servers are this program with the argument `upstream`.

#![allow(clippy::print_stdout, reason = "a benchmark's table is its result")]
#![allow(clippy::print_stderr, reason = "shows progress beside the table")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]
#![allow(clippy::indexing_slicing, reason = "same")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

mod session;
mod subject;
mod upstream;

use session::{Failure, Session, result};
use subject::{Rows, Started, Subject, percentile};

const TOOLS: [usize; 3] = [10, 1_000, 10_000];
const TURNS: usize = 3;
const LIMIT: usize = 15;
const ALL: usize = 45;
const SEARCHES: usize = 1_000; // per turn, if they take no longer than
const SEARCHES_END: Duration = Duration::from_secs(4); // or no fewer than
const SEARCHES_LEAST: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
const QUERIES: &str = include_str!("corpus/golden45.queries.jsonl");

#[derive(Deserialize)]
struct Query {
    query: String,
    relevant: HashMap<String, u32>,
}

fn queries() -> Vec<Query> {
    QUERIES.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A proxy and its search call.
struct Searched {
    subject: Subject,
    call: String,
}

impl Searched {
    fn read(arguments: &[String]) -> Vec<Searched> {
        let one = |mut subject: Subject| Searched {
            call: subject.command.remove(0),
            subject,
        };
        Subject::read(arguments).into_iter().map(one).collect()
    }

    fn request(&self, query: &str, limit: usize) -> Value {
        let call = self.call.replace("{query}", &json!(query).to_string()).replace("{limit}", &limit.to_string());
        let params: Value = serde_json::from_str(&call).unwrap();
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params})
    }

    /// Starts the proxy in its own directory, and waits until each of these searches finds its tool: then all servers
    /// have been listed.
    async fn start(
        &self,
        fill: [(&str, String); 2],
        known: &Known,
        wanted: &[Wanted],
    ) -> Result<(TempDir, Started), Failure> {
        let home = tempfile::tempdir()?;
        let limit = fill[1].1.parse()?;
        let found = async |session: &mut Session| {
            for (query, id) in wanted {
                let request = self.request(query, limit);
                let answer = session.ask(&request).await?;
                if !known.ranked(&answer).contains(id) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        };
        let started = self.subject.start(home.path(), &fill, PATIENCE, found).await;
        let (started, ()) = started.map_err(|error| format!("does not start: {error}"))?;
        Ok((home, started))
    }
}

/// A query, and the ID of the tool that it must find.
type Wanted = (String, String);

/// A query for a tool: its own description.
fn wanted(server: &str, tool: &Value) -> Wanted {
    let text = |key: &str| tool[key].as_str().unwrap().to_owned();
    (text("description"), format!("{server}:{}", text("name")))
}

/// The tools behind a proxy, under every kind of name that proxies use.
struct Known(HashMap<String, String>);

impl Known {
    fn new<'a>(tools: impl IntoIterator<Item = (&'a str, &'a str)>) -> Known {
        let spelled = tools.into_iter().flat_map(|(server, tool)| {
            let id = format!("{server}:{tool}");
            let with = |between: &str| (format!("{server}{between}{tool}"), id.clone());
            [
                with(":"),
                with("/"),
                with("_"),
                with("__"),
                (tool.to_owned(), id.clone()),
            ]
        });
        Known(spelled.collect())
    }

    /// Returns the tools that a result contains, in order.
    fn ranked(&self, answer: &Value) -> Vec<String> {
        let text = answer["content"][0]["text"].as_str().unwrap_or_default();
        let mut names = Vec::new();
        match serde_json::from_str(text) {
            Ok(value) => self.names_in(&value, &mut names),
            Err(_) => self.names_in(&answer["structuredContent"], &mut names),
        }
        names
    }

    fn names_in(&self, value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.names_in(value, names)),
            Value::Object(fields) => {
                let text = |key: &str| fields.get(key).and_then(Value::as_str);
                let server = text("mcp_name").or(text("server"));
                let together = server.zip(text("name")).map(|(server, name)| format!("{server}:{name}"));
                let spelled = [text("id").map(str::to_owned), together, text("name").map(str::to_owned)];
                match spelled.into_iter().flatten().find_map(|name| self.0.get(&name)) {
                    Some(id) if !names.contains(id) => names.push(id.clone()),
                    Some(_) => {}
                    None => fields.values().for_each(|value| self.names_in(value, names)),
                }
            }
            _ => {}
        }
    }
}

/// Measures one turn with this many tools: p50 and p99 of a search, the median number of found tools, the time from
/// start to the first successful search, and memory.
async fn turn_of_cost(searched: &Searched, count: usize, known: &Known, last: &Wanted) -> Result<Vec<f64>, Failure> {
    let fill = [("{tools}", count.to_string()), ("{limit}", LIMIT.to_string())];
    let (_home, started) = searched.start(fill, known, std::slice::from_ref(last)).await?;
    let mut session = Session::open(started.target.clone()).await?;
    let requests: Vec<_> = queries().iter().map(|query| searched.request(&query.query, LIMIT)).collect();
    let (mut times, mut found) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for request in requests.iter().cycle().take(SEARCHES) {
        let begin = Instant::now();
        let body = tokio::time::timeout(PATIENCE, session.exchange(request)).await??;
        times.push(begin.elapsed());
        let answer = result(&body, request)?;
        if found.len() < requests.len() {
            found.push(known.ranked(&answer).len() as f64);
        }
        if start.elapsed() > SEARCHES_END && times.len() >= SEARCHES_LEAST {
            break;
        }
    }
    times.sort_unstable();
    let ready = started.took.as_secs_f64() * 1e3;
    Ok(vec![
        percentile(&times, 50),
        percentile(&times, 99),
        subject::median(found),
        ready,
        started.memory(),
    ])
}

async fn cost(subjects: &[Searched]) {
    let mut rows = Rows::new();
    for turn in 1..=TURNS {
        for count in TOOLS {
            eprintln!("search: turn {turn} of {TURNS}, {count} tools");
            let tools = upstream::generated(count);
            let known = Known::new(tools.iter().filter_map(|tool| Some(("fast", tool["name"].as_str()?))));
            let last = wanted("fast", &tools[count - 1]);
            for searched in subjects {
                let name = format!("{:<34} {count:>8}", searched.subject.name);
                rows.add(&name, turn_of_cost(searched, count, &known, &last).await);
            }
        }
    }
    println!(
        "{:<34} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "tool search", "tools", "p50 ms", "p99 ms", "found", "ready ms", "MB"
    );
    for (name, numbers) in rows.medians() {
        match numbers {
            Ok(of) => println!("{name} {:>9.2} {:>9.2} {:>9.0} {:>9.0} {:>9.1}", of[0], of[1], of[2], of[3], of[4]),
            Err(error) => println!("{name} failed: {error}"),
        }
    }
}

/// Returns recall@5, the mean reciprocal rank, and the number of queries without any result.
async fn quality_of(searched: &Searched, known: &Known, each: &[Wanted]) -> Result<(f64, f64, usize), Failure> {
    let fill = [("{tools}", "1".to_owned()), ("{limit}", ALL.to_string())];
    let (_home, started) = searched.start(fill, known, each).await?;
    let mut session = Session::open(started.target.clone()).await?;
    let (mut recall, mut rank, mut nothing) = (0.0, 0.0, 0);
    let queries = queries();
    for query in &queries {
        let request = searched.request(&query.query, ALL);
        let found = known.ranked(&session.ask(&request).await?);
        let relevant = |id: &&String| query.relevant.contains_key(*id);
        recall += found.iter().take(5).filter(relevant).count() as f64 / query.relevant.len() as f64;
        rank += found.iter().position(|id| relevant(&id)).map_or(0.0, |at| 1.0 / (at + 1) as f64);
        nothing += usize::from(found.is_empty());
    }
    let count = queries.len() as f64;
    Ok((recall / count, rank / count, nothing))
}

async fn quality(subjects: &[Searched]) {
    let tools = upstream::corpus();
    let known = Known::new(tools.iter().filter_map(|tool| Some((tool["server"].as_str()?, tool["name"].as_str()?))));
    let each = one_of_each_server(&tools);
    println!("{:<34} {:>8} {:>9} {:>9} {:>18}", "golden45", "servers", "recall@5", "MRR", "searches in vain");
    for searched in subjects {
        let name = format!("{:<34} {:>8}", searched.subject.name, searched.subject.servers);
        match quality_of(searched, &known, &each).await {
            Ok((recall, rank, nothing)) => println!("{name} {recall:>9.3} {rank:>9.3} {nothing:>18}"),
            Err(error) => println!("{name} failed: {error}"),
        }
    }
}

/// Number of tools in a search when tokens are counted.
const COUNTED_LIMIT: usize = 10;

/// Returns everything that a proxy adds to a client's context: its list of tools, the results of the searches of
/// golden45, and whether each contains a relevant tool. `benches/count_tokens.cjs` counts the tokens.
async fn answers_of(searched: &Searched, known: &Known, each: &[Wanted]) -> Result<Value, Failure> {
    let fill = [("{tools}", "1".to_owned()), ("{limit}", COUNTED_LIMIT.to_string())];
    let (_home, started) = searched.start(fill, known, each).await?;
    let mut session = Session::open(started.target.clone()).await?;
    let list = session.ask(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})).await?;
    let mut answers = Vec::new();
    for query in queries() {
        let answer = session.ask(&searched.request(&query.query, COUNTED_LIMIT)).await?;
        let found = known.ranked(&answer);
        let relevant = |most: usize| found.iter().take(most).filter(|id| query.relevant.contains_key(*id)).count();
        let all = query.relevant.len() as f64;
        answers.push(json!({
            "text": answer["content"][0]["text"],
            "recall5": relevant(5) as f64 / all,
            "recall10": relevant(COUNTED_LIMIT) as f64 / all,
            "found": relevant(COUNTED_LIMIT) > 0,
        }));
    }
    Ok(json!({"name": searched.subject.name, "list": list["tools"].to_string(), "answers": answers}))
}

async fn tokens(file: &str, subjects: &[Searched]) {
    let tools = upstream::corpus();
    let known = Known::new(tools.iter().filter_map(|tool| Some((tool["server"].as_str()?, tool["name"].as_str()?))));
    let each = one_of_each_server(&tools);
    let direct: Vec<Value> = tools
        .iter()
        .map(|tool| json!({"name": tool["name"], "description": tool["description"], "inputSchema": tool["inputSchema"]}))
        .collect();
    let mut lines =
        json!({"name": "all tools in context", "list": json!(direct).to_string(), "answers": []}).to_string();
    for searched in subjects {
        let line = match answers_of(searched, &known, &each).await {
            Ok(line) => line,
            Err(error) => json!({"name": searched.subject.name, "error": error.to_string()}),
        };
        lines.push('\n');
        lines.push_str(&line.to_string());
    }
    std::fs::write(file, lines).unwrap();
}

fn one_of_each_server(tools: &[Value]) -> Vec<Wanted> {
    let mut each: HashMap<&str, Wanted> = HashMap::new();
    for tool in tools {
        let server = tool["server"].as_str().unwrap();
        each.insert(server, wanted(server, tool));
    }
    each.into_values().collect()
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [kind, arguments @ ..] if kind == "upstream" => upstream::serve(arguments),
        [kind, subjects @ ..] if kind == "cost" => cost(&Searched::read(subjects)).await,
        [kind, file, subjects @ ..] if kind == "tokens" => tokens(file, &Searched::read(subjects)).await,
        [kind, subjects @ ..] if kind == "quality" => quality(&Searched::read(subjects)).await,
        _ => println!("run this through scripts/bench --search"),
    }
}
