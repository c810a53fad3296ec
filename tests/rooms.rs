//! Checks the structure of `src`: which modules may import which, no import cycles between files, the places where some
//! crates may be used, and the length of files.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Each module, and the modules it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("contract", &[]),
    ("os", &["contract"]),
    ("client", &["os", "contract"]),
    ("telemetry", &["os", "contract"]),
    ("updates", &["os", "contract"]),
    ("scan", &["contract"]),
    ("diagnostics", &["os", "contract"]),
    ("activity", &["scan", "os", "contract"]),
    ("config", &["activity", "scan", "updates", "os", "contract"]),
    ("registries", &["config", "os", "contract"]),
    ("ai_clients", &["config", "os", "contract"]),
    ("takeover", &["config", "os", "contract"]),
    ("upstream", &["takeover", "diagnostics", "config", "telemetry", "os", "contract"]),
    ("catalog", &["upstream", "config", "telemetry", "os", "contract"]),
    (
        "control",
        &[
            "ai_clients",
            "registries",
            "diagnostics",
            "scan",
            "activity",
            "catalog",
            "takeover",
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
            "registries",
            "diagnostics",
            "scan",
            "activity",
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
            "gateway",
            "control",
            "registries",
            "diagnostics",
            "scan",
            "activity",
            "catalog",
            "takeover",
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
            "registries",
            "diagnostics",
            "scan",
            "activity",
            "catalog",
            "takeover",
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
    ("tray", &["client", "telemetry", "diagnostics", "os", "contract"]),
    ("collector", &["telemetry", "os", "contract"]),
    (
        "fuzzing",
        &[
            "collector",
            "gateway",
            "takeover",
            "scan",
            "upstream",
            "catalog",
            "ai_clients",
            "config",
            "client",
            "telemetry",
            "os",
            "contract",
        ],
    ),
    ("bin", &["cli", "tray", "collector"]),
];

/// Crates, paths or modules that only some files may use, with the beginnings of those files' names.
const ONLY_IN: &[(&str, &[&str])] = &[
    (
        "rmcp",
        &[
            "upstream/",
            "catalog/",
            "gateway/",
            "control/review",
            "control/scan_tools.rs",
            "fuzzing.rs",
        ],
    ),
    (
        "axum",
        &[
            "server/",
            "gateway/http/",
            "gateway/fast_path",
            "gateway/session_registry.rs",
            "gateway/direct_mode/route.rs",
            "gateway/profile.rs",
            "gateway/call_record.rs",
            "upstream/oauth/callback_server.rs",
            "upstream/oauth/http.rs",
            "collector/",
        ],
    ),
    (
        "std::fs",
        &[
            "os/",
            "config/store.rs",
            "ai_clients/",
            "takeover/",
            "telemetry/",
            "upstream/isolation/",
            "upstream/start_error.rs",
            "tray/",
            "cli/",
            "server/logging.rs",
            "server/rest/import.rs",
            "server/jobs/watch_config.rs",
            "upstream/isolation/disk.rs",
            "collector/",
        ],
    ),
];

/// Modules that must not use the REST types in `contract::api`.
const WITHOUT_REST: &[&str] = &["upstream/", "catalog/", "control/"];

/// Maximum number of lines before a file's tests.
const MAX_LINES: usize = 500;
/// Maximum share of the code in one module, in percent.
const MAX_SHARE: usize = 20;

struct Source {
    /// Relative to `src`, with `/`.
    name: String,
    text: String,
}

#[test]
fn modules_import_only_what_lies_below_them() {
    report(sources().iter().flat_map(|file| forbidden_imports(&file.name, &file.text)));
}

#[test]
fn the_table_in_the_architecture_page_is_this_one() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = page.split_once("| Module | May import |\n|---|---|\n").unwrap();
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<String>>();
    let mut shown: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in rest.lines().take_while(|line| line.starts_with('|')) {
        let (module, imports) = line.trim_matches('|').split_once('|').unwrap();
        let mut names = quoted(imports);
        if imports.contains("all of them") {
            names =
                shown.iter().map(|(earlier, _)| earlier.clone()).filter(|earlier| !names.contains(earlier)).collect();
        }
        shown.push((quoted(module).pop_first().unwrap(), names));
    }
    let rules = ALLOWED.iter().filter(|(module, _)| !["fuzzing", "bin"].contains(module));
    let rules: Vec<(String, BTreeSet<String>)> = rules
        .map(|(module, imports)| ((*module).to_owned(), imports.iter().map(|one| (*one).to_owned()).collect()))
        .collect();
    assert_eq!(shown, rules, "ARCHITECTURE.md and ALLOWED differ");
}

#[test]
fn files_do_not_import_each_other_in_a_cycle() {
    let files = sources();
    let cycles = cycles(&imports_between(&files));
    report(cycles.iter().map(|cycle| format!("import cycle: {}", cycle.join(", "))));
}

#[test]
fn some_crates_are_used_in_few_places_only() {
    let misuse = sources().into_iter().flat_map(|file| {
        let paths = Paths::of(&file.name, &file.text, false).absolute;
        let used = |start: &str| paths.iter().any(|path| path == start || path.starts_with(&format!("{start}::")));
        let mut wrong: Vec<String> = ONLY_IN
            .iter()
            .filter(|(path, places)| used(path) && !places.iter().any(|place| file.name.starts_with(place)))
            .map(|(path, places)| format!("{} uses `{path}`, which is for {} only", file.name, places.join(", ")))
            .collect();
        if WITHOUT_REST.iter().any(|place| file.name.starts_with(place)) && used("crate::contract::api") {
            wrong.push(format!("{} uses `contract::api`, the types of REST", file.name));
        }
        wrong
    });
    report(misuse);
}

#[test]
fn blocking_file_access_is_not_called_from_async_code() {
    let misuse = sources().into_iter().filter(|file| !file.name.starts_with("cli/")).flat_map(|file| {
        let mut visitor = AsyncFileAccess::default();
        visitor.visit_file(&parse(&file.name, &file.text));
        visitor.found.into_iter().map(move |function| format!("{}: async `{function}` calls `std::fs`", file.name))
    });
    report(misuse);
}

#[test]
fn files_are_short_and_modules_are_of_similar_size() {
    let files = sources();
    let long =
        files.iter().map(|file| (lines_before_tests(&file.text), &file.name)).filter(|(lines, _)| *lines > MAX_LINES);
    let mut wrong: Vec<String> = long
        .map(|(lines, name)| format!("{name} has {lines} lines before its tests, more than {MAX_LINES}"))
        .collect();
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &files {
        *sizes.entry(module_of(&file.name)).or_default() += lines_before_tests(&file.text);
    }
    let total: usize = sizes.values().sum();
    let large = sizes.iter().filter(|(_, lines)| **lines * 100 > total * MAX_SHARE);
    wrong.extend(
        large.map(|(module, lines)| format!("`{module}` has {lines} of {total} lines, more than {MAX_SHARE} %")),
    );
    report(wrong);
}

#[test]
fn every_kind_of_import_is_seen() {
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
        assert_eq!(forbidden_imports("os/files.rs", text), ["os/files.rs: `os` must not import `tray`"], "{text}");
    }
}

#[test]
fn allowed_imports_pass() {
    for (file, text) in [
        ("os/files.rs", "use crate::contract::names; use super::process; use crate::os::lock;"),
        ("tray/menu.rs", "use crate::{client, contract::api::Status, telemetry::scan}; use std::io;"),
        ("server/rest/mod.rs", "use super::super::upstream; fn f() { crate::os::files::read() }"),
        ("tray/mod.rs", "use core::time::Duration;"),
        ("bin/mcpproxy.rs", "use mcpproxy::cli; fn main() { mcpproxy::cli::run(); }"),
        ("lib.rs", "pub mod contract; pub mod os;"),
    ] {
        assert_eq!(forbidden_imports(file, text), [""; 0], "{file}: {text}");
    }
}

#[test]
fn an_import_that_hides_its_module_is_refused() {
    assert_eq!(forbidden_imports("os/files.rs", "use crate::*;"), ["os/files.rs imports all of `crate`"]);
    assert_eq!(
        forbidden_imports("os/files.rs", "use crate::attic::Box;"),
        ["os/files.rs: `os` must not import `attic`, which ALLOWED does not list"]
    );
    assert_eq!(forbidden_imports("attic/mod.rs", ""), ["attic/mod.rs is in a module that ALLOWED does not list"]);
}

#[test]
fn import_cycles_are_found() {
    let file = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let files = [
        file("a/mod.rs", "pub mod b; pub mod c; pub mod d;"),
        file("a/b.rs", "use crate::a::c::C;"),
        file("a/c.rs", "fn f() { super::d::d() }"),
        file("a/d.rs", "use crate::a::{b::B, c::C as Other}; #[cfg(test)] mod tests { use crate::a; }"),
    ];
    assert_eq!(cycles(&imports_between(&files)), [["a/b.rs", "a/c.rs", "a/d.rs"]]);
    assert_eq!(cycles(&imports_between(files.get(..3).unwrap())), Vec::<Vec<&str>>::new());
}

/// Fails if there is any line, and shows all of them.
fn report(lines: impl IntoIterator<Item = String>) {
    let wrong: Vec<String> = lines.into_iter().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the forbidden imports of the file `name` (relative to `src`).
fn forbidden_imports(name: &str, text: &str) -> Vec<String> {
    if name == "lib.rs" {
        return Vec::new();
    }
    let module = module_of(name);
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == module) else {
        return vec![format!("{name} is in a module that ALLOWED does not list")];
    };
    let paths = Paths::of(name, text, true);
    let imported: BTreeSet<&str> = paths
        .absolute
        .iter()
        .filter_map(|path| path.strip_prefix("crate").map(|rest| rest.trim_start_matches("::")))
        .map(|path| path.split("::").next().unwrap_or_default())
        .collect();
    imported
        .into_iter()
        .filter(|other| *other != module && !allowed.contains(other))
        .map(|other| match other {
            "" | "*" | "self" => format!("{name} imports all of `crate`"),
            other if ALLOWED.iter().any(|(known, _)| *known == other) => {
                format!("{name}: `{module}` must not import `{other}`")
            }
            other => format!("{name}: `{module}` must not import `{other}`, which ALLOWED does not list"),
        })
        .collect()
}

/// Returns the files that each file imports, without its tests.
fn imports_between(files: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let by_module: BTreeMap<String, &str> =
        files.iter().map(|file| (module_path(&file.name).join("::"), file.name.as_str())).collect();
    let target = |path: &str| {
        let mut path = path.strip_prefix("crate::")?;
        loop {
            if let Some(name) = by_module.get(path) {
                return Some(*name);
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    files
        .iter()
        .map(|file| {
            let paths = Paths::of(&file.name, &file.text, false).absolute;
            let imported = paths.iter().filter_map(|path| target(path)).filter(|other| *other != file.name);
            (file.name.as_str(), imported.collect())
        })
        .collect()
}

/// Returns the groups of files that import each other, found with Tarjan's algorithm.
fn cycles<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    #[derive(Default)]
    struct Search<'a> {
        index: BTreeMap<&'a str, usize>,
        low: BTreeMap<&'a str, usize>,
        stack: Vec<&'a str>,
        found: Vec<Vec<&'a str>>,
    }
    fn visit<'a>(at: &'a str, imports: &BTreeMap<&'a str, BTreeSet<&'a str>>, search: &mut Search<'a>) {
        let index = search.index.len();
        search.index.insert(at, index);
        search.low.insert(at, index);
        search.stack.push(at);
        for other in imports.get(at).into_iter().flatten() {
            let reached = if !search.index.contains_key(other) {
                visit(other, imports, search);
                search.low.get(other).copied()
            } else {
                search.index.get(other).copied().filter(|_| search.stack.contains(other))
            };
            let low = search.low.entry(at).or_default();
            *low = reached.map_or(*low, |reached| reached.min(*low));
        }
        if search.low.get(at) == Some(&index) {
            let start = search.stack.iter().position(|file| *file == at).unwrap_or_default();
            let mut group = search.stack.split_off(start);
            group.sort_unstable();
            if group.len() > 1 {
                search.found.push(group);
            }
        }
    }
    let mut search = Search::default();
    for file in imports.keys() {
        if !search.index.contains_key(file) {
            visit(file, imports, &mut search);
        }
    }
    search.found
}

/// The paths in one file, relative to the crate's root, or unchanged if they name another crate.
struct Paths {
    /// Path of the current module from the crate's root.
    module: Vec<String>,
    /// The modules that this file declares.
    children: BTreeSet<String>,
    with_tests: bool,
    /// A program refers to the library by name.
    is_program: bool,
    absolute: BTreeSet<String>,
}

impl Paths {
    fn of(name: &str, text: &str, with_tests: bool) -> Paths {
        let file = parse(name, text);
        let children = file.items.iter().filter_map(|item| match item {
            syn::Item::Mod(item) if item.content.is_none() => Some(item.ident.to_string()),
            _ => None,
        });
        let mut paths = Paths {
            module: module_path(name),
            children: children.collect(),
            with_tests,
            is_program: name.starts_with("bin/"),
            absolute: BTreeSet::new(),
        };
        paths.visit_file(&file);
        paths
    }

    fn path(&mut self, segments: &[String]) {
        let climbs = segments.iter().take_while(|segment| *segment == "super").count();
        let first = segments.first().map(String::as_str).unwrap_or_default();
        let (base, rest) = match first {
            "crate" if !self.is_program => (Vec::new(), 1),
            "mcpproxy" if self.is_program => (Vec::new(), 1),
            "self" => (self.module.clone(), 1),
            "super" => {
                let kept = self.module.len().saturating_sub(climbs);
                (self.module.get(..kept).unwrap_or_default().to_vec(), climbs)
            }
            child if self.children.contains(child) => (self.module.clone(), 0),
            _ => {
                self.absolute.insert(segments.join("::"));
                return;
            }
        };
        let rest = segments.get(rest..).unwrap_or_default();
        let path: Vec<&str> = ["crate"].into_iter().chain(base.iter().chain(rest).map(String::as_str)).collect();
        self.absolute.insert(path.join("::"));
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

    fn skips(&self, attributes: &[syn::Attribute]) -> bool {
        !self.with_tests && attributes.iter().any(is_for_tests)
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !self.skips(&item.attrs) {
            self.use_tree(&[], &item.tree);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if self.skips(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !self.skips(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // `pub(crate)` and `pub(super)` are visibilities, not imports.
        if segments.len() > 1 {
            self.path(&segments);
        }
        visit::visit_path(self, path);
    }

    /// Arguments of macros are tokens, which syn does not parse as paths.
    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        let text = invocation.tokens.to_string().replace(" :: ", "::").replace('$', "");
        let root = if self.is_program { "mcpproxy::" } else { "crate::" };
        let words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':')));
        for word in words.filter(|word| word.starts_with(root)) {
            self.path(&word.split("::").map(str::to_owned).collect::<Vec<_>>());
        }
        visit::visit_macro(self, invocation);
    }
}

/// Finds calls of `std::fs` directly in async functions.
#[derive(Default)]
struct AsyncFileAccess {
    functions: Vec<(String, bool)>,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for AsyncFileAccess {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !item.attrs.iter().any(is_for_tests) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.functions.push((item.sig.ident.to_string(), item.sig.asyncness.is_some()));
        visit::visit_item_fn(self, item);
        self.functions.pop();
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.functions.push((item.sig.ident.to_string(), item.sig.asyncness.is_some()));
        visit::visit_impl_item_fn(self, item);
        self.functions.pop();
    }

    /// Skips closures, which usually run on the blocking pool.
    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.functions.push((String::new(), closure.asyncness.is_some()));
        visit::visit_expr_closure(self, closure);
        self.functions.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let is_fs = segments.starts_with(&["std".to_owned(), "fs".to_owned()])
            || (segments.len() == 2 && segments.first().is_some_and(|first| first == "fs"));
        if is_fs && let Some((name, true)) = self.functions.last() {
            self.found.push(name.clone());
        }
        visit::visit_path(self, path);
    }
}

/// Whether an item is only compiled for tests: `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[test]`.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    if attribute.path().is_ident("test") {
        return true;
    }
    let syn::Meta::List(list) = &attribute.meta else { return false };
    let condition = list.tokens.to_string();
    attribute.path().is_ident("cfg")
        && (condition == "test" || condition.contains("(test") || condition.contains(", test"))
}

fn lines_before_tests(text: &str) -> usize {
    let is_start = |line: &str| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
    text.lines().take_while(|line| !is_start(line)).count()
}

/// Returns the path of a file's module from the crate's root.
fn module_path(name: &str) -> Vec<String> {
    let mut module: Vec<String> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

fn module_of(name: &str) -> &str {
    name.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn parse(name: &str, text: &str) -> syn::File {
    syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| Source {
        name: path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/"),
        text: std::fs::read_to_string(&path).unwrap(),
    };
    rust_files(&src).into_iter().map(read).collect()
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
