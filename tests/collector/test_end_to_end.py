"""Follows an installation to a step of the funnel on the collector's page: the real core reports to the real collector.

The core's clock runs 120 times as fast. Run by `scripts/test collector`; COLLECTOR names the program.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import unittest
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mcp"))
from world import CORE, World, main, wait_for  # noqa: E402

FASTER = 120
PRELOAD = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
# A minimal server with one tool.
SERVER = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if message["method"] == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "one", "version": "1"}}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": "say", "description": "Says a text", "inputSchema": {"type": "object"}}]}
    else:
        result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


class Service:
    """The collector with its own directory."""

    def __init__(self, directory):
        self.directory = directory
        self.process = subprocess.Popen(
            [os.environ["COLLECTOR"], "--data", directory, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True)
        lines = [self.process.stdout.readline() for _ in range(3)]
        self.endpoint, self.public, self.admin = ("http://" + line.split("http://")[1].split()[0] for line in lines)

    def get(self, url):
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()

    def stats(self):
        return json.loads(self.get(self.admin + "v1/stats?who=all"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()


def command(world, *arguments):
    """Runs the command line with the real clock."""
    environment = {name: value for name, value in world.environment().items() if name not in ("LD_PRELOAD", "FAKETIME")}
    return world.run(CORE, *arguments, env=environment)


class Mcp:
    """Initializes a session like an AI client."""

    def __init__(self, world):
        self.world, self.session, self.number = world, {}, 0
        answer = self.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                                             "clientInfo": {"name": "codex", "version": "1"}})
        assert "serverInfo" in answer, answer
        self.request("notifications/initialized", None)

    def request(self, method, params):
        import http.client
        message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            self.number += 1
            message |= {"id": self.number, "params": params}
        connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=20)
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **self.session}
        connection.request("POST", "/mcp", json.dumps(message), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if session := answer.headers.get("Mcp-Session-Id"):
            self.session = {"Mcp-Session-Id": session}
        connection.close()
        lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.strip()]
        for line in lines:
            if line.startswith("{"):
                return json.loads(line).get("result", json.loads(line))
        return {}


class WebUi:
    """The web UI without JavaScript, signed in with the API key."""

    def __init__(self, world):
        self.origin = f"http://127.0.0.1:{world.port}"
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        self.open("/ui/sign-in", {"key": "key-of-the-test"})

    def open(self, path, fields=None):
        data = urllib.parse.urlencode(fields).encode() if fields is not None else None
        request = urllib.request.Request(self.origin + path, data, {"Origin": self.origin})
        with self.opener.open(request, timeout=20) as answer:
            return answer.read().decode()

    def get(self, path):
        return self.open(path)

    def post(self, path):
        token = re.search('name="form_token" value="([^"]+)"', self.get("/ui/privacy")).group(1)
        return self.open(path, {"form_token": token})


class FromInstallationToThePage(unittest.TestCase):
    def test_all_of_it(self):
        """a new installation reports, appears in each step on the page, shows its stored data, and deletes it"""
        self.assertIsNotNone(PRELOAD, "the fast clock is missing: run this through scripts/test")
        directory = pathlib.Path(os.environ.get("TMPDIR", "/tmp"))
        import tempfile
        with tempfile.TemporaryDirectory(dir=directory) as data, Service(data) as collector:
            server = pathlib.Path(data) / "server.py"
            server.write_text(SERVER)
            config = {
                "telemetry": {"endpoint": collector.endpoint},
                "mcpServers": [{"name": "one", "protocol": "stdio", "command": sys.executable, "args": [str(server)],
                                "enabled": True}],
            }
            fast = {"LD_PRELOAD": str(PRELOAD), "FAKETIME": f"+0 x{FASTER}"}
            with World(config=config, variables=fast) as here:
                here.start_core()
                here.wait_connected("one")
                client = Mcp(here)
                client.request("tools/call", {"name": "retrieve_tools", "arguments": {"query": "say a text"}})
                wait_for("a report arrives", lambda: collector.stats()["installs"] == 1, 40)
                stats = collector.stats()
                self.assertEqual(stats["funnel"]["strict"],
                                 dict.fromkeys(stats["funnel"]["strict"], 1), "the funnel contains every step")
                self.assertEqual(stats["clients"], {"codex": 1})
                self.assertEqual(stats["quality"]["unknown_fields"], {}, "the collector knows every field")
                self.assertEqual(stats["quality"]["dropped_values"], {}, "and every value")
                page = collector.get(collector.admin + "?who=all")
                self.assertIn("retrieve_tools called</th><td>1</td><td>1</td>", page)
                self.assertIn("&lt;10", collector.get(collector.public + "?who=all"), "the public page hides small numbers")

                received = command(here, "telemetry", "received", "-o", "json")
                self.assertEqual(received.returncode, 0, received.stderr)
                stored = json.loads(received.stdout)
                first = here.config()["telemetry"]["anonymous_id"]
                self.assertEqual(stored["anonymous_id"], first)
                self.assertGreaterEqual(len(stored["reports"]), 1)
                web = WebUi(here)
                page = web.get("/ui/privacy?received=1")
                self.assertRegex(page, r"The collector stores \d+ reports?\.")
                self.assertIn(first, page)
                self.assertRegex(web.post("/ui/privacy/forget"), r"The collector deleted \d+ reports?\.")
                second = here.config()["telemetry"]["anonymous_id"]
                self.assertNotEqual(first, second)
                forgotten = command(here, "telemetry", "forget", "--yes")
                self.assertEqual(forgotten.returncode, 0, forgotten.stderr)
                self.assertNotEqual(here.config()["telemetry"]["anonymous_id"], second)
                here.end()
            for file in pathlib.Path(data).rglob("*"):
                if file.is_file():
                    bytes_of_file = file.read_bytes()
                    self.assertNotIn(first.encode(), bytes_of_file, file)
                    self.assertNotIn(bytes.fromhex(first.replace("-", "")), bytes_of_file, file)


if __name__ == "__main__":
    main()
