//! Classifies the machine: a user's, an automated one, or unknown. A pure function of an [`Observation`].
//!
//! Checks in this order: a cloud IDE vendor, a CI vendor, a tray as parent, a generic CI variable, a container, then
//! the rule of the operating system (macOS and Windows are interactive; Linux is interactive with a display or
//! terminal, else headless).
//!
//! Decisions and their reasons:
//! * **`CI=false` next to a vendor's variable** still means that vendor's runner: builds set it to silence a bundler's
//!   warnings.
//! * **A generic CI variable on a desktop** (`CI=1` together with a graphical session or an editor) does not count:
//!   editors and agents export it to the shells they run, and those shells start this program. Otherwise it means CI, as
//!   every public list says. A virtual display (`DISPLAY=:99`) is common in CI and does not prove a desktop.
//! * **Hosting platforms** (Render, Vercel, Heroku, …) also set their variable at run time: CI only if `CI` is on.
//! * **A tray as parent** means that a user is present; only a vendor's own variable overrides it.
//! * **Kubernetes, ECS, containerd, Podman, LXC, nspawn, OpenVZ, Apptainer, dev containers** are containers, with or
//!   without a terminal. **Toolbox, Distrobox, Flatpak, Snap, Firejail, AppImage** are a user's desktop. **WSL** follows
//!   the Linux rule, and Docker inside WSL is a container.
//! * **SSH, cron, systemd units** have no rule of their own. SSH is interactive with a terminal and headless without one.
//!   Cron and system units have neither terminal nor display. A user unit inherits the display if there is one.
//! * **An editor's own variables** mean a user on Linux, because VS Code over SSH gives its children neither display nor
//!   terminal. An agent's variables alone do not, because agents also run unattended.

pub mod container;
pub mod observation;
pub mod observe;
pub mod vendors;

use serde::Serialize;

use crate::contract::names;
use crate::contract::run_facts::{EnvKind, EnvMarkers};
use crate::telemetry::environment::container::Isolation;
use crate::telemetry::environment::observation::{Observation, System};
use crate::telemetry::environment::vendors::{Role, Sign, VENDORS, Variables, Vendor};

/// A classification and its reason. Also the output of `mcpproxy telemetry explain`. Contains no value from the
/// machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    #[serde(rename = "env_kind")]
    pub kind: EnvKind,
    #[serde(rename = "env_markers")]
    pub markers: EnvMarkers,
    /// The rule that decided, with an explanation.
    pub rule: String,
}

/// Variables that an editor on a user's screen passes to its child processes.
const EDITORS: Sign = Sign::Any(&[
    Sign::Set("VSCODE_PID"),
    Sign::Set("VSCODE_IPC_HOOK"),
    Sign::Set("VSCODE_IPC_HOOK_CLI"),
    Sign::Set("VSCODE_CWD"),
    Sign::Set("VSCODE_INJECTION"),
    Sign::Set("VSCODE_GIT_IPC_HANDLE"),
    Sign::Set("CURSOR_TRACE_ID"),
    Sign::Set("ZED_TERM"),
    Sign::Set("TERMINAL_EMULATOR"),
    Sign::Is("TERM_PROGRAM", "vscode"),
]);

/// Variables that a coding agent passes to its child processes: a user's on a desktop, unattended on a server.
const AGENTS: Sign = Sign::Any(&[
    Sign::On("CLAUDECODE"),
    Sign::On("CLAUDE_CODE"),
    Sign::Set("CURSOR_AGENT"),
    Sign::On("OPENCODE"),
    Sign::On("GEMINI_CLI"),
    Sign::Set("CODEX_SANDBOX"),
    Sign::Set("CODEX_THREAD_ID"),
    Sign::Set("AUGMENT_AGENT"),
    Sign::On("COPILOT_CLI"),
    Sign::Set("NX_CONSOLE"),
]);

/// Evidence of a graphical session, besides the display itself.
const SESSIONS: Sign = Sign::Any(&[
    Sign::Set("XDG_CURRENT_DESKTOP"),
    Sign::Set("DESKTOP_SESSION"),
    Sign::Is("XDG_SESSION_TYPE", "x11"),
    Sign::Is("XDG_SESSION_TYPE", "wayland"),
    Sign::Set("__CFBundleIdentifier"),
    Sign::Set("TERM_PROGRAM"),
    Sign::Starts("XPC_SERVICE_NAME", "application."),
    Sign::Starts("SESSIONNAME", "Console"),
    Sign::Starts("SESSIONNAME", "RDP-"),
    Sign::Set("WT_SESSION"),
]);

const DISPLAYS: Sign = Sign::Any(&[Sign::Set("DISPLAY"), Sign::Set("WAYLAND_DISPLAY")]);

pub fn classify(seen: &Observation) -> Verdict {
    let isolation = container::isolation(seen);
    let markers = markers(seen, isolation);
    let (kind, rule) = decide(seen, isolation, markers);
    Verdict { kind, markers, rule }
}

fn vendor(seen: &Observation, role: Role) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.role == role && vendor.sign.holds(seen))
}

/// The five markers. Each is independent of the verdict.
fn markers(seen: &Observation, isolation: Isolation) -> EnvMarkers {
    EnvMarkers {
        has_ci_env: vendor(seen, Role::Ci).is_some() || vendor(seen, Role::GenericCi).is_some(),
        has_cloud_ide_env: vendor(seen, Role::CloudIde).is_some(),
        is_container: matches!(isolation, Isolation::Container(_)),
        has_tty: seen.tty,
        has_display: DISPLAYS.holds(seen),
    }
}

fn decide(seen: &Observation, isolation: Isolation, markers: EnvMarkers) -> (EnvKind, String) {
    if let Some(vendor) = vendor(seen, Role::CloudIde) {
        return (EnvKind::CloudIde, format!("cloud_ide_vendor: {} announces itself", vendor.name));
    }
    if let Some(vendor) = vendor(seen, Role::Ci) {
        return (EnvKind::Ci, format!("ci_vendor: {} announces itself", vendor.name));
    }
    if seen.flag("CI")
        && let Some(vendor) = vendor(seen, Role::Hosting)
    {
        return (EnvKind::Ci, format!("ci_vendor: {} announces itself and CI is on: a build", vendor.name));
    }
    if seen.value(names::ENV_LAUNCHED_BY).is_some_and(|parent| parent.trim() == "tray") {
        return (EnvKind::Interactive, "tray_parent: the tray started this core, so a user is present".into());
    }
    if let Some(word) = vendor(seen, Role::GenericCi) {
        return match desktop_trace(seen, isolation) {
            Some(trace) => (
                EnvKind::Interactive,
                format!("stray_ci: {} is set, but {trace} and no CI service announces itself", word.name),
            ),
            None => (EnvKind::Ci, format!("ci_generic: {} is set and nothing shows a desktop", word.name)),
        };
    }
    let aside = match isolation {
        Isolation::Container(evidence) => return (EnvKind::Container, format!("container: {evidence}")),
        Isolation::Desktop(reason) => format!(" (not a container: {reason})"),
        Isolation::None if container::is_wsl(seen) => " (WSL: the Linux rule decides)".into(),
        Isolation::None => String::new(),
    };
    let (kind, rule) = match seen.system() {
        System::MacOs => (EnvKind::Interactive, "macos: no CI or container detected"),
        System::Windows => (EnvKind::Interactive, "windows: no CI or container detected"),
        System::Linux if markers.has_display => (EnvKind::Interactive, "linux_display: Linux with a display"),
        System::Linux if markers.has_tty => (EnvKind::Interactive, "linux_terminal: Linux with a terminal"),
        System::Linux if EDITORS.holds(seen) => (EnvKind::Interactive, "linux_editor: Linux, started by an editor"),
        System::Linux => (EnvKind::Headless, "linux_headless: Linux with neither display nor terminal"),
        System::Other => (EnvKind::Unknown, "other_system: no rule for this system"),
    };
    (kind, format!("{rule}{aside}"))
}

/// Evidence that a generic CI variable was inherited on a user's desktop. `None` in a container.
fn desktop_trace(seen: &Observation, isolation: Isolation) -> Option<&'static str> {
    if matches!(isolation, Isolation::Container(_)) {
        return None;
    }
    if EDITORS.holds(seen) {
        return Some("an editor started this");
    }
    if AGENTS.holds(seen) {
        return Some("a coding agent started this");
    }
    if seen.set("WAYLAND_DISPLAY") || seen.value("DISPLAY").is_some_and(real_display) || SESSIONS.holds(seen) {
        return Some("there is a graphical session");
    }
    None
}

/// Whether a display is real. `xvfb-run` and CI images number theirs from 90 up, mostly `:99`.
fn real_display(display: &str) -> bool {
    let number = display.rsplit(':').next().unwrap_or_default();
    let number = number.split('.').next().unwrap_or_default();
    !display.trim().is_empty() && number.parse::<u32>().is_ok_and(|number| number < 90)
}

/// Every environment variable that a rule reads. An observation contains no others.
pub fn declared_variables() -> Vec<&'static str> {
    let mut names = vec![names::ENV_LAUNCHED_BY];
    names.extend_from_slice(container::VARIABLES);
    for sign in VENDORS.iter().map(|vendor| &vendor.sign).chain([&EDITORS, &AGENTS, &SESSIONS, &DISPLAYS]) {
        sign.names(&mut |name| names.push(name));
    }
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(os: &str, env: &[(&str, &str)]) -> Observation {
        Observation {
            os: os.into(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Observation::default()
        }
    }

    fn kind(os: &str, env: &[(&str, &str)]) -> EnvKind {
        classify(&seen(os, env)).kind
    }

    #[test]
    fn an_off_value_is_not_ci_and_any_other_is() {
        for off in ["", " ", "0", "false", "False", "no", "OFF"] {
            assert_eq!(kind("linux", &[("CI", off)]), EnvKind::Headless, "CI={off}");
            assert_eq!(kind("macos", &[("GITHUB_ACTIONS", off)]), EnvKind::Interactive, "GITHUB_ACTIONS={off}");
        }
        for on in ["1", "true", "TRUE", "yes", "woodpecker", "drone"] {
            assert_eq!(kind("linux", &[("CI", on)]), EnvKind::Ci, "CI={on}");
        }
    }

    #[test]
    fn a_cloud_ide_outranks_ci_and_ci_outranks_a_container() {
        assert_eq!(kind("linux", &[("CODESPACES", "true"), ("CI", "true")]), EnvKind::CloudIde);
        assert_eq!(kind("linux", &[("GITLAB_CI", "true"), ("container", "podman")]), EnvKind::Ci);
        assert_eq!(kind("linux", &[("container", "podman")]), EnvKind::Container);
    }

    #[test]
    fn a_stray_ci_variable_on_a_desktop_is_interactive_but_a_vendor_is_ci() {
        let desktop = [("CI", "true"), ("DISPLAY", ":0")];
        assert_eq!(kind("linux", &desktop), EnvKind::Interactive);
        assert!(classify(&seen("linux", &desktop)).markers.has_ci_env);
        assert_eq!(kind("linux", &[("CI", "true"), ("DISPLAY", ":99")]), EnvKind::Ci);
        assert_eq!(kind("macos", &[("CI", "1"), ("CLAUDECODE", "1")]), EnvKind::Interactive);
        assert_eq!(kind("macos", &[("CI", "1")]), EnvKind::Ci);
        assert_eq!(kind("linux", &[("CI", "1"), ("CLAUDECODE", "1"), ("container", "docker")]), EnvKind::Ci);
        assert_eq!(kind("linux", &[("CI", "1"), ("DISPLAY", ":0"), ("TF_BUILD", "True")]), EnvKind::Ci);
    }

    #[test]
    fn a_tray_parent_is_interactive_unless_a_vendor_variable_is_set() {
        let tray = (names::ENV_LAUNCHED_BY, "tray");
        assert_eq!(kind("linux", &[tray]), EnvKind::Interactive);
        assert_eq!(kind("linux", &[tray, ("CI", "1")]), EnvKind::Interactive);
        assert_eq!(kind("linux", &[tray, ("container", "docker")]), EnvKind::Interactive);
        assert_eq!(kind("linux", &[tray, ("BUILDKITE", "true")]), EnvKind::Ci);
        assert_eq!(kind("linux", &[tray, ("CODESPACES", "true")]), EnvKind::CloudIde);
        assert_eq!(kind("linux", &[(names::ENV_LAUNCHED_BY, "cron")]), EnvKind::Headless);
    }

    #[test]
    fn a_hosting_platform_is_ci_only_while_it_builds() {
        assert_eq!(kind("linux", &[("RENDER", "true")]), EnvKind::Headless);
        assert_eq!(kind("linux", &[("RENDER", "true"), ("CI", "true")]), EnvKind::Ci);
    }

    #[test]
    fn every_variable_a_rule_looks_at_is_declared() {
        let declared = declared_variables();
        for name in [
            "CI",
            "bamboo.buildKey",
            "DISPLAY",
            "container",
            "MCPPROXY_LAUNCHED_BY",
            "SHELL",
            "VSCODE_PID",
        ] {
            assert!(declared.contains(&name), "{name}");
        }
        assert!(!declared.iter().any(|name| ["CODER_URL", "E2B_API_KEY", "DAYTONA_API_KEY", "HOME"].contains(name)));
    }

    #[test]
    fn the_rule_names_no_value() {
        let verdict = classify(&seen("linux", &[("JENKINS_URL", "https://ci.acme.internal"), ("BUILD_ID", "4711")]));
        assert_eq!(verdict.kind, EnvKind::Ci);
        assert!(!verdict.rule.contains("acme") && !verdict.rule.contains("4711"));
    }
}
