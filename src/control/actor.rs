//! The actor of the current change, for the activity log.

use std::future::Future;

tokio::task_local! {
    static ACTOR: String;
}

/// Runs `action` as a change of `actor`, such as `web UI`.
pub async fn acting<F: Future>(actor: impl Into<String>, action: F) -> F::Output {
    ACTOR.scope(actor.into(), action).await
}

/// The current actor; `MCPProxy` itself without one.
pub fn current() -> String {
    ACTOR.try_with(Clone::clone).unwrap_or_else(|_| "MCPProxy".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_actor_is_known_within_the_action_only() {
        assert_eq!(acting("tray", async { current() }).await, "tray");
        assert_eq!(current(), "MCPProxy");
    }
}
