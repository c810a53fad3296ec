//! The first-run window of macOS: an alert with an accessory checkbox. It has one button and no title bar, so the user
//! cannot close it without an answer.

use objc2::rc::Retained;
use objc2::runtime::NSObjectProtocol;
use objc2::{MainThreadMarker, sel};
use objc2_app_kit::{
    NSAlert, NSAlertFirstButtonReturn, NSApplication, NSButton, NSControlStateValueOff, NSControlStateValueOn,
    NSFloatingWindowLevel,
};
use objc2_foundation::NSString;

use super::{Answer, BOX, BUTTON, PURPOSE, Question, STATISTICS, TITLE};
use crate::tray::next_turn::on_next_turn;

/// Shows the window and returns immediately. Calls `answer` when the user is done. Main thread only.
pub fn ask(question: Question, answer: impl FnOnce(Answer) + Send + 'static) {
    match MainThreadMarker::new() {
        Some(main) => on_next_turn(move || answer(run(question, main))),
        None => tracing::warn!("the first-run window can only be shown by the main thread"),
    }
}

fn run(question: Question, main: MainThreadMarker) -> Answer {
    let alert = NSAlert::new(main);
    alert.setMessageText(&NSString::from_str(TITLE));
    alert.setInformativeText(&NSString::from_str(&format!("{PURPOSE}\n\n{STATISTICS}")));
    alert.addButtonWithTitle(&NSString::from_str(BUTTON));
    let tick: Retained<NSButton> =
        // SAFETY: no target and no action: the checkbox is only read after the alert.
        unsafe { NSButton::checkboxWithTitle_target_action(&NSString::from_str(BOX), None, None, main) };
    tick.setState(if question.ticked { NSControlStateValueOn } else { NSControlStateValueOff });
    tick.sizeToFit();
    alert.setAccessoryView(Some(&tick));
    // An app without a Dock icon does not come to the front by itself, and since macOS 14 it can only request that.
    alert.window().setLevel(NSFloatingWindowLevel);
    let application = NSApplication::sharedApplication(main);
    if application.respondsToSelector(sel!(activate)) {
        application.activate();
    } else {
        #[expect(deprecated, reason = "macOS 13 has no replacement")]
        application.activateIgnoringOtherApps(true);
    }
    if alert.runModal() == NSAlertFirstButtonReturn {
        Answer::Continue {
            ticked: tick.state() == NSControlStateValueOn,
        }
    } else {
        Answer::Closed
    }
}
