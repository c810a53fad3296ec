//! Detects whether a process runs in a container, and which isolations are not containers but a user's desktop.
//!
//! Sources: systemd's container interface, Kubernetes and ECS documentation, npm `is-docker`, `is-inside-container` and
//! `is-wsl`, dotnet/sdk for Windows. This code avoids two known errors of theirs: a path that could not be probed is
//! not evidence, and only the lines of `mountinfo` for *this* process's root count, because a Docker host lists the
//! mounts of all its containers.

use crate::telemetry::environment::observation::{Observation, System};
use crate::telemetry::environment::vendors::Variables;

/// Files whose existence is evidence for or against a container.
pub(crate) const FILES: &[&str] = &[
    "/.dockerenv",
    "/run/.containerenv",
    "/run/.toolboxenv",
    "/run/.toolbxenv",
    "/.flatpak-info",
    "/run/pressure-vessel",
    "/run/host/container-manager",
    "/run/systemd/container",
    "/proc/vz",
    "/proc/bc",
    "/.singularity.d",
    "/var/run/secrets/kubernetes.io/serviceaccount",
    "/run/secrets/kubernetes.io/serviceaccount",
    "/etc/profile.d/distrobox_profile.sh",
];

/// Small files whose content is evidence.
pub(crate) const TEXTS: &[&str] = &[
    "/proc/1/cgroup",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/proc/sys/kernel/osrelease",
    "/proc/version",
    "/run/systemd/container",
    "/run/host/container-manager",
];

/// Variables that are evidence for or against a container.
pub(crate) const VARIABLES: &[&str] = &[
    "container",
    "KUBERNETES_SERVICE_HOST",
    "ECS_CONTAINER_METADATA_URI",
    "ECS_CONTAINER_METADATA_URI_V4",
    "K_SERVICE",
    "CLOUD_RUN_JOB",
    "DOTNET_RUNNING_IN_CONTAINER",
    "REMOTE_CONTAINERS",
    "VSCODE_REMOTE_CONTAINERS_SESSION",
    "SINGULARITY_NAME",
    "SINGULARITY_CONTAINER",
    "APPTAINER_CONTAINER",
    "APPTAINER_NAME",
    "TOOLBOX_PATH",
    "CONTAINER_ID",
    "DISTROBOX_ENTER_PATH",
    "WSL_DISTRO_NAME",
    "USERNAME",
];

/// The kind of isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// A container, with the evidence.
    Container(&'static str),
    /// Looks like a container but is a user's desktop or shell, with the reason.
    Desktop(&'static str),
    None,
}

/// Values of `$container`, `/run/systemd/container` and `/run/host/container-manager` that name a desktop sandbox.
const SANDBOXES: &[&str] = &[
    "flatpak",
    "snap",
    "firejail",
    "pressure-vessel",
    "bubblewrap",
    "bwrap",
    "appimage",
    "wsl",
];

/// Classifies one observation.
pub(crate) fn isolation(seen: &Observation) -> Isolation {
    match seen.system() {
        // No container runs macOS. Such variables were exported for a client (`telepresence`, `minikube`).
        System::MacOs => Isolation::None,
        System::Windows => windows(seen),
        System::Linux | System::Other => unix(seen),
    }
}

fn windows(seen: &Observation) -> Isolation {
    // The two accounts of Windows container images; desktops do not have them.
    if seen.value("USERNAME").is_some_and(|user| {
        ["ContainerAdministrator", "ContainerUser"].iter().any(|name| user.eq_ignore_ascii_case(name))
    }) {
        return Isolation::Container("the account of Windows container images");
    }
    variables(seen).map_or(Isolation::None, Isolation::Container)
}

fn unix(seen: &Observation) -> Isolation {
    if let Some(reason) = desktop(seen) {
        return Isolation::Desktop(reason);
    }
    variables(seen)
        .or_else(|| files(seen))
        .or_else(|| cgroup(seen))
        .or_else(|| mountinfo(seen.text("/proc/self/mountinfo")))
        .map_or(Isolation::None, Isolation::Container)
}

/// Isolations in which a user works with the host's home directory. They do not count as containers.
fn desktop(seen: &Observation) -> Option<&'static str> {
    let cluster = seen.set("KUBERNETES_SERVICE_HOST");
    if seen.has_file("/run/.toolboxenv") || seen.has_file("/run/.toolbxenv") {
        return Some("toolbox: a user's shell");
    }
    if seen.set("TOOLBOX_PATH") && !cluster {
        return Some("toolbox: a user's shell");
    }
    // YARN and others use CONTAINER_ID for their own ids.
    let distrobox = seen.set("DISTROBOX_ENTER_PATH")
        || seen.has_file("/etc/profile.d/distrobox_profile.sh")
        || (seen.value("CONTAINER_ID").is_some_and(|id| !id.trim().is_empty() && !id.starts_with("container_"))
            && (seen.has_file("/run/.containerenv") || seen.has_file("/.dockerenv")));
    if distrobox && !cluster {
        return Some("distrobox: a user's shell");
    }
    if seen.has_file("/.flatpak-info") || seen.has_file("/run/pressure-vessel") {
        return Some("a desktop sandbox (Flatpak, pressure-vessel)");
    }
    None
}

fn sandbox(word: &str) -> bool {
    SANDBOXES.iter().any(|name| word.trim().eq_ignore_ascii_case(name))
}

fn variables(seen: &Observation) -> Option<&'static str> {
    // systemd: container managers set `container`. An unknown value still means a container.
    if seen.flag("container") && !seen.value("container").is_some_and(sandbox) {
        return Some("$container, set by the container's manager");
    }
    let set = |names: &[&str]| names.iter().any(|name| seen.set(name));
    if set(&["KUBERNETES_SERVICE_HOST"]) {
        return Some("a Kubernetes pod");
    }
    if set(&["ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4"]) {
        return Some("an ECS or Fargate task");
    }
    // Cloud Run's container runtime contract documents these variables.
    if set(&["K_SERVICE", "CLOUD_RUN_JOB"]) {
        return Some("a Cloud Run container");
    }
    if set(&[
        "SINGULARITY_NAME",
        "SINGULARITY_CONTAINER",
        "APPTAINER_CONTAINER",
        "APPTAINER_NAME",
    ]) {
        return Some("an Apptainer container");
    }
    if seen.flag("DOTNET_RUNNING_IN_CONTAINER") {
        return Some("a .NET container image");
    }
    // A dev container without a cloud IDE's variables runs on somebody's own Docker.
    if seen.flag("REMOTE_CONTAINERS") || seen.set("VSCODE_REMOTE_CONTAINERS_SESSION") {
        return Some("a dev container");
    }
    None
}

fn files(seen: &Observation) -> Option<&'static str> {
    if seen.has_file("/.dockerenv") {
        return Some("/.dockerenv");
    }
    if seen.has_file("/run/.containerenv") {
        return Some("/run/.containerenv");
    }
    for (path, words) in [
        ("/run/systemd/container", "/run/systemd/container"),
        ("/run/host/container-manager", "/run/host/container-manager"),
    ] {
        let text = seen.text(path);
        // WSL writes its own name there. On a WSL kernel an unread file is not evidence.
        if seen.has_file(path) && !sandbox(text) && !(is_wsl(seen) && text.trim().is_empty()) {
            return Some(words);
        }
    }
    if seen.has_file("/proc/vz") && !seen.has_file("/proc/bc") {
        return Some("an OpenVZ container");
    }
    if seen.has_file("/.singularity.d") {
        return Some("an Apptainer container");
    }
    let mounted = |path: &str| seen.files.iter().chain(seen.file_contents.keys()).any(|file| file.starts_with(path));
    if mounted("/var/run/secrets/kubernetes.io/serviceaccount") || mounted("/run/secrets/kubernetes.io/serviceaccount")
    {
        return Some("a Kubernetes service account");
    }
    None
}

/// Whether this is WSL without a container inside. systemd in WSL writes `wsl` to its container file.
pub(crate) fn is_wsl(seen: &Observation) -> bool {
    let kernel = |path: &str| {
        let text = seen.text(path).to_ascii_lowercase();
        text.contains("microsoft") || text.contains("-wsl")
    };
    kernel("/proc/sys/kernel/osrelease") || kernel("/proc/version") || seen.set("WSL_DISTRO_NAME")
}

fn cgroup(seen: &Observation) -> Option<&'static str> {
    let text = [seen.text("/proc/1/cgroup"), seen.text("/proc/self/cgroup")];
    for line in text.iter().flat_map(|text| text.lines()) {
        // `hierarchy:controllers:path`
        let path = line.splitn(3, ':').nth(2).unwrap_or_default();
        if path.contains("kubepods") {
            return Some("a Kubernetes cgroup");
        }
        if path.contains("/docker/") || scope(path, "docker-") || path.contains("/actions_job/") {
            return Some("a Docker cgroup");
        }
        if path.contains("/libpod_parent/") || scope(path, "libpod-") {
            return Some("a Podman cgroup");
        }
        if scope(path, "cri-containerd-") || scope(path, "crio-") || path.contains("/containerd/") {
            return Some("a containerd or CRI-O cgroup");
        }
        if path.starts_with("/ecs/") || path.contains("/garden/") || path.contains("/buildkit/") {
            return Some("a cgroup of a container service");
        }
        if path.contains("/lxc/") || path.contains("/lxc.payload") {
            return Some("an LXC cgroup");
        }
    }
    None
}

/// Whether a cgroup path has a segment `<head><long hex id>…`: matches `docker-0123….scope` but not
/// `docker-desktop.scope`.
fn scope(path: &str, head: &str) -> bool {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix(head))
        .any(|rest| rest.bytes().take_while(u8::is_ascii_hexdigit).count() >= 12)
}

/// Considers only the lines of this process's own root and of the three files that a runtime binds into a container.
fn mountinfo(text: &str) -> Option<&'static str> {
    for line in text.lines() {
        let mut fields = line.split(' ');
        let (root, point) = (fields.nth(3).unwrap_or_default(), fields.next().unwrap_or_default());
        let after = line.split_once(" - ").map_or("", |(_, after)| after);
        match point {
            "/" if [
                "/docker/",
                "/containerd/",
                "/containers/storage/",
                "/buildkit/",
                "/kubelet/",
            ]
            .iter()
            .any(|store| after.contains(store) || root.contains(store)) =>
            {
                return Some("a root file system of a container store");
            }
            "/" if root.contains("/lxc/") && root.ends_with("/rootfs") => return Some("an LXC root file system"),
            "/etc/hosts" | "/etc/hostname" | "/etc/resolv.conf"
                if [
                    "/docker/",
                    "/containers/",
                    "/kubelet/pods/",
                    "/pods/",
                    "io.containerd",
                    "/sandboxes/",
                    "/nerdctl/",
                ]
                .iter()
                .any(|store| root.contains(store)) =>
            {
                return Some("files bound by a container runtime");
            }
            "/proc/cpuinfo" | "/proc/meminfo" | "/proc/uptime" if after.starts_with("fuse.lxcfs") => {
                return Some("an LXC container's own /proc");
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(text: &str) -> Isolation {
        isolation(&Observation {
            os: "linux".into(),
            file_contents: [("/proc/self/mountinfo".to_owned(), text.to_owned())].into(),
            ..Observation::default()
        })
    }

    #[test]
    fn a_docker_host_is_not_a_container_for_listing_its_containers() {
        let host = "25 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n\
            612 25 0:52 / /var/lib/docker/overlay2/ab/merged rw - overlay overlay rw,lowerdir=/var/lib/docker/l/X\n";
        assert_eq!(mounts(host), Isolation::None);
        let inside = "700 600 0:52 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/X\n";
        assert!(matches!(mounts(inside), Isolation::Container(_)));
        let bound = "701 700 259:2 /var/lib/docker/containers/0af/hosts /etc/hosts rw - ext4 /dev/nvme0n1p2 rw\n";
        assert!(matches!(mounts(bound), Isolation::Container(_)));
    }

    #[test]
    fn an_overlay_root_of_a_live_system_is_not_a_container() {
        let live = "25 1 0:23 / / rw - overlay overlay rw,lowerdir=/run/live/rootfs/filesystem.squashfs\n";
        assert_eq!(mounts(live), Isolation::None);
    }

    #[test]
    fn a_unit_named_for_docker_is_not_a_docker_cgroup() {
        assert!(!scope("/user.slice/app-docker-desktop.scope", "docker-"));
        assert!(!scope("/system.slice/docker.service", "docker-"));
        assert!(scope("/system.slice/docker-0123456789abcdef.scope", "docker-"));
    }

    #[test]
    fn broken_lines_are_not_evidence_and_do_no_harm() {
        assert_eq!(mounts("\n \n- - -\n/ / / /\n"), Isolation::None);
    }
}
