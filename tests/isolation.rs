//! Servers in the real sandbox of this system: what they can do, and what they cannot.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail where it stands")]

use std::collections::BTreeMap;
use std::path::Path;

use mcpproxy::config::ServerConfig;
use mcpproxy::upstream::isolation::{Isolator, landlock};
use mcpproxy::upstream::process::spawn;
use tokio::io::AsyncReadExt as _;

/// Runs a Python program as a server with this isolation, and returns its output. `data` is the data directory.
async fn said(
    data: &Path,
    isolation: &str,
    arguments: &[&str],
    program: &str,
) -> Result<BTreeMap<String, String>, String> {
    let arguments = [&["-c", program], arguments].concat();
    let entry = serde_json::json!({
        "name": "probe", "command": "python3", "args": arguments, "env": {"OWN": "yes"}
    });
    let text = serde_json::json!({ "mcpServers": [entry] }).to_string();
    let text = text.replace(r#""name":"probe""#, &format!(r#""name":"probe","isolation":{isolation}"#));
    let config = mcpproxy::config::Config::parse(Path::new("c.json"), &text).unwrap();
    let config: &ServerConfig = config.servers.first().unwrap();
    let log = data.join("probe.log");
    let launch = Isolator::new(data).prepare(config, &log).await.map_err(|failure| failure.to_string())?;
    let mut spawned = spawn("probe", launch, &log).await.map_err(|failure| failure.to_string())?;
    drop(spawned.stdin);
    let mut text = String::new();
    spawned.stdout.read_to_string(&mut text).await.unwrap();
    spawned.process.end().await;
    let log = std::fs::read_to_string(&log).unwrap_or_default();
    Ok(text
        .lines()
        .map(|line| line.split_once('=').unwrap_or_else(|| unreachable!("{line} {log}")))
        .map(|(what, outcome)| (what.to_owned(), outcome.to_owned()))
        .collect())
}

/// Tries each access, and prints `ok` or the name of the error.
const PROBE: &str = r#"
import os, signal, socket, subprocess, sys
data, outside, given = sys.argv[1:4]
def attempt(what, act):
    try:
        act()
        outcome = 'ok'
    except OSError as error:
        outcome = type(error).__name__
    print(f'{what}={outcome}')
def write(path):
    with open(path, 'w') as file:
        file.write('x')
attempt('read_configuration', lambda: open(data + '/mcp_config.json').read())
attempt('list_data', lambda: os.listdir(data))
attempt('other_server', lambda: open(data + '/isolation/other/home/token').read())
attempt('read_outside', lambda: open(outside + '/file').read())
attempt('truncate_outside', lambda: os.truncate(outside + '/file', 0))
attempt('write_outside', lambda: write(outside + '/new'))
attempt('read_system', lambda: open('/etc/passwd').read())
attempt('read_given', lambda: open(given + '/file').read())
attempt('write_given', lambda: write(given + '/new'))
attempt('write_home', lambda: write(os.environ['HOME'] + '/new'))
attempt('write_temporary', lambda: write(os.environ['TMPDIR'] + '/new'))
attempt('write_system', lambda: write('/usr/lib/new'))
attempt('environment_of_parent', lambda: open(f'/proc/{os.getppid()}/environ').read())
attempt('signal_parent', lambda: os.kill(os.getppid(), 0))
attempt('local_socket', lambda: socket.socket(socket.AF_UNIX))
attempt('network_socket', lambda: socket.socket(socket.AF_INET))
attempt('child', lambda: subprocess.run(['sh', '-c', 'exit 0'], check=True))
print('variables=' + ' '.join(sorted(name for name in os.environ if name in ('OWN', 'CARGO', 'CARGO_MANIFEST_DIR', 'PATH'))))
"#;

#[tokio::test]
async fn a_sandboxed_server_reads_and_writes_only_what_it_needs() {
    if landlock::version().is_none() {
        let refused = said(Path::new("/nonexistent"), r#""sandbox""#, &[], "").await.unwrap_err();
        assert!(refused.contains("Landlock"), "{refused}");
        return;
    }
    let world = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let path = world.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("file"), "secret").unwrap();
        path.to_string_lossy().into_owned()
    };
    let (data, outside, given) = (place("data"), place("outside"), place("given"));
    std::fs::write(Path::new(&data).join("mcp_config.json"), "{}").unwrap();
    std::fs::create_dir_all(Path::new(&data).join("isolation/other/home")).unwrap();
    std::fs::write(Path::new(&data).join("isolation/other/home/token"), "t").unwrap();
    // A path in the program text is not granted; an argument is.
    let program = PROBE.replace("sys.argv[1:4]", &format!("{data:?}, {outside:?}, sys.argv[1]"));
    let said = said(Path::new(&data), r#""sandbox""#, &[&given], &program).await.unwrap();
    for (what, expected) in [
        ("read_configuration", "PermissionError"),
        ("list_data", "PermissionError"),
        ("other_server", "PermissionError"),
        ("read_outside", "PermissionError"),
        ("truncate_outside", "PermissionError"),
        ("write_outside", "PermissionError"),
        ("read_system", "ok"),
        ("read_given", "ok"),
        ("write_given", "ok"),
        ("write_home", "ok"),
        ("write_temporary", "ok"),
        ("write_system", "PermissionError"),
        ("environment_of_parent", "PermissionError"),
        ("local_socket", "PermissionError"),
        ("network_socket", "ok"),
        ("child", "ok"),
        ("variables", "OWN PATH"),
    ] {
        assert_eq!(said.get(what).map(String::as_str), Some(expected), "{what}: {said:?}");
    }
    if landlock::version() >= Some(6) {
        assert_eq!(said["signal_parent"], "PermissionError");
    }
    assert_eq!(std::fs::read_to_string(Path::new(&outside).join("file")).unwrap(), "secret");
}

#[tokio::test]
async fn a_sandbox_without_network_opens_no_socket() {
    let world = tempfile::tempdir().unwrap();
    let program = "import socket\ntry:\n socket.socket(socket.AF_INET); print('socket=ok')\nexcept OSError as error:\n print('socket=' + type(error).__name__)";
    let said = said(world.path(), r#"{"mode": "sandbox", "network": "off"}"#, &[], program).await;
    match said {
        Ok(said) => assert_eq!(said["socket"], "PermissionError"),
        Err(error) => assert!(error.contains("Landlock"), "{error}"),
    }
}

#[tokio::test]
async fn without_isolation_a_server_still_gets_only_its_variables() {
    let world = tempfile::tempdir().unwrap();
    let program = "import os\nprint('names=' + ' '.join(sorted(os.environ)))";
    let said = said(world.path(), r#""none""#, &[], program).await.unwrap();
    let names: Vec<_> = said["names"].split(' ').collect();
    assert!(names.contains(&"OWN") && names.contains(&"PATH"), "{names:?}");
    // Cargo sets this variable for tests.
    assert!(!names.contains(&"CARGO_MANIFEST_DIR"), "{names:?}");
}

#[tokio::test]
async fn what_cannot_be_enforced_does_not_start() {
    let world = tempfile::tempdir().unwrap();
    for (isolation, part) in [
        (r#""vault""#, "does not know"),
        (r#"{"mode": "sandbox", "network": "loopback"}"#, "could not"),
    ] {
        let refused = said(world.path(), isolation, &[], "print('a=b')").await.unwrap_err();
        assert!(refused.contains(part), "{refused}");
    }
}
