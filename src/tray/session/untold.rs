//! Nobody tells here that the computer woke.

/// Nothing to keep.
pub struct Watch;

/// Calls `woke` never.
pub fn watch_session(_woke: impl Fn() + 'static) -> Watch {
    Watch
}
