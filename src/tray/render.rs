//! Updates the icon, its menu and its tooltip to a view. Changes only what differs from the previous view.

use muda::{CheckMenuItem, IsMenuItem, MenuItem, PredefinedMenuItem, Submenu};
use tray_icon::{Icon, TrayIcon, TrayIconBuilder};

use super::icon;
use super::label::menu_text;
use super::menu::{Command, Item};
use super::model::Mood;
use super::view::View;
use crate::contract::names;
use crate::contract::platform::Platform;

/// The icon in the notification area and the view it shows.
pub(super) struct Shown {
    icon: TrayIcon,
    view: View,
    lines: Vec<Line>,
}

/// A menu item that can be changed in place.
enum Line {
    Plain(MenuItem),
    Check(CheckMenuItem),
    Submenu(Submenu, Vec<Line>),
    Separator(PredefinedMenuItem),
}

impl Shown {
    /// Adds the icon to the notification area.
    ///
    /// # Errors
    /// The system's error: there may be no notification area yet.
    pub(super) fn build(view: View) -> Result<Shown, String> {
        let (menu, lines) = menu(&view.menu.items)?;
        let builder = TrayIconBuilder::new();
        // macOS colours the image itself, for its light and dark menu bar.
        #[cfg(target_os = "macos")]
        let builder = builder.with_icon_templated(picture(view.mood)?);
        #[cfg(not(target_os = "macos"))]
        let builder = builder.with_icon(picture(view.mood)?);
        let icon = builder
            .with_id(names::APP_ID)
            .with_title(title(Platform::HOST))
            .with_tooltip(&view.tooltip)
            .with_menu(Box::new(menu))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Shown { icon, view, lines })
    }

    /// Shows another view.
    ///
    /// # Errors
    /// The system's error. The caller may retry with the same view.
    pub(super) fn show(&mut self, view: View) -> Result<(), String> {
        if view.menu != self.view.menu {
            if same_shape(&self.view.menu.items, &view.menu.items) {
                change(&self.lines, &self.view.menu.items, &view.menu.items);
            } else {
                let (menu, lines) = menu(&view.menu.items)?;
                self.icon.set_menu(Some(Box::new(menu)));
                self.lines = lines;
            }
            self.view.menu = view.menu;
        }
        if view.mood != self.view.mood {
            let picture = Some(picture(view.mood)?);
            #[cfg(target_os = "macos")]
            let set = self.icon.set_icon_templated(picture);
            #[cfg(not(target_os = "macos"))]
            let set = self.icon.set_icon(picture);
            set.map_err(|error| error.to_string())?;
            self.view.mood = view.mood;
        }
        if view.tooltip != self.view.tooltip {
            self.icon.set_tooltip(Some(&view.tooltip)).map_err(|error| error.to_string())?;
            self.view.tooltip = view.tooltip;
        }
        Ok(())
    }

    /// Opens the menu as a click on the icon does.
    #[cfg(any(windows, target_os = "macos"))]
    pub(super) fn open_menu(&self) {
        self.icon.show_menu();
    }

    /// Remembers that the system has toggled a checkmark by itself before the action ran. The next view corrects it.
    pub(super) fn ticked_by_itself(&mut self, chosen: &Command) {
        for item in &mut self.view.menu.items {
            if let Item::Check { command, checked, .. } = item
                && command == chosen
            {
                *checked = !*checked;
            }
        }
    }
}

/// On Linux the title next to the icon is its name for screen readers; on macOS it is text in the menu bar.
fn title(platform: Platform) -> &'static str {
    if platform == Platform::MacOs { "" } else { names::PRODUCT }
}

fn picture(mood: Mood) -> Result<Icon, String> {
    let picture = icon::decode(icon::png(mood, Platform::HOST))?;
    Icon::from_rgba(picture.rgba, picture.width, picture.height).map_err(|error| error.to_string())
}

fn menu(items: &[Item]) -> Result<(muda::Menu, Vec<Line>), String> {
    let lines = items.iter().map(line).collect::<Result<Vec<Line>, String>>()?;
    let menu = muda::Menu::new();
    for line in &lines {
        menu.append(line.item()).map_err(|error| error.to_string())?;
    }
    Ok((menu, lines))
}

fn line(item: &Item) -> Result<Line, String> {
    Ok(match item {
        Item::Text(label) => Line::Plain(MenuItem::new(menu_text(label), false, None)),
        Item::Action {
            command,
            label,
            enabled,
        } => Line::Plain(MenuItem::with_id(command.id(), menu_text(label), *enabled, None)),
        Item::Check {
            command,
            label,
            checked,
            enabled,
        } => Line::Check(CheckMenuItem::with_id(command.id(), menu_text(label), *enabled, *checked, None)),
        Item::Submenu { label, items } => {
            let lines = items.iter().map(line).collect::<Result<Vec<Line>, String>>()?;
            let submenu = Submenu::new(menu_text(label), true);
            for line in &lines {
                submenu.append(line.item()).map_err(|error| error.to_string())?;
            }
            Line::Submenu(submenu, lines)
        }
        Item::Separator => Line::Separator(PredefinedMenuItem::separator()),
    })
}

impl Line {
    fn item(&self) -> &dyn IsMenuItem {
        match self {
            Line::Plain(item) => item,
            Line::Check(item) => item,
            Line::Submenu(item, _) => item,
            Line::Separator(item) => item,
        }
    }
}

/// Whether the menu can be changed into the other one in place.
fn same_shape(before: &[Item], after: &[Item]) -> bool {
    before.len() == after.len()
        && before.iter().zip(after).all(|pair| match pair {
            (Item::Text(_), Item::Text(_)) | (Item::Separator, Item::Separator) => true,
            (Item::Action { command: a, .. }, Item::Action { command: b, .. })
            | (Item::Check { command: a, .. }, Item::Check { command: b, .. }) => a == b,
            (Item::Submenu { items: a, .. }, Item::Submenu { items: b, .. }) => same_shape(a, b),
            _ => false,
        })
}

fn change(lines: &[Line], before: &[Item], after: &[Item]) {
    for ((line, before), after) in lines.iter().zip(before).zip(after) {
        match (line, before, after) {
            (Line::Plain(item), Item::Text(before), Item::Text(after)) if before != after => {
                item.set_text(menu_text(after));
            }
            (
                Line::Plain(item),
                Item::Action {
                    label: old,
                    enabled: was,
                    ..
                },
                Item::Action { label, enabled, .. },
            ) => {
                if old != label {
                    item.set_text(menu_text(label));
                }
                if was != enabled {
                    item.set_enabled(*enabled);
                }
            }
            (
                Line::Check(item),
                Item::Check {
                    label: old,
                    enabled: was,
                    checked: ticked,
                    ..
                },
                Item::Check {
                    label,
                    enabled,
                    checked,
                    ..
                },
            ) => {
                if old != label {
                    item.set_text(menu_text(label));
                }
                if was != enabled {
                    item.set_enabled(*enabled);
                }
                if ticked != checked {
                    item.set_checked(*checked);
                }
            }
            (
                Line::Submenu(submenu, lines),
                Item::Submenu {
                    label: old,
                    items: before,
                },
                Item::Submenu { label, items: after },
            ) => {
                if old != label {
                    submenu.set_text(menu_text(label));
                }
                change(lines, before, after);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(checked: bool) -> Item {
        Item::Check {
            command: Command::ToggleAutostart,
            label: "x".into(),
            checked,
            enabled: true,
        }
    }

    #[test]
    fn a_menu_is_rebuilt_only_when_its_items_change() {
        assert!(same_shape(&[Item::Text("a".into()), check(true)], &[Item::Text("b".into()), check(false)]));
        assert!(!same_shape(&[Item::Text("a".into())], &[Item::Separator]));
        let servers = |items| {
            [Item::Submenu {
                label: "s".into(),
                items,
            }]
        };
        assert!(!same_shape(&servers(vec![]), &servers(vec![check(true)])));
    }
}
