//! The restrictions that `SMAppService` places on the location of the bundle.

use std::path::Path;

/// Why a program at this path cannot be a login item; `None` if it can (pitfalls B18).
pub fn obstacle(program: &Path) -> Option<String> {
    let text = program.to_string_lossy();
    if text.contains("/AppTranslocation/") {
        return Some(
            "macOS runs a copy of a freshly downloaded program: move MCPProxy to Applications and open it there".into(),
        );
    }
    if !text.contains(".app/Contents/MacOS/") {
        return Some("only an application can be a login item: use MCPProxy.app".into());
    }
    None
}

/// Whether a bundle id belongs to the system's settings, where the user allows and turns off login items.
pub fn is_settings(bundle: &str) -> bool {
    bundle.eq_ignore_ascii_case("com.apple.systempreferences")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_installed_bundle_can_be_a_login_item() {
        assert_eq!(obstacle(Path::new("/Applications/MCPProxy.app/Contents/MacOS/mcpproxy-tray")), None);
        assert!(obstacle(Path::new("/private/var/x/AppTranslocation/1/d/MCPProxy.app/Contents/MacOS/t")).is_some());
        assert!(obstacle(Path::new("/usr/local/bin/mcpproxy-tray")).is_some());
    }

    #[test]
    fn the_state_is_read_again_after_the_systems_settings_and_no_other_program() {
        assert!(is_settings("com.apple.systempreferences"));
        assert!(!is_settings("com.apple.finder"));
    }
}
