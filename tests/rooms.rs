//! Holds the picture of the house against the paths in `src`: arrows point down only.
//!
//! `bin → {tray, core} → {client, telemetry} → os → contract`; neighbours on one floor never name each other.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Each room, and the rooms it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("contract", &[]),
    ("os", &["contract"]),
    ("client", &["os", "contract"]),
    ("telemetry", &["os", "contract"]),
    ("updates", &["os", "contract"]),
    ("config", &["updates", "os", "contract"]),
    ("ai_clients", &["config", "os", "contract"]),
    ("takeover", &["config", "os", "contract"]),
    ("upstream", &["takeover", "config", "telemetry", "os", "contract"]),
    ("catalog", &["upstream", "config", "telemetry", "os", "contract"]),
    (
        "control",
        &[
            "ai_clients",
            "catalog",
            "upstream",
            "config",
            "telemetry",
            "updates",
            "os",
            "contract",
        ],
    ),
    (
        "gateway",
        &[
            "control",
            "catalog",
            "upstream",
            "config",
            "telemetry",
            "updates",
            "os",
            "contract",
        ],
    ),
    (
        "server",
        &[
            "takeover",
            "gateway",
            "control",
            "catalog",
            "upstream",
            "ai_clients",
            "config",
            "updates",
            "telemetry",
            "client",
            "os",
            "contract",
        ],
    ),
    (
        "cli",
        &[
            "server",
            "gateway",
            "control",
            "catalog",
            "upstream",
            "ai_clients",
            "config",
            "updates",
            "telemetry",
            "client",
            "os",
            "contract",
        ],
    ),
    (
        "fuzzing",
        &[
            "gateway",
            "upstream",
            "catalog",
            "ai_clients",
            "config",
            "client",
            "contract",
        ],
    ),
    ("tray", &["client", "telemetry", "os", "contract"]),
    ("bin", &["cli", "tray"]),
];

#[test]
fn every_file_names_only_the_rooms_below_its_own() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for path in rust_files(&src) {
        let name = path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
        let text = std::fs::read_to_string(&path).unwrap();
        wrong.extend(against_the_arrows(&name, &text));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_way_of_naming_a_room_above_is_seen() {
    for text in [
        "use crate::tray::menu;",
        "use crate::{contract::names, tray};",
        "use crate::tray as anything;",
        "use super::super::tray::menu::Menu;",
        "mod inner { use super::super::super::tray; }",
        "fn f() { crate::tray::open() }",
        "fn f() -> crate::tray::Menu { todo() }",
        "fn f() { println!(\"{}\", crate::tray::title()); }",
        "#[cfg(windows)] mod shim { fn f() { super::super::super::tray::open() } }",
        "pub(in crate::tray) fn f() {}",
    ] {
        let said = against_the_arrows("os/files.rs", text);
        assert_eq!(said, ["`os/files.rs` is in `os` and names `tray`"], "{text}");
    }
}

#[test]
fn neighbours_on_one_floor_do_not_name_each_other() {
    for (file, other) in [
        ("tray/mod.rs", "core"),
        ("core/rest/mod.rs", "tray"),
        ("client/mod.rs", "telemetry"),
        ("telemetry/mod.rs", "client"),
        ("contract/names.rs", "os"),
    ] {
        let room = file.split('/').next().unwrap();
        let said = against_the_arrows(file, &format!("use crate::{other}::x;"));
        assert_eq!(said, [format!("`{file}` is in `{room}` and names `{other}`")]);
    }
}

#[test]
fn what_the_picture_allows_is_let_through() {
    for (file, text) in [
        ("os/files.rs", "use crate::contract::names; use super::process; use crate::os::lock;"),
        ("tray/menu.rs", "use crate::{client, contract::api::Status, telemetry::env_kind}; use std::io;"),
        ("core/rest/listen.rs", "use super::super::upstream; fn f() { crate::os::files::read() }"),
        ("tray/mod.rs", "use core::time::Duration;"),
        ("bin/mcpproxy.rs", "use mcpproxy::core; fn main() { mcpproxy::os::environment::read(); }"),
        ("lib.rs", "pub mod contract; pub mod os;"),
    ] {
        assert_eq!(against_the_arrows(file, text), [""; 0], "{file}: {text}");
    }
}

#[test]
fn a_path_that_hides_its_room_is_refused() {
    assert_eq!(
        against_the_arrows("os/files.rs", "use crate::*;"),
        ["`os/files.rs` is in `os` and names the whole house (`crate` without a room)"]
    );
    assert_eq!(
        against_the_arrows("os/files.rs", "use crate::attic::Box;"),
        ["`os/files.rs` is in `os` and names `attic`, which is no room of the picture"]
    );
    assert_eq!(against_the_arrows("attic/mod.rs", ""), ["`attic/mod.rs` is in no room of the picture"]);
}

/// What is wrong with the file `name` (relative to `src`), one sentence each.
fn against_the_arrows(name: &str, text: &str) -> Vec<String> {
    if matches!(name, "lib.rs") {
        return Vec::new(); // the map itself
    }
    let room = name.split('/').next().unwrap_or_default();
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == room) else {
        return vec![format!("`{name}` is in no room of the picture")];
    };
    let mut named = NamedRooms::in_file(name);
    named.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}")));
    named
        .rooms
        .iter()
        .filter(|other| *other != room && !allowed.contains(&other.as_str()))
        .map(|other| match other.as_str() {
            "" | "*" | "self" => {
                format!("`{name}` is in `{room}` and names the whole house (`crate` without a room)")
            }
            other if ARROWS.iter().any(|(known, _)| *known == other) => {
                format!("`{name}` is in `{room}` and names `{other}`")
            }
            other => format!("`{name}` is in `{room}` and names `{other}`, which is no room of the picture"),
        })
        .collect()
}

/// Collects the rooms that one file names, by whatever kind of path.
struct NamedRooms {
    /// The module that is being read, from the crate's root down.
    module: Vec<String>,
    /// Whether the file belongs to a program, which names the library from outside.
    program: bool,
    rooms: BTreeSet<String>,
}

impl NamedRooms {
    fn in_file(name: &str) -> NamedRooms {
        let mut module: Vec<String> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        NamedRooms {
            module,
            program: name.starts_with("bin/"),
            rooms: BTreeSet::new(),
        }
    }

    fn path(&mut self, segments: &[String]) {
        let climbs = segments.iter().take_while(|segment| *segment == "super").count();
        let steps_to_the_root = match segments.first().map(String::as_str) {
            Some("mcpproxy") if self.program => 1,
            Some("crate") if !self.program => 1,
            Some("super") if climbs >= self.module.len() => climbs,
            _ => return, // another crate, or still inside of the same room
        };
        self.rooms.insert(segments.get(steps_to_the_root).cloned().unwrap_or_default());
    }

    fn use_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |last: String| [before, &[last]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => self.path(&with(name.ident.to_string())),
            syn::UseTree::Rename(rename) => self.path(&with(rename.ident.to_string())),
            syn::UseTree::Glob(_) => self.path(&with("*".to_owned())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(before, item)),
        }
    }
}

impl<'ast> Visit<'ast> for NamedRooms {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // `pub(crate)` and `pub(super)` say who may look in, and name no room.
        if segments.len() > 1 {
            self.path(&segments);
        }
        visit::visit_path(self, path);
    }

    /// A macro's arguments are no paths yet, only words.
    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        let text = invocation.tokens.to_string();
        let words: Vec<&str> = text
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':' | '$')))
            .flat_map(|word| word.split("::"))
            .filter(|word| !word.is_empty())
            .collect();
        let root = if self.program { "mcpproxy" } else { "crate" };
        for pair in words.windows(2) {
            if let [first, room] = pair
                && first.trim_start_matches('$') == root
            {
                self.rooms.insert((*room).to_owned());
            }
        }
        visit::visit_macro(self, invocation);
    }
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
