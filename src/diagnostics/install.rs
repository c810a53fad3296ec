//! How to install the programs that start most servers, with the package manager that this computer has.

use crate::contract::platform::Platform;

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    Apt,
    Dnf,
    Pacman,
    Zypper,
    Brew,
    Winget,
}

impl Manager {
    /// Those that a system may have, the best one first.
    pub const fn of(platform: Platform) -> &'static [Manager] {
        match platform {
            Platform::Linux => &[
                Manager::Apt,
                Manager::Dnf,
                Manager::Pacman,
                Manager::Zypper,
                Manager::Brew,
            ],
            Platform::MacOs => &[Manager::Brew],
            Platform::Windows => &[Manager::Winget],
            Platform::Other => &[],
        }
    }

    /// Its program.
    pub const fn program(self) -> &'static str {
        match self {
            Manager::Apt => "apt-get",
            Manager::Dnf => "dnf",
            Manager::Pacman => "pacman",
            Manager::Zypper => "zypper",
            Manager::Brew => "brew",
            Manager::Winget => "winget",
        }
    }

    fn install(self, package: &str) -> String {
        match self {
            Manager::Apt => format!("sudo apt-get install {package}"),
            Manager::Dnf => format!("sudo dnf install {package}"),
            Manager::Pacman => format!("sudo pacman -S {package}"),
            Manager::Zypper => format!("sudo zypper install {package}"),
            Manager::Brew => format!("brew install {package}"),
            Manager::Winget => format!("winget install --exact --id {package}"),
        }
    }
}

/// The package of a command, and how to install it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// A sentence such as "`npx` comes with Node.js."
    pub text: String,
    /// A command for this computer; `None` if its package managers do not have the program.
    pub command: Option<String>,
    /// Where to get it otherwise.
    pub url: &'static str,
}

struct Runtime {
    commands: &'static [&'static str],
    product: &'static str,
    url: &'static str,
    /// The package of each manager; `None` where it has none.
    package: fn(Manager) -> Option<&'static str>,
    /// The product's own installer for Linux and macOS.
    script: Option<&'static str>,
}

const RUNTIMES: &[Runtime] = &[
    Runtime {
        commands: &["npx", "npm", "node", "pnpm", "yarn"],
        product: "Node.js",
        url: "https://nodejs.org/en/download",
        package: |manager| match manager {
            Manager::Apt | Manager::Dnf | Manager::Pacman => Some("nodejs npm"),
            Manager::Zypper => Some("nodejs-default npm-default"),
            Manager::Brew => Some("node"),
            Manager::Winget => Some("OpenJS.NodeJS.LTS"),
        },
        script: None,
    },
    Runtime {
        commands: &["uvx", "uv"],
        product: "uv",
        url: "https://docs.astral.sh/uv/getting-started/installation/",
        package: |manager| match manager {
            Manager::Apt => None,
            Manager::Winget => Some("astral-sh.uv"),
            _ => Some("uv"),
        },
        script: Some("curl -LsSf https://astral.sh/uv/install.sh | sh"),
    },
    Runtime {
        commands: &["python", "python3", "pip", "pipx"],
        product: "Python",
        url: "https://www.python.org/downloads/",
        package: |manager| match manager {
            Manager::Apt => Some("python3 pipx"),
            Manager::Dnf | Manager::Zypper => Some("python3"),
            Manager::Pacman => Some("python"),
            Manager::Brew => Some("python pipx"),
            Manager::Winget => Some("Python.Python.3.13"),
        },
        script: None,
    },
    Runtime {
        commands: &["docker"],
        product: "Docker",
        url: "https://docs.docker.com/get-started/get-docker/",
        package: |manager| match manager {
            Manager::Apt => Some("docker.io"),
            Manager::Dnf | Manager::Zypper | Manager::Pacman => Some("docker"),
            Manager::Brew => Some("--cask docker-desktop"),
            Manager::Winget => Some("Docker.DockerDesktop"),
        },
        script: None,
    },
    Runtime {
        commands: &["podman"],
        product: "Podman",
        url: "https://podman.io/docs/installation",
        package: |manager| match manager {
            Manager::Winget => Some("RedHat.Podman"),
            _ => Some("podman"),
        },
        script: None,
    },
    Runtime {
        commands: &["bunx", "bun"],
        product: "Bun",
        url: "https://bun.com/docs/installation",
        package: |manager| match manager {
            Manager::Winget => Some("Oven-sh.Bun"),
            Manager::Brew => Some("oven-sh/bun/bun"),
            _ => None,
        },
        script: Some("curl -fsSL https://bun.com/install | bash"),
    },
    Runtime {
        commands: &["deno"],
        product: "Deno",
        url: "https://docs.deno.com/runtime/getting_started/installation/",
        package: |manager| match manager {
            Manager::Winget => Some("DenoLand.Deno"),
            Manager::Brew => Some("deno"),
            _ => None,
        },
        script: Some("curl -fsSL https://deno.land/install.sh | sh"),
    },
    Runtime {
        commands: &["dnx", "dotnet"],
        product: "the .NET SDK",
        url: "https://dotnet.microsoft.com/download",
        package: |manager| match manager {
            Manager::Winget => Some("Microsoft.DotNet.SDK.10"),
            Manager::Brew => Some("--cask dotnet-sdk"),
            _ => None,
        },
        script: None,
    },
    Runtime {
        commands: &["java"],
        product: "Java",
        url: "https://adoptium.net/",
        package: |manager| match manager {
            Manager::Apt => Some("default-jre-headless"),
            Manager::Dnf => Some("java-latest-openjdk-headless"),
            Manager::Pacman => Some("jre-openjdk-headless"),
            Manager::Zypper => Some("java-21-openjdk-headless"),
            Manager::Brew => Some("openjdk"),
            Manager::Winget => Some("EclipseAdoptium.Temurin.21.JRE"),
        },
        script: None,
    },
];

/// How to install the program of a command; `None` for a program that is not a common runtime.
pub fn hint(command: &str, platform: Platform, managers: &[Manager]) -> Option<Hint> {
    let name = command.rsplit(['/', '\\']).next().unwrap_or(command);
    let name = name.strip_suffix(".exe").or_else(|| name.strip_suffix(".cmd")).unwrap_or(name);
    let runtime = RUNTIMES.iter().find(|runtime| runtime.commands.contains(&name))?;
    let packaged = managers.iter().find_map(|manager| Some(manager.install((runtime.package)(*manager)?)));
    let script = || runtime.script.filter(|_| platform != Platform::Windows).map(str::to_owned);
    let belongs = if runtime.product.eq_ignore_ascii_case(name) {
        format!("{} is not installed, or not in this PATH.", runtime.product)
    } else {
        format!("`{name}` comes with {}.", runtime.product)
    };
    Some(Hint {
        text: belongs,
        command: packaged.or_else(script),
        url: runtime.url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, platform: Platform, managers: &[Manager]) -> String {
        hint(name, platform, managers).unwrap().command.unwrap_or_default()
    }

    #[test]
    fn the_command_is_that_of_this_computer() {
        use Platform::{Linux, MacOs, Windows};
        assert_eq!(command("npx", Linux, &[Manager::Apt]), "sudo apt-get install nodejs npm");
        assert_eq!(command("npx.cmd", Windows, &[Manager::Winget]), "winget install --exact --id OpenJS.NodeJS.LTS");
        assert_eq!(command("/usr/bin/uvx", MacOs, &[Manager::Brew]), "brew install uv");
        assert_eq!(command("uvx", Linux, &[Manager::Apt]), "curl -LsSf https://astral.sh/uv/install.sh | sh");
        assert_eq!(command("npx", Linux, &[]), "", "there is no package manager");
        assert_eq!(hint("uvx", Linux, &[]).unwrap().text, "`uvx` comes with uv.");
        assert_eq!(hint("my-server", Linux, &[Manager::Apt]), None);
    }
}
