//! The first-run window of macOS: an alert with an accessory checkbox. It has one button and no title bar, so the user
//! cannot close it without an answer.

use objc2::rc::Retained;
use objc2::runtime::NSObjectProtocol;
use objc2::{MainThreadMarker, sel};
use objc2_app_kit::{
    NSAlert, NSAlertFirstButtonReturn, NSAlertSecondButtonReturn, NSApplication, NSButton, NSControlStateValueOff,
    NSControlStateValueOn, NSFloatingWindowLevel,
};
use objc2_foundation::NSString;

use super::{
    Answer, BOX, BUTTON, Choice, GET_STARTED, LATER, NEXT_TITLE, NextStep, PURPOSE, Question, STATISTICS, TITLE,
};
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
    come_to_front(&alert, main);
    if alert.runModal() == NSAlertFirstButtonReturn {
        Answer::Continue {
            ticked: tick.state() == NSControlStateValueOn,
        }
    } else {
        Answer::Closed
    }
}

/// Shows the second step and returns immediately. Calls `chosen` when the user is done. Main thread only.
pub fn ask_next(step: &NextStep, chosen: impl FnOnce(Choice) + Send + 'static) {
    let step = step.clone();
    match MainThreadMarker::new() {
        Some(main) => on_next_turn(move || chosen(run_next(&step, main))),
        None => tracing::warn!("the first-run window can only be shown by the main thread"),
    }
}

fn run_next(step: &NextStep, main: MainThreadMarker) -> Choice {
    let alert = NSAlert::new(main);
    alert.setMessageText(&NSString::from_str(NEXT_TITLE));
    alert.setInformativeText(&NSString::from_str(&step.text));
    let labels = step.connect.iter().map(|label| (label.as_str(), Choice::Connect));
    let buttons: Vec<(&str, Choice)> =
        labels.chain([(GET_STARTED, Choice::GetStarted), (LATER, Choice::Later)]).collect();
    for (label, _) in &buttons {
        alert.addButtonWithTitle(&NSString::from_str(label));
    }
    come_to_front(&alert, main);
    let pressed = alert.runModal();
    let number = if pressed == NSAlertFirstButtonReturn {
        0
    } else if pressed == NSAlertSecondButtonReturn {
        1
    } else {
        2
    };
    buttons.get(number).map_or(Choice::Later, |(_, choice)| *choice)
}

/// An app without a Dock icon does not come to the front by itself, and since macOS 14 it can only request that.
fn come_to_front(alert: &NSAlert, main: MainThreadMarker) {
    alert.window().setLevel(NSFloatingWindowLevel);
    let application = NSApplication::sharedApplication(main);
    if application.respondsToSelector(sel!(activate)) {
        application.activate();
    } else {
        #[expect(deprecated, reason = "macOS 13 has no replacement")]
        application.activateIgnoringOtherApps(true);
    }
}
