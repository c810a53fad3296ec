"""The command line and REST connect AI clients, in a home directory of the test. Run by `scripts/test mcp`."""

import asyncio
import json
import os
import pathlib
import shutil
import tomllib
import unittest

import mcp
from mcp.client.stdio import StdioServerParameters

from world import CORE, SERVER, World, everything, main, wait_for

CLAUDE = """{
  "numStartups": 12, "ratio": 1.0, "big": 1e3,
  "projects": {"/home/имя": {"mcpServers": {}, "history": ["値 \\u00e9"]}},
  "mcpServers": {
    "fs": {"command": "npx", "args": ["-y", "fs"]}
  }
}
"""
CODEX = "# mine\r\nmodel = 'o4'\r\n\r\n[mcp_servers.fs]\r\ncommand = \"npx\" # fs\r\n"
ZED = "// Zed settings\n{\n  \"theme\": \"One\", // light\n  \"context_servers\": {\n  },\n}\n"
GOOSE = "GOOSE_PROVIDER: openai # mine\nextensions:\n  developer:\n    enabled: true\n    timeout: 300\nlast: 1.0\n"


def connect_world(config):
    world = World(config=config)
    world.variables["XDG_CONFIG_HOME"] = str(world.directory / ".config")
    return world


class AiClients(unittest.TestCase):
    def setUp(self):
        self.world = self.enterContext(connect_world({"mcpServers": []}))
        self.claude = self.file(".claude.json", CLAUDE)
        self.codex = self.file(".codex/config.toml", CODEX)
        self.zed = self.file(".config/zed/settings.json", ZED)
        self.goose = self.file(".config/goose/config.yaml", GOOSE)
        self.address = f"http://127.0.0.1:{self.world.port}/mcp"

    def file(self, below, text):
        path = self.world.directory / below
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        path.chmod(0o644)
        return path

    def run_command(self, *arguments):
        return self.world.run(CORE, *arguments, "-o", "json")

    def listed(self):
        return {client["id"]: client for client in json.loads(self.run_command("connect", "--list").stdout)}

    def test_command_line(self):
        """the command line connects an AI client without a core, lists it, and restores every byte"""
        listed = self.listed()
        self.assertEqual({id for id, client in listed.items() if client["exists"]}, {"claude-code", "codex", "goose", "zed"})
        self.assertFalse(any(client["connected"] for client in listed.values()))
        clients = [
            ("claude-code", self.claude, CLAUDE),
            ("codex", self.codex, CODEX),
            ("goose", self.goose, GOOSE),
            ("zed", self.zed, ZED),
        ]
        for id, path, text in clients:
            for back in [("disconnect", id), ("connect", id, "--undo")]:
                made = self.run_command("connect", id)
                self.assertEqual(made.returncode, 0, made.stderr)
                made = json.loads(made.stdout)
                self.assertEqual((made["action"], made["server_name"]), ("created", "mcpproxy"))
                self.assertEqual(pathlib.Path(made["backup_path"]).read_bytes(), text.encode())
                self.assertTrue(self.listed()[id]["connected"])
                self.assertEqual(path.stat().st_mode & 0o777, 0o644)
                self.assertIn(self.address, path.read_text())
                done = self.run_command(*back)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(path.read_bytes(), text.encode())
        self.assertIn("Claude Code", self.world.run(CORE, "connect", "--list").stdout)

    def test_refusals(self):
        """a file with an error, another program's entry and an unknown AI client are left unchanged, with a message"""
        bad = self.file(".cursor/mcp.json", '{\n  "mcpServers": {,}\n}')
        said = self.world.run(CORE, "connect", "cursor")
        self.assertEqual(said.returncode, 1)
        self.assertIn(f"`{bad}`, line 2, column 18", said.stderr)
        other = '{"mcpServers": {"mcpproxy": {"serverUrl": "https://elsewhere.example/mcp"}}}'
        taken = self.file(".codeium/windsurf/mcp_config.json", other)
        said = self.world.run(CORE, "connect", "windsurf")
        self.assertEqual(said.returncode, 1)
        self.assertIn("--force", said.stderr)
        self.assertEqual(self.world.run(CORE, "disconnect", "windsurf").returncode, 1)
        self.assertEqual(taken.read_text(), other)
        self.assertEqual(self.run_command("connect", "windsurf", "--force").returncode, 0)
        self.assertEqual(self.run_command("connect", "windsurf", "--undo").returncode, 0)
        self.assertEqual(taken.read_text(), other)
        self.assertIn("claude-desktop", self.world.run(CORE, "connect", "--list").stdout)
        self.assertIn("--list", self.world.run(CORE, "connect", "emacs").stderr)

    def test_rest(self):
        """REST connects, disconnects and undoes with the Go core's status codes, over TCP only with the key"""
        self.world.start_core()
        path = "/api/v1/connect/claude-code"
        self.assertEqual(self.world.post(path, over="tcp").status, 401)
        self.assertEqual(self.world.post(path, over="tcp", key="wrong").status, 401)
        self.assertEqual(self.claude.read_text(), CLAUDE)
        made = self.world.post(path, over="tcp", key="key-of-the-test", body={"force": False})
        self.assertEqual((made.status, made.data["action"]), (200, "created"))
        self.assertNotIn("key-of-the-test", self.claude.read_text())
        listed = {client["id"]: client for client in self.world.get("/api/v1/connect").data}
        self.assertTrue(listed["claude-code"]["connected"])
        self.assertEqual(listed["claude-code"]["access_state"], "accessible")
        self.assertTrue(all(client["supported"] for client in listed.values()))
        self.assertEqual(self.world.post(path).data["action"], "already_exists")
        self.assertEqual(self.world.request("DELETE", path).data["action"], "removed")
        self.assertEqual(self.claude.read_text(), CLAUDE)
        self.assertEqual(self.world.request("DELETE", path).status, 404)
        self.assertEqual(self.world.get("/api/v1/connect/emacs").status, 404)
        self.assertEqual(self.world.post("/api/v1/connect/emacs").status, 404)
        # Another program's entry
        self.claude.write_text(CLAUDE.replace('"fs": {', '"mcpproxy": {"url": "https://x.example/mcp"}, "fs": {'))
        taken = self.world.post(path)
        self.assertEqual((taken.status, taken.json["success"], taken.json["action"]), (409, False, "already_exists"))
        self.assertEqual(self.world.post(path, body={"force": True}).data["action"], "updated")
        # An undo after another program's change
        self.claude.write_text(self.claude.read_text().replace("12", "13"))
        self.assertEqual(self.world.post(path + "/undo").status, 409)
        self.claude.write_text(self.claude.read_text().replace("13", "12"))
        self.assertEqual(self.world.post(path + "/undo").data["action"], "restored")
        self.assertIn("https://x.example/mcp", self.claude.read_text())

    def files(self):
        """The content and modification time of every file of the clients, including backups."""
        below = [path for path in self.world.directory.rglob("*") if path.is_file() and self.world.root not in path.parents]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in below}

    def test_dry_run(self):
        """a dry run shows the lines that would change, without secrets, and changes neither file nor backups"""
        self.world.write_config({"mcpServers": [], "require_mcp_auth": True})
        self.claude.write_text(CLAUDE.replace('["-y", "fs"]', '["--token", "hidden"], "env": {"TOKEN": "hidden"}'))
        for id in ("claude-code", "codex", "goose", "zed", "cursor"):
            before = self.files()
            shown = self.world.run(CORE, "connect", id, "--dry-run")
            self.assertEqual((shown.returncode, self.files()), (0, before), shown.stderr)
            self.assertRegex(shown.stdout, r"(?m)^@@ -\d")
            self.assertRegex(shown.stdout, rf"(?m)^\+.*{self.address}")
            self.assertRegex(shown.stdout, "(?m)^\\+.*X-API-Key.*••••")
            for secret in ("hidden", "key-of-the-test"):
                self.assertNotIn(secret, shown.stdout)
            self.assertEqual(self.run_command("connect", id).returncode, 0)
            before = self.files()
            for back in [("disconnect", id), ("connect", id, "--undo")]:
                shown = self.world.run(CORE, *back, "--dry-run")
                self.assertEqual((shown.returncode, self.files()), (0, before), shown.stderr)
                self.assertRegex(shown.stdout, rf"(?m)^-.*{self.address}")
                self.assertNotIn("key-of-the-test", shown.stdout)
            again = json.loads(self.run_command("connect", id, "--dry-run").stdout)
            self.assertEqual((again["action"], again["diff"]), ("already_exists", ""))
        # Cursor had no file, so its only entry is ours.
        gone = json.loads(self.run_command("disconnect", "cursor", "--dry-run").stdout)
        self.assertIn("+++ /dev/null\n", gone["diff"])
        self.assertEqual(gone["action"], "removed")
        # A dry run refuses what a real run would refuse.
        taken = self.file(".codeium/windsurf/mcp_config.json", '{"mcpServers": {"mcpproxy": {"url": "https://x.example/hidden"}}}')
        self.assertEqual(self.world.run(CORE, "connect", "windsurf", "--dry-run").returncode, 1)
        forced = self.world.run(CORE, "connect", "windsurf", "--dry-run", "--force")
        self.assertEqual(forced.returncode, 0)
        self.assertNotIn("hidden", forced.stdout)
        self.assertIn("hidden", taken.read_text())

    def test_dry_run_is_what_patch_takes(self):
        """`patch` can apply the diff of a dry run to the same bytes if nothing in it is masked"""
        for id, path, text in [("codex", self.codex, CODEX.replace("\r\n", "\n")), ("zed", self.zed, ZED), ("goose", self.goose, GOOSE)]:
            path.write_text(text)
            diff = json.loads(self.run_command("connect", id, "--dry-run").stdout)["diff"]
            self.assertNotIn("••••", diff)
            copy = self.world.directory / "copy"
            copy.write_text(text)
            patched = self.world.run("patch", "--unified", str(copy), input=diff + "\n")
            self.assertEqual(patched.returncode, 0, patched.stdout + patched.stderr)
            self.assertEqual(self.run_command("connect", id).returncode, 0)
            self.assertEqual(copy.read_bytes(), path.read_bytes())

    def test_all(self):
        """--all connects every installed client; a file with an error fails alone and is left unchanged"""
        bad = self.file(".cursor/mcp.json", '{\n  "mcpServers": {,}\n}')
        whole = {"claude-code": self.claude, "codex": self.codex, "goose": self.goose, "zed": self.zed}
        before = self.files()
        foreseen = self.run_command("connect", "--all", "--dry-run")
        self.assertEqual((foreseen.returncode, self.files()), (1, before))
        foreseen = {one["client"]: one for one in json.loads(foreseen.stdout)}
        self.assertEqual(set(foreseen), {"cursor", *whole})
        self.assertTrue(all(self.address in foreseen[id]["diff"] for id in whole))

        made = self.run_command("connect", "--all")
        self.assertEqual(made.returncode, 1)
        made = {one["client"]: one for one in json.loads(made.stdout)}
        expected = {id: "created" for id in whole} | {"cursor": "malformed"}
        self.assertEqual({id: one["action"] for id, one in made.items()}, expected)
        self.assertFalse(made["cursor"]["success"])
        self.assertIn(f"`{bad}`, line 2, column 18", made["cursor"]["message"])
        listed = self.listed()
        self.assertEqual({id for id, one in listed.items() if one["connected"]}, set(whole))
        # One file and one backup each; nothing for Cursor and for clients that are not installed.
        after = {path for path in self.files() if path not in before}
        self.assertEqual(after, {pathlib.Path(made[id]["backup_path"]) for id in whole})
        self.assertEqual(self.files()[bad], before[bad])

        table = self.world.run(CORE, "disconnect", "--all")
        self.assertEqual(table.returncode, 1)
        self.assertRegex(table.stdout, r"(?m)^ *codex +Removed MCPProxy from Codex")
        self.assertRegex(table.stdout, r"(?m)^ *cursor +.*the file was not changed")
        for path in [bad, *whole.values()]:
            self.assertEqual(path.read_bytes(), before[path][0])
        bad.unlink()
        again = self.run_command("disconnect", "--all")
        self.assertEqual(again.returncode, 0, "a client that is not connected is not a failure")
        self.assertEqual({one["action"] for one in json.loads(again.stdout)}, {"not_found"})
        for nonsense in (["connect", "--all", "codex"], ["connect", "--all", "--undo"], ["disconnect"], ["connect"]):
            self.assertNotEqual(self.world.run(CORE, *nonsense).returncode, 0, nonsense)

    def test_preview(self):
        """a preview changes nothing, and a connect with its token only writes to the previewed file"""
        self.world.start_core()
        path = "/api/v1/connect/claude-code"
        shown = self.world.get(path + "/preview")
        self.assertEqual(shown.status, 200)
        shown = shown.data
        entry = {"type": "http", "url": self.address}
        self.assertEqual(json.loads(shown["entry_text"]), {"mcpServers": {"mcpproxy": entry}})
        expected = {"client": "claude-code", "config_path": str(self.claude), "format": "json", "server_key": "mcpServers"}
        expected |= {"server_name": "mcpproxy", "entry": entry, "entry_exists": False, "contains_api_key": False}
        expected |= {"access_state": "accessible"}
        self.assertEqual({key: shown.get(key) for key in expected}, expected)
        self.assertNotIn("connect_refusal", shown)
        self.assertEqual(self.claude.read_bytes(), CLAUDE.encode())

        # Edited between preview and connect: not even `force` writes.
        edited = CLAUDE.replace("12", "13")
        self.claude.write_bytes(edited.encode())
        for force in (False, True):
            body = {"precondition_token": shown["precondition_token"], "force": force}
            refused = self.world.post(path, body=body)
            self.assertEqual((refused.status, refused.json["success"]), (409, False))
            self.assertEqual((refused.json["action"], refused.json["data"]["action"]), ("precondition_failed",) * 2)
            self.assertIn("preview it again", refused.json["error"])
        self.assertEqual(self.claude.read_bytes(), edited.encode())
        self.assertEqual([entry.name for entry in self.world.directory.glob(".claude.json*")], [".claude.json"])

        def token(query=""):
            return self.world.get(path + "/preview" + query).data["precondition_token"]

        # The token is for another entry name.
        named = {"precondition_token": token(), "server_name": "mine"}
        self.assertEqual(self.world.post(path, body=named).status, 409)
        named["precondition_token"] = token("?server_name=mine")
        made = self.world.post(path, body=named)
        self.assertEqual((made.status, made.data["action"], made.data["server_name"]), (200, "created", "mine"))
        self.assertEqual(self.world.request("DELETE", path).status, 200)

        # A file that appears or disappears also invalidates the token.
        here = token()
        self.claude.unlink()
        self.assertEqual(self.world.post(path, body={"precondition_token": here}).status, 409)
        self.assertFalse(self.claude.exists())
        absent = self.world.get(path + "/preview").data
        self.assertEqual(absent["access_state"], "absent")
        body = {"precondition_token": absent["precondition_token"]}
        self.assertEqual(self.world.post(path, body=body).data["action"], "created")

    def test_preview_of_what_is_there(self):
        """a preview shows the existing entry without secrets, and why nothing would be written"""
        self.world.write_config({"mcpServers": [], "require_mcp_auth": True})
        theirs = {"url": "https://me:hidden@x.example/hidden?key=hidden", "headers": {"Authorization": "hidden"}}
        self.claude.write_text(json.dumps({"mcpServers": {"mcpproxy": theirs}}))
        program = {"command": "npx", "args": ["--token", "hidden"], "env": {"TOKEN": "hidden"}}
        self.file(".cursor/mcp.json", json.dumps({"mcpServers": {"mcpproxy": program}}))
        self.file(".gemini/settings.json", "{\n  oops\n}")
        self.world.start_core()
        shown = self.world.get("/api/v1/connect/claude-code/preview")
        there = {"entry_name": "mcpproxy", "endpoint": "https://x.example", "header_names": ["Authorization"], "env_names": []}
        self.assertEqual((shown.data["entry_exists"], shown.data["existing_entry_summary"]), (True, there))
        self.assertTrue(shown.data["contains_api_key"])
        self.assertEqual(list(shown.data["entry"]["headers"]), ["X-API-Key"])
        body = {"precondition_token": shown.data["precondition_token"]}
        taken = self.world.post("/api/v1/connect/claude-code", body=body)
        self.assertEqual((taken.status, taken.json["action"]), (409, "already_exists"))
        made = self.world.post("/api/v1/connect/claude-code", body=body | {"force": True})
        self.assertEqual((made.status, made.data["action"]), (200, "updated"))
        cursor = self.world.get("/api/v1/connect/cursor/preview")
        there = {"entry_name": "mcpproxy", "command": "npx", "header_names": [], "env_names": ["TOKEN"]}
        self.assertEqual(cursor.data["existing_entry_summary"], there)
        codex = self.world.get("/api/v1/connect/codex/preview")
        self.assertEqual(tomllib.loads(codex.data["entry_text"])["mcp_servers"]["mcpproxy"], codex.data["entry"])
        for answer in (shown, cursor, codex):
            self.assertNotIn("hidden", answer.text)
            self.assertNotIn("key-of-the-test", answer.text)
        malformed = self.world.get("/api/v1/connect/gemini/preview").data
        self.assertEqual((malformed["access_state"], malformed["entry_exists"]), ("malformed", False))
        self.assertIn("line 2, column 3", malformed["connect_refusal"])
        self.assertIn("invalid server name", self.world.get("/api/v1/connect/codex/preview?server_name=a%20b").data["connect_refusal"])
        self.assertEqual(self.world.get("/api/v1/connect/emacs/preview").status, 404)
        self.assertEqual(self.world.get("/api/v1/connect/codex/preview", over="tcp").status, 401)
        if os.geteuid() != 0:
            self.codex.chmod(0)
            denied = self.world.get("/api/v1/connect/codex/preview")
            self.assertEqual((denied.status, denied.json["action"]), (403, "denied"))

    def test_key(self):
        """if /mcp requires the key, the entry contains it as a header, and never in the URL"""
        self.world.write_config({"mcpServers": [], "require_mcp_auth": True})
        for id in ("claude-code", "codex"):
            self.assertEqual(self.run_command("connect", id).returncode, 0)
        expected = {"X-API-Key": "key-of-the-test"}
        claude = json.loads(self.claude.read_text())["mcpServers"]["mcpproxy"]
        self.assertEqual(claude, {"type": "http", "url": self.address, "headers": expected})
        codex = tomllib.loads(self.codex.read_bytes().decode())["mcp_servers"]["mcpproxy"]
        self.assertEqual(codex, {"url": self.address, "http_headers": expected})

    def test_real_client(self):
        """Gemini CLI reads its new entry, and reaches the core with the key"""
        self.world.write_config({"mcpServers": [], "require_mcp_auth": True})
        settings = self.file(".gemini/settings.json", '{"privacy": {"usageStatisticsEnabled": false} /* mine */}')
        self.world.start_core()
        # Every other connection is refused immediately.
        nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
        here = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "GEMINI_CLI_TRUST_WORKSPACE": "true"}
        environment = {**self.world.environment(), **nowhere, **here}

        def listed():
            gemini = SERVER.parent / "gemini"
            said = self.world.run(gemini, "mcp", "list", env=environment, cwd=self.world.directory, seconds=60)
            return said.stdout + said.stderr

        self.assertNotIn("mcpproxy", listed())
        self.assertEqual(self.run_command("connect", "gemini").returncode, 0)
        self.assertRegex(listed(), rf"mcpproxy: {self.address} \(http\) - Connected")
        settings.write_text(settings.read_text().replace("key-of-the-test", "another"))
        self.assertRegex(listed(), rf"mcpproxy: {self.address} \(http\) - Disconnected")
        self.assertEqual(self.run_command("disconnect", "gemini").returncode, 0)
        self.assertNotIn("mcpproxy", listed())
        self.assertIn("/* mine */", settings.read_text())


DESKTOP = """{
    "globalShortcut": "Ctrl+Space",   "scale": 1.0,
    "mcpServers": {
        "файлы": {"command": "C:\\\\fs.exe", "args": ["D:\\\\my files"]}
    }
}"""


class ClaudeDesktop(unittest.TestCase):
    """Claude Desktop, which accepts no URLs: its entry starts `mcpproxy stdio`."""

    path = "/api/v1/connect/claude-desktop"

    def open_world(self, root=None, **options):
        world = self.enterContext(connect_world(None))
        world.root = world.directory / (root or ".mcpproxy")
        world.write_config({"mcpServers": [everything()], **options})
        self.desktop = world.directory / ".config/Claude/claude_desktop_config.json"
        self.desktop.parent.mkdir(parents=True)
        self.desktop.write_bytes(DESKTOP.encode())
        return world

    def written(self):
        """Parses the entry as strictly as Claude Desktop does."""
        return json.loads(self.desktop.read_text())["mcpServers"]["mcpproxy"]

    def started(self, world, entry):
        """Runs the entry with the official client, in the minimal environment that Claude Desktop passes on."""
        self.assertEqual(set(entry), {"command", "args"})
        few = {"HOME": str(world.directory), "PATH": "/usr/bin:/bin"}

        async def searched():
            async with mcp.Client(StdioServerParameters(**entry, env=few, cwd="/")) as client:
                tools = {tool.name for tool in (await client.list_tools()).tools}
                found = await client.call_tool("retrieve_tools", {"query": "echo a message"})
                return tools, found.content[0].text

        tools, found = asyncio.run(asyncio.wait_for(searched(), 20))
        self.assertIn("call_tool_read", tools)
        self.assertIn("everything:echo", found)

    def test_starts(self):
        """Claude Desktop's entry starts an MCP server with the tools of all servers; disconnecting restores every byte"""
        world = self.open_world(require_mcp_auth=True)
        before = world.run(CORE, "connect", "claude-desktop", "--dry-run")
        self.assertEqual(before.returncode, 0, before.stderr)
        self.assertRegex(before.stdout, rf'(?m)^\+ +"command": "{CORE}",$')
        self.assertRegex(before.stdout, r'(?m)^\+ +"stdio"$')
        self.assertEqual(self.desktop.read_bytes(), DESKTOP.encode())
        world.start_core()
        world.wait_connected("everything")
        for back in [("disconnect", "claude-desktop"), ("connect", "claude-desktop", "--undo")]:
            made = world.run(CORE, "connect", "claude-desktop")
            self.assertEqual(made.returncode, 0, made.stderr)
            self.assertEqual(self.written(), {"command": str(CORE), "args": ["stdio"]})
            self.assertNotIn("key-of-the-test", self.desktop.read_text())
            self.assertRegex(world.run(CORE, "connect", "--list").stdout, "(?m)^ *claude-desktop +Claude Desktop +connected ")
            self.started(world, self.written())
            self.assertIn('"command"', world.run(CORE, *back, "--dry-run").stdout)
            self.assertEqual(world.run(CORE, *back).returncode, 0)
            self.assertEqual(self.desktop.read_bytes(), DESKTOP.encode())
        # The client alone, and together with all others.
        self.assertRegex(world.run(CORE, "connect", "--all").stdout, "(?m)^ *claude-desktop +Added MCPProxy to Claude Desktop")
        self.assertRegex(world.run(CORE, "disconnect", "--all").stdout, "(?m)^ *claude-desktop +Removed MCPProxy from Claude Desktop")
        self.assertEqual(self.desktop.read_bytes(), DESKTOP.encode())

    def test_another_instance(self):
        """an entry for another data directory connects to the core there, and does not count for this one"""
        world = self.open_world("my work")
        world.start_core("--data-dir", world.root)
        world.wait_connected("everything")
        preview = world.get(self.path + "/preview").data
        entry = {"command": str(CORE), "args": ["stdio", "--data-dir", str(world.root)]}
        self.assertEqual((preview["entry"], preview["contains_api_key"]), (entry, False))
        body = {"precondition_token": preview["precondition_token"]}
        made = world.post(self.path, body=body)
        self.assertEqual((made.status, made.data["action"]), (200, "created"))
        self.assertEqual(self.written(), entry)
        self.started(world, entry)
        self.assertTrue(world.get(self.path).data["connected"])
        # Both of its names refer to the same entry.
        for named in [{"arguments": ["--data-dir", str(world.root)]}, {"variables": {"MCPPROXY_HOME": str(world.root)}}]:
            environment = world.environment() | named.get("variables", {})
            again = world.run(CORE, "connect", "claude-desktop", *named.get("arguments", []), env=environment)
            self.assertIn("is already connected", again.stdout)
        # The default instance is a different one.
        usual = world.run(CORE, "connect", "claude-desktop")
        self.assertEqual(usual.returncode, 1)
        self.assertIn("--force", usual.stderr)
        self.assertEqual(world.run(CORE, "disconnect", "claude-desktop").returncode, 1)
        self.assertEqual(self.written(), entry)
        self.assertEqual(world.request("DELETE", self.path).data["action"], "removed")
        self.assertEqual(self.desktop.read_bytes(), DESKTOP.encode())

    def test_earlier_entries(self):
        """an outdated entry for our program or URL counts as connected and is repaired"""
        world = self.open_world()
        bridge = {"command": "npx", "args": ["-y", "mcp-remote", f"http://127.0.0.1:{world.port}/mcp", "--header", "X-API-Key:k"]}
        for there in [{"command": "/opt/of yesterday/mcpproxy", "args": ["stdio"]}, bridge]:
            self.desktop.write_text(json.dumps({"mcpServers": {"mcpproxy": there}}))
            core = world.start_core()
            counted = lambda: world.status()["activation"]["configured_ide_count"] == 1
            wait_for("the client is counted", counted)
            self.assertTrue(world.get(self.path).data["connected"])
            self.assertEqual(world.get(self.path + "/preview").data["existing_entry_summary"]["command"], there["command"])
            made = world.post(self.path)
            self.assertEqual((made.status, made.data["action"]), (200, "updated"))
            self.assertEqual(json.loads(self.desktop.read_text())["mcpServers"], {"mcpproxy": {"command": str(CORE), "args": ["stdio"]}})
            self.assertEqual(world.post(self.path).data["action"], "already_exists")
            core.terminate()
            core.wait(15)

    def test_lasting_path(self):
        """the entry contains the link that survives upgrades, or the program's path; without either, connecting is refused"""
        world = self.open_world()
        kept, shown = world.directory / "kept", world.directory / "bin"
        kept.mkdir()
        shown.mkdir()
        program = kept / "mcpproxy"
        shutil.copy(CORE, program)
        (shown / "mcpproxy").symlink_to(program)
        world.variables["PATH"] = f"{shown}:{os.environ['PATH']}"
        self.assertEqual(world.run(program, "connect", "claude-desktop").returncode, 0)
        self.assertEqual(self.written()["command"], str(shown / "mcpproxy"))
        self.assertEqual(world.run(program, "disconnect", "claude-desktop").returncode, 0)
        (shown / "mcpproxy").unlink()

        world.start(program, "serve")
        wait_for("the core is ready", world.is_ready, 20)
        newer = kept / "newer"
        newer.write_text("the next version")
        newer.replace(program)
        self.assertEqual(world.get(self.path + "/preview").data["entry"]["command"], str(program))
        program.unlink()
        refused = world.post(self.path)
        self.assertEqual((refused.status, refused.json["success"]), (500, False))
        self.assertIn("could not connect Claude Desktop", refused.json["error"])
        self.assertIn("restart it", world.get(self.path + "/preview").data["connect_refusal"])
        self.assertEqual(self.desktop.read_bytes(), DESKTOP.encode())
        self.assertEqual(world.post("/api/v1/connect/cursor").status, 200)


if __name__ == "__main__":
    main()
