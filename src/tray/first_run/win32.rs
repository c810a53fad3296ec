//! The first-run window of Windows: a task dialog with its verification checkbox.

use std::ptr;

use windows_sys::Win32::UI::Controls::{
    TASKDIALOG_BUTTON, TASKDIALOGCONFIG, TDF_ALLOW_DIALOG_CANCELLATION, TDF_VERIFICATION_FLAG_CHECKED,
    TaskDialogIndirect,
};

use super::{
    Answer, BOX, BUTTON, Choice, GET_STARTED, LATER, NEXT_TITLE, NextStep, PURPOSE, Question, STATISTICS, TITLE,
};

/// Id of *Continue*. Cancelling the dialog returns `IDCANCEL` (2).
const CONTINUE: i32 = 100;
/// Ids of the buttons of the second step.
const CONNECT: i32 = 101;
const START: i32 = 102;
const LATER_ID: i32 = 103;

/// Shows the window and returns immediately. Calls `answer` when the user is done.
///
/// Runs on its own thread: the dialog handles messages until it closes, and the tray's loop must not wait for that.
pub fn ask(question: Question, answer: impl FnOnce(Answer) + Send + 'static) {
    let shown = std::thread::Builder::new().name("first-run".to_owned()).spawn(move || answer(show(question)));
    if let Err(error) = shown {
        tracing::warn!("could not show the first-run window: {error}");
    }
}

fn show(question: Question) -> Answer {
    let [title, purpose, tick, button, footer] = [TITLE, PURPOSE, BOX, BUTTON, STATISTICS].map(wide);
    let buttons = [TASKDIALOG_BUTTON {
        nButtonID: CONTINUE,
        pszButtonText: button.as_ptr(),
    }];
    let ticked = if question.ticked { TDF_VERIFICATION_FLAG_CHECKED } else { 0 };
    let config = TASKDIALOGCONFIG {
        cbSize: size_of::<TASKDIALOGCONFIG>() as u32,
        dwFlags: TDF_ALLOW_DIALOG_CANCELLATION | ticked,
        pszWindowTitle: title.as_ptr(),
        pszMainInstruction: title.as_ptr(),
        pszContent: purpose.as_ptr(),
        cButtons: 1,
        pButtons: buttons.as_ptr(),
        nDefaultButton: CONTINUE,
        pszVerificationText: tick.as_ptr(),
        pszFooter: footer.as_ptr(),
        ..Default::default()
    };
    let (mut pressed, mut verified) = (0, 0);
    // SAFETY: the configuration and everything it points to live until the call returns.
    let result = unsafe { TaskDialogIndirect(&raw const config, &raw mut pressed, ptr::null_mut(), &raw mut verified) };
    if result < 0 {
        tracing::warn!("could not show the first-run window (0x{result:08x})");
        return Answer::Closed;
    }
    match pressed {
        CONTINUE => Answer::Continue { ticked: verified != 0 },
        _ => Answer::Closed,
    }
}

/// Shows the second step and returns immediately. Calls `chosen` when the user is done.
pub fn ask_next(step: &NextStep, chosen: impl FnOnce(Choice) + Send + 'static) {
    let step = step.clone();
    let shown = std::thread::Builder::new().name("first-run".to_owned()).spawn(move || chosen(show_next(&step)));
    if let Err(error) = shown {
        tracing::warn!("could not show the first-run window: {error}");
    }
}

fn show_next(step: &NextStep) -> Choice {
    let [title, text, start, later] = [NEXT_TITLE, &step.text, GET_STARTED, LATER].map(wide);
    let connect = step.connect.as_deref().map(wide);
    let mut buttons = Vec::new();
    for (id, label) in [
        (CONNECT, connect.as_ref()),
        (START, Some(&start)),
        (LATER_ID, Some(&later)),
    ] {
        buttons.extend(label.map(|label| TASKDIALOG_BUTTON {
            nButtonID: id,
            pszButtonText: label.as_ptr(),
        }));
    }
    let config = TASKDIALOGCONFIG {
        cbSize: size_of::<TASKDIALOGCONFIG>() as u32,
        dwFlags: TDF_ALLOW_DIALOG_CANCELLATION,
        pszWindowTitle: title.as_ptr(),
        pszMainInstruction: title.as_ptr(),
        pszContent: text.as_ptr(),
        cButtons: if connect.is_some() { 3 } else { 2 },
        pButtons: buttons.as_ptr(),
        nDefaultButton: if connect.is_some() { CONNECT } else { START },
        ..Default::default()
    };
    let mut pressed = 0;
    // SAFETY: the configuration and everything it points to live until the call returns.
    let result = unsafe { TaskDialogIndirect(&raw const config, &raw mut pressed, ptr::null_mut(), ptr::null_mut()) };
    if result < 0 {
        tracing::warn!("could not show the first-run window (0x{result:08x})");
    }
    match pressed {
        CONNECT => Choice::Connect,
        START => Choice::GetStarted,
        _ => Choice::Later,
    }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}
