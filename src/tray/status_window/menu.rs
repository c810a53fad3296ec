//! Windows and macOS always have a place for the icon: its own menu is opened.

use crate::tray::menu::Command;
use crate::tray::render::Shown;
use crate::tray::view::View;

/// Nothing of its own to show.
pub struct StatusWindow;

impl StatusWindow {
    /// Takes no part in clicks: the menu's own handler does.
    pub fn new(_chosen: impl Fn(Command) + Clone + 'static) -> StatusWindow {
        StatusWindow
    }

    /// Opens the icon's menu.
    pub fn present(&mut self, _view: &View, icon: Option<&Shown>) {
        if let Some(icon) = icon {
            icon.open_menu();
        }
    }

    /// The menu follows the view by itself.
    pub fn follow(&mut self, _view: &View) {}
}
