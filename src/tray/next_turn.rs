//! Defers a call to the next turn of macOS' event loop.

use std::cell::Cell;
use std::ptr::NonNull;

use block2::RcBlock;
use objc2_foundation::NSTimer;

/// Calls `operation` after the current event. A window that waits for its answer inside the current event would block
/// the tray's loop, including orders and quitting, while it is open. Main thread only.
pub(super) fn on_next_turn(operation: impl FnOnce() + 'static) {
    let operation = Cell::new(Some(operation));
    let block = RcBlock::new(move |_: NonNull<NSTimer>| {
        if let Some(operation) = operation.take() {
            operation();
        }
    });
    // SAFETY: this thread's run loop calls the block, and the block was created on this thread.
    unsafe { NSTimer::scheduledTimerWithTimeInterval_repeats_block(0.0, false, &block) };
}
