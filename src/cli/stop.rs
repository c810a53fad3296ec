//! `mcpproxy stop`: stops the running core.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::output::report;
use crate::client::CallError;
use crate::contract::api::{Info, LaunchedBy};
use crate::os::lock::{Attempt, Lock};

/// How long a core may take to end: calls in flight and servers get some seconds each.
const END: Duration = Duration::from_secs(20);
/// How often the end is checked.
const EVERY: Duration = Duration::from_millis(100);

/// The result of the command.
#[derive(Serialize)]
struct Stopped {
    stopped: bool,
}

/// Asks the core to stop, and waits for its end.
pub(super) async fn stop(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    if link.running().is_none() && link.problem().is_none() {
        return report(context, &Stopped { stopped: false }, |_| "MCPProxy is not running.".to_owned());
    }
    let client = link.require()?;
    let info: Info = client.get("/api/v1/info").await?;
    let tray_runs = || matches!(Lock::attempt(&context.root.tray_lock()), Ok(Attempt::Taken { .. }));
    if info.launched_by == LaunchedBy::Tray && tray_runs() {
        return Err(CliError::new(
            "OPERATION_FAILED",
            "could not stop MCPProxy: the tray app started it and keeps it running",
        )
        .guided("choose Quit in its menu, or run `mcpproxy-tray --quit`"));
    }
    match client.post::<serde_json::Value>("/api/v1/shutdown", None).await {
        Err(CallError::Status { code: 404, .. }) => {
            let error =
                CliError::new("OPERATION_FAILED", "could not stop MCPProxy: the core does not accept the request");
            return Err(error.guided(by_hand(info.pid)));
        }
        done => done?,
    };
    // The core first stops listening. Until it releases its lock, its servers may still run and another core cannot start.
    let has_released = || !matches!(Lock::attempt(&context.root.core_lock()), Ok(Attempt::Taken { .. }));
    let began = Instant::now();
    loop {
        let now = CoreLink::find(context).await;
        if now.running().is_none() && now.problem().is_none() && has_released() {
            return report(context, &Stopped { stopped: true }, |_| "Stopped MCPProxy.".to_owned());
        }
        if began.elapsed() > END {
            let text = format!("MCPProxy has not ended within {} s", END.as_secs());
            return Err(CliError::new("TIMEOUT", text).guided(by_hand(info.pid)));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// How to stop a core that does not stop on request. An older core does not report its process.
fn by_hand(pid: u32) -> String {
    match pid {
        0 => "stop it where you started it".to_owned(),
        pid => format!("end its process: {pid}"),
    }
}
