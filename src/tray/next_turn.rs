//! Puts something off until macOS' event loop comes round again.

use std::cell::Cell;
use std::ptr::NonNull;

use block2::RcBlock;
use objc2_foundation::NSTimer;

/// Calls `operation` once the event at hand is dealt with: a window that waits for its answer would else keep the tray's own
/// loop from every order and every end for as long as it is open. Main thread only.
pub fn on_next_turn(operation: impl FnOnce() + 'static) {
    let operation = Cell::new(Some(operation));
    let block = RcBlock::new(move |_: NonNull<NSTimer>| {
        if let Some(operation) = operation.take() {
            operation();
        }
    });
    // SAFETY: the block is called by this thread's run loop, which is where it was made.
    unsafe { NSTimer::scheduledTimerWithTimeInterval_repeats_block(0.0, false, &block) };
}
