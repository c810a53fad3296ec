"""Signing in to servers with a browser, using the official Python SDK's authorization and resource servers on loopback.

A plain HTTP client acts as the browser. Run by `scripts/test mcp`.
"""

import http.client
import json
import os
import re
import stat
import sys
import unittest
import urllib.parse

from test_http import GUARDED
from test_own_tools import call, text_of
from world import CORE, World, free_port, main, wait_for

# A protected server and its authorization server. The SDK's routes use a store in memory that records all requests; a file
# controls the behaviour.
PROTECTED = """
import json, pathlib, secrets, sys, time
import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.provider import *
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.auth import routes
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
here = f"http://127.0.0.1:{port}"

def behaviour():
    try:
        return json.loads((folder / "behaviour.json").read_text())
    except FileNotFoundError:
        return {}

class Memory:
    def __init__(self):
        self.clients, self.codes, self.access, self.renewals = {}, {}, {}, {}

    def note(self, what, **more):
        with open(folder / "asked.jsonl", "a") as asked:
            asked.write(json.dumps({"what": what, **more}) + "\\n")

    async def get_client(self, client_id):
        return None if behaviour().get("forget_clients") else self.clients.get(client_id)

    async def register_client(self, client):
        self.note("register", redirect=str(client.redirect_uris[0]), grants=client.grant_types)
        if secret := behaviour().get("client_secret"):
            client.client_secret = secret
            client.token_endpoint_auth_method = "client_secret_post"
        self.clients[client.client_id] = client

    async def authorize(self, client, params):
        self.note("authorize", resource=params.resource, challenge=bool(params.code_challenge), scopes=params.scopes)
        if behaviour().get("deny"):
            raise AuthorizeError("access_denied", "Ann <b>said</b> no")
        code = "code-" + secrets.token_hex(20)
        self.codes[code] = AuthorizationCode(code=code, client_id=client.client_id, scopes=params.scopes or [],
            expires_at=time.time() + 60, code_challenge=params.code_challenge, redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly, resource=params.resource)
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    def issue(self, client, scopes, resource):
        access, renewal = "access-" + secrets.token_hex(20), "refresh-" + secrets.token_hex(20)
        life = behaviour().get("life", 3600)
        self.access[access] = AccessToken(token=access, client_id=client.client_id, scopes=scopes,
            expires_at=int(time.time() + life), resource=resource)
        self.renewals[renewal] = RefreshToken(token=renewal, client_id=client.client_id, scopes=scopes, resource=resource)
        said = behaviour().get("said_life", life)
        return OAuthToken(access_token=access, expires_in=said, scope=" ".join(scopes), refresh_token=renewal)

    async def load_authorization_code(self, client, code):
        return self.codes.get(code)

    async def exchange_authorization_code(self, client, code):
        del self.codes[code.code]
        self.note("exchange")
        return self.issue(client, code.scopes, code.resource)

    async def load_refresh_token(self, client, token):
        return None if behaviour().get("refuse_renewals") else self.renewals.get(token)

    async def exchange_refresh_token(self, client, token, scopes):
        del self.renewals[token.token]
        self.note("renew")
        return self.issue(client, scopes, token.resource)

    async def load_access_token(self, token):
        if behaviour().get("revoke") or time.time() >= getattr(self.access.get(token), "expires_at", 0):
            return None
        return self.access[token]

    async def revoke_token(self, token):
        pass

settings = AuthSettings(issuer_url=here, resource_server_url=here + "/mcp", required_scopes=["tools"],
    validate_token_resource=True,
    client_registration_options=ClientRegistrationOptions(
        enabled=not behaviour().get("no_registration"), valid_scopes=["tools"], default_scopes=["tools"]))
memory = Memory()
# The SDK's token endpoint requires the client ID in the form; clients with a secret send it there if only that method is offered.
build = routes.build_metadata
def build_metadata(*given, **more):
    metadata = build(*given, **more)
    metadata.token_endpoint_auth_methods_supported = ["client_secret_post"]
    return metadata
routes.build_metadata = build_metadata
if address := behaviour().get("by_hand"):
    memory.clients["by-hand"] = OAuthClientInformationFull(client_id="by-hand", client_secret="secret-of-the-client",
        redirect_uris=[address], scope="tools", token_endpoint_auth_method="client_secret_post")
server = MCPServer("protected", auth_server_provider=memory, auth=settings)
@server.tool()
def add(a: int, b: int) -> int:
    "Adds two numbers"
    return a + b
app = server.streamable_http_app()
async def noting(scope, receive, send):
    if scope["type"] != "http" or scope["path"] != "/token":
        return await app(scope, receive, send)
    body = b""
    async def read():
        nonlocal body
        message = await receive()
        body += message.get("body", b"")
        return message
    await app(scope, read, send)
    from urllib.parse import parse_qs
    asked = parse_qs(body.decode())
    memory.note("token", grant=asked["grant_type"][0], resource=asked.get("resource", [None])[0],
        secret=asked.get("client_secret", [None])[0])
uvicorn.run(noting, host="127.0.0.1", port=port, log_level="warning")
"""

# Replaces the desktop's URL opener; records the URLs.
OPENER = """#!/bin/sh
echo "$1" >>"$HOME/opened"
"""


class Site:
    """The protected server and its authorization server, in one world."""

    def __init__(self, world, older=False, **behaviour):
        self.world = world
        self.folder = world.directory / "site"
        self.folder.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/{'sse' if older else 'mcp'}"
        self.behave(**behaviour)
        script = self.folder / "protected.py"
        script.write_text(PROTECTED.replace("streamable_http_app", "sse_app").replace("/mcp", "/sse") if older else PROTECTED)
        world.start(sys.executable, script, self.port, self.folder)
        wait_for("the protected server listens", self.listens, 20)

    def listens(self):
        try:
            return fetch(f"http://127.0.0.1:{self.port}/.well-known/oauth-authorization-server").status == 200
        except OSError:
            return False

    def behave(self, **behaviour):
        new = self.folder / "behaviour.new"
        new.write_text(json.dumps(behaviour))
        new.rename(self.folder / "behaviour.json")

    def asked(self, what):
        lines = (self.folder / "asked.jsonl").read_text().splitlines() if (self.folder / "asked.jsonl").exists() else []
        return [line for line in map(json.loads, lines) if line["what"] == what]

    def entry(self, **more):
        return {"name": "site", "url": self.url, "enabled": True, **more}


class Page:
    def __init__(self, answer):
        self.status, self.location, self.headers = answer.status, answer.getheader("Location"), answer.headers
        self.text = answer.read().decode()


def fetch(address):
    """Sends one request like a browser, without following redirects."""
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return Page(connection.getresponse())
    finally:
        connection.close()


def browse(address):
    """Follows all redirects and returns the final page."""
    page = fetch(address)
    while page.location:
        page = fetch(page.location)
    return page


def values(tree):
    """Yields every value in a JSON tree."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [tree, *(value for part in inner for value in values(part))]


class SignIn(unittest.TestCase):
    def world(self, **config):
        return World(config=config, variables={"DISPLAY": "", "WAYLAND_DISPLAY": ""})

    def needed(self, world):
        def needed():
            health = (world.server("site") or {}).get("health") or {}
            return health.get("action") == "login"

        wait_for("a sign-in is needed", needed, 20)

    def login(self, world):
        answer = world.post("/api/v1/servers/site/login")
        self.assertEqual(answer.status, 200, answer.text)
        return answer.data

    def signed_in(self, world):
        """A world whose user has signed in."""
        self.needed(world)
        address = self.login(world)["auth_url"]
        page = browse(address)
        self.assertEqual(page.status, 200, page.text)
        wait_for("the server is connected", lambda: world.server("site")["connected"], 20)
        return address

    def adds(self, world):
        return text_of(call(world, "call_tool_read", {"name": "site:add", "args": {"a": 1, "b": 2}}))

    def kept(self, world):
        return json.loads((world.root / "oauth-tokens.json").read_text()).get("site")

    def failed(self, world, words):
        wait_for(words, lambda: words in (world.server("site").get("last_error") or ""), 20)

    def test_whole(self):
        """after a sign-in the server's tools work, also after a restart of the core; no token is shown anywhere"""
        with self.world() as world:
            site = Site(world)
            world.write_config({"mcpServers": [site.entry()]})
            world.variables["MCPPROXY_LOG"] = "trace"
            core = world.start_core()
            self.needed(world)
            server = world.server("site")
            self.assertEqual((server["status"], server["oauth_status"]), ("error", "none"))
            self.assertEqual(server["health"]["summary"], "Sign-in needed")
            self.assertIn("mcpproxy upstream login site", server["last_error"])
            self.assertIn("requires sign-in", self.adds(world))
            required = world.get("/api/v1/diagnostics").data["oauth_required"]
            self.assertEqual([(one["server_name"], one["state"]) for one in required], [("site", "none")])
            self.assertIn("mcpproxy upstream login site", world.run(CORE, "doctor").stdout)
            started = self.login(world)
            self.assertEqual((started["success"], started["server_name"], started["browser_opened"]), (True, "site", False))
            self.assertIn("without a desktop", started["browser_error"])
            self.assertEqual(world.server("site")["oauth_status"], "pending")
            self.assertEqual(self.login(world)["auth_url"], started["auth_url"])
            page = browse(started["auth_url"])
            self.assertEqual(page.status, 200)
            self.assertIn("You are signed in to site", page.text)
            self.assertEqual(page.headers["Cache-Control"], "no-store")
            wait_for("the server is connected", lambda: world.server("site")["connected"], 20)
            self.assertEqual(self.adds(world), "3")
            self.assertTrue(world.server("site")["authenticated"])
            # Requirements of the protocol.
            self.assertEqual(site.asked("authorize"), [{"what": "authorize", "resource": site.url, "challenge": True, "scopes": ["tools"]}])
            self.assertEqual(site.asked("token")[0]["resource"], site.url)
            registered = site.asked("register")[0]
            self.assertRegex(registered["redirect"], r"^http://127\.0\.0\.1:\d+/callback$")
            self.assertIn("refresh_token", registered["grants"])
            tokens = world.root / "oauth-tokens.json"
            self.assertEqual(stat.S_IMODE(tokens.stat().st_mode), 0o600)
            secrets = re.findall(r"(?:access|refresh)-[0-9a-f]{40}", tokens.read_text())
            self.assertEqual(len(secrets), 2)
            # The callback listener is closed.
            with self.assertRaises(OSError):
                fetch(registered["redirect"])
            core.terminate()
            core.wait(10)
            world.start_core()
            world.wait_connected("site")
            self.assertEqual(self.adds(world), "3")
            self.assertEqual(len(site.asked("authorize")), 1)
            shown = world.get("/api/v1/config").text + world.get("/api/v1/servers").text + world.get("/api/v1/status").text
            shown += world.config_file.read_text() + world.run(CORE, "upstream", "list", "-o", "json").stdout
            shown += "".join(log.read_text() for log in (world.root / "logs").glob("*.log"))
            self.assertIn("TRACE", shown)
            for secret in [*secrets, "code-"]:
                self.assertNotIn(secret, shown)
            payload = world.get("/api/v1/telemetry/payload").text
            self.assertIn('"oauth_provider_types":["generic"]', payload.replace(" ", ""))

    def test_browser(self):
        """on a desktop the sign-in page opens in the user's browser"""
        with self.world() as world:
            site = Site(world)
            world.write_config({"mcpServers": [site.entry()]})
            opener = world.directory / "bin" / "xdg-open"
            opener.parent.mkdir()
            opener.write_text(OPENER)
            opener.chmod(0o755)
            path = f"{opener.parent}:{os.environ['PATH']}"
            world.variables.update(DISPLAY=":none", PATH=path)
            world.start_core()
            self.needed(world)
            started = self.login(world)
            self.assertEqual((started["browser_opened"], started.get("browser_error")), (True, None))
            opened = world.directory / "opened"
            wait_for("the page is opened", lambda: opened.exists() and opened.read_text().strip() == started["auth_url"])

    def test_command_line(self):
        """`upstream login` prints the URL and waits for the sign-in; `upstream logout` deletes the tokens"""
        with self.world() as world:
            site = Site(world)
            world.write_config({"mcpServers": [site.entry()]})
            world.start_core()
            self.needed(world)
            login = world.start(CORE, "upstream", "login", "site")
            found = wait_for("the address is printed", lambda: re.search(r"http://127\S+/authorize\S+", world.output(login)))
            self.assertIsNone(login.poll())
            browse(found[0])
            self.assertEqual(login.wait(20), 0)
            self.assertIn("Signed in to `site`.", world.output(login))
            self.assertEqual(self.adds(world), "3")
            done = world.run(CORE, "upstream", "logout", "site")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.needed(world)
            self.assertIsNone(self.kept(world))
            site.behave(deny=True)
            login = world.start(CORE, "upstream", "login", "site")
            found = wait_for("the address is printed", lambda: re.search(r"http://127\S+/authorize\S+", world.output(login)))
            browse(found[0])
            self.assertEqual(login.wait(20), 1)
            self.assertIn("access was denied", world.output(login))
            for action in ("login", "logout"):
                unknown = world.run(CORE, "upstream", action, "unknown")
                self.assertEqual(unknown.returncode, 1)
                self.assertIn("no server is named `unknown`", unknown.stderr)

    def test_refusals(self):
        """a wrong state changes nothing; a denied sign-in is reported, and can be repeated"""
        with self.world() as world:
            site = Site(world, deny=True)
            world.write_config({"mcpServers": [site.entry(), {"name": "here", "command": "cat", "enabled": False}]})
            world.start_core()
            self.needed(world)
            address = self.login(world)["auth_url"]
            redirect = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["redirect_uri"][0]
            wrong = fetch(f"{redirect}?code=stolen&state=guessed")
            self.assertEqual(wrong.status, 400)
            self.assertIn("does not belong to the pending sign-in", wrong.text)
            self.assertEqual(fetch(redirect.replace("/callback", "/favicon.ico")).status, 404)
            self.assertEqual(world.server("site")["oauth_status"], "pending")
            denied = browse(address)
            self.assertEqual(denied.status, 400)
            self.assertIn("access was denied: Ann &lt;b&gt;said&lt;/b&gt; no", denied.text)
            self.failed(world, "sign-in failed: access was denied")
            self.assertEqual(world.server("site")["health"]["action"], "login")
            site.behave()
            self.signed_in(world)
            self.assertNotIn("last_error", world.server("site"))
            unknown = world.post("/api/v1/servers/unknown/login")
            self.assertEqual(unknown.status, 404)
            self.assertIn("not found", unknown.json["error"])
            useless = world.post("/api/v1/servers/here/login")
            self.assertEqual(useless.status, 400)
            self.assertIn("it has no sign-in", useless.json["message"])

    def test_renewal(self):
        """an expired token is renewed with the latest refresh token, and so is one that the server refuses early"""
        with self.world() as world:
            site = Site(world, life=1)
            world.write_config({"mcpServers": [site.entry()]})
            core = world.start_core()
            self.signed_in(world)
            first = self.kept(world)["credentials"]["token_response"]
            wait_for("two renewals", lambda: self.adds(world) == "3" and len(site.asked("renew")) >= 2, 20)
            last = self.kept(world)["credentials"]["token_response"]
            self.assertNotEqual(first["refresh_token"], last["refresh_token"])
            renewals = [asked for asked in site.asked("token") if asked["grant"] == "refresh_token"]
            self.assertEqual({asked["resource"] for asked in renewals}, {site.url})
            # The server revokes a token before its expiry.
            site.behave(life=1, said_life=3600)
            seen = len(site.asked("renew"))
            wait_for("the next is renewed", lambda: self.adds(world) == "3" and len(site.asked("renew")) > seen + 1, 20)
            core.terminate()
            core.wait(10)
            world.start_core()
            world.wait_connected("site")
            self.assertEqual(self.adds(world), "3")
            self.assertEqual(len(site.asked("authorize")), 1)

    def test_renewal_refused(self):
        """after a refused renewal or a forgotten client, the user must sign in again, and that works"""
        with self.world() as world:
            site = Site(world, life=1)
            world.write_config({"mcpServers": [site.entry()],})
            world.start_core()
            for way in ("refuse_renewals", "forget_clients"):
                self.signed_in(world)
                site.behave(life=1, **{way: True})
                wait_for("a call fails", lambda: self.adds(world) != "3", 20)
                self.needed(world)
                site.behave(life=1)
            payload = json.loads(world.get("/api/v1/telemetry/payload").text)
            self.assertIn({"oauth_refresh_failed": 1, "oauth_token_expired": 2}, values(payload))
            self.signed_in(world)
            self.assertEqual(len(site.asked("register")), 3)
            self.assertEqual(self.adds(world), "3")

    def test_older(self):
        """the legacy transport behaves the same, configured or detected: sign-in, renewal after a 401, and sign-in again"""
        for entry in ({"protocol": "sse"}, {}):
            with self.world() as world:
                site = Site(world, older=True, life=1, said_life=3600)
                world.write_config({"mcpServers": [site.entry(**entry)]})
                world.start_core()
                self.signed_in(world)
                self.assertEqual(world.server("site")["protocol"], "sse")
                wait_for("two renewals", lambda: self.adds(world) == "3" and len(site.asked("renew")) >= 2, 20)
                self.assertEqual({asked["resource"] for asked in site.asked("token")}, {site.url})
                site.behave(refuse_renewals=True)
                wait_for("a call fails", lambda: self.adds(world) != "3", 20)
                self.needed(world)

    def test_secret(self):
        """a client secret from registration survives a restart"""
        with self.world() as world:
            site = Site(world, life=1, client_secret="secret-of-the-client")
            world.write_config({"mcpServers": [site.entry()]})
            core = world.start_core()
            self.signed_in(world)
            core.terminate()
            core.wait(10)
            world.start_core()
            wait_for("it is renewed", lambda: self.adds(world) == "3" and site.asked("renew"), 20)
            self.assertEqual({asked["secret"] for asked in site.asked("token")}, {"secret-of-the-client"})

    def test_proxy(self):
        """with a proxy in the environment, discovery, sign-in, calls and renewals of a server on loopback go direct"""
        with self.world() as world:
            nowhere = "http://127.0.0.1:9"
            names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
            site = Site(world, life=1)
            world.variables |= {**dict.fromkeys(names, nowhere), "NO_PROXY": "", "no_proxy": ""}
            world.write_config({"mcpServers": [site.entry()]})
            world.start_core()
            self.signed_in(world)
            wait_for("a renewal", lambda: self.adds(world) == "3" and site.asked("renew"), 20)

    def test_by_hand(self):
        """a manually registered client signs in with its ID, secret, redirect URI and scopes; neither ID nor secret is shown"""
        with self.world() as world:
            address = f"http://127.0.0.1:{free_port()}/back"
            site = Site(world, life=1, no_registration=True, by_hand=address)
            world.variables["SECRET_OF_THE_TEST"] = "secret-of-the-client"
            oauth = {"client_id": "by-hand", "client_secret": "${env:SECRET_OF_THE_TEST}", "redirect_uri": address, "scopes": None,
                "extra_params": {"audience": "all of it", "state": "not ours"}}
            world.write_config({"mcpServers": [site.entry(oauth=oauth)]})
            world.start_core()
            said = urllib.parse.parse_qs(urllib.parse.urlsplit(self.signed_in(world)).query)
            self.assertEqual(said["audience"], ["all of it"])
            self.assertNotIn("not ours", said["state"])
            wait_for("it is renewed", lambda: self.adds(world) == "3" and site.asked("renew"), 20)
            self.assertEqual({asked["secret"] for asked in site.asked("token")}, {"secret-of-the-client"})
            shown = world.get("/api/v1/config").text + world.get("/api/v1/servers").text
            self.assertNotIn("secret-of-the-client", shown + (world.root / "oauth-tokens.json").read_text())
            world.run(CORE, "upstream", "remove", "site", "--yes")
            wait_for("its tokens are gone", lambda: self.kept(world) is None)

    def test_no_registration(self):
        """an authorization server without registration is explained, and so is a server without an authorization server"""
        with self.world() as world:
            site = Site(world, no_registration=True)
            world.write_config({"mcpServers": [site.entry()]})
            world.start_core()
            self.needed(world)
            refused = world.post("/api/v1/servers/site/login")
            self.assertEqual(refused.status, 400)
            self.assertIn("set `client_id` in the server's `oauth`", refused.json["message"])
            self.failed(world, "set `client_id` in the server's `oauth`")
            port = free_port()
            script = world.directory / "guarded.py"
            script.write_text(GUARDED)
            world.start(sys.executable, script, port)
            world.write_config({"mcpServers": [site.entry(url=f"http://127.0.0.1:{port}/mcp")]})
            self.failed(world, "requires sign-in")
            refused = world.post("/api/v1/servers/site/login")
            self.assertEqual(refused.status, 400)
            self.assertIn("set an `Authorization` header", refused.json["message"])


if __name__ == "__main__":
    main()
