"""Real failures of servers: each has a stable code, a remedy and a count, and `doctor` shows what servers and calls wait for.

Run by `scripts/test mcp`.
"""

import http.server
import json
import socket
import sys
import threading
import time
import unittest

from world import CORE, World, free_port, main, wait_for

# Answers `initialize` and lists two tools; `hang` never returns.
HANGING = r"""
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    id, method = message.get("id"), message.get("method")
    if id is None or method == "tools/call":
        continue
    if method == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "h", "version": "1"}}
    else:
        result = {"tools": [{"name": "hang", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]}
    print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
"""
REFUSING = r"""
import json, sys
message = json.loads(sys.stdin.readline())
error = {"code": int(sys.argv[1]), "message": "npx not found: permission denied (401)"}
print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}), flush=True)
sys.stdin.read()
"""


class Web(http.server.BaseHTTPRequestHandler):
    """Answers each path with the status code in the path."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        status = int(self.path.strip("/"))
        body = b"<html>login available, docker daemon down</html>"
        self.send_response(status)
        if status == 301:
            self.send_header("Location", "/200")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send_error(405)

    def log_message(self, *_):
        pass


class Diagnosed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = world = World()
        cls.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
        threading.Thread(target=cls.web.serve_forever, daemon=True).start()
        cls.silent = socket.create_server(("127.0.0.1", 0))
        web = f"http://127.0.0.1:{cls.web.server_port}"
        tls = f"https://127.0.0.1:{cls.web.server_port}"
        slow = f"http://127.0.0.1:{cls.silent.getsockname()[1]}"
        here = world.directory
        here.joinpath("plain").write_text("#!/bin/sh\n")
        here.joinpath("elf").write_bytes(b"\x7fELF\x02\x01\x01 not for here")
        here.joinpath("script").write_text("#!/no/such/python3\n")
        here.joinpath(".ssh").mkdir()
        here.joinpath(".ssh/id_rsa").write_text("secret")
        for name in ("elf", "script"):
            here.joinpath(name).chmod(0o755)
        here.joinpath("refusing.py").write_text(REFUSING)
        here.joinpath("hanging.py").write_text(HANGING)
        python, header = sys.executable, {"Authorization": "Bearer wrong"}
        # Name, expected code, entry.
        cls.failures = [
            ("missing", "MCPX_STDIO_SPAWN_ENOENT", {"command": "no-such-program"}),
            ("runner", "MCPX_STDIO_SPAWN_ENOENT", {"command": "uvx", "env": {"PATH": "/nowhere"}}),
            ("denied", "MCPX_STDIO_SPAWN_EACCES", {"command": str(here / "plain")}),
            ("elf", "MCPX_STDIO_SPAWN_EXEC_FORMAT", {"command": str(here / "elf")}),
            ("interpreter", "MCPX_STDIO_INTERPRETER_MISSING", {"command": str(here / "script")}),
            ("folder", "MCPX_STDIO_WORKING_DIR", {"command": "cat", "working_dir": str(here / "gone")}),
            ("crash", "MCPX_STDIO_EXIT_NONZERO", {"command": "sh", "args": ["-c", "echo API_TOKEN is not set >&2; exit 3"]}),
            ("done", "MCPX_STDIO_EXIT_BEFORE_INITIALIZE", {"command": "true"}),
            ("killed", "MCPX_STDIO_EXIT_NONZERO", {"command": "sh", "args": ["-c", "kill -9 $$"]}),
            ("quiet", "MCPX_STDIO_HANDSHAKE_TIMEOUT", {"command": "sleep", "args": ["1000"], "init_timeout": "1s"}),
            ("refusing", "MCPX_MCP_INITIALIZE_REJECTED", {"command": python, "args": [str(here / "refusing.py"), "-32603"]}),
            ("refused", "MCPX_HTTP_CONN_REFUSED", {"url": f"http://127.0.0.1:{free_port()}/mcp"}),
            ("name", "MCPX_HTTP_DNS_FAILED", {"url": "http://no-such-host.invalid/mcp"}),
            ("tls", "MCPX_HTTP_TLS_FAILED", {"url": f"{tls}/mcp"}),
            ("401", "MCPX_HTTP_401", {"url": f"{web}/401", "headers": header}),
            ("403", "MCPX_HTTP_403", {"url": f"{web}/403", "headers": header}),
            ("404", "MCPX_HTTP_404", {"url": f"{web}/404"}),
            ("418", "MCPX_HTTP_4XX", {"url": f"{web}/418"}),
            ("429", "MCPX_HTTP_429", {"url": f"{web}/429"}),
            ("503", "MCPX_HTTP_5XX", {"url": f"{web}/503"}),
            ("moved", "MCPX_HTTP_REDIRECT", {"url": f"{web}/301"}),
            ("page", "MCPX_HTTP_NOT_MCP", {"url": f"{web}/200"}),
            ("slow", "MCPX_HTTP_TIMEOUT", {"url": f"{slow}/mcp", "init_timeout": "1s"}),
            ("sign-in", "MCPX_OAUTH_LOGIN_REQUIRED", {"url": f"{web}/401"}),
            ("variable", "MCPX_CONFIG_MISSING_SECRET", {"command": "cat", "env": {"A": "${env:NO_SUCH_VARIABLE}"}}),
            ("reference", "MCPX_CONFIG_INVALID_ENTRY", {"command": "cat", "env": {"A": "${vault:x}"}}),
            ("scheme", "MCPX_CONFIG_INVALID_ENTRY", {"url": "ftp://127.0.0.1/mcp", "protocol": "http"}),
            ("isolation", "MCPX_CONFIG_INVALID_ENTRY", {"command": "cat", "isolation": "vault"}),
            ("closed", "MCPX_ISOLATION_DENIED", {"command": "sh", "args": ["-c", f"cat '{here}/.ssh/id_rsa'"], "isolation": {"mode": "sandbox"}}),
            ("network", "MCPX_ISOLATION_REFUSED", {"command": "cat", "isolation": {"mode": "sandbox", "network": "loopback"}}),
            ("new", "MCPX_QUARANTINE_PENDING_APPROVAL", {"command": "cat", "quarantined": True}),
        ]
        servers = [{"name": name, "enabled": True, **entry} for name, _, entry in cls.failures]
        hanging = {"name": "hanging", "command": python, "args": [str(here / "hanging.py")], "enabled": True}
        world.write_config({"mcpServers": [*servers, hanging, {"name": "off", "command": "x", "enabled": False}]})
        world.start_core()

    @classmethod
    def tearDownClass(cls):
        cls.world.end()
        cls.web.shutdown()

    def code(self, name):
        return self.world.get(f"/api/v1/servers/{name}/diagnostics").data["error_code"]

    def test_every_failure_has_its_code(self):
        """each kind of failure has its code, regardless of the server's output, and a next step"""
        for name, code, _ in self.failures:
            with self.subTest(name):
                wait_for(f"{name} has {code}, not {self.code(name)}", lambda: self.code(name) == code, 40)
                found = self.world.get(f"/api/v1/servers/{name}/diagnostics").data
                problem = found["diagnostic"]
                self.assertEqual(problem["server_id"], name)
                self.assertTrue(problem["user_message"] and problem["remediation"] and problem["detected_at"])
                self.assertNotIn("{", problem["user_message"])
                self.assertTrue(problem["fix_steps"])
                listed = self.world.server(name)
                self.assertEqual((listed["error_code"], listed["diagnostic"]["code"]), (code, code))

    def test_the_remedy_names_what_the_user_has(self):
        """a missing runner is reported with its installation; a crash shows the last lines of output"""
        wait_for("the crash is seen", lambda: self.code("crash") == "MCPX_STDIO_EXIT_NONZERO", 40)
        wait_for("the runner is missed", lambda: self.code("runner") == "MCPX_STDIO_SPAWN_ENOENT", 40)
        runner = self.world.server("runner")["diagnostic"]
        self.assertIn("`uvx` comes with uv.", runner["remediation"])
        self.assertIn("/nowhere", runner["why"])
        self.assertIn("API_TOKEN is not set", self.world.server("crash")["diagnostic"]["cause"])
        shown = self.world.run(CORE, "doctor", "--server", "crash").stdout
        self.assertIn("MCPX_STDIO_EXIT_NONZERO", shown)
        self.assertIn("exit status 3", shown)
        everything = self.world.run(CORE, "doctor").stdout
        self.assertIn("`uvx` comes with uv.", everything)

    def test_healthy_and_disabled_servers_have_none(self):
        """a healthy and a disabled server have no code; an unknown server is not found"""
        self.world.wait_connected("hanging")
        for name in ("hanging", "off"):
            found = self.world.get(f"/api/v1/servers/{name}/diagnostics").data
            self.assertIsNone(found["diagnostic"])
            self.assertNotIn("error_code", self.world.server(name))
        self.assertEqual(self.world.get("/api/v1/servers/unknown/diagnostics").status, 404)

    def test_fixes(self):
        """a fix does what it describes; a destructive fix must be requested explicitly"""
        wait_for("the crash is seen", lambda: self.code("crash") == "MCPX_STDIO_EXIT_NONZERO", 40)
        code = "MCPX_STDIO_EXIT_NONZERO"
        shown = self.world.run(CORE, "doctor", "fix", code, "--server", "crash")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("API_TOKEN is not set", shown.stdout)
        slow = ("doctor", "fix", "MCPX_STDIO_HANDSHAKE_TIMEOUT", "--server", "quiet", "--fixer", "config_raise_init_timeout")
        self.assertIn("Nothing has changed yet", self.world.run(CORE, *slow).stdout)
        entry = lambda: next(server for server in self.world.config()["mcpServers"] if server["name"] == "quiet")
        self.assertEqual(entry()["init_timeout"], "1s")
        time.sleep(1.1)
        self.assertEqual(self.world.run(CORE, *slow, "--execute").returncode, 0)
        self.assertEqual(entry()["init_timeout"], "2s")
        for body, status in [
            ({"server": "quiet", "code": "MCPX_STDIO_HANDSHAKE_TIMEOUT", "fixer_key": "config_raise_init_timeout"}, 409),
            ({"server": "quiet", "code": "MCPX_NONE", "fixer_key": "server_retry"}, 400),
            ({"server": "quiet", "code": code, "fixer_key": "oauth_reauth"}, 400),
            ({"server": "unknown", "code": code, "fixer_key": "server_retry"}, 404),
            ({"server": "killed", "code": code, "fixer_key": "server_retry"}, 200),
            ({"server": "killed", "code": code, "fixer_key": "server_retry"}, 429),
        ]:
            self.assertEqual(self.world.post("/api/v1/diagnostics/fix", body=body).status, status, body)
        recorded = json.dumps(self.world.get("/api/v1/activity?limit=1000").data)
        self.assertIn("config_raise_init_timeout", recorded)

    def test_codes_are_listed_and_explained(self):
        """list-codes lists every code, and shows the page of one code"""
        codes = json.loads(self.world.run(CORE, "doctor", "list-codes", "-o", "json").stdout)
        known = {code for _, code, _ in self.failures}
        self.assertLessEqual(known, {entry["code"] for entry in codes})
        page = self.world.run(CORE, "doctor", "list-codes", "mcpx_http_401").stdout
        self.assertTrue(page.startswith("MCPX_HTTP_401 (error)\n"), page)
        self.assertEqual(self.world.run(CORE, "doctor", "list-codes", "MCPX_NONE").returncode, 2)
        listed = self.world.get("/api/v1/diagnostics/codes").data["codes"]
        self.assertEqual([entry["code"] for entry in listed], [entry["code"] for entry in codes])

    def test_who_waits_for_what(self):
        """doctor shows a server that does not answer and a call in flight, with the time"""
        self.world.wait_connected("hanging")
        call = self.world.start(CORE, "call", "tool-read", "-t", "hanging:hang")

        def waits():
            found = self.world.get("/api/v1/diagnostics").data["waiting"]
            return [wait for wait in found if wait.get("request") == "hang"]

        wait_for("the call is listed", waits, 20)
        wait = waits()[0]
        self.assertEqual((wait["server_name"], wait["waits_for"]), ("hanging", "the server's response"))
        self.assertGreaterEqual(wait["seconds"], 2)
        self.assertIn("hanging: `hang` has waited", self.world.run(CORE, "doctor").stdout)
        call.terminate()

        def retries():
            found = self.world.get("/api/v1/diagnostics").data["waiting"]
            return [wait for wait in found if "next attempt" in wait["waits_for"]]

        # The pauses between attempts grow beyond the shortest wait that is listed.
        wait_for("a server that is retried is listed", retries, 40)

    def test_failed_connections_are_counted_by_kind(self):
        """the next report counts time-outs, refusals and failed handshakes"""
        for name, code in (("quiet", "MCPX_STDIO_HANDSHAKE_TIMEOUT"), ("refused", "MCPX_HTTP_CONN_REFUSED"), ("page", "MCPX_HTTP_NOT_MCP")):
            wait_for(f"{name} failed", lambda: self.code(name) == code, 40)
        counts = json.loads(self.world.run(CORE, "telemetry", "show-payload", "-o", "json").stdout)["error_category_counts"]
        for kind in ("upstream_connect_timeout", "upstream_connect_refused", "upstream_handshake_failed"):
            self.assertGreater(counts.get(kind, 0), 0, counts)


if __name__ == "__main__":
    main()
