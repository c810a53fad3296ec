"""Secrets in a real keychain: gnome-keyring on its own session bus, also read and written by another program.

Run by `scripts/test mcp`.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from test_oauth import PROTECTED, SignIn, Site, browse  # the same sign-in
from test_own_tools import call, text_of
from world import CORE, World, main, wait_for

SERVER = """
import os, warnings
from mcp.server import MCPServer

warnings.simplefilter("ignore")
server = MCPServer("keyed")

@server.tool()
def key() -> str:
    return os.environ["KEY"]

server.run()
"""
LOGIN = "/org/freedesktop/secrets/collection/login"


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=30, **options)


class Keychain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory(prefix="mcpp-keyring-")
        # There is no display: password prompts end immediately, as if the user had closed them.
        os.environ.pop("DISPLAY", None)
        os.environ |= {"HOME": cls.home.name, "XDG_RUNTIME_DIR": cls.home.name, "XDG_DATA_HOME": cls.home.name}
        cls.unlock()

    @classmethod
    def tearDownClass(cls):
        subprocess.run(["pkill", "-f", f"gnome-keyring-daemon.*{cls.home.name}"])
        cls.home.cleanup()

    @classmethod
    def unlock(cls):
        arguments = ["--replace", "--unlock", "--components=secrets", f"--control-directory={cls.home.name}"]
        done = run("gnome-keyring-daemon", *arguments, input="password of the keyring")
        assert done.returncode == 0, done.stderr

    def lock(self):
        done = run("gdbus", "call", "--session", "--dest", "org.freedesktop.secrets", "--object-path", "/org/freedesktop/secrets",
                   "--method", "org.freedesktop.Secret.Service.Lock", f"['{LOGIN}']")
        self.assertEqual(done.returncode, 0, done.stderr)

    def lookup(self, name):
        return run("secret-tool", "lookup", "service", "mcpproxy", "username", name).stdout

    def world(self, **config):
        world = World(variables={"MCPPROXY_KEYRING_WRITE": "1"})
        if config:
            world.write_config(config)
        return world

    def test_by_hand(self):
        """`secrets set` and `remove` store and delete a secret that other programs can read; failures are explained"""
        with self.world() as world:
            kept = world.run(CORE, "secrets", "set", "A.b-1", input="s3cret of ä\n")
            self.assertEqual((kept.returncode, kept.stdout), (0, ""), kept.stderr)
            self.assertEqual(self.lookup("A.b-1"), "s3cret of ä")
            self.assertEqual(world.run(CORE, "secrets", "set", "A.b-1", input="other").returncode, 0)
            self.assertEqual(self.lookup("A.b-1"), "other")
            self.assertEqual(world.run(CORE, "secrets", "remove", "A.b-1").returncode, 0)
            self.assertEqual(self.lookup("A.b-1"), "")
            for arguments, given, words in (
                (("remove", "A.b-1"), "", "has no secret `A.b-1`"),
                (("set", "no name"), "x", "invalid secret name"),
                (("set", "A"), "", "1 to 1280 bytes"),
                (("set", "A"), "x" * 1281, "1 to 1280 bytes"),
            ):
                failed = world.run(CORE, "secrets", *arguments, input=given)
                self.assertEqual(failed.returncode, 1, arguments)
                self.assertIn(words, failed.stderr)
            world.variables["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nowhere"
            failed = world.run(CORE, "secrets", "set", "A", input="x")
            self.assertIn("no keychain is available", failed.stderr)
            self.assertIn("${env:NAME}", failed.stderr)

    def test_import_list_remove_and_uninstall(self):
        """import moves secrets; list, rm and uninstall name those that remain, and uninstall deletes those of servers and sign-ins"""
        with self.world() as world:
            world.variables["XDG_CONFIG_HOME"] = str(world.directory / ".config")
            world.write_config({"mcpServers": []})
            cursor = world.directory / ".cursor/mcp.json"
            cursor.parent.mkdir()
            servers = {"gh": {"command": "true", "env": {"GITHUB_TOKEN": "ghp_of_a_test", "LEVEL": "debug"}},
                       "web": {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer tok_of_a_test"}},
                       "old": {"command": "false", "env": {"API_KEY": "key_of_a_test"}}}
            cursor.write_text(json.dumps({"mcpServers": servers}))
            before = cursor.read_bytes()
            imported = world.run(CORE, "import", "--all", "--keychain")
            self.assertEqual(imported.returncode, 0, imported.stderr)
            self.assertIn("moved env.GITHUB_TOKEN to the keychain as `gh.GITHUB_TOKEN`", imported.stdout)
            self.assertEqual(cursor.read_bytes(), before)
            self.assertNotIn("_of_a_test", world.config_file.read_text())
            self.assertEqual([self.lookup(name) for name in ("gh.GITHUB_TOKEN", "web.Authorization")], ["ghp_of_a_test", "tok_of_a_test"])
            world.run(CORE, "secrets", "set", "unused", input="x")
            listed = lambda: {one["name"]: (one["used_by"], one["stored"]) for one in json.loads(world.run(CORE, "secrets", "list", "--json").stdout)}
            self.assertEqual(listed()["gh.GITHUB_TOKEN"], (["gh"], True))
            self.assertEqual(listed()["unused"], ([], True))
            removed = world.run(CORE, "upstream", "rm", "old", "--yes")
            self.assertIn("mcpproxy secrets remove old.API_KEY", removed.stdout)
            self.assertEqual(listed()["old.API_KEY"], ([], True))
            (world.root / "oauth-tokens.json").write_text('{"sealed": "", "key": "oauth-tokens-of-a-test", "servers": []}')
            run("secret-tool", "store", "--label=x", "service", "mcpproxy", "username", "oauth-tokens-of-a-test", input="key")
            self.assertNotIn("oauth-tokens-of-a-test", listed())
            done = world.run(CORE, "uninstall", "--yes")
            self.assertEqual(done.returncode, 0, done.stderr)
            for name in ("gh.GITHUB_TOKEN", "web.Authorization", "oauth-tokens-of-a-test"):
                self.assertEqual(self.lookup(name), "", name)
                self.assertIn(f"Deleted the secret `{name}`", done.stdout)
            self.assertIn("in the keychain: old.API_KEY, unused (", done.stdout)
            for name in ("old.API_KEY", "unused"):
                self.assertEqual(world.run(CORE, "secrets", "remove", name).returncode, 0)

    def test_reference(self):
        """`${keyring:NAME}` is replaced by a secret that any program stored; a missing or locked one is an error, and works after a restart of the server"""
        with self.world() as world:
            script = world.directory / "keyed.py"
            script.write_text(SERVER)
            entry = {"name": "keyed", "command": sys.executable, "args": [str(script)], "enabled": True,
                     "env": {"KEY": "<${keyring:OTHERS}>"}}
            world.write_config({"mcpServers": [entry]})
            world.start_core()
            words = "`mcpproxy secrets set OTHERS`"
            wait_for("the server's error is shown", lambda: words in (world.server("keyed").get("last_error") or ""))
            run("secret-tool", "store", "--label=x", "service", "mcpproxy", "username", "OTHERS", input="by another")
            self.assertEqual(world.run(CORE, "upstream", "restart", "keyed").returncode, 0)
            wait_for("it starts", lambda: world.server("keyed")["connected"], 30)
            said = text_of(call(world, "call_tool_write", {"name": "keyed:key"}))
            self.assertIn("<by another>", said)
            shown = world.get("/api/v1/config").text + world.get("/api/v1/servers").text + world.config_file.read_text()
            self.assertNotIn("by another", shown)
            self.lock()
            world.run(CORE, "upstream", "restart", "keyed")
            wait_for("the server's error is shown", lambda: "keychain is locked" in (world.server("keyed").get("last_error") or ""), 30)
            self.unlock()
            world.run(CORE, "upstream", "restart", "keyed")
            wait_for("it starts", lambda: world.server("keyed")["connected"], 30)

    def test_tokens(self):
        """with a keychain, OAuth tokens are encrypted, and available again after a restart once it is unlocked"""
        with self.world() as world:
            site = Site(world)
            world.write_config({"mcpServers": [site.entry()]})
            core = world.start_core()
            SignIn.signed_in(self, world)
            file = world.root / "oauth-tokens.json"
            kept = json.loads(file.read_text())
            self.assertEqual((sorted(kept), kept["servers"]), (["key", "sealed", "servers"], ["site"]))
            self.assertTrue(self.lookup(kept["key"]))
            core.terminate()
            core.wait(10)
            self.lock()
            world.start_core()
            wait_for("the server's error is shown", lambda: "keychain is locked" in (world.server("site").get("last_error") or ""), 30)
            self.unlock()
            world.run(CORE, "upstream", "restart", "site")
            wait_for("the server is connected", lambda: world.server("site")["connected"], 30)
            self.assertEqual(SignIn.adds(self, world), "3")
            self.assertEqual(len(site.asked("authorize")), 1)
            self.assertEqual(world.run(CORE, "upstream", "logout", "site").returncode, 0)
            wait_for("the tokens are deleted", lambda: json.loads(file.read_text())["servers"] == [])

    # Helpers of the sign-in tests that `signed_in` needs.
    needed, login = SignIn.needed, SignIn.login


if __name__ == "__main__":
    main()
