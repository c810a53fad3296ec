//! Windows and macOS always have a place for the icon, so this opens the icon's own menu.

use crate::tray::menu::Command;
use crate::tray::render::Shown;
use crate::tray::view::View;

/// Has no state.
pub(crate) struct StatusWindow;

impl StatusWindow {
    /// Ignores `chosen`: the menu's own handler receives clicks.
    pub(crate) fn new(_chosen: impl Fn(Command) + Clone + 'static) -> StatusWindow {
        StatusWindow
    }

    /// Opens the icon's menu.
    pub(crate) fn present(&mut self, _view: &View, icon: Option<&Shown>) {
        if let Some(icon) = icon {
            icon.open_menu();
        }
    }

    /// Does nothing: the menu follows the view by itself.
    pub(crate) fn follow(&mut self, _view: &View) {}
}
