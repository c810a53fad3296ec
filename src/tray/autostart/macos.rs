//! Launch at login on macOS: which copies of the program can be registered.

/// The program to register, or why this copy cannot be.
///
/// # Errors
/// A sentence with what to do.
pub fn program(executable: &str) -> Result<String, String> {
    if executable.contains("/AppTranslocation/") {
        return Err("move MCPProxy to Applications first".to_owned());
    }
    if !executable.contains(".app/Contents/MacOS/") {
        return Err("only for the installed app".to_owned());
    }
    Ok(executable.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_installed_bundle_is_registered() {
        assert!(program("/Applications/MCPProxy.app/Contents/MacOS/mcpproxy-tray").is_ok());
        assert!(program("/private/var/x/AppTranslocation/1/d/MCPProxy.app/Contents/MacOS/mcpproxy-tray").is_err());
        assert!(program("/opt/homebrew/bin/mcpproxy-tray").is_err());
    }
}
