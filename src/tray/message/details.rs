//! The scrolling part of a GTK message window, and the boxes that must be ticked before its decision can be confirmed.

use std::cell::Cell;
use std::rc::Rc;

use gtk::prelude::*;

use super::Message;
use crate::contract::review_text::{Mark, ReviewLine};

/// Width of the scrolling part, in pixels.
const WIDTH: i32 = 860;
/// Its maximum height on a screen of unknown size, in pixels.
const HEIGHT: i32 = 420;
/// Its maximum share of the screen's height, in percent; the rest of the window needs space, too.
const SHARE: i32 = 65;
/// After how many characters a longer word may be broken.
const LONG_WORD: usize = 20;
/// Height of a line in pixels, and characters on one: only to guess whether everything fits.
const LINE: i32 = 20;
const CHARACTERS: usize = 100;
/// Weight of bold text.
const BOLD: i32 = 700;
/// Maximum height of the boxes to tick, in pixels; more boxes scroll.
const BOXES: i32 = 140;

/// The conditions under which the decision can be confirmed.
struct Gate {
    seen: Cell<bool>,
    ticks: Vec<gtk::CheckButton>,
    button: Option<gtk::Widget>,
    hint: gtk::Label,
}

impl Gate {
    fn update(&self) {
        let ticked = self.ticks.iter().all(|tick| tick.is_active());
        self.hint.set_text(match (self.seen.get(), ticked) {
            (false, _) => "Scroll to the end to approve.",
            (true, false) => "Tick every box to approve.",
            (true, true) => "",
        });
        if let Some(button) = &self.button {
            button.set_sensitive(self.seen.get() && ticked);
        }
    }
}

/// Adds the details and the boxes of a message, if it has any.
pub(super) fn add(dialog: &gtk::MessageDialog, message: &Message) {
    if message.details.is_empty() && message.ticks.is_empty() {
        return;
    }
    // The message area is a box in every version of GTK 3. Without it nothing could be shown or confirmed.
    let button = dialog.widget_for_response(gtk::ResponseType::Accept);
    let Ok(area) = dialog.message_area().downcast::<gtk::Box>() else {
        button.iter().for_each(|button| button.set_sensitive(false));
        return;
    };
    dialog.set_resizable(true);
    let view = text_view(&message.details);
    let rows = i32::try_from(message.detail_rows(CHARACTERS)).unwrap_or(i32::MAX);
    let most = greatest_height();
    let height = rows.saturating_mul(LINE).saturating_add(LINE).min(most);
    area.pack_start(&scrolled(&view, height), true, true, 0);
    let ticks: Vec<gtk::CheckButton> = message.ticks.iter().map(|text| tick(text)).collect();
    let hint = gtk::Label::new(None);
    if !ticks.is_empty() {
        area.pack_start(&boxes(&ticks), false, false, 0);
    }
    area.pack_start(&hint, false, false, 0);
    let gate = Rc::new(Gate {
        // A guess, until the text is drawn.
        seen: Cell::new(height < most),
        ticks,
        button,
        hint,
    });
    for tick in &gate.ticks {
        let gate = Rc::downgrade(&gate);
        tick.connect_toggled(move |_| gate.upgrade().iter().for_each(|gate| gate.update()));
    }
    gate.update();
    let shown_once = Cell::new(false);
    view.connect_draw(move |view, _| {
        let first = !shown_once.replace(true);
        let seen = end_is_visible(view) || (gate.seen.get() && !first);
        if seen != gate.seen.replace(seen) {
            // Not while drawing: the button may not be resized here.
            let gate = gate.clone();
            gtk::glib::idle_add_local_once(move || gate.update());
        }
        gtk::glib::Propagation::Proceed
    });
}

/// Whether the end of the text is on the screen. Only valid while drawing, when the visible lines have their height.
fn end_is_visible(view: &gtk::TextView) -> bool {
    let Some(end) = view.buffer().map(|buffer| buffer.end_iter()) else { return true };
    let visible = view.visible_rect();
    let bottom = visible.y() + visible.height();
    let (last, _) = view.line_at_y(bottom);
    let place = view.iter_location(&end);
    last.line() == end.line() && place.y() + place.height() <= bottom
}

fn greatest_height() -> i32 {
    let monitor = gtk::gdk::Display::default().and_then(|display| display.primary_monitor().or(display.monitor(0)));
    monitor.map_or(HEIGHT, |monitor| (monitor.workarea().height() * SHARE / 100).max(LINE * 8))
}

/// Inserts invisible break points into long words. Otherwise Pango inserts hyphens that are not part of the text.
fn breakable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut word = 0;
    for c in text.chars() {
        word = if c.is_whitespace() { 0 } else { word + 1 };
        shown.push(c);
        if word > 0 && word % LONG_WORD == 0 {
            shown.push('\u{200b}');
        }
    }
    shown
}

fn scrolled(view: &gtk::TextView, height: i32) -> gtk::ScrolledWindow {
    let scrolled = gtk::ScrolledWindow::new(gtk::Adjustment::NONE, gtk::Adjustment::NONE);
    scrolled.set_policy(gtk::PolicyType::Never, gtk::PolicyType::Automatic);
    scrolled.set_shadow_type(gtk::ShadowType::In);
    scrolled.set_overlay_scrolling(false);
    scrolled.set_size_request(WIDTH, height);
    scrolled.add(view);
    scrolled
}

fn text_view(lines: &[ReviewLine]) -> gtk::TextView {
    let view = gtk::TextView::new();
    view.set_editable(false);
    view.set_cursor_visible(false);
    view.set_accepts_tab(false);
    view.set_monospace(true);
    view.set_wrap_mode(gtk::WrapMode::WordChar);
    view.set_left_margin(6);
    view.set_right_margin(6);
    view.set_top_margin(6);
    view.set_bottom_margin(6);
    let Some(buffer) = view.buffer() else { return view };
    let tags: Vec<(Mark, gtk::TextTag)> = MARKS.iter().map(|mark| (*mark, tag(*mark))).collect();
    if let Some(table) = buffer.tag_table() {
        for (_, tag) in &tags {
            table.add(tag);
        }
    }
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            buffer.insert(&mut buffer.end_iter(), "\n");
        }
        let start = buffer.end_iter().offset();
        buffer.insert(&mut buffer.end_iter(), &breakable(&line.text));
        if let Some((_, tag)) = tags.iter().find(|(mark, _)| *mark == line.mark) {
            buffer.apply_tag(tag, &buffer.iter_at_offset(start), &buffer.end_iter());
        }
    }
    // A screen reader reads the text itself; the name announces it before that.
    if let Some(accessible) = view.accessible() {
        let all: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        accessible.set_name(&all.join("\n"));
    }
    view
}

/// The marks that look different from plain text.
const MARKS: [Mark; 5] = [Mark::Heading, Mark::Removed, Mark::Added, Mark::Warning, Mark::Danger];

/// Foreground and background together, to be legible in a light and in a dark theme.
fn tag(mark: Mark) -> gtk::TextTag {
    let (foreground, background) = match mark {
        Mark::Plain | Mark::Heading => return gtk::TextTag::builder().weight(BOLD).build(),
        Mark::Removed => ("#82071e", "#ffebe9"),
        Mark::Added => ("#0a3622", "#dafbe1"),
        Mark::Warning => ("#4d3800", "#fff3c4"),
        Mark::Danger => ("#ffffff", "#b00020"),
    };
    let tag = gtk::TextTag::builder().foreground(foreground).paragraph_background(background);
    if mark == Mark::Danger { tag.weight(BOLD).build() } else { tag.build() }
}

fn tick(text: &str) -> gtk::CheckButton {
    let tick = gtk::CheckButton::with_label(text);
    if let Some(label) = tick.child().and_then(|child| child.downcast::<gtk::Label>().ok()) {
        label.set_line_wrap(true);
        label.set_line_wrap_mode(gtk::pango::WrapMode::WordChar);
        label.set_max_width_chars(90);
        label.set_xalign(0.0);
    }
    tick
}

fn boxes(ticks: &[gtk::CheckButton]) -> gtk::ScrolledWindow {
    let below = gtk::Box::new(gtk::Orientation::Vertical, 4);
    ticks.iter().for_each(|tick| below.add(tick));
    let scrolled = gtk::ScrolledWindow::new(gtk::Adjustment::NONE, gtk::Adjustment::NONE);
    scrolled.set_policy(gtk::PolicyType::Never, gtk::PolicyType::Automatic);
    scrolled.set_propagate_natural_height(true);
    scrolled.set_max_content_height(BOXES);
    scrolled.add(&below);
    scrolled
}
