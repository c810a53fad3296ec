//! Whether there is a display.

#[cfg_attr(any(windows, target_os = "macos"), path = "always.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gtk.rs")]
mod open_display;

pub(super) use open_display::open_display;

use crate::contract::platform::Platform;
use crate::os::environment::Environment;

/// Variables that name a display.
pub(super) const VARIABLES: [&str; 2] = ["DISPLAY", "WAYLAND_DISPLAY"];

/// Whether the environment names a display; always true on Windows and macOS.
pub(super) fn is_named(platform: Platform, environment: &Environment) -> bool {
    match platform {
        Platform::Windows | Platform::MacOs => true,
        Platform::Linux | Platform::Other => VARIABLES.iter().any(|name| environment.non_empty(name).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_free_desktops_must_name_one() {
        let none = Environment::default();
        assert!(!is_named(Platform::Linux, &none));
        assert!(is_named(Platform::Windows, &none) && is_named(Platform::MacOs, &none));
        let wayland = Environment::from_iter([("WAYLAND_DISPLAY".to_owned(), "wayland-0".to_owned())]);
        assert!(is_named(Platform::Linux, &wayland));
        let empty = Environment::from_iter([("DISPLAY".to_owned(), String::new())]);
        assert!(!is_named(Platform::Linux, &empty));
    }
}
