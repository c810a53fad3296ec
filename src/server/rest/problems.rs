//! Serves the problem of each server as a stable code with remedies, and the list of waiting servers and calls.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::contract::api::{CatalogEntry, Diagnostic, FixStep, FixStepKind, ProblemSeverity, Waiting};
use crate::contract::platform::Platform;
use crate::diagnostics::catalog::{Act, Entry};
use crate::diagnostics::code::Code;
use crate::diagnostics::diagnosis::{Context, diagnose, docs_url};
use crate::diagnostics::fault::Fault;
use crate::diagnostics::install::Manager;
use crate::diagnostics::page;
use crate::upstream::snapshot::Snapshot;
use crate::upstream::transport::error_text::shown;
use crate::upstream::waiting::CallWait;

/// Shorter waits are not reported.
const SHORTEST_WAIT: Duration = Duration::from_secs(2);

/// Returns the package managers of this computer. Looks them up only once.
fn managers() -> &'static [Manager] {
    static FOUND: OnceLock<Vec<Manager>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let all = Manager::of(Platform::HOST).iter().copied();
        all.filter(|manager| which::which(manager.program()).is_ok()).collect()
    })
}

/// Returns the problem of a server, if any.
pub fn problem(server: &Snapshot) -> Option<Diagnostic> {
    let now = Instant::now();
    let fault = server.fault(now)?;
    let url = server.config.url.as_deref().map(shown);
    let context = Context {
        server: &server.config.name,
        command: server.config.command.as_deref(),
        url: url.as_deref(),
        platform: Platform::HOST,
        managers: if matches!(fault, Fault::CommandNotFound { .. }) { managers() } else { &[] },
    };
    let since = format!("{:.0}", server.fault_since(now));
    Some(diagnose(&fault, server.last_error(), &context, since))
}

/// Returns the problems of all servers, the most severe first.
pub fn problems(servers: &[Snapshot]) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = servers.iter().filter_map(problem).collect();
    found.sort_by_key(|problem| problem.severity != ProblemSeverity::Error);
    found
}

/// Returns servers and calls that have waited for a while, the longest wait first.
pub fn waiting(servers: &[Snapshot], calls: Vec<CallWait>, now: Instant) -> Vec<Waiting> {
    let of_server = |server: &Snapshot| {
        let wait = server.wait?;
        Some((server.config.name.clone(), None, wait.step.text(), wait.since, wait.limit))
    };
    let of_call = |call: CallWait| (call.server, Some(call.request), call.step.text(), call.since, call.limit);
    let mut waits: Vec<_> = servers.iter().filter_map(of_server).chain(calls.into_iter().map(of_call)).collect();
    waits.sort_by_key(|(_, _, _, since, _)| *since);
    let shown = |(server_name, request, waits_for, since, limit): (_, _, &str, Instant, Option<Duration>)| {
        let waited = now.saturating_duration_since(since);
        let began = crate::os::clock::now().checked_sub(waited).unwrap_or_else(|_| crate::os::clock::now());
        (waited >= SHORTEST_WAIT).then(|| Waiting {
            server_name,
            request,
            waits_for: waits_for.to_owned(),
            since: format!("{began:.0}"),
            seconds: waited.as_secs(),
            limit_seconds: limit.map(|limit| limit.as_secs()),
        })
    };
    waits.into_iter().filter_map(shown).collect()
}

/// Returns every code with its general remedies.
pub fn catalog() -> Vec<CatalogEntry> {
    Code::ALL.iter().map(|code| catalog_entry(Entry::of(*code))).collect()
}

fn catalog_entry(entry: &Entry) -> CatalogEntry {
    let docs_url = docs_url(entry);
    let step = |step: &crate::diagnostics::catalog::Step| match step.act {
        Act::Advice => FixStep {
            url: Some(docs_url.clone()),
            ..FixStep::new(FixStepKind::Link, step.label)
        },
        Act::Command(command) => FixStep {
            command: Some(page::general(command)),
            ..FixStep::new(FixStepKind::Command, step.label)
        },
        Act::Fix { fixer, destructive } => FixStep {
            fixer_key: Some(fixer.key().to_owned()),
            destructive: Some(destructive),
            ..FixStep::new(FixStepKind::Button, step.label)
        },
    };
    CatalogEntry {
        code: entry.code.name().to_owned(),
        severity: entry.code.severity().word().into(),
        user_message: page::general(entry.what),
        fix_steps: entry.steps.iter().map(step).collect(),
        page: page::markdown(entry),
        docs_url,
        deprecated: false,
        replaced_by: None,
    }
}
