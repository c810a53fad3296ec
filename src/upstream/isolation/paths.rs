//! Which paths of this computer a server may see: what its entry names, what its runtime needs, and never what is secret.
//!
//! Pure functions over [`Disk`], so tests need no real files.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::disk::{Disk, Kind};
use super::places::{DATABASES, LINUX, PROJECT, RUNTIMES, SCRIPTS, SECRET, SYSTEM_SECRET};
use super::plan::Purpose;

/// Paths that a server may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    pub read: BTreeSet<PathBuf>,
    pub write: BTreeSet<PathBuf>,
    /// Paths that the entry names and that stay closed.
    pub refused: BTreeSet<PathBuf>,
}

/// The files that an entry names.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    pub purpose: Purpose,
    pub program: &'a Path,
    pub arguments: &'a [String],
    /// The values of its own variables.
    pub values: &'a [&'a str],
    pub working_directory: Option<&'a Path>,
    /// `read` and `write` of its isolation.
    pub read: &'a [PathBuf],
    pub write: &'a [PathBuf],
}

/// Everything that stays closed to servers.
pub fn secret(home: Option<&Path>, data_directory: &Path, as_root: bool) -> BTreeSet<PathBuf> {
    let root = Some(Path::new("/root")).filter(|_| as_root);
    let homes = home.into_iter().chain(root);
    let below_home = homes.flat_map(|home| SECRET.iter().map(|name| home.join(name)));
    let system = SYSTEM_SECRET.iter().filter(|_| as_root).map(PathBuf::from);
    below_home.chain(system).chain([data_directory.to_path_buf()]).collect()
}

/// The paths that a server needs: what its entry names, what its runtime and every program on Linux reads.
pub fn grants(named: &Named<'_>, home: Option<&Path>, secret: &BTreeSet<PathBuf>, disk: &impl Disk) -> Grants {
    let mut granting = Granting::new(home, secret, disk);
    granting.runtime(named.program);
    for runtime in home.into_iter().flat_map(|home| RUNTIMES.iter().map(move |name| home.join(name))) {
        granting.read(&runtime);
    }
    for system in LINUX.iter().filter(|_| cfg!(target_os = "linux")) {
        let open = granting.parts(disk.real(Path::new(system)));
        granting.grants.read.extend(open);
    }
    granting.entry(named);
    granting.grants
}

/// The paths that an entry names, for a container, which brings its own system.
pub fn grants_of_entry(named: &Named<'_>, home: Option<&Path>, secret: &BTreeSet<PathBuf>, disk: &impl Disk) -> Grants {
    let mut granting = Granting::new(home, secret, disk);
    granting.entry(named);
    granting.grants
}

struct Granting<'a, D> {
    home: Option<&'a Path>,
    secret: &'a BTreeSet<PathBuf>,
    disk: &'a D,
    grants: Grants,
}

impl<'a, D: Disk> Granting<'a, D> {
    fn new(home: Option<&'a Path>, secret: &'a BTreeSet<PathBuf>, disk: &'a D) -> Granting<'a, D> {
        Granting {
            home,
            secret,
            disk,
            grants: Grants::default(),
        }
    }

    /// The paths that the entry itself names.
    fn entry(&mut self, named: &Named<'_>) {
        if let Purpose::Inspection { reads_code } = named.purpose {
            if reads_code {
                self.code(named);
            }
            return;
        }
        for (index, argument) in named.arguments.iter().enumerate() {
            self.argument(argument, index, named);
        }
        for value in named.values {
            self.value(value);
        }
        if let Some(directory) = named.working_directory {
            self.write(directory);
        }
        named.read.iter().for_each(|path| self.read(path));
        named.write.iter().for_each(|path| self.write(path));
    }

    /// The code that an entry names, to read.
    fn code(&mut self, named: &Named<'_>) {
        for (index, argument) in named.arguments.iter().enumerate() {
            let Some((path, _)) = named_path(argument, named) else { continue };
            if self.disk.kind(&path) == Some(Kind::File) && is_script(&path, index) {
                self.project(&path);
            }
        }
        if let Some(directory) = named.working_directory {
            self.read(directory);
        }
    }

    /// The directory that a program is installed in, and those of what it is made of.
    fn runtime(&mut self, program: &Path) {
        let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let interpreters: &[&str] = match super::images::runtime(name) {
            Some("node") => &["node"],
            Some("python") => &["python3", "python"],
            _ => &[],
        };
        let others = interpreters.iter().filter_map(|name| self.disk.program(name));
        let mut programs: Vec<PathBuf> = [program.to_path_buf()].into_iter().chain(others).collect();
        let mut seen = BTreeSet::new();
        while let Some(program) = programs.pop() {
            if !seen.insert(program.clone()) || seen.len() > 16 {
                continue;
            }
            programs.extend(self.disk.real(&program));
            if let Some(packages) = packages(&program) {
                self.read(packages);
            }
            let Some(directory) = program.parent() else { continue };
            // `shims` is where version managers such as pyenv, asdf and mise keep the commands that start the chosen version.
            let parts = ["bin", "Scripts", "shims"];
            let root = directory.parent().filter(|_| parts.iter().any(|part| directory.ends_with(part)));
            let root = root.filter(|root| !self.is_wide(root)).unwrap_or(directory);
            if is_system(root) {
                continue;
            }
            if self.is_wide(root) {
                // A program in the home directory itself: it alone may be read, not what is beside it.
                self.read(&program);
            } else {
                self.read(root);
                // A virtual environment borrows the interpreter of another one.
                programs.extend(
                    ["bin/python3", "bin/python"]
                        .iter()
                        .map(|name| root.join(name))
                        .filter(|path| self.disk.kind(path).is_some()),
                );
            }
        }
    }

    fn argument(&mut self, argument: &str, index: usize, named: &Named<'_>) {
        let Some((path, looks_like_path)) = named_path(argument, named) else { return };
        match self.disk.kind(&path) {
            Some(Kind::Directory) => self.write(&path),
            Some(Kind::File) if is_script(&path, index) => self.project(&path),
            Some(Kind::File) => self.file(&path),
            // It may be about to create it.
            None if looks_like_path => self.parent(&path),
            None => {}
        }
    }

    /// A path in a variable is read: a file of credentials, a directory of data.
    fn value(&mut self, value: &str) {
        let path = plain(Path::new(value));
        if !path.is_absolute() {
            return;
        }
        match self.disk.kind(&path) {
            // Named itself and in full, even where its directory stays closed.
            Some(Kind::File) => {
                self.grants.read.insert(path);
            }
            Some(Kind::Directory) => self.read(&path),
            None => self.parent(&path),
        }
    }

    /// A script is read with the project that it is a part of.
    fn project(&mut self, script: &Path) {
        if let Some(packages) = packages(script) {
            self.read(packages);
        }
        let mut directory = script.parent();
        for _ in 0..5 {
            let Some(here) = directory.filter(|here| !self.is_wide(here)) else { break };
            if PROJECT.iter().any(|mark| self.disk.kind(&here.join(mark)).is_some()) {
                self.read(here);
                return;
            }
            directory = here.parent();
        }
        match script.parent().filter(|parent| !self.is_wide(parent)) {
            Some(parent) => self.read(parent),
            None => {
                self.grants.read.insert(script.to_path_buf());
            }
        }
    }

    fn file(&mut self, path: &Path) {
        if has_end(path, DATABASES) {
            self.parent(path);
        }
        self.grants.write.insert(path.to_path_buf());
    }

    fn parent(&mut self, path: &Path) {
        if let Some(parent) = path.parent().filter(|parent| !self.is_wide(parent) && !is_shared(parent))
            && self.disk.kind(parent) == Some(Kind::Directory)
        {
            self.write(parent);
        }
    }

    fn read(&mut self, path: &Path) {
        let open = self.without_secrets(path);
        self.grants.read.extend(open);
    }

    fn write(&mut self, path: &Path) {
        let open = self.without_secrets(path);
        self.grants.write.extend(open);
    }

    /// The path, or the parts of it that are not secret.
    fn without_secrets(&mut self, path: &Path) -> Vec<PathBuf> {
        let path = plain(path);
        let real = self.disk.real(&path).unwrap_or_else(|| path.clone());
        let closed = |path: &Path| self.secret.iter().any(|secret| path.starts_with(secret));
        let above_home = self.home.is_some_and(|home| home.starts_with(&real) && home != real);
        if closed(&path) || closed(&real) || above_home || real.parent().is_none() {
            self.grants.refused.insert(path);
            return Vec::new();
        }
        self.parts(Some(real))
    }

    /// The parts of a directory that are not secret: the whole, if there is no secret in it.
    fn parts(&self, path: Option<PathBuf>) -> Vec<PathBuf> {
        let mut open = Vec::new();
        let mut queue: Vec<PathBuf> = path.into_iter().collect();
        while let Some(path) = queue.pop() {
            if self.secret.iter().any(|secret| path.starts_with(secret)) {
                continue;
            }
            if self.secret.iter().any(|secret| secret.starts_with(&path)) {
                queue.extend(self.disk.children(&path));
            } else {
                open.push(path);
            }
        }
        open
    }

    /// Whether a directory holds far more than a program: the home directory, or anything above it.
    fn is_wide(&self, path: &Path) -> bool {
        path.parent().is_none()
            || self.home.is_some_and(|home| home.starts_with(path))
            || self.home.is_some_and(|home| path == home.join(".local") || path == home.join(".config"))
    }
}

/// The path in an argument, and whether it can be nothing else.
fn named_path(argument: &str, named: &Named<'_>) -> Option<(PathBuf, bool)> {
    // `--path=/x` as well as `/x`.
    let text =
        argument.split_once('=').filter(|(option, _)| option.starts_with('-')).map_or(argument, |(_, value)| value);
    let path = Path::new(text);
    let looks_like_path = path.is_absolute() || text.starts_with("./") || text.starts_with("../");
    let relative = named.working_directory.is_some() && !text.starts_with('-') && !text.is_empty();
    if !looks_like_path && !relative {
        return None;
    }
    let path = named.working_directory.map_or_else(|| path.to_path_buf(), |directory| directory.join(path));
    Some((plain(&path), looks_like_path))
}

/// Whether a file among the first arguments is what the interpreter runs.
fn is_script(path: &Path, index: usize) -> bool {
    has_end(path, SCRIPTS) && index <= 3
}

/// The outermost `node_modules` that a path is in: a package there uses its neighbours.
fn packages(path: &Path) -> Option<&Path> {
    path.ancestors().filter(|above| above.ends_with("node_modules")).last()
}

/// Directories of the system, which every server may read.
fn is_system(path: &Path) -> bool {
    [
        "/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix", "/gnu", "/snap", "/System", "/Library",
    ]
    .iter()
    .any(|system| path.starts_with(system))
        && !path.starts_with("/usr/local/src")
}

/// Directories that all programs write to.
fn is_shared(path: &Path) -> bool {
    ["/tmp", "/var/tmp", "/dev/shm", "/run"].iter().any(|shared| path == Path::new(shared))
}

fn has_end(path: &Path, ends: &[&str]) -> bool {
    path.extension()
        .and_then(|end| end.to_str())
        .is_some_and(|end| ends.iter().any(|known| known.eq_ignore_ascii_case(end)))
}

/// The path without `.` and `..`; links are not followed here.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A file system of these files; a name that ends with `/` is an empty directory, `a -> b` a link.
    pub struct Files {
        kinds: BTreeMap<PathBuf, Kind>,
        links: BTreeMap<PathBuf, PathBuf>,
    }

    impl Files {
        pub fn of(names: &[&str]) -> Files {
            let mut files = Files {
                kinds: BTreeMap::new(),
                links: BTreeMap::new(),
            };
            for name in names {
                let (name, target) =
                    name.split_once(" -> ").map_or((*name, None), |(name, target)| (name, Some(target)));
                if let Some(target) = target {
                    files.links.insert(name.into(), target.into());
                }
                let path = Path::new(name);
                let kind = if name.ends_with('/') { Kind::Directory } else { Kind::File };
                files.kinds.insert(path.to_path_buf(), kind);
                for parent in path.ancestors().skip(1) {
                    files.kinds.insert(parent.to_path_buf(), Kind::Directory);
                }
            }
            files
        }
    }

    impl Disk for Files {
        fn kind(&self, path: &Path) -> Option<Kind> {
            self.kinds.get(path).copied()
        }
        fn children(&self, path: &Path) -> Vec<PathBuf> {
            self.kinds.keys().filter(|child| child.parent() == Some(path)).cloned().collect()
        }
        fn real(&self, path: &Path) -> Option<PathBuf> {
            let real = self.links.get(path).cloned().unwrap_or_else(|| path.to_path_buf());
            self.kinds.contains_key(path).then_some(real)
        }
        fn program(&self, name: &str) -> Option<PathBuf> {
            self.kinds.keys().find(|path| path.ends_with(Path::new("bin").join(name))).cloned()
        }
    }

    fn granted(
        files: &[&str],
        program: &str,
        arguments: &[&str],
        values: &[&str],
    ) -> (Vec<String>, Vec<String>, Vec<String>) {
        let disk = Files::of(files);
        let home = Path::new("/home/ann");
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let named = Named {
            purpose: Purpose::Work,
            program: Path::new(program),
            arguments: &arguments,
            values,
            working_directory: None,
            read: &[],
            write: &[],
        };
        let grants = grants(&named, Some(home), &secret(Some(home), Path::new("/home/ann/.mcpproxy"), false), &disk);
        let text = |paths: BTreeSet<PathBuf>| {
            paths
                .iter()
                .map(|path| path.to_string_lossy().trim_end_matches('/').to_owned())
                .filter(|path| {
                    !RUNTIMES.iter().any(|name| Path::new(path) == home.join(name)) && !LINUX.contains(&path.as_str())
                })
                .collect::<Vec<_>>()
        };
        (text(grants.read), text(grants.write), text(grants.refused))
    }

    #[test]
    fn a_program_in_the_home_directory_itself_may_be_read_and_nothing_beside_it() {
        let files = ["/home/ann/server.sh", "/home/ann/letter.txt", "/home/ann/.ssh/id_rsa"];
        let (read, write, refused) = granted(&files, "/home/ann/server.sh", &[], &[]);
        assert_eq!((read, write, refused), (vec!["/home/ann/server.sh".to_owned()], vec![], vec![]));
        let (read, _, refused) = granted(&files, "/home/ann/.ssh/id_rsa", &[], &[]);
        assert!(!read.iter().any(|path| path.ends_with("id_rsa")), "{read:?} {refused:?}");
    }

    #[test]
    fn a_directory_argument_may_be_written_without_the_secrets_in_it() {
        let files = [
            "/home/ann/projects/a.txt",
            "/home/ann/.ssh/id_rsa",
            "/home/ann/notes/",
            "/home/ann/.config/gh/hosts.yml",
            "/home/ann/.config/app/x",
        ];
        let (_, write, refused) = granted(&files, "/usr/bin/npx", &["-y", "fs-server", "/home/ann/projects"], &[]);
        assert_eq!((write, refused), (vec!["/home/ann/projects".to_owned()], vec![]));
        let (_, write, _) = granted(&files, "/usr/bin/npx", &["/home/ann"], &[]);
        assert_eq!(write, ["/home/ann/.config/app", "/home/ann/notes", "/home/ann/projects"]);
        for closed in ["/home/ann/.ssh", "/home", "/", "/home/ann/notes/../.ssh"] {
            let (_, write, refused) = granted(&files, "/usr/bin/npx", &[closed], &[]);
            assert_eq!((write.len(), refused.len()), (0, 1), "{closed}");
        }
    }

    #[test]
    fn a_link_does_not_lead_to_a_secret() {
        let files = ["/home/ann/.ssh/id_rsa", "/home/ann/keys/ -> /home/ann/.ssh"];
        let disk = Files {
            links: [(PathBuf::from("/home/ann/keys"), PathBuf::from("/home/ann/.ssh"))].into(),
            ..Files::of(&files)
        };
        let home = Path::new("/home/ann");
        let arguments = ["/home/ann/keys".to_owned()];
        let named = Named {
            purpose: Purpose::Work,
            program: Path::new("/usr/bin/x"),
            arguments: &arguments,
            values: &[],
            working_directory: None,
            read: &[],
            write: &[],
        };
        let grants = grants(&named, Some(home), &secret(Some(home), Path::new("/d"), false), &disk);
        assert!(grants.write.is_empty() && grants.refused.contains(Path::new("/home/ann/keys")), "{grants:?}");
    }

    #[test]
    fn a_script_is_read_with_its_project_and_a_program_with_its_runtime() {
        let files = [
            "/home/ann/srv/package.json",
            "/home/ann/srv/dist/index.js",
            "/srv/node/bin/node",
            "/home/ann/solo.py",
        ];
        let (read, write, _) = granted(&files, "/srv/node/bin/node", &["/home/ann/srv/dist/index.js"], &[]);
        assert_eq!((read, write), (vec!["/home/ann/srv".to_owned(), "/srv/node".to_owned()], vec![]));
        let (read, _, _) = granted(&files, "/usr/bin/python3", &["/home/ann/solo.py"], &[]);
        assert_eq!(read, ["/home/ann/solo.py"]);
    }

    #[test]
    fn a_command_of_a_version_manager_is_read_with_the_versions() {
        let files = ["/data/pyenv/shims/python3", "/data/pyenv/versions/3.12/bin/python3"];
        let (read, _, _) = granted(&files, "/data/pyenv/shims/python3", &[], &[]);
        assert_eq!(read, ["/data/pyenv", "/data/pyenv/versions/3.12"]);
    }

    #[test]
    fn paths_in_variables_are_read_and_databases_are_written() {
        let files = [
            "/home/ann/.config/gcloud/key.json",
            "/home/ann/vault/",
            "/home/ann/data/x.db",
            "/home/ann/out/",
        ];
        let values = ["/home/ann/.config/gcloud/key.json", "/home/ann/vault", "plain"];
        let (read, _, _) = granted(&files, "/usr/bin/npx", &[], &values);
        assert_eq!(read, ["/home/ann/.config/gcloud/key.json", "/home/ann/vault"]);
        let (_, write, _) =
            granted(&files, "/usr/bin/npx", &["--db=/home/ann/data/x.db", "/home/ann/out/new.json", "/tmp/new"], &[]);
        assert_eq!(write, ["/home/ann/data", "/home/ann/data/x.db", "/home/ann/out"]);
    }

    #[test]
    fn an_inspection_writes_nothing_and_reads_code_at_most() {
        let files = [
            "/home/ann/srv/package.json",
            "/home/ann/srv/dist/index.js",
            "/home/ann/projects/plan.md",
            "/home/ann/data/x.db",
            "/home/ann/key.json",
        ];
        let disk = Files::of(&files);
        let home = Path::new("/home/ann");
        let arguments = [
            "dist/index.js",
            "/home/ann/projects",
            "--db=/home/ann/data/x.db",
            "/home/ann/data/new.json",
        ];
        let arguments = arguments.map(str::to_owned);
        for (reads_code, expected) in [(true, &["/home/ann/srv"][..]), (false, &[])] {
            let named = Named {
                purpose: Purpose::Inspection { reads_code },
                program: Path::new("/usr/bin/node"),
                arguments: &arguments,
                values: &["/home/ann/key.json"],
                working_directory: Some(Path::new("/home/ann/srv")),
                read: &[],
                write: &[],
            };
            let grants = grants_of_entry(&named, Some(home), &secret(Some(home), Path::new("/d"), false), &disk);
            let read: Vec<_> = grants.read.iter().map(|path| path.to_str().unwrap()).collect();
            assert_eq!((read.as_slice(), grants.write.len()), (expected, 0));
        }
    }
}
