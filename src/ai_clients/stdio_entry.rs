//! Our entry for a client that only starts programs: `mcpproxy stdio`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::contract::names;

/// The subcommand that bridges standard input and output to the core.
const STDIO: &str = "stdio";
const DATA_DIR: &str = "--data-dir";

/// The program to start and the instance it connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// The path of our program, or why it is unknown.
    pub program: Result<PathBuf, String>,
    /// The instance's directory.
    pub root: PathBuf,
    /// Whether `root` is the default. Any other directory is passed as an argument, because clients pass few variables.
    pub is_default: bool,
}

impl Bridge {
    /// The entry. It holds no key: the local socket needs none, and for TCP our program reads it from the
    /// configuration.
    ///
    /// # Errors
    /// A sentence that says which path cannot be written.
    pub fn entry(&self) -> Result<Map<String, Value>, String> {
        let text = |path: &Path| {
            let not_unicode = || {
                format!(
                    "the path `{}` is not valid Unicode, so it cannot be written to the client's file",
                    path.display()
                )
            };
            path.to_str().map(str::to_owned).ok_or_else(not_unicode)
        };
        let program =
            self.program.as_ref().map_err(|reason| format!("could not find this program's own path: {reason}"))?;
        let mut arguments = vec![STDIO.to_owned()];
        if !self.is_default {
            arguments.extend([DATA_DIR.to_owned(), text(&self.root)?]);
        }
        let mut entry = Map::new();
        entry.insert("command".to_owned(), json!(text(program)?));
        entry.insert("args".to_owned(), json!(arguments));
        Ok(entry)
    }

    /// Whether an entry starts our program, from any path, for this instance.
    pub fn is_started_by(&self, entry: &Value) -> bool {
        let words = ["command", "cmd", "args"].iter().filter_map(|key| entry.get(key)).flat_map(strings);
        let words: Vec<&str> = words.collect();
        let Some((program, arguments)) = words.split_first() else { return false };
        let ours = is_ours(program) || self.program.as_ref().is_ok_and(|own| own == Path::new(program));
        if !ours || !arguments.contains(&STDIO) {
            return false;
        }
        let variables = ["env", "envs", "environment"].iter().filter_map(|key| entry.get(key)?.get(names::ENV_HOME));
        let named = data_dir(arguments).or_else(|| variables.filter_map(Value::as_str).find(|value| !value.is_empty()));
        named.map_or(self.is_default, |named| Path::new(named) == self.root)
    }
}

/// A string, or the strings of an array.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect(),
    }
}

/// Whether the last part of a path, on any system, is our program's name.
fn is_ours(program: &str) -> bool {
    let file = program.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    file.strip_suffix(".exe").unwrap_or(&file) == names::CORE_PROGRAM
}

/// The data directory in the arguments, in every form that the command line accepts.
fn data_dir<'a>(arguments: &[&'a str]) -> Option<&'a str> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if [DATA_DIR, "-d"].contains(argument) {
            return rest.next().copied();
        }
        if let Some(value) = argument.strip_prefix(DATA_DIR).and_then(|value| value.strip_prefix('=')) {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
impl Bridge {
    /// For the default instance.
    pub fn sample() -> Bridge {
        Bridge {
            program: Ok("/usr/bin/mcpproxy".into()),
            root: "/home/a/.mcpproxy".into(),
            is_default: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved() -> Bridge {
        Bridge {
            root: "/srv/my work".into(),
            is_default: false,
            ..Bridge::sample()
        }
    }

    #[test]
    fn only_another_instance_is_named() {
        let usual = Value::Object(Bridge::sample().entry().unwrap());
        assert_eq!(usual, json!({"command": "/usr/bin/mcpproxy", "args": ["stdio"]}));
        let entry = Value::Object(moved().entry().unwrap());
        let arguments = json!(["stdio", "--data-dir", "/srv/my work"]);
        assert_eq!(entry, json!({"command": "/usr/bin/mcpproxy", "args": arguments}));
    }

    #[test]
    fn an_entry_is_recognised_wherever_the_program_lies() {
        for command in [
            "mcpproxy",
            "/opt/old version/mcpproxy",
            r"C:\Program Files\MCPProxy\mcpproxy.exe",
            "C:/x/MCPProxy.EXE",
        ] {
            let entry = json!({"command": command, "args": ["stdio"], "note": 1});
            assert!(Bridge::sample().is_started_by(&entry), "{command}");
            assert!(!moved().is_started_by(&entry), "{command}");
        }
        for entry in [
            json!({"command": ["mcpproxy", "stdio"]}),
            json!({"cmd": "mcpproxy", "args": ["stdio"]}),
            json!({"command": "mcpproxy", "args": ["stdio", "--data-dir", "/home/a/.mcpproxy/"]}),
        ] {
            assert!(Bridge::sample().is_started_by(&entry), "{entry}");
        }
    }

    #[test]
    fn a_program_under_another_name_knows_its_own_entry() {
        let renamed = Bridge {
            program: Ok("/opt/proxy-1.2".into()),
            ..Bridge::sample()
        };
        let entry = Value::Object(renamed.entry().unwrap());
        assert!(renamed.is_started_by(&entry));
        assert!(!Bridge::sample().is_started_by(&entry));
    }

    #[test]
    fn an_entry_is_ours_only_for_our_instance() {
        for arguments in [
            json!({"args": ["stdio", "--data-dir", "/srv/my work"]}),
            json!({"args": ["-d", "/srv/my work", "stdio"]}),
            json!({"args": ["--data-dir=/srv/my work/", "stdio"]}),
            json!({"args": ["stdio"], "env": {"MCPPROXY_HOME": "/srv/my work"}}),
        ] {
            let mut entry = arguments.clone();
            entry["command"] = json!("mcpproxy");
            assert!(moved().is_started_by(&entry), "{entry}");
            assert!(!Bridge::sample().is_started_by(&entry), "{entry}");
        }
    }

    #[test]
    fn other_programs_and_other_commands_do_not_count() {
        for entry in [
            json!({"command": "mcpproxy", "args": ["serve"]}),
            json!({"command": "mcpproxy"}),
            json!({"command": "mcpproxy-tray", "args": ["stdio"]}),
            json!({"command": "/mcpproxy/other", "args": ["stdio"]}),
            json!({"command": "npx", "args": ["mcpproxy", "stdio"]}),
            json!({"args": ["stdio"]}),
            json!({"command": null, "args": "stdio"}),
            json!({"command": "mcpproxy", "args": ["stdio", "--data-dir"], "env": 1, "x": []}),
            json!(["mcpproxy", "stdio"]),
            json!("mcpproxy stdio"),
        ] {
            assert!(!moved().is_started_by(&entry), "{entry}");
        }
        assert!(!Bridge::sample().is_started_by(&json!({"command": "mcpproxy", "args": ["serve"]})));
    }

    #[test]
    fn what_cannot_be_named_is_said() {
        let unknown = Bridge {
            program: Err("it is gone".into()),
            ..Bridge::sample()
        };
        assert_eq!(unknown.entry().unwrap_err(), "could not find this program's own path: it is gone");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt;
            let odd = Bridge {
                program: Ok(std::ffi::OsString::from_vec(b"/\xff/mcpproxy".to_vec()).into()),
                ..Bridge::sample()
            };
            assert!(odd.entry().unwrap_err().contains("not valid Unicode"));
        }
    }
}
