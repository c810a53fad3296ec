//! Watches the login item. macOS tells nobody that it was switched off, so its state is read again at every moment in
//! which it can have become another, and in which somebody could see that: nothing is polled.

use std::rc::Rc;

use objc2_app_kit::{
    NSApplicationDidBecomeActiveNotification, NSMenuDidBeginTrackingNotification, NSRunningApplication, NSWorkspace,
    NSWorkspaceApplicationKey, NSWorkspaceDidDeactivateApplicationNotification, NSWorkspaceDidWakeNotification,
};
use objc2_foundation::{NSNotification, NSNotificationCenter};

use crate::tray::autostart::{Autostart, macos};
use crate::tray::notification_center::Observer;

/// The watch; it ends when this is dropped.
pub struct Watch {
    _observers: [Observer; 4],
}

/// Calls `changed` when our menu opens, we come to the front, the computer wakes, or the person leaves the system's
/// settings. Main thread only.
pub fn watch_entry(_autostart: &Autostart, changed: impl Fn() + Send + 'static) -> Watch {
    let ours = NSNotificationCenter::defaultCenter();
    let everybodys = NSWorkspace::sharedWorkspace().notificationCenter();
    // SAFETY: constants of AppKit, set before any of our code runs.
    let (active, menu, woke, left) = unsafe {
        (
            NSApplicationDidBecomeActiveNotification,
            NSMenuDidBeginTrackingNotification,
            NSWorkspaceDidWakeNotification,
            NSWorkspaceDidDeactivateApplicationNotification,
        )
    };
    let changed: Rc<dyn Fn()> = Rc::new(changed);
    let at_once = || {
        let changed = changed.clone();
        move |_: &NSNotification| changed()
    };
    let observers = [
        Observer::new(ours.clone(), active, at_once()),
        Observer::new(ours, menu, at_once()),
        Observer::new(everybodys.clone(), woke, at_once()),
        Observer::new(everybodys, left, {
            let changed = changed.clone();
            move |notification| {
                if bundle_of(notification).is_some_and(|id| macos::is_settings(&id)) {
                    changed();
                }
            }
        }),
    ];
    Watch { _observers: observers }
}

/// The id of the application that a notification of the workspace is about.
fn bundle_of(notification: &NSNotification) -> Option<String> {
    // SAFETY: a constant of AppKit, set before any of our code runs.
    let key = unsafe { NSWorkspaceApplicationKey };
    let application = notification.userInfo()?.objectForKey(key)?;
    Some(application.downcast::<NSRunningApplication>().ok()?.bundleIdentifier()?.to_string())
}
