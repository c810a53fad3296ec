//! The notification area is part of the system.

/// Nothing to watch.
pub fn watch(_seen: impl Fn(bool) + Send + Sync + Clone + 'static) {}
