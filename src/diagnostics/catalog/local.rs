//! Servers that run on this computer: programs, containers, sandboxes.

use super::step::{Act, Entry, Fixer, RESTART, RETRY, SHOW_LOG, Step, advice, button, run, run_on};
use crate::contract::platform::Platform;
use crate::diagnostics::code::Code;

const WHICH: [Step; 2] = [
    run_on(Platform::Linux, "Find the program in your terminal", "command -v {command}"),
    run_on(Platform::MacOs, "Find the program in your terminal", "command -v {command}"),
];
const WHERE: Step = Step {
    on: Some(Platform::Windows),
    label: "Find the program in your terminal",
    act: Act::Command("where.exe {command}"),
};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: Code::SpawnNotFound,
        what: "MCPProxy could not find the program `{command}`.",
        why: "The program is not installed, or it is in a directory that is not in the PATH of the server: {path}.",
        remedy: "Install the program, or use its full path in `command`.",
        steps: &[
            WHICH[0],
            WHICH[1],
            WHERE,
            run("Use the full path of the program", "mcpproxy upstream set {server} -- /full/path/to/{command}"),
            RETRY,
            SHOW_LOG,
        ],
    },
    Entry {
        code: Code::SpawnDenied,
        what: "The system does not allow this user to run `{program}`.",
        why: "The file is not marked as executable, or its disk is mounted without permission to run programs.",
        remedy: "Make the file executable.",
        steps: &[
            run_on(Platform::Linux, "Make it executable", "chmod +x {program}"),
            run_on(Platform::MacOs, "Make it executable", "chmod +x {program}"),
            advice("On Windows, open the file's properties and allow this user to run it"),
            RETRY,
        ],
    },
    Entry {
        code: Code::SpawnFormat,
        what: "`{program}` is not a program for this computer.",
        why: "It was built for another processor or system, or it is a script without a first line such as `#!/bin/sh`.",
        remedy: "Install the version of the program for this system.",
        steps: &[
            run_on(Platform::Linux, "Show what kind of file it is", "file {program}"),
            run_on(Platform::MacOs, "Show what kind of file it is", "file {program}"),
            advice(
                "Start a script through its interpreter: use `python3` or `node` as `command`, and the script as an argument",
            ),
            RETRY,
        ],
    },
    Entry {
        code: Code::InterpreterMissing,
        what: "The interpreter `{interpreter}` of the script `{program}` does not exist.",
        why: "The interpreter was removed or moved, or the script has Windows line ends.",
        remedy: "Install the interpreter, or correct the first line of the script.",
        steps: &[
            run_on(Platform::Linux, "Show the first line of the script", "head -1 {program}"),
            run_on(Platform::MacOs, "Show the first line of the script", "head -1 {program}"),
            advice("If the name ends with `\\r`, save the script with Unix line ends"),
            RETRY,
        ],
    },
    Entry {
        code: Code::WorkingDirectory,
        what: "MCPProxy could not use the working directory `{directory}`.",
        why: "The directory does not exist, is a file, or this user may not enter it.",
        remedy: "Create the directory, or correct `working_dir`.",
        steps: &[
            run("Create it", "mkdir -p {directory}"),
            run("Use another directory", "mcpproxy upstream set {server} --working-dir DIR"),
            RETRY,
        ],
    },
    Entry {
        code: Code::ExitNonzero,
        what: "The server's program ended with {status} before it was ready.",
        why: "The program found a problem: often a missing key or argument, a package that does not exist, or no network. \
              Its last lines of output say which.",
        remedy: "Read the last lines of its output.",
        steps: &[
            SHOW_LOG,
            run("Set a variable that it asks for", "mcpproxy upstream set {server} --env NAME=VALUE"),
            run("Change its arguments", "mcpproxy upstream set {server} -- {command} ARGUMENTS"),
            RETRY,
        ],
    },
    Entry {
        code: Code::ExitBeforeInitialize,
        what: "The server's program ended before it answered `initialize`.",
        why: "The program may not be an MCP server, may need an argument such as `stdio`, or may print help and end.",
        remedy: "Read its output, and check the command in the documentation of the server.",
        steps: &[
            SHOW_LOG,
            run("Change its command", "mcpproxy upstream set {server} -- COMMAND ARGUMENTS"),
            RETRY,
        ],
    },
    Entry {
        code: Code::Exited,
        what: "The server's program ended while it was in use ({status}).",
        why: "The program crashed, was killed, or ends after each session. MCPProxy starts it again.",
        remedy: "If this repeats, read the last lines of its output.",
        steps: &[SHOW_LOG, RETRY],
    },
    Entry {
        code: Code::HandshakeTimeout,
        what: "The server's program runs, but has not answered `initialize` for {seconds} s.",
        why: "A first start may download a package for minutes. Otherwise the program waits for something, or is not an MCP server.",
        remedy: "Wait, if it downloads. Otherwise read its output.",
        steps: &[
            SHOW_LOG,
            button("Give it twice the time to start", Fixer::RaiseTimeout, true),
            RESTART,
        ],
    },
    Entry {
        code: Code::HandshakeInvalid,
        what: "The server's program answered `initialize` with something that is not MCP.",
        why: "The program is not an MCP server, or prints other text where its messages belong.",
        remedy: "Check that the command starts an MCP server over stdio.",
        steps: &[
            SHOW_LOG,
            run("Change its command", "mcpproxy upstream set {server} -- COMMAND ARGUMENTS"),
            RETRY,
        ],
    },
    Entry {
        code: Code::ProtocolVersion,
        what: "The server does not support a version of MCP that MCPProxy supports.",
        why: "The server is much older or newer than this MCPProxy.",
        remedy: "Update the server, or MCPProxy.",
        steps: &[run("Look for a newer MCPProxy", "mcpproxy update"), SHOW_LOG, RETRY],
    },
    Entry {
        code: Code::InitializeRejected,
        what: "The server rejected `initialize`.",
        why: "The server refuses to open a session; its message says why.",
        remedy: "Read the server's message below.",
        steps: &[SHOW_LOG, RETRY],
    },
    Entry {
        code: Code::ListFailed,
        what: "The server opened a session, but did not list its tools.",
        why: "The server failed while it listed its tools, or its list is too large.",
        remedy: "Read its output, and report the problem to the server's author.",
        steps: &[SHOW_LOG, RETRY],
    },
    Entry {
        code: Code::NoPong,
        what: "The server no longer answers.",
        why: "The server hangs, or the network between it and this computer has failed. MCPProxy reconnects.",
        remedy: "Wait for the next attempt, or retry now.",
        steps: &[RETRY, SHOW_LOG],
    },
    Entry {
        code: Code::DockerDown,
        what: "Docker or Podman is installed, but does not run.",
        why: "The service was not started, or stopped.",
        remedy: "Start Docker or Podman.",
        steps: &[
            run_on(Platform::Linux, "Start Docker", "sudo systemctl start docker"),
            run_on(Platform::MacOs, "Start Docker Desktop", "open -a Docker"),
            advice("On Windows, start Docker Desktop from the Start menu"),
            RETRY,
        ],
    },
    Entry {
        code: Code::DockerPull,
        what: "The image of the server's container did not arrive.",
        why: "The image does not exist, is not for this processor, needs a sign-in, or its registry cannot be reached.",
        remedy: "Check the name of the image, or pull it by hand to see the reason.",
        steps: &[run("Pull it by hand", "docker pull IMAGE"), SHOW_LOG, RETRY],
    },
    Entry {
        code: Code::DockerDenied,
        what: "This user may not use Docker.",
        why: "Docker's socket belongs to the group `docker`, and this user is not a member.",
        remedy: "Join the group and sign in to the computer again, or use Podman.",
        steps: &[
            run_on(Platform::Linux, "Join the group", "sudo usermod -aG docker $USER"),
            advice("Sign out and in again"),
            RETRY,
        ],
    },
    Entry {
        code: Code::DockerMissing,
        what: "The server should run in a container, but neither Docker nor Podman is installed.",
        why: "`isolation` is `docker`, and no container engine is in the PATH.",
        remedy: "Install Docker or Podman, or choose the sandbox of the system.",
        steps: &[
            run("Use the system's sandbox", "mcpproxy config edit"),
            advice("In the server's entry, set `isolation` to `sandbox`"),
            RETRY,
        ],
    },
    Entry {
        code: Code::DockerNoProgram,
        what: "The image of the container does not have the program `{command}`.",
        why: "The image is for another language, or is a minimal one.",
        remedy: "Choose an image that has the program with `isolation.image`.",
        steps: &[run("Edit the entry", "mcpproxy config edit"), RETRY],
    },
    Entry {
        code: Code::DockerRuntime,
        what: "The container could not be started, or was killed.",
        why: "Often the image is for another processor, or the server needs more memory than `memory_limit`.",
        remedy: "Read the reason below, then choose another image or raise the limit.",
        steps: &[SHOW_LOG, run("Edit the entry", "mcpproxy config edit"), RETRY],
    },
    Entry {
        code: Code::DockerSnap,
        what: "Docker was installed as a snap, which forbids what isolation needs.",
        why: "The confinement of the snap keeps containers from the directories that a server needs.",
        remedy: "Install Docker from docker.com or your distribution, or Podman, and remove the snap.",
        steps: &[
            run_on(Platform::Linux, "Remove the snap", "sudo snap remove docker"),
            RETRY,
        ],
    },
    Entry {
        code: Code::IsolationRefused,
        what: "The server was not started: this computer cannot enforce the isolation of its entry.",
        why: "The system has no sandbox for it: the kernel lacks Landlock, or `network` asks for more than the sandbox knows.",
        remedy: "Use a container, or allow the server to run without a sandbox.",
        steps: &[
            run("Edit the entry", "mcpproxy config edit"),
            advice("Set `isolation` to `docker`, or to `sandbox_or_none` to run the server without a sandbox"),
            RETRY,
        ],
    },
    Entry {
        code: Code::SandboxDenied,
        what: "The server may not use a file or a program that it needs.",
        why: "It runs in a sandbox, which allows the programs of the system, its runtime, its project and the paths in its entry.",
        remedy: "Allow the path that its last output names, with `isolation.read` or `isolation.write`.",
        steps: &[
            SHOW_LOG,
            run("Edit the entry", "mcpproxy config edit"),
            advice("In the server's entry, set `isolation` to `{\"mode\": \"auto\", \"read\": [\"/path\"]}`"),
            RETRY,
        ],
    },
];
