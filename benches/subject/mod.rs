//! A measured proxy: how to start it, its memory, and the results of several turns.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::session::{Failure, Running, Session, Target};

/// A proxy to measure.
pub struct Subject {
    pub name: String,
    /// Number of its servers, for display.
    pub servers: String,
    pub path: String,
    pub command: Vec<String>,
}

/// A running proxy, and the time until it was ready.
pub struct Started {
    pub running: Running,
    pub target: Target,
    pub took: Duration,
}

impl Subject {
    /// Parses `NAME SERVERS PATH COMMAND... ';' NAME …`.
    pub fn read(arguments: &[String]) -> Vec<Subject> {
        let one = |one: &[String]| {
            let [name, servers, path, command @ ..] = one else { return None };
            Some(Subject {
                name: name.clone(),
                servers: servers.clone(),
                path: path.clone(),
                command: command.to_vec(),
            })
        };
        arguments.split(|argument| argument == ";").filter_map(one).collect()
    }

    /// Starts the proxy in this directory, and polls until `ready` returns a value, on one session if possible.
    /// Replaces `{port}`, `{upstream}` (this program), `{home}` and the keys of `fill` in the command.
    pub async fn start<T>(
        &self,
        home: &Path,
        fill: &[(&str, String)],
        patience: Duration,
        ready: impl AsyncFn(&mut Session) -> Result<Option<T>, Failure>,
    ) -> Result<(Started, T), Failure> {
        std::fs::create_dir_all(home)?;
        let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let upstream = std::env::current_exe()?;
        let own = [
            ("{port}", port.to_string()),
            ("{upstream}", upstream.to_string_lossy().into_owned()),
            ("{home}", home.to_string_lossy().into_owned()),
        ];
        let filled =
            |text: &String| own.iter().chain(fill).fold(text.clone(), |text, (name, value)| text.replace(name, value));
        let mut command = self.command.iter().map(filled);
        let program = command.next().ok_or("no command")?;
        let begin = Instant::now();
        let mut command_line = Command::new(program);
        command_line.args(command).current_dir(home);
        command_line.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running(command_line.spawn()?);
        let target = Target {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            path: self.path.clone(),
        };
        let mut session = None;
        loop {
            let asked = async {
                let mut open = match session.take() {
                    Some(open) => open,
                    None => Session::open(target.clone()).await?,
                };
                let found = ready(&mut open).await?;
                session = Some(open);
                Ok(found)
            };
            let error: Failure =
                match tokio::time::timeout(patience, asked).await.unwrap_or_else(|late| Err(late.into())) {
                    Ok(Some(first)) => {
                        let took = begin.elapsed();
                        return Ok((Started { running, target, took }, first));
                    }
                    Ok(None) => "it did not become ready in time".into(),
                    Err(error) => error,
                };
            if begin.elapsed() > patience {
                return Err(error);
            }
            if let Some(status) = running.0.try_wait()? {
                return Err(format!("it ended with {status}: {error}").into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Started {
    /// Returns the resident memory in MB, without the upstreams; 0 without /proc.
    pub fn memory(&self) -> f64 {
        memory(self.running.0.id(), std::env::current_exe().ok().as_deref())
    }
}

fn memory(root: u32, upstream: Option<&Path>) -> f64 {
    let own = std::fs::read_link(format!("/proc/{root}/exe")).ok();
    let status = std::fs::read_to_string(format!("/proc/{root}/status")).unwrap_or_default();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    let resident = resident.filter(|_| own.as_deref() != upstream).unwrap_or_default() / 1024.0;
    let tasks = std::fs::read_dir(format!("/proc/{root}/task")).into_iter().flatten().flatten();
    let children = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let below: f64 = children
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .map(|id| memory(id, upstream))
        .sum();
    resident + below
}

/// The results of several turns: rows of numbers, summarised by their medians, or an error.
pub struct Rows(Vec<(String, Turns)>);

type Turns = Result<Vec<Vec<f64>>, String>;

impl Rows {
    pub fn new() -> Rows {
        Rows(Vec::new())
    }

    /// Adds a turn's numbers. An error replaces the results of all turns.
    pub fn add(&mut self, name: &str, turn: Result<Vec<f64>, Failure>) {
        let at = self.0.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.0.push((name.to_owned(), Ok(Vec::new())));
            self.0.len() - 1
        });
        match (&mut self.0[at].1, turn) {
            (Ok(turns), Ok(turn)) => turns.push(turn),
            (all @ Ok(_), Err(error)) => *all = Err(error.to_string()),
            (Err(_), _) => {}
        }
    }

    /// Returns every row with its medians, in order of insertion.
    pub fn medians(&self) -> impl Iterator<Item = (&str, Result<Vec<f64>, &str>)> {
        self.0.iter().map(|(name, turns)| {
            let columns = turns.as_ref().map_err(String::as_str).map(|turns| {
                let column = |at: usize| median(turns.iter().filter_map(|turn| turn.get(at).copied()).collect());
                (0..turns.first().map_or(0, Vec::len)).map(column).collect()
            });
            (name.as_str(), columns)
        })
    }
}

/// Returns the median; 0 for no values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Returns a percentile of sorted times, in milliseconds.
pub fn percentile(times: &[Duration], part: usize) -> f64 {
    times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3
}
