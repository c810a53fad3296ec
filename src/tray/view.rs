//! Everything the user sees, as one value. Equal views cause no drawing.

use crate::contract::names;
use crate::contract::platform::Platform;
use crate::tray::label::{LONGEST_TOOLTIP, line};
use crate::tray::menu::Menu;
use crate::tray::model::{Model, Mood};

/// Menu, icon and tooltip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub menu: Menu,
    pub mood: Mood,
    pub tooltip: String,
    /// This desktop shows no tray icons. The status window says so.
    pub host_missing: bool,
}

impl View {
    pub fn of(model: &Model) -> View {
        View {
            menu: Menu::of(model),
            mood: model.mood(),
            tooltip: tooltip(model, Platform::HOST),
            host_missing: model.host_missing,
        }
    }
}

/// Free desktops show the icon's title above the tooltip; elsewhere the tooltip must contain the product's name.
fn tooltip(model: &Model, platform: Platform) -> String {
    let summary = model.summary();
    match platform {
        Platform::Linux | Platform::Other => line(&summary, LONGEST_TOOLTIP),
        Platform::Windows | Platform::MacOs => line(&format!("{}: {summary}", names::PRODUCT), LONGEST_TOOLTIP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tray::autostart::Status;

    #[test]
    fn invisible_changes_leave_the_view_equal() {
        let mut model = Model::new("1", Status::Disabled);
        let before = View::of(&model);
        model.set_servers(crate::contract::api::Servers::default());
        assert_eq!(View::of(&model), before);
        model.trouble = Some("the disk is full".into());
        assert_ne!(View::of(&model), before);
    }

    #[test]
    fn a_starting_core_is_not_an_alarm() {
        let model = Model::new("1", Status::Disabled);
        assert_eq!(View::of(&model).mood, Mood::Stopped);
        assert_eq!(tooltip(&model, Platform::Linux), "Starting the core…");
        assert_eq!(tooltip(&model, Platform::Windows), "MCPProxy: Starting the core…");
    }
}
