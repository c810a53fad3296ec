//! A GTK window with the menu's items as widgets, usable by keyboard and screen readers.

use std::cell::Cell;
use std::rc::Rc;

use gtk::prelude::*;

use crate::contract::names;
use crate::tray::host;
use crate::tray::label::{LONGEST_LABEL, capitalised, line};
use crate::tray::menu::{Command, Item};
use crate::tray::render::Shown;
use crate::tray::view::View;

/// Submenus that a new window shows open.
const EXPANDED: [&str; 2] = ["Fix issues", "Servers"];
/// Space in pixels around and between widgets.
const SPACE: i32 = 12;

/// The window; created on first use.
pub(crate) struct StatusWindow {
    chosen: Box<dyn Fn() -> Box<dyn Fn(Command)>>,
    open: Option<Open>,
    /// A click has toggled a checkbox, so its state may differ from the view.
    turned: Rc<Cell<bool>>,
}

struct Open {
    window: gtk::Window,
    content: gtk::Box,
    view: View,
}

impl StatusWindow {
    /// A closed window. `chosen` gets every command that the user chooses in it.
    pub(crate) fn new(chosen: impl Fn(Command) + Clone + 'static) -> StatusWindow {
        StatusWindow {
            chosen: Box::new(move || Box::new(chosen.clone())),
            open: None,
            turned: Rc::default(),
        }
    }

    /// Shows the window in front of others. Main thread only.
    pub(crate) fn present(&mut self, view: &View, _icon: Option<&Shown>) {
        // If the user has closed the window, GTK has destroyed it.
        let open = self.open.take().filter(|open| open.window.is_visible()).unwrap_or_else(|| {
            let window = gtk::Window::new(gtk::WindowType::Toplevel);
            window.set_title(names::PRODUCT);
            window.set_default_size(440, 620);
            window.set_position(gtk::WindowPosition::Center);
            window.connect_key_press_event(|window, key| {
                if key.keyval() == gtk::gdk::keys::constants::Escape {
                    window.close();
                }
                gtk::glib::Propagation::Proceed
            });
            let content = gtk::Box::new(gtk::Orientation::Vertical, SPACE / 2);
            content.set_border_width(SPACE as u32);
            let scrolled = gtk::ScrolledWindow::new(gtk::Adjustment::NONE, gtk::Adjustment::NONE);
            scrolled.set_policy(gtk::PolicyType::Never, gtk::PolicyType::Automatic);
            scrolled.add(&content);
            window.add(&scrolled);
            let open = Open {
                window,
                content,
                view: view.clone(),
            };
            self.fill(&open);
            // The states of the servers are what most users look for here.
            let expanded =
                open.content.children().into_iter().filter_map(|child| child.downcast::<gtk::Expander>().ok());
            expanded.filter(|one| EXPANDED.contains(&name(one).as_str())).for_each(|one| one.set_expanded(true));
            open
        });
        open.window.show_all();
        open.window.present();
        self.open = Some(open);
        self.follow(view);
    }

    /// Updates an open window to the view.
    pub(crate) fn follow(&mut self, view: &View) {
        let Some(mut open) = self.open.take() else { return };
        if !open.window.is_visible() {
            return; // closed
        }
        if self.turned.take() || open.view != *view {
            open.view = view.clone();
            let at = focused(&open.content);
            let unfolded = unfolded(&open.content);
            for child in open.content.children() {
                open.content.remove(&child);
            }
            self.fill(&open);
            for (label, expander) in expanders(&open.content) {
                expander.set_expanded(unfolded.contains(&label));
            }
            open.content.show_all();
            if let Some(widget) = at.and_then(|at| open.content.children().into_iter().nth(at)) {
                widget.grab_focus();
            }
        }
        self.open = Some(open);
    }

    fn fill(&self, open: &Open) {
        if let Some(hint) = open.view.host_missing.then_some(host::MISSING) {
            open.content.add(&label(&capitalised(hint)));
            open.content.add(&gtk::Separator::new(gtk::Orientation::Horizontal));
        }
        self.fill_box(&open.content, &open.view.menu.items);
    }

    fn fill_box(&self, into: &gtk::Box, items: &[Item]) {
        for item in items {
            match item {
                Item::Text(text) => into.add(&label(text)),
                Item::Separator => into.add(&gtk::Separator::new(gtk::Orientation::Horizontal)),
                Item::Action {
                    command,
                    label,
                    enabled,
                } => {
                    let button = gtk::Button::with_label(&line(label, LONGEST_LABEL));
                    button.set_sensitive(*enabled);
                    button.set_relief(gtk::ReliefStyle::None);
                    button.set_halign(gtk::Align::Start);
                    compact(&button);
                    let (command, chosen) = (command.clone(), (self.chosen)());
                    button.connect_clicked(move |_| chosen(command.clone()));
                    into.add(&button);
                }
                Item::Check {
                    command,
                    label,
                    checked,
                    enabled,
                } => {
                    let tick = gtk::CheckButton::with_label(&line(label, LONGEST_LABEL));
                    tick.set_active(*checked);
                    tick.set_sensitive(*enabled);
                    let (command, chosen) = (command.clone(), (self.chosen)());
                    let turned = self.turned.clone();
                    tick.connect_toggled(move |_| {
                        turned.set(true);
                        chosen(command.clone());
                    });
                    into.add(&tick);
                }
                Item::Submenu { label, items } => {
                    let expander = gtk::Expander::new(Some(&line(label, LONGEST_LABEL)));
                    let below = gtk::Box::new(gtk::Orientation::Vertical, SPACE / 2);
                    below.set_margin_start(SPACE * 2);
                    self.fill_box(&below, items);
                    expander.add(&below);
                    into.add(&expander);
                }
            }
        }
    }
}

impl Drop for StatusWindow {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.window.close();
        }
    }
}

/// Makes a button as high as the other lines.
fn compact(button: &gtk::Button) {
    let style = gtk::CssProvider::new();
    // Without the style, the window only has wider gaps.
    if style.load_from_data(b"button { padding: 0 4px; min-height: 22px; }").is_ok() {
        button.style_context().add_provider(&style, gtk::STYLE_PROVIDER_PRIORITY_APPLICATION);
    }
}

fn label(text: &str) -> gtk::Label {
    let label = gtk::Label::new(Some(text));
    label.set_line_wrap(true);
    label.set_xalign(0.0);
    // Otherwise a long label would make the window as wide as its text.
    label.set_max_width_chars(50);
    label
}

fn focused(content: &gtk::Box) -> Option<usize> {
    content
        .children()
        .iter()
        .position(|child| child.has_focus() || child.downcast_ref().is_some_and(has_focus_inside))
}

fn has_focus_inside(container: &gtk::Container) -> bool {
    container.focus_child().is_some()
}

fn expanders(content: &gtk::Box) -> Vec<(String, gtk::Expander)> {
    let mut found = Vec::new();
    for child in content.children() {
        if let Ok(expander) = child.downcast::<gtk::Expander>() {
            let below = expander.child().and_then(|child| child.downcast::<gtk::Box>().ok());
            found.extend(below.iter().flat_map(expanders));
            found.push((name(&expander), expander));
        }
    }
    found
}

/// The part of a label that stays the same when its numbers change.
fn name(expander: &gtk::Expander) -> String {
    let label = expander.label().unwrap_or_default();
    label.trim_start_matches(['●', '⚠', '○', '◌', ' ']).split(" (").next().unwrap_or_default().to_owned()
}

fn unfolded(content: &gtk::Box) -> Vec<String> {
    expanders(content).into_iter().filter(|(_, expander)| expander.is_expanded()).map(|(name, _)| name).collect()
}
