//! Observes a macOS notification while a value lives.

use std::ptr::NonNull;

use block2::RcBlock;
use objc2::rc::Retained;
use objc2::runtime::{NSObjectProtocol, ProtocolObject};
use objc2_foundation::{NSNotification, NSNotificationCenter, NSNotificationName};

/// One observed notification. Dropping it ends the observation.
pub(super) struct Observer {
    center: Retained<NSNotificationCenter>,
    token: Retained<ProtocolObject<dyn NSObjectProtocol>>,
}

impl Observer {
    /// Calls `posted` whenever the notification is posted, on the posting thread: AppKit posts on the main thread.
    pub(super) fn new(
        center: Retained<NSNotificationCenter>,
        name: &NSNotificationName,
        posted: impl Fn(&NSNotification) + 'static,
    ) -> Observer {
        let block = RcBlock::new(move |notification: NonNull<NSNotification>| {
            // SAFETY: the center passes a notification that lives until this block returns.
            posted(unsafe { notification.as_ref() });
        });
        // SAFETY: no object filter and no queue: AppKit posts on the main thread, where the block was created, and
        // calls it there. The center keeps its own copy of the block.
        let token = unsafe { center.addObserverForName_object_queue_usingBlock(Some(name), None, None, &block) };
        Observer { center, token }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // SAFETY: the token is an observer of this center.
        unsafe { self.center.removeObserver(self.token.as_ref()) };
    }
}
