"""Importing servers from AI clients, files and pasted text. Run by `scripts/test mcp`."""

import json
import sys
import unittest

from world import CORE, World, main, wait_for

CLAUDE = '''{
  // mine
  "numStartups": 5,
  "mcpServers": {
    "github": {"type": "http", "url": "https://api.example.com/mcp", "headers": {"Authorization": "Bearer ${GITHUB_PAT}"}},
    "files": {"type": "stdio", "command": "npx", "args": ["-y", "files"], "env": {"API_TOKEN": "0123456789abcdef"}},
    "off": {"command": "off", "disabled": true}
  },
  "n": 1.0
}
'''
CURSOR = '{"mcpServers": {"gh": {"command": "npx", "args": ["-y", "mcp-remote", "https://api.example.com/mcp", "--header", "Authorization: Bearer ${GITHUB_PAT}"]}, "files": {"command": "other"}}}'
CODEX = "# mine\r\nmodel = 'o4'\r\n\r\n[mcp_servers.time]\r\ncommand = \"uvx\"\r\nargs = [\"time\"] # here\r\n"

SERVER = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        answer = {"tools": []} if message["method"] == "tools/list" else {
            "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "changing", "version": "1"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer}), flush=True)
"""


class Import(unittest.TestCase):
    def world(self, **config):
        world = self.enterContext(World(config={"mcpServers": [], **config}))
        world.variables["XDG_CONFIG_HOME"] = str(world.directory / ".config")
        for below, text in ((".claude.json", CLAUDE), (".cursor/mcp.json", CURSOR), (".codex/config.toml", CODEX)):
            path = world.directory / below
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        return world

    def files(self, world):
        return [(world.directory / below).read_bytes() for below in (".claude.json", ".cursor/mcp.json", ".codex/config.toml")]

    def imported(self, world, *arguments, code=0, **options):
        done = world.run(CORE, "import", *arguments, "-o", "json", **options)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def test_all(self):
        """one command imports the servers of all clients, each once; a second run changes nothing, and no client's file changes"""
        for running in (False, True):
            world = self.world()
            if running:
                world.start_core()
            before = self.files(world)
            shown = self.imported(world, "--all", "--dry-run")
            self.assertEqual(world.config()["mcpServers"], [])
            done = self.imported(world, "--all")
            self.assertEqual(done["summary"], shown["summary"])
            self.assertEqual(done["summary"], {"total": 6, "imported": 5, "skipped": 1, "failed": 0})
            servers = {server["name"]: server for server in world.config()["mcpServers"]}
            self.assertEqual(set(servers), {"github", "files", "off", "files-2", "time"})
            self.assertEqual(servers["github"]["headers"], {"Authorization": "Bearer ${env:GITHUB_PAT}"})
            self.assertEqual(done["skipped"][0], {"name": "gh", "reason": "same server as `github` from Claude Code"})
            self.assertFalse(servers["off"]["enabled"])
            self.assertTrue(all(server["quarantined"] for server in servers.values()))
            self.assertEqual(done["need_approval"], list(servers))
            self.assertEqual(self.imported(world, "--all")["summary"]["imported"], 0)
            self.assertEqual(self.files(world), before)

    def test_sources(self):
        """a project's file, pasted text and one client are imported; an error is reported with its location"""
        world = self.world()
        project = world.directory / "project" / ".vscode" / "mcp.json"
        project.parent.mkdir(parents=True)
        project.write_text('{"servers": {"local": {"command": "x", "args": ["${workspaceFolder}/a"]}}}')
        self.assertEqual(self.imported(world, str(project))["imported"][0]["args"], [f"{project.parent.parent}/a"])
        self.assertEqual(self.imported(world, "-", input='"b": {"url": "https://h.example/mcp"}')["imported"][0]["name"], "b")
        only = self.imported(world, "--from", "claude-code", "--only", "off")
        self.assertEqual([server["name"] for server in only["imported"]], ["off"])
        unknown = world.run(CORE, "import", "--from", "claude-code", "--only", "offf")
        self.assertEqual(unknown.returncode, 1, "a name that no source has")
        self.assertIn("no server is named `offf`", unknown.stdout)
        project.write_bytes('{"servers": {}}'.encode("utf-16"))
        self.assertIn("save it as UTF-8", world.run(CORE, "import", str(project)).stderr)
        project.write_text("{\n  oops\n}")
        refused = world.run(CORE, "import", str(project))
        self.assertEqual(refused.returncode, 1)
        self.assertIn("line 2, column 3", refused.stderr)
        self.assertIn("connect --list", world.run(CORE, "import", "--from", "emacs").stderr)
        listed = world.run(CORE, "import")
        self.assertIn("Would import", listed.stdout)
        self.assertIn("import --all", listed.stderr)

    def test_move(self):
        """entries leave the client's file once MCPProxy serves them, and are restored byte for byte"""
        world = self.world()
        claude = world.directory / ".claude.json"
        entry = json.dumps({"command": sys.executable, "args": ["-c", SERVER]})
        text = '{\n  // mine\n  "mcpServers": {\n    "changing": %s, // here\n    "keep": {"command": "k"}\n  }\n}\n' % entry
        claude.write_text(text)
        world.start_core()
        move = ("--from", "claude-code", "--only", "changing", "--move")
        self.assertIn("connect claude-code", self.imported(world, *move)["not_moved"][0])
        self.assertEqual(world.run(CORE, "connect", "claude-code").returncode, 0)
        connected = claude.read_text()
        self.assertIn("approved", self.imported(world, *move)["not_moved"][0])
        self.assertEqual(claude.read_text(), connected)
        self.assertEqual(world.run(CORE, "upstream", "approve", "changing", "--yes").returncode, 0)
        world.wait_connected("changing")
        moved = self.imported(world, *move)["moved"]
        self.assertEqual(moved[0]["servers"], ["changing"])
        self.assertNotIn("changing", claude.read_text())
        self.assertIn("// mine", claude.read_text())
        undone = world.run(CORE, "import", "--from", "claude-code", "--undo")
        self.assertEqual(undone.returncode, 0, undone.stderr)
        self.assertEqual(claude.read_text(), connected)

    def test_rest(self):
        """REST lists the files, previews and imports, and adds each server once"""
        world = self.world()
        world.start_core()
        paths = {path["format"]: path for path in world.get("/api/v1/servers/import/paths").data["paths"]}
        self.assertEqual((len(paths), paths["codex"]["exists"], paths["zed"]["exists"]), (10, True, False))
        body = {"path": paths["codex"]["path"]}
        preview = world.post("/api/v1/servers/import/path?preview=true", body=body)
        self.assertEqual((preview.status, preview.data["format"], preview.data["summary"]["imported"]), (200, "codex", 1))
        self.assertEqual(world.config()["mcpServers"], [])
        self.assertEqual(world.post("/api/v1/servers/import/path", body=body).data["summary"]["imported"], 1)
        self.assertTrue(world.config()["mcpServers"][0]["quarantined"])
        self.assertEqual(world.post("/api/v1/servers/import/path", body=body).data["summary"]["skipped"], 1)
        text = {"content": '{"mcpServers": {"a": {"command": "x"}, "b": {}}}', "rename": {"a": "c"}}
        pasted = world.post("/api/v1/servers/import/json", body=text).data
        self.assertEqual(([one["name"] for one in pasted["imported"]], [one["name"] for one in pasted["failed"]]), (["c"], ["b"]))
        self.assertEqual(world.post("/api/v1/servers/import/json", body={"content": "{"}).status, 400)
        self.assertEqual(world.post("/api/v1/servers/import/path", body={"path": "/nowhere.json"}).status, 404)
        wait_for("the servers are listed", lambda: world.server("c"))


if __name__ == "__main__":
    main()
