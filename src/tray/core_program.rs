//! Where the core program may be, and how to start it.

use std::path::{Path, PathBuf};

use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::TrayStart;
use crate::contract::names;
use crate::contract::platform::Platform;

/// The paths to try, best first. `MCPPROXY_CORE_PATH`, if set, is the only one.
pub fn places(platform: Platform, named: Option<&str>, own: &Path, home: &Path, path: &[PathBuf]) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![PathBuf::from(named)];
    }
    let file = file_name(platform);
    let mut places = Vec::new();
    if let Some(directory) = own.parent() {
        places.push(directory.join(&file));
        if platform == Platform::MacOs {
            // Contents/MacOS/mcpproxy-tray and Contents/Resources/bin/mcpproxy
            places.extend(directory.parent().map(|contents| contents.join("Resources/bin").join(&file)));
        }
    }
    places.push(home.join(".mcpproxy/bin").join(&file));
    places.extend(path.iter().filter(|directory| directory.is_absolute()).map(|directory| directory.join(&file)));
    places
}

fn file_name(platform: Platform) -> String {
    match platform {
        Platform::Windows => format!("{}.exe", names::CORE_PROGRAM),
        _ => names::CORE_PROGRAM.to_owned(),
    }
}

/// Path of the core that came with this tray; `None` if `MCPPROXY_CORE_PATH` names another.
pub fn bundled(platform: Platform, named: Option<&str>, own: &Path) -> Option<PathBuf> {
    let directory = own.parent().filter(|_| named.is_none())?;
    Some(directory.join(file_name(platform)))
}

/// The arguments of a core. Passes a non-default data directory as an argument, because the Go core reads no variable
/// for it.
pub fn arguments(root: &InstanceRoot) -> Vec<PathBuf> {
    let mut arguments = vec![PathBuf::from("serve")];
    if !root.is_default() {
        arguments.extend([
            "--data-dir".into(),
            root.path().to_path_buf(),
            "--config".into(),
            root.config(),
        ]);
    }
    arguments
}

/// Variables that a core must not inherit: they belong to this tray, or would override the key without the tray's
/// knowledge.
pub const NOT_INHERITED: [&str; 3] = [names::ENV_API_KEY, names::ENV_LAUNCHED_BY, names::ENV_TRAY_LAUNCHED_BY];

/// Variables that the tray sets for a core.
pub fn variables(start: TrayStart, first: bool) -> Vec<(&'static str, &'static str)> {
    start.core_variables(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_next_to_the_tray_comes_first() {
        let path = [PathBuf::from("/usr/bin"), PathBuf::from("relative")];
        let found = places(Platform::Linux, None, Path::new("/opt/m/mcpproxy-tray"), Path::new("/home/ann"), &path);
        assert_eq!(
            found,
            [
                "/opt/m/mcpproxy",
                "/home/ann/.mcpproxy/bin/mcpproxy",
                "/usr/bin/mcpproxy"
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn a_named_program_is_the_only_candidate() {
        let found = places(Platform::Linux, Some("/x/core"), Path::new("/opt/t"), Path::new("/home/ann"), &[]);
        assert_eq!(found, [PathBuf::from("/x/core")]);
    }

    #[test]
    fn only_a_relocated_root_is_named() {
        let home = Path::new("/home/ann");
        assert_eq!(arguments(&InstanceRoot::resolve(home, None)), [PathBuf::from("serve")]);
        let moved = arguments(&InstanceRoot::resolve(home, Some("/srv/m")));
        let expected = ["serve", "--data-dir", "/srv/m", "--config", "/srv/m/mcp_config.json"];
        assert_eq!(moved, expected.map(PathBuf::from));
    }
}
