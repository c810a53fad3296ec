//! Which container image a program runs in.

use std::collections::BTreeMap;

/// A runtime, the programs that belong to it, and its image.
struct Runtime {
    name: &'static str,
    programs: &'static [&'static str],
    image: &'static str,
}

const PYTHON: &str = "ghcr.io/astral-sh/uv:python3.13-bookworm-slim";

const RUNTIMES: &[Runtime] = &[
    Runtime {
        name: "python",
        programs: &["uvx", "uv", "python", "python3", "pip", "pip3", "pipx"],
        image: PYTHON,
    },
    Runtime {
        name: "node",
        programs: &["npx", "npm", "node", "yarn", "pnpm", "pnpx", "corepack"],
        image: "docker.io/library/node:22",
    },
    Runtime {
        name: "bun",
        programs: &["bun", "bunx"],
        image: "docker.io/oven/bun:1",
    },
    Runtime {
        name: "deno",
        programs: &["deno"],
        image: "docker.io/denoland/deno:debian",
    },
    Runtime {
        name: "go",
        programs: &["go"],
        image: "docker.io/library/golang:1.25",
    },
    Runtime {
        name: "cargo",
        programs: &["cargo", "rustc"],
        image: "docker.io/library/rust:1-slim",
    },
    Runtime {
        name: "ruby",
        programs: &["ruby", "gem", "bundle"],
        image: "docker.io/library/ruby:3-slim",
    },
    Runtime {
        name: "php",
        programs: &["php", "composer"],
        image: "docker.io/library/php:8-cli",
    },
    Runtime {
        name: "sh",
        programs: &["sh", "bash"],
        image: "docker.io/library/debian:stable-slim",
    },
];

/// For a program that is mounted into the container itself.
const BINARY: (&str, &str) = ("binary", "docker.io/library/debian:stable-slim");

/// The name of a program without its directory and Windows' endings.
pub fn program_name(program: &str) -> &str {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let end = name.len().saturating_sub(4);
    match name.get(end..) {
        Some(ending) if [".exe", ".cmd", ".bat"].iter().any(|known| known.eq_ignore_ascii_case(ending)) => {
            name.get(..end).unwrap_or(name)
        }
        _ => name,
    }
}

/// Whether a command downloads the program that it runs.
pub fn is_package_runner(command: &str, arguments: &[String]) -> bool {
    let first = arguments.iter().find(|argument| !argument.starts_with('-')).map_or("", String::as_str);
    let any = |is: fn(&str) -> bool| arguments.iter().any(|argument| is(argument));
    match program_name(command) {
        "npx" | "pnpx" | "bunx" | "uvx" | "pipx" => true,
        "npm" | "pnpm" | "yarn" | "bun" | "corepack" => matches!(first, "exec" | "dlx" | "x" | "pnpm" | "yarn"),
        "uv" => matches!(first, "tool" | "x"),
        "deno" => any(|argument| ["npm:", "jsr:", "https:"].iter().any(|start| argument.starts_with(start))),
        "go" => any(|argument| argument.contains('@')),
        _ => false,
    }
}

/// The runtime that a program belongs to.
pub fn runtime(program: &str) -> Option<&'static str> {
    known(program).map(|runtime| runtime.name)
}

/// The image for a program: from the settings by the program's name or its runtime's, else the built-in one.
pub fn image(program: &str, settings: &BTreeMap<String, String>, registry: Option<&str>) -> String {
    let name = program_name(program);
    let (runtime, built_in) = known(program).map_or(BINARY, |runtime| (runtime.name, runtime.image));
    let set = settings.get(name).or_else(|| settings.get(runtime)).filter(|image| !image.is_empty());
    qualified(set.map_or(built_in, String::as_str), registry)
}

fn known(program: &str) -> Option<&'static Runtime> {
    let name = program_name(program);
    // `python3.12` and `node22` are versions of the same.
    let plain = name.trim_end_matches(|char: char| char.is_ascii_digit() || char == '.');
    let found = |name: &str| RUNTIMES.iter().find(|runtime| runtime.programs.contains(&name));
    found(name).or_else(|| found(plain))
}

/// The name of an image with its registry: Podman asks which one is meant, where there is none.
pub fn qualified(image: &str, registry: Option<&str>) -> String {
    let registry = registry.unwrap_or("docker.io").trim_end_matches('/');
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => image.to_owned(),
        Some(_) => format!("{registry}/{image}"),
        None if registry == "docker.io" => format!("docker.io/library/{image}"),
        None => format!("{registry}/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_has_its_image_and_the_settings_come_first() {
        let none = BTreeMap::new();
        assert_eq!(image("uvx", &none, None), PYTHON);
        assert_eq!(image("/usr/bin/python3.12", &none, None), PYTHON);
        assert_eq!(image(r"C:\node\npx.cmd", &none, None), "docker.io/library/node:22");
        assert_eq!(image("/home/ann/server", &none, None), BINARY.1);
        let own = BTreeMap::from([
            ("npx".to_owned(), "node:24".to_owned()),
            ("python".to_owned(), "me/py".to_owned()),
        ]);
        assert_eq!(image("npx", &own, None), "docker.io/library/node:24");
        assert_eq!(image("uvx", &own, Some("registry.corp:5000/")), "registry.corp:5000/me/py");
        assert_eq!(qualified("localhost/x:1", None), "localhost/x:1");
        assert_eq!(qualified("ghcr.io/a/b", Some("r")), "ghcr.io/a/b");
    }

    #[test]
    fn a_package_runner_downloads_what_it_runs() {
        let is = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            let command = words.next().unwrap();
            is_package_runner(&command, &words.collect::<Vec<_>>())
        };
        for line in [
            "npx -y server",
            "/usr/bin/npx.cmd server",
            "uvx server",
            "pipx run server",
            "npm exec -- server",
            "pnpm --silent dlx server",
            "uv tool run server",
            "deno run -A npm:server",
            "go run example.com/server@latest",
        ] {
            assert!(is(line), "{line}");
        }
        for line in [
            "node npx",
            "npm start",
            "uv run server.py",
            "deno run server.ts",
            "go run .",
            "sh -c npx",
            "python3",
        ] {
            assert!(!is(line), "{line}");
        }
    }
}
