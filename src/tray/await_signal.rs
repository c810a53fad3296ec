//! Waits until the session, or a user at a terminal, asks this process to end.

/// Returns at the first SIGTERM, SIGINT or SIGHUP (Ctrl-C on Windows). Never returns if the handler cannot be
/// installed.
#[cfg(unix)]
pub(super) async fn await_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hang_up)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM"),
        _ = interrupt.recv() => tracing::info!("SIGINT"),
        _ = hang_up.recv() => tracing::info!("SIGHUP"),
    }
}

/// Returns at Ctrl-C. Never returns if the handler cannot be installed.
#[cfg(not(unix))]
pub(super) async fn await_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    tracing::info!("Ctrl-C");
}
