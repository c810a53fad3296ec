//! Scans new and changed tools of servers with `trust_mode: scan`.

use std::sync::Arc;

use crate::control::approve_clean::{Held, approve_clean_tools};
use crate::upstream::pool::UpstreamPool;

/// Follows the servers. Never returns while the pool lives.
pub async fn scan_new_tools(pool: Arc<UpstreamPool>) {
    let mut changes = pool.tool_changes();
    let mut held = Held::default();
    while changes.changed().await.is_ok() {
        let pool = pool.clone();
        let scanned = tokio::task::spawn_blocking(move || {
            approve_clean_tools(&pool, &mut held);
            held
        });
        held = scanned.await.unwrap_or_default();
    }
}
