//! The first-run window of macOS: an alert with an accessory box. It has one button and no title bar: it can only be
//! answered.

use objc2::MainThreadMarker;
use objc2::rc::Retained;
use objc2_app_kit::{NSAlert, NSApplication, NSButton, NSControlStateValueOff, NSControlStateValueOn};
use objc2_foundation::NSString;

use super::{Answer, BOX, BUTTON, PURPOSE, Question, STATISTICS, TITLE};

/// Shows the window and calls `answer` when the person is done with it. Main thread only; returns after the answer.
pub fn ask(question: Question, answer: impl FnOnce(Answer) + Send + 'static) {
    let Some(main) = MainThreadMarker::new() else {
        tracing::warn!("the first-run window can only be shown by the main thread");
        return;
    };
    let alert = NSAlert::new(main);
    alert.setMessageText(&NSString::from_str(TITLE));
    alert.setInformativeText(&NSString::from_str(&format!("{PURPOSE}\n\n{STATISTICS}")));
    alert.addButtonWithTitle(&NSString::from_str(BUTTON));
    let tick: Retained<NSButton> =
        // SAFETY: no target and no action: the box is only read, after the alert.
        unsafe { NSButton::checkboxWithTitle_target_action(&NSString::from_str(BOX), None, None, main) };
    tick.setState(if question.ticked { NSControlStateValueOn } else { NSControlStateValueOff });
    tick.sizeToFit();
    alert.setAccessoryView(Some(&tick));
    // An app without a Dock icon is not in front by itself.
    NSApplication::sharedApplication(main).activate();
    alert.runModal();
    answer(Answer::Continue {
        ticked: tick.state() == NSControlStateValueOn,
    });
}
