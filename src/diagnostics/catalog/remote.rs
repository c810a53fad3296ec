//! Servers over HTTP: network, status, sign-in.

use super::step::{Entry, Fixer, RETRY, SIGN_IN, SIGN_IN_AGAIN, advice, button, run, run_on};
use crate::contract::platform::Platform;
use crate::diagnostics::code::Code;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: Code::LoginRequired,
        what: "The server requires you to sign in.",
        why: "This is the first time, or you signed out.",
        remedy: "Sign in with your browser.",
        steps: &[
            SIGN_IN,
            run("Sign in from a terminal", "mcpproxy upstream login {server}"),
        ],
    },
    Entry {
        code: Code::ReauthRequired,
        what: "The server no longer accepts your sign-in.",
        why: "The token expired or was revoked, or the server has forgotten MCPProxy.",
        remedy: "Sign in again.",
        steps: &[
            SIGN_IN_AGAIN,
            run("Sign in from a terminal", "mcpproxy upstream login {server}"),
        ],
    },
    Entry {
        code: Code::RefreshExpired,
        what: "Your sign-in has expired and cannot be renewed.",
        why: "MCPProxy does not report this code: an authorization server does not say why it no longer accepts a refresh \
              token, so the code is `MCPX_OAUTH_REAUTH_REQUIRED`. It exists for other programs that use the same codes.",
        remedy: "Sign in again.",
        steps: &[
            SIGN_IN_AGAIN,
            run("Sign in from a terminal", "mcpproxy upstream login {server}"),
        ],
    },
    Entry {
        code: Code::RefreshRefused,
        what: "The authorization server refused to renew your sign-in.",
        why: "The access was revoked, or the refresh token was used elsewhere.",
        remedy: "Sign in again.",
        steps: &[
            SIGN_IN_AGAIN,
            run("Sign in from a terminal", "mcpproxy upstream login {server}"),
        ],
    },
    Entry {
        code: Code::DiscoveryFailed,
        what: "MCPProxy could not find out how to sign in to `{url}`.",
        why: "The server publishes no usable authorization metadata, or its authorization server cannot be reached.",
        remedy: "Use a token in a header instead, if the server's documentation offers one.",
        steps: &[
            run("Send a token", "mcpproxy upstream set {server} --header \"Authorization: Bearer ${keyring:NAME}\""),
            RETRY,
        ],
    },
    Entry {
        code: Code::RegistrationRefused,
        what: "The authorization server does not let MCPProxy register itself.",
        why: "The provider accepts known applications only.",
        remedy: "Create an application at the provider, and set its id as `oauth.client_id` in the server's entry.",
        steps: &[
            run("Edit the entry", "mcpproxy config edit"),
            run("Or send a token", "mcpproxy upstream set {server} --header \"Authorization: Bearer ${keyring:NAME}\""),
        ],
    },
    Entry {
        code: Code::CallbackTimeout,
        what: "The sign-in was not completed: the browser did not return.",
        why: "The page was closed or waited for too long, or the browser runs on another computer.",
        remedy: "Sign in again.",
        steps: &[
            SIGN_IN_AGAIN,
            run("Sign in from a terminal", "mcpproxy upstream login {server}"),
        ],
    },
    Entry {
        code: Code::CallbackMismatch,
        what: "The authorization server refused the address that the browser returns to.",
        why: "The provider allows registered addresses only.",
        remedy: "Set `oauth.redirect_uri` in the server's entry to an address that is registered at the provider.",
        steps: &[run("Edit the entry", "mcpproxy config edit"), SIGN_IN_AGAIN],
    },
    Entry {
        code: Code::SignInFailed,
        what: "The sign-in failed.",
        why: "You or the authorization server refused it; the reason is below.",
        remedy: "Sign in again, with an account that may use the server.",
        steps: &[
            SIGN_IN_AGAIN,
            run("Sign in from a terminal", "mcpproxy upstream login {server}"),
        ],
    },
    Entry {
        code: Code::DnsFailed,
        what: "The name `{host}` has no address.",
        why: "The URL has a typing error, the network is down, or the name is known only inside a VPN.",
        remedy: "Check the URL and the network.",
        steps: &[
            run("Look up the name", "nslookup {host}"),
            run("Correct the URL", "mcpproxy upstream set {server} --url URL"),
            RETRY,
        ],
    },
    Entry {
        code: Code::TlsFailed,
        what: "No secure connection to `{host}` was possible.",
        why: "The certificate has expired, belongs to another name or is not trusted; or the server speaks `http:` there, not `https:`.",
        remedy: "Check the certificate and the clock of this computer.",
        steps: &[
            run_on(Platform::Linux, "Show the problem", "curl -sSI {url}"),
            run_on(Platform::MacOs, "Show the problem", "curl -sSI {url}"),
            run_on(Platform::Windows, "Show the problem", "curl.exe -sSI {url}"),
            advice("If a company inspects traffic, install its root certificate in the system"),
            RETRY,
        ],
    },
    Entry {
        code: Code::Http401,
        what: "`{url}` does not accept the `Authorization` header of the server's entry (401).",
        why: "The token is wrong, has expired or was revoked.",
        remedy: "Set a new token, or remove the header and sign in with your browser.",
        steps: &[
            run("Set a new token", "mcpproxy upstream set {server} --header \"Authorization: Bearer ${keyring:NAME}\""),
            run("Remove the header", "mcpproxy upstream set {server} --unset-header Authorization"),
            button("Sign in again", Fixer::SignIn, true),
        ],
    },
    Entry {
        code: Code::Http403,
        what: "`{url}` refuses access (403).",
        why: "The account or token lacks a permission, or the server refuses this network.",
        remedy: "Use an account or token with the permission that the server asks for.",
        steps: &[
            run(
                "Set another token",
                "mcpproxy upstream set {server} --header \"Authorization: Bearer ${keyring:NAME}\"",
            ),
            RETRY,
        ],
    },
    Entry {
        code: Code::Http404,
        what: "`{url}` does not exist on that server ({status}).",
        why: "The path is wrong (often it ends with `/mcp` or `/sse`), or the server speaks the other HTTP transport.",
        remedy: "Correct the URL, as in the documentation of the server.",
        steps: &[
            run("Correct the URL", "mcpproxy upstream set {server} --url URL"),
            advice("If the server is a legacy one, set `protocol` to `sse`"),
            RETRY,
        ],
    },
    Entry {
        code: Code::Http4xx,
        what: "`{url}` refused the request ({status}).",
        why: "The server expects another path, header or protocol version.",
        remedy: "Check the URL and the headers in the documentation of the server.",
        steps: &[
            run("Correct the URL", "mcpproxy upstream set {server} --url URL"),
            RETRY,
        ],
    },
    Entry {
        code: Code::Http429,
        what: "`{url}` receives too many requests (429).",
        why: "The account or this network has used up its quota. MCPProxy retries more slowly.",
        remedy: "Wait, or use another account.",
        steps: &[RETRY],
    },
    Entry {
        code: Code::Http5xx,
        what: "`{url}` has an internal error ({status}).",
        why: "The problem is at the server; it usually passes. MCPProxy retries.",
        remedy: "Wait, or look at the status page of the provider.",
        steps: &[RETRY],
    },
    Entry {
        code: Code::HttpRedirect,
        what: "`{url}` has moved ({status}).",
        why: "MCPProxy does not follow redirects, because headers and tokens are meant for one address.",
        remedy: "Set `url` to the new address.",
        steps: &[
            run("Set the new URL", "mcpproxy upstream set {server} --url URL"),
            RETRY,
        ],
    },
    Entry {
        code: Code::HttpTimeout,
        what: "`{url}` does not answer in time.",
        why: "The server or the network is slow or down, or a firewall drops the connection.",
        remedy: "Check the network, or give the server more time.",
        steps: &[
            RETRY,
            button("Give it twice the time to start", Fixer::RaiseTimeout, true),
        ],
    },
    Entry {
        code: Code::ConnectionRefused,
        what: "No program accepts connections at `{host}` on that port.",
        why: "The server is not running, or listens on another port.",
        remedy: "Start the server, or correct the URL.",
        steps: &[
            run("Correct the URL", "mcpproxy upstream set {server} --url URL"),
            RETRY,
        ],
    },
    Entry {
        code: Code::ConnectionLost,
        what: "The connection to `{url}` broke.",
        why: "The server was restarted, or the network was interrupted. MCPProxy reconnects.",
        remedy: "Wait for the next attempt, or retry now.",
        steps: &[RETRY],
    },
    Entry {
        code: Code::HttpNotMcp,
        what: "`{url}` answers, but not like an MCP server.",
        why: "The URL is that of a web page or another API.",
        remedy: "Correct the URL, as in the documentation of the server.",
        steps: &[
            run("Correct the URL", "mcpproxy upstream set {server} --url URL"),
            RETRY,
        ],
    },
    Entry {
        code: Code::ProxyMisconfigured,
        what: "The HTTP proxy `{proxy}` did not connect to `{host}`.",
        why: "The variable `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` names a proxy that is down, or that refuses this host.",
        remedy: "Correct the variable where MCPProxy is started, or add the host to `NO_PROXY`.",
        steps: &[advice("Restart MCPProxy after changing the variable"), RETRY],
    },
    Entry {
        code: Code::Offline,
        what: "This computer cannot reach `{host}`: it has no network, or no route to it.",
        why: "Wi-Fi or the VPN is off.",
        remedy: "Connect to the network; MCPProxy then reconnects.",
        steps: &[RETRY],
    },
];
