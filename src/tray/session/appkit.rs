//! The session on macOS: the launch event, wake from sleep, App Nap.

use objc2::MainThreadMarker;
use objc2::rc::Retained;
use objc2::runtime::{NSObjectProtocol, ProtocolObject};
use objc2_app_kit::{NSApplication, NSWorkspace, NSWorkspaceDidWakeNotification};
use objc2_core_services::{kAEOpenApplication, kCoreEventClass, keyAELaunchedAsLogInItem, keyAEPropData};
use objc2_foundation::{NSActivityOptions, NSAppleEventManager, NSProcessInfo, NSString};

use super::LaunchEvent;
use crate::tray::notification_center::Observer;

const _: () = {
    assert!(LaunchEvent::CORE == kCoreEventClass);
    assert!(LaunchEvent::OPEN == kAEOpenApplication);
    assert!(LaunchEvent::PROPERTY == keyAEPropData);
    assert!(LaunchEvent::LOGIN_ITEM == keyAELaunchedAsLogInItem);
};

/// Whether the system made this start at login. Only valid while the application finishes launching: the launch event
/// is the current event only then.
pub fn launched_at_login() -> bool {
    let Some(event) = NSAppleEventManager::sharedAppleEventManager().currentAppleEvent() else {
        return false;
    };
    let event = LaunchEvent {
        class: event.eventClass(),
        id: event.eventID(),
        property: event.paramDescriptorForKeyword(keyAEPropData).map(|data| data.enumCodeValue()),
    };
    event.is_of_login_item()
}

/// The watch. Dropping it ends it.
pub struct Watch {
    _woke: Observer,
}

/// Calls `woke` whenever the computer wakes from sleep. Main thread only, after the application has launched.
pub fn watch_session(woke: impl Fn() + 'static) -> Watch {
    if let Some(main) = MainThreadMarker::new() {
        // The login item starts MCPProxy; *Reopen windows when logging back in* would start it a second time.
        NSApplication::sharedApplication(main).disableRelaunchOnLogin();
    }
    let center = NSWorkspace::sharedWorkspace().notificationCenter();
    // SAFETY: a constant of AppKit, initialised before any of our code runs.
    let name = unsafe { NSWorkspaceDidWakeNotification };
    Watch {
        _woke: Observer::new(center, name, move |_| woke()),
    }
}

/// Prevents App Nap from delaying our timers while the user waits for them. The computer may still sleep.
#[derive(Debug, Default)]
pub struct Promptness {
    activity: Option<Retained<ProtocolObject<dyn NSObjectProtocol>>>,
}

impl Promptness {
    /// Starts or ends the activity.
    pub fn hold(&mut self, wanted: bool) {
        if !wanted && let Some(activity) = self.activity.take() {
            // SAFETY: `activity` came from `beginActivityWithOptions_reason` and ends once.
            unsafe { NSProcessInfo::processInfo().endActivity(&activity) };
        }
        if wanted && self.activity.is_none() {
            let reason = NSString::from_str("The MCPProxy core is starting or stopping");
            let options = NSActivityOptions::UserInitiatedAllowingIdleSystemSleep;
            self.activity = Some(NSProcessInfo::processInfo().beginActivityWithOptions_reason(options, &reason));
        }
    }
}

impl Drop for Promptness {
    fn drop(&mut self) {
        self.hold(false);
    }
}
