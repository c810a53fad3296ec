"""AI clients are connected through the command line and REST, in a home of the test's own. Run by `scripts/test mcp`."""

import json
import pathlib
import tomllib
import unittest

from world import CORE, SERVER, World, main

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
        """the command line connects an AI client without a core, lists it, and gives every byte back"""
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
        """a file with a mistake, an entry of somebody else and an unknown AI client are left alone, in words"""
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
        self.assertEqual(self.world.run(CORE, "connect", "claude-desktop").returncode, 1)
        self.assertIn("--list", self.world.run(CORE, "connect", "emacs").stderr)

    def test_rest(self):
        """REST connects, disconnects and undoes with the contract's statuses, over TCP only with the key"""
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
        self.assertFalse(listed["claude-desktop"]["supported"])
        self.assertEqual(self.world.post(path).data["action"], "already_exists")
        self.assertEqual(self.world.request("DELETE", path).data["action"], "removed")
        self.assertEqual(self.claude.read_text(), CLAUDE)
        self.assertEqual(self.world.request("DELETE", path).status, 404)
        self.assertEqual(self.world.get("/api/v1/connect/emacs").status, 404)
        self.assertEqual(self.world.post("/api/v1/connect/emacs").status, 404)
        # Somebody else's entry
        self.claude.write_text(CLAUDE.replace('"fs": {', '"mcpproxy": {"url": "https://x.example/mcp"}, "fs": {'))
        taken = self.world.post(path)
        self.assertEqual((taken.status, taken.json["success"], taken.json["action"]), (409, False, "already_exists"))
        self.assertEqual(self.world.post(path, body={"force": True}).data["action"], "updated")
        # An undo after somebody else's change
        self.claude.write_text(self.claude.read_text().replace("12", "13"))
        self.assertEqual(self.world.post(path + "/undo").status, 409)
        self.claude.write_text(self.claude.read_text().replace("13", "12"))
        self.assertEqual(self.world.post(path + "/undo").data["action"], "restored")
        self.assertIn("https://x.example/mcp", self.claude.read_text())

    def test_key(self):
        """where /mcp asks for the key, the entry carries it as a header, and never in the address"""
        self.world.write_config({"mcpServers": [], "require_mcp_auth": True})
        for id in ("claude-code", "codex"):
            self.assertEqual(self.run_command("connect", id).returncode, 0)
        expected = {"X-API-Key": "key-of-the-test"}
        claude = json.loads(self.claude.read_text())["mcpServers"]["mcpproxy"]
        self.assertEqual(claude, {"type": "http", "url": self.address, "headers": expected})
        codex = tomllib.loads(self.codex.read_bytes().decode())["mcp_servers"]["mcpproxy"]
        self.assertEqual(codex, {"url": self.address, "http_headers": expected})

    def test_real_client(self):
        """Gemini CLI reads the entry that was written for it, and gets through to the core with the key"""
        self.world.write_config({"mcpServers": [], "require_mcp_auth": True})
        settings = self.file(".gemini/settings.json", '{"privacy": {"usageStatisticsEnabled": false} /* mine */}')
        self.world.start_core()
        # Whatever it wants of the world outside is refused at once.
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


if __name__ == "__main__":
    main()
