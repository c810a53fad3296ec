//! Reads and changes the files of AI clients. The decisions are made in `plan`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use uuid::Uuid;

use crate::ai_clients::backups::{backups, keep_backup, read, write};
use crate::ai_clients::dry_run_diff::diff;
use crate::ai_clients::entry::{Proxy, contains_proxy_url};
use crate::ai_clients::format::entries;
use crate::ai_clients::known_clients::{CLIENTS, Client, ConfigPath, ENTRY_NAME, Homes, moves_configuration};
use crate::ai_clients::plan;
use crate::ai_clients::plan::{Backup, Plan};
use crate::ai_clients::preview::{PreviewInput, masked_entry, summary};
use crate::ai_clients::refusal::{
    ClientEditError, ErrorKind, done_message, dry_run_message, failed, located, refusal_message, refused,
};
use crate::ai_clients::stdio_entry::Bridge;
use crate::contract::api::{AccessState, AiClient, ConnectPreview, ConnectResult};
use crate::contract::instance_root::InstanceRoot;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::os::environment::{Environment, home_directory};
use crate::os::files::Replaced;
use crate::os::own_path;

/// Signs preview tokens. They are valid until the core stops.
static TOKEN_KEY: LazyLock<String> = LazyLock::new(|| format!("{}{}", Uuid::new_v4(), Uuid::new_v4()));

/// A change to a client's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    Connect {
        force: bool,
        /// The token of the preview that the user confirmed.
        token: Option<String>,
    },
    Disconnect,
    /// Restores this backup, or the one that fits.
    Undo {
        backup: Option<String>,
    },
}

/// The directories of this user's clients.
pub fn homes() -> Option<Homes> {
    let home = home_directory()?;
    Some(Homes {
        platform: Platform::HOST,
        settings: dirs::config_dir().unwrap_or_else(|| home.join(".config")),
        variables: Environment::read(moves_configuration),
        home,
    })
}

/// The program that a client without URL support starts: this program, for the instance at `root`.
pub fn bridge(root: &InstanceRoot) -> Bridge {
    let path = root.path();
    // Absolute, because clients start programs in any directory. An absolute path stays unchanged: on Windows the name of
    // the pipe depends on its exact spelling.
    let absolute = if path.is_absolute() { None } else { std::path::absolute(path).ok() };
    Bridge {
        program: own_path::lasting().map_err(|error| error.to_string()),
        root: absolute.unwrap_or_else(|| path.to_path_buf()),
        is_default: root.is_default(),
    }
}

/// All clients. Guarded files are not opened. Blocks on file reads.
pub fn list(homes: &Homes, proxy: &Proxy) -> Vec<AiClient> {
    CLIENTS.iter().map(|client| inspect(client, homes, proxy, false)).collect()
}

/// One client. A guarded file is opened only if `requested`.
pub fn inspect(client: &Client, homes: &Homes, proxy: &Proxy, requested: bool) -> AiClient {
    let config = config_path(client, homes);
    let directory = config.path.parent().filter(|directory| *directory != homes.home);
    let mut shown = AiClient {
        id: client.id.to_owned(),
        name: client.name.to_owned(),
        exists: config.path.exists() || directory.is_some_and(Path::is_dir),
        supported: true,
        config_path: config.path.display().to_string(),
        access_state: AccessState::NotChecked,
        ..AiClient::default()
    };
    if config.guarded && !requested {
        return shown;
    }
    let state = match read(&config.path) {
        Ok(None) => AccessState::Absent,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => AccessState::Denied,
        Err(_) => AccessState::Malformed,
        Ok(Some(bytes)) => match entries(client, &bytes) {
            Ok(entries) => {
                let name = plan::ours(&entries, proxy, None);
                shown.connected = name.is_some();
                shown.server_name = name.filter(|name| name != ENTRY_NAME);
                AccessState::Accessible
            }
            Err(error) => {
                shown.reason = Some(located(&config.path, &error));
                AccessState::Malformed
            }
        },
    };
    shown.access_state = state;
    shown
}

/// Number of clients whose files contain the proxy's URL anywhere (including per-project servers) or start our program.
pub fn count(homes: &Homes, proxy: &Proxy) -> u32 {
    let names = |client: &&Client| {
        let config = config_path(client, homes);
        let text = if config.guarded { None } else { read(&config.path).ok().flatten() };
        text.is_some_and(|bytes| {
            let text = String::from_utf8_lossy(&bytes);
            let starts = || entries(client, &bytes).is_ok_and(|found| plan::ours(&found, proxy, None).is_some());
            contains_proxy_url(&text, &proxy.listen) || text.contains(names::CORE_PROGRAM) && starts()
        })
    };
    u32::try_from(CLIENTS.iter().filter(names).count()).unwrap_or(u32::MAX)
}

/// Shows what connecting would write, without changing anything.
///
/// # Errors
/// [`ClientEditError`]: the file cannot be read.
pub fn preview(
    client: &Client,
    homes: &Homes,
    proxy: &Proxy,
    server_name: Option<&str>,
) -> Result<ConnectPreview, ClientEditError> {
    let path = config_path(client, homes).path;
    let mut result = unsettled(client, &path, server_name);
    let before = read(&path).map_err(|error| failed(&result, &error))?;
    let found = entries(client, before.as_deref().unwrap_or_default());
    // With `force`: a conflict that it resolves is not an error in a preview.
    let planned = plan::connect(client, proxy, before.as_deref(), server_name, true);
    if let Ok(plan) = &planned {
        result.server_name.clone_from(&plan.name);
    }
    let existing = found.iter().flatten().find(|(name, _)| *name == result.server_name);
    let (entry, entry_text) = masked_entry(client, proxy, &result.server_name).unwrap_or_default();
    let access_state = match (&before, &found) {
        (None, _) => AccessState::Absent,
        (Some(_), Ok(_)) => AccessState::Accessible,
        (Some(_), Err(_)) => AccessState::Malformed,
    };
    Ok(ConnectPreview {
        format: client.format.into(),
        server_key: client.container.to_owned(),
        entry,
        entry_text,
        entry_exists: existing.is_some(),
        contains_api_key: proxy.key.is_some() && client.takes_key(),
        access_state,
        existing_entry_summary: existing.map(|(name, entry)| summary(name, entry)),
        precondition_token: PreviewInput {
            client,
            path: &result.config_path,
            proxy,
            before: before.as_deref(),
            requested: server_name,
        }
        .token(&TOKEN_KEY),
        connect_refusal: planned.err().map(|refusal| refusal_message(client, &path, &refusal).1),
        client: result.client,
        config_path: result.config_path,
        server_name: result.server_name,
    })
}

/// Applies a change to a client's file. `server_name` is the name of the entry, if not the default.
///
/// # Errors
/// [`ClientEditError`]; the file is then unchanged.
pub fn apply(
    client: &Client,
    homes: &Homes,
    proxy: &Proxy,
    server_name: Option<&str>,
    operation: &Operation,
) -> Result<ConnectResult, ClientEditError> {
    let Decision {
        path,
        before,
        plan,
        mut result,
    } = decide(client, homes, proxy, server_name, operation)?;
    let kept = keep_backup(&path, before.as_deref(), &plan.change).map_err(|error| failed(&result, &error))?;
    result.backup_path = kept.map(|path| path.display().to_string());
    match write(&path, before.as_deref(), &plan.change) {
        Ok(Replaced::Done) => {}
        Ok(Replaced::ChangedMeanwhile) => {
            let message =
                format!("could not write `{}`: another program changed it at the same time; try again", path.display());
            return Err(refused(&result, ErrorKind::Changed, message));
        }
        Err(error) => return Err(failed(&result, &error)),
    }
    result.success = true;
    result.action = plan.action.into();
    result.message = done_message(client, &plan);
    Ok(result)
}

/// The result that [`apply`] would give and the diff, without changing anything.
///
/// # Errors
/// As [`apply`].
pub fn dry_run(
    client: &Client,
    homes: &Homes,
    proxy: &Proxy,
    server_name: Option<&str>,
    operation: &Operation,
) -> Result<(ConnectResult, String), ClientEditError> {
    let Decision {
        before, plan, result, ..
    } = decide(client, homes, proxy, server_name, operation)?;
    let lines = diff(client, proxy, &plan.name, &result.config_path, before.as_deref(), &plan.change);
    let result = ConnectResult {
        success: true,
        action: plan.action.into(),
        message: dry_run_message(client, &plan),
        ..result
    };
    Ok((result, lines))
}

/// The current file and the planned change.
struct Decision {
    path: PathBuf,
    before: Option<Vec<u8>>,
    plan: Plan,
    result: ConnectResult,
}

fn decide(
    client: &Client,
    homes: &Homes,
    proxy: &Proxy,
    server_name: Option<&str>,
    operation: &Operation,
) -> Result<Decision, ClientEditError> {
    let path = config_path(client, homes).path;
    let mut result = unsettled(client, &path, server_name);
    let before = read(&path).map_err(|error| failed(&result, &error))?;
    if let Operation::Connect { token: Some(token), .. } = operation {
        let now = PreviewInput {
            client,
            path: &result.config_path,
            proxy,
            before: before.as_deref(),
            requested: server_name,
        };
        if now.token(&TOKEN_KEY) != *token {
            let message = format!("`{}` or the entry changed since the preview", path.display());
            return Err(refused(&result, ErrorKind::Changed, format!("{message}; preview it again")));
        }
    }
    let found = backups(&path);
    let planned = match operation {
        Operation::Connect { force, .. } => plan::connect(client, proxy, before.as_deref(), server_name, *force),
        Operation::Disconnect => plan::disconnect(client, proxy, before.as_deref(), server_name, &found),
        Operation::Undo { backup: Some(wanted) } => {
            let named: Vec<Backup> = found.into_iter().filter(|backup| backup.name == *wanted).collect();
            plan::undo(client, proxy, before.as_deref(), server_name, &named)
        }
        Operation::Undo { backup: None } => plan::undo(client, proxy, before.as_deref(), server_name, &found),
    };
    let plan = planned.map_err(|refusal| {
        let (why, message) = refusal_message(client, &path, &refusal);
        refused(&result, why, message)
    })?;
    result.server_name.clone_from(&plan.name);
    Ok(Decision {
        path,
        before,
        plan,
        result,
    })
}

/// A result with the client and path filled in.
fn unsettled(client: &Client, path: &Path, server_name: Option<&str>) -> ConnectResult {
    ConnectResult {
        client: client.id.to_owned(),
        config_path: path.display().to_string(),
        server_name: server_name.unwrap_or(ENTRY_NAME).to_owned(),
        ..ConnectResult::default()
    }
}

/// The file in which a client keeps its configuration, whether it exists or not.
pub fn config_path(client: &Client, homes: &Homes) -> ConfigPath {
    let mut paths = client.paths(homes);
    let last = paths.pop();
    let existing = paths.into_iter().find(|config| config.path.exists());
    // Every client has at least one path.
    existing.or(last).unwrap_or_else(|| ConfigPath {
        path: PathBuf::new(),
        guarded: true,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ai_clients::known_clients::client;

    const TEXT: &str = "{\n  // mine\n  \"mcpServers\": {}\n}\n";

    const CONNECT: Operation = Operation::Connect {
        force: false,
        token: None,
    };

    fn proxy() -> Proxy {
        Proxy::new("127.0.0.1:8080", false, None, Bridge::sample())
    }

    struct Home {
        directory: tempfile::TempDir,
        homes: Homes,
    }

    impl Home {
        fn new() -> Home {
            let directory = tempfile::tempdir().unwrap();
            let homes = Homes {
                platform: Platform::Linux,
                home: directory.path().to_path_buf(),
                settings: directory.path().join(".config"),
                variables: Environment::default(),
            };
            Home { directory, homes }
        }

        fn path(&self, below: &str) -> PathBuf {
            self.directory.path().join(below)
        }

        fn apply(&self, id: &str, operation: &Operation) -> Result<ConnectResult, ClientEditError> {
            apply(client(id).unwrap(), &self.homes, &proxy(), None, operation)
        }

        fn connected(&self, id: &str) -> bool {
            inspect(client(id).unwrap(), &self.homes, &proxy(), false).connected
        }
    }

    #[test]
    fn connecting_twice_and_taking_it_back_leaves_the_file_and_one_backup_of_each_state() {
        let home = Home::new();
        let path = home.path(".cursor/mcp.json");
        fs::create_dir(home.path(".cursor")).unwrap();
        fs::write(&path, TEXT).unwrap();
        for _ in 0..3 {
            let result = home.apply("cursor", &CONNECT).unwrap();
            assert_eq!((result.success, result.action.word()), (true, "created"));
            assert_eq!(fs::read_to_string(result.backup_path.unwrap()).unwrap(), TEXT);
            assert!(home.connected("cursor"));
            let again = home.apply("cursor", &CONNECT).unwrap();
            assert_eq!((again.action.word(), again.backup_path), ("already_exists", None));
            home.apply("cursor", &Operation::Disconnect).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), TEXT);
        }
        assert_eq!(fs::read_dir(home.path(".cursor")).unwrap().count(), 3, "the file and two backups");
    }

    #[test]
    fn a_client_that_has_no_file_gets_one_and_an_undo_removes_it() {
        let home = Home::new();
        let created = home.apply("codex", &CONNECT).unwrap();
        assert_eq!((created.action.word(), created.backup_path), ("created", None));
        assert!(home.path(".codex/config.toml").is_file());
        assert_eq!(home.apply("codex", &Operation::Undo { backup: None }).unwrap().action, "deleted");
        assert!(!home.path(".codex/config.toml").exists());
        assert_eq!(home.apply("codex", &Operation::Undo { backup: None }).unwrap_err().why, ErrorKind::NotFound);
    }

    #[test]
    fn a_file_with_a_mistake_is_left_alone_and_said_to_have_one() {
        let home = Home::new();
        fs::write(home.path(".claude.json"), "{\n  \"a\": oops\n}").unwrap();
        let refused = home
            .apply(
                "claude-code",
                &Operation::Connect {
                    force: true,
                    token: None,
                },
            )
            .unwrap_err();
        assert_eq!(refused.why, ErrorKind::Malformed);
        assert!(refused.result.message.contains(".claude.json`, line 2, column 8"), "{}", refused.result.message);
        assert_eq!(fs::read_dir(home.directory.path()).unwrap().count(), 1, "no backup, no other file");
        let proxy = proxy();
        let shown = inspect(client("claude-code").unwrap(), &home.homes, &proxy, false);
        assert_eq!(shown.access_state, "malformed");
    }

    #[test]
    fn on_macos_another_programs_data_is_opened_only_when_it_is_asked_for() {
        let mut home = Home::new();
        home.homes.platform = Platform::MacOs;
        home.apply("vscode", &CONNECT).unwrap();
        let proxy = proxy();
        let state = |asked| {
            let shown = inspect(client("vscode").unwrap(), &home.homes, &proxy, asked);
            (shown.exists, shown.connected, shown.access_state)
        };
        assert_eq!(state(false), (true, false, AccessState::NotChecked));
        assert_eq!(state(true), (true, true, AccessState::Accessible));
        assert_eq!(count(&home.homes, &proxy), 0);
    }

    #[test]
    fn a_client_that_starts_our_program_is_counted_and_another_instances_is_not() {
        let home = Home::new();
        let counted = |is_default| {
            let bridge = Bridge {
                is_default,
                ..Bridge::sample()
            };
            count(&home.homes, &Proxy::new("127.0.0.1:8080", false, None, bridge))
        };
        assert_eq!(counted(true), 0);
        let made = home.apply("claude-desktop", &CONNECT).unwrap();
        assert_eq!(made.action, "created");
        assert!(home.connected("claude-desktop"));
        assert_eq!((counted(true), counted(false)), (1, 0));
        let key = Proxy::new("0.0.0.0:8080", true, Some("secret"), Bridge::sample());
        let shown = preview(client("claude-desktop").unwrap(), &home.homes, &key, None).unwrap();
        assert_eq!((shown.contains_api_key, shown.connect_refusal), (false, None));
        let there = shown.existing_entry_summary.unwrap();
        assert_eq!((there.command.as_deref(), there.endpoint), (Some("/usr/bin/mcpproxy"), None));
        assert_eq!(home.apply("claude-desktop", &Operation::Undo { backup: None }).unwrap().action, "deleted");
    }

    #[test]
    fn an_instance_that_is_named_from_here_is_named_from_anywhere() {
        let root = |named| bridge(&InstanceRoot::resolve(Path::new("/home/a"), named)).root;
        assert!(root(Some("work")).is_absolute() && root(Some("work")).ends_with("work"));
        assert!(bridge(&InstanceRoot::resolve(Path::new("/home/a"), None)).is_default);
        assert!(!bridge(&InstanceRoot::resolve(Path::new("/home/a"), Some("/srv/a"))).is_default);
        let exact = if cfg!(windows) { "C:/srv/a" } else { "/srv/./a" };
        assert_eq!(root(Some(exact)).as_os_str(), exact);
    }

    #[test]
    fn a_preview_changes_nothing_and_its_token_is_good_for_the_file_that_it_showed() {
        let home = Home::new();
        let path = home.path(".claude.json");
        let proxy = proxy();
        let preview = || preview(client("claude-code").unwrap(), &home.homes, &proxy, None).unwrap();
        let connect = |shown: &ConnectPreview| {
            let token = Some(shown.precondition_token.clone());
            home.apply("claude-code", &Operation::Connect { force: true, token })
        };
        let absent = preview();
        assert_eq!(
            (absent.access_state.word(), absent.entry_exists, &absent.connect_refusal),
            ("absent", false, &None)
        );
        assert!(!path.exists());
        fs::write(&path, TEXT).unwrap();
        assert_eq!(connect(&absent).unwrap_err().why, ErrorKind::Changed);
        assert_eq!(fs::read_to_string(&path).unwrap(), TEXT);
        let there = preview();
        assert_eq!(there.precondition_token, preview().precondition_token);
        assert_eq!(fs::read_dir(home.directory.path()).unwrap().count(), 1, "the file alone");
        assert_eq!(connect(&there).unwrap().action, "created");
        let written = fs::read_to_string(&path).unwrap();
        let found = entries(client("claude-code").unwrap(), written.as_bytes()).unwrap();
        assert_eq!(found[0].1.as_object(), Some(&there.entry));
        assert!(preview().entry_exists);
        assert_eq!(connect(&there).unwrap_err().why, ErrorKind::Changed);
        fs::write(&path, "{").unwrap();
        let malformed = preview();
        assert_eq!(malformed.access_state, "malformed");
        assert!(malformed.connect_refusal.unwrap().contains("line 1"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_the_permissions_are_kept_by_file_and_backup() {
        use std::os::unix::fs::PermissionsExt;
        let home = Home::new();
        let (real, link) = (home.path("dotfiles.json"), home.path(".claude.json"));
        fs::write(&real, TEXT).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let result = home.apply("claude-code", &CONNECT).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        for path in [real.clone(), PathBuf::from(result.backup_path.unwrap())] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640);
        }
        assert!(fs::read_to_string(&real).unwrap().contains("127.0.0.1:8080/mcp"));
    }
}
