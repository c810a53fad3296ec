//! Waits until the session, or a person at a terminal, wants this process to end.

/// Returns at the first SIGTERM, SIGINT or SIGHUP (Ctrl-C on Windows); never, where none can be waited for.
#[cfg(unix)]
pub async fn await_signal() {
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

/// Returns at Ctrl-C; never, where it cannot be waited for.
#[cfg(not(unix))]
pub async fn await_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    tracing::info!("Ctrl-C");
}
