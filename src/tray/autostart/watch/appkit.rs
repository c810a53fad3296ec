//! Watches the login item. macOS does not report that the user turned it off. MCPProxy therefore reads the state again
//! whenever it may have changed and the user could see it, and does not poll.

use std::rc::Rc;

use objc2_app_kit::{
    NSApplicationDidBecomeActiveNotification, NSMenuDidBeginTrackingNotification, NSRunningApplication, NSWorkspace,
    NSWorkspaceApplicationKey, NSWorkspaceDidDeactivateApplicationNotification, NSWorkspaceDidWakeNotification,
};
use objc2_foundation::{NSNotification, NSNotificationCenter};

use crate::tray::autostart::{Autostart, macos};
use crate::tray::notification_center::Observer;

/// The watch. Dropping it ends it.
pub(crate) struct Watch {
    _observers: [Observer; 4],
}

/// Calls `changed` when our menu opens, MCPProxy becomes active, the computer wakes, or the user leaves the system's
/// settings. Main thread only.
pub(crate) fn watch_entry(_autostart: &Autostart, changed: impl Fn() + Send + 'static) -> Watch {
    let ours = NSNotificationCenter::defaultCenter();
    let workspace = NSWorkspace::sharedWorkspace().notificationCenter();
    // SAFETY: constants of AppKit, initialised before any of our code runs.
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
        Observer::new(workspace.clone(), woke, at_once()),
        Observer::new(workspace, left, {
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

/// The id of the application that a workspace notification is about.
fn bundle_of(notification: &NSNotification) -> Option<String> {
    // SAFETY: a constant of AppKit, initialised before any of our code runs.
    let key = unsafe { NSWorkspaceApplicationKey };
    let application = notification.userInfo()?.objectForKey(key)?;
    Some(application.downcast::<NSRunningApplication>().ok()?.bundleIdentifier()?.to_string())
}
