//! Settings, secrets, approvals, updates, and what fits nowhere else.

use super::step::{Entry, RETRY, advice, run, run_on};
use crate::contract::platform::Platform;
use crate::diagnostics::code::Code;

pub(super) const UNCLASSIFIED: Entry = Entry {
    code: Code::Unclassified,
    what: "The server failed for a reason that MCPProxy does not know.",
    why: "The message below is all that is known.",
    remedy: "Read the message and the log. If they do not help, please report the problem with this code.",
    steps: &[run("Show the server's log", "mcpproxy upstream logs {server}"), RETRY],
};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: Code::ConfigParse,
        what: "MCPProxy could not read its configuration file.",
        why: "The file is not valid JSON, or a value has the wrong type. MCPProxy uses the previous settings.",
        remedy: "Correct the file; the message names the line.",
        steps: &[
            run("Check the file", "mcpproxy config validate"),
            run("Edit the file", "mcpproxy config edit"),
        ],
    },
    Entry {
        code: Code::MissingSecret,
        what: "The server's entry refers to `{variable}{secret}`, which has no value.",
        why: "A `${env:NAME}` variable is not set where MCPProxy was started, or the keychain has no `${keyring:NAME}` secret.",
        remedy: "Set the value, then retry.",
        steps: &[
            run("Store a secret in the keychain", "mcpproxy secrets set {secret}"),
            advice("Set a variable where MCPProxy is started, then restart MCPProxy"),
            RETRY,
        ],
    },
    Entry {
        code: Code::InvalidEntry,
        what: "The server's entry has a value that MCPProxy cannot use.",
        why: "The message below names the key and what is expected.",
        remedy: "Correct the entry.",
        steps: &[
            run("Edit the entry", "mcpproxy config edit"),
            run("Check the file", "mcpproxy config validate"),
        ],
    },
    Entry {
        code: Code::DeprecatedField,
        what: "The configuration has a key that does nothing, or will be removed.",
        why: "The key is from another version, or from the Go core.",
        remedy: "Remove the key; `mcpproxy doctor` names it.",
        steps: &[run("Edit the file", "mcpproxy config edit")],
    },
    Entry {
        code: Code::PortInUse,
        what: "Another program uses the address that MCPProxy should listen on.",
        why: "Another MCPProxy or another program was started first.",
        remedy: "End that program, or use another port.",
        steps: &[
            run_on(Platform::Linux, "Show which program it is", "ss -ltnp"),
            run_on(Platform::MacOs, "Show which program it is", "lsof -nP -iTCP -sTCP:LISTEN"),
            run_on(Platform::Windows, "Show which program it is", "netstat -ano"),
            advice("In the tray menu, choose *Use another port*, or set `listen` in the configuration"),
        ],
    },
    Entry {
        code: Code::KeychainLocked,
        what: "The system's keychain is locked.",
        why: "It was not unlocked after the login, or its prompt was dismissed.",
        remedy: "Unlock the keychain, then retry.",
        steps: &[RETRY],
    },
    Entry {
        code: Code::KeychainMissing,
        what: "The system's keychain cannot be used.",
        why: "There is none in this session (for example over SSH), or it returned an error.",
        remedy: "Sign in to the desktop, or use `${env:NAME}` in place of `${keyring:NAME}`.",
        steps: &[
            advice("On Linux, install and start a keychain such as GNOME Keyring or KWallet"),
            RETRY,
        ],
    },
    Entry {
        code: Code::PendingApproval,
        what: "The server, or a tool of it, needs your approval.",
        why: "Nothing new runs or is shown to AI clients before you have looked at it.",
        remedy: "Review it, then approve it.",
        steps: &[
            run("Review and approve it", "mcpproxy upstream approve {server}"),
            run("Show its tools", "mcpproxy upstream inspect {server}"),
        ],
    },
    Entry {
        code: Code::ToolChanged,
        what: "A tool of the server has changed since you approved it.",
        why: "The server was updated, or its description for your AI client was changed on purpose.",
        remedy: "Compare the old and the new description, then approve it.",
        steps: &[
            run("Show what changed", "mcpproxy upstream inspect {server}"),
            run("Approve the change", "mcpproxy upstream approve {server}"),
        ],
    },
    Entry {
        code: Code::UpdateList,
        what: "MCPProxy could not read the list of its releases.",
        why: "The network is down, or the list is not signed as it must be.",
        remedy: "Try again later.",
        steps: &[run("Check again", "mcpproxy update")],
    },
    Entry {
        code: Code::UpdateDownload,
        what: "The download of a new version failed.",
        why: "MCPProxy does not report this code: it only checks for new versions, and downloads nothing. It exists for \
              other programs that use the same codes.",
        remedy: "Download the new version again.",
        steps: &[run("Check again", "mcpproxy update")],
    },
    Entry {
        code: Code::UpdateInstall,
        what: "A new version could not be installed.",
        why: "MCPProxy does not report this code: it only checks for new versions, and installs nothing. It exists for \
              other programs that use the same codes.",
        remedy: "Install it by hand.",
        steps: &[run("Show the newest version", "mcpproxy update")],
    },
    Entry {
        code: Code::UpdateOther,
        what: "MCPProxy could not check for updates.",
        why: "The settings in `update_check` are not complete or not valid; the message names what is wrong.",
        remedy: "Correct `update_check` in the configuration.",
        steps: &[
            run("Edit the file", "mcpproxy config edit"),
            run("Check again", "mcpproxy update"),
        ],
    },
    UNCLASSIFIED,
];
