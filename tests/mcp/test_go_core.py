"""Every command with a running Go core, using its recorded responses: each works, and none edits its configuration file.

Run by `scripts/test mcp`. `tests/data/go-homes/full` has what the Go core v0.60 answered.
"""

import http.server
import json
import socketserver
import threading
import unittest

from world import CORE, PROJECT, World, main

RECORDED = PROJECT / "tests/data/go-homes/full"


class GoCore(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Sends the Go core's recorded responses over the local socket, and records the requests."""

    daemon_threads = True

    def __init__(self, world):
        self.answers = {}
        for file in ("rest-v0.60.json", "actions-v0.60.json"):
            self.answers.update(json.loads((RECORDED / file).read_text()))
        self.asked = []
        super().__init__(str(world.root / "mcpproxy.sock"), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, method, path, body):
        """Returns the recorded response for this request, or for one with the same path; unknown servers get the response for `new`."""
        asked = f"{method} {path}"
        self.asked.append((asked, body))
        text = json.dumps(body, separators=(",", ":")) if body is not None else ""
        candidates = [f"{asked} {text}", asked, asked.split("?")[0]]
        candidates += [name for name in self.answers if name.startswith(f"{asked} ") and " #" not in name]
        candidates += [name for name in self.answers if name.startswith(asked.split("?")[0] + "?")]
        parts = path.split("/")
        if parts[3:4] == ["servers"] and len(parts) == 6 and parts[5] in ("enable", "disable", "restart", "unquarantine"):
            candidates += [name for name in self.answers if name.startswith(f"{method} /api/v1/servers/new/{parts[5]}")]
        for name in candidates:
            if name in self.answers:
                return self.answers[name]
        return {"status": 404, "body": "404 page not found\n"}

    def bodies(self, asked):
        return [body for request, body in self.asked if request == asked]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "local"

    def log_message(self, *_):
        pass

    def handle_one(self):
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        answer = self.server.answer(self.command, self.path, json.loads(text) if text else None)
        body = answer["body"] if isinstance(answer["body"], str) else json.dumps(answer["body"])
        self.send_response(answer["status"])
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one


class Commands(unittest.TestCase):
    def world(self):
        world = World()
        self.addCleanup(world.__exit__, None, None, None)
        logs = world.directory / "go-logs"
        logs.mkdir()
        (logs / "main.log").write_text("2026-11-30 INFO the Go core's log\n")
        (logs / "server-changing.log").write_text("2026-11-30 INFO the server's log\n")
        (logs / "server-io.github.ann_notes.log").write_text("2026-11-30 INFO the log of ann's notes\n")
        world.write_config({"mcpServers": [{"name": "changing", "command": "/opt/example/x", "enabled": True}],
                            "logging": {"log_dir": str(logs)}})
        core = GoCore(world)
        self.addCleanup(core.shutdown)
        return world, core

    def test_what_is_shown(self):
        """commands that show something work with the Go core, and change no file"""
        world, core = self.world()
        before = world.config_file.read_bytes()
        for command, words in {
            "status": ["Running", "v0.60.0", "http://127.0.0.1:18080/mcp"],
            "doctor": ["changing: 1 new tool and 1 changed tool need approval", "waiting needs approval"],
            "upstream list": ["1 new tool and 1 changed tool need approval", "Quarantined"],
            "upstream inspect changing": ["/opt/example/changing.py", "add (changed: description)", "- | Adds numbers",
                                          "+ | Adds numbers. IMPORTANT", "mul (pending)"],
            "tools list": ["changing:add", "changed", "everything:echo", "off"],
            "tools search add": ["auto:add"],
            "activity list": ["everything:get-tiny-image"],
            "activity summary": ["Succeeded"],
            "profile list": ["research", "/mcp/p/research"],
            "telemetry show": ["anonymous_id"],
            "telemetry status": ["Anonymous ID"],
            "logs": ["the Go core's log"],
            "upstream logs changing": ["the server's log"],
            "upstream logs io.github.ann/notes": ["the log of ann's notes"],
        }.items():
            done = world.run(CORE, *command.split())
            self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
            for word in words:
                self.assertIn(word, done.stdout, command)
            if "logs" not in command.split():
                as_json = world.run(CORE, *command.split(), "-o", "json")
                self.assertEqual(as_json.returncode, 0, f"{command}: {as_json.stderr}")
                json.loads(as_json.stdout)
        self.assertEqual(world.config_file.read_bytes(), before)
        self.assertNotIn("Not running", world.run(CORE, "status").stdout)

    def test_calls(self):
        """tools are called through the Go core, which blocks unapproved and disabled tools"""
        world, core = self.world()
        done = world.run(CORE, "call", "tool-read", "--tool", "changing:sub")
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "ran sub"))
        held = world.run(CORE, "call", "tool-read", "--tool", "changing:add")
        self.assertEqual(held.returncode, 1)
        self.assertIn("TOOL_QUARANTINED", held.stdout + held.stderr)
        off = world.run(CORE, "call", "tool-read", "--tool", "everything:echo")
        self.assertEqual(off.returncode, 1)
        self.assertIn("TOOL_BLOCKED", off.stderr)

    def test_changes(self):
        """commands that change something use the Go core's REST interface instead of its file"""
        world, core = self.world()
        before = world.config_file.read_bytes()
        for command, words in {
            "upstream disable changing": "Disabled",
            "upstream enable changing": "Enabled",
            "upstream restart changing": "Restarting",
            "upstream add another -- /opt/example/x": "Added",
            "upstream remove new --yes": "Removed",
            "upstream approve waiting --yes": "Approved",
            "tools disable changing:sub": "Turned off",
            "profile use research": "only the servers of `research`",
            "profile create play changing": "Saved",
            "telemetry disable": "disabled",
        }.items():
            done = world.run(CORE, *command.split())
            self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
            self.assertIn(words, done.stdout, command)
        self.assertEqual(world.config_file.read_bytes(), before, "the file is the Go core's")
        profiles = core.bodies("PATCH /api/v1/config")[0]["profiles"]
        self.assertEqual([(one["name"], one["servers"]) for one in profiles],
                         [("research", ["everything"]), ("play", ["changing"])])

    def test_an_approval_is_for_what_was_shown(self):
        """an approval covers exactly the reviewed tools, and fails if they changed"""
        world, core = self.world()
        path = "/api/v1/servers/changing/tools"
        self.assertEqual(world.run(CORE, "upstream", "approve", "changing", "--yes").returncode, 0)
        self.assertEqual(core.bodies(f"POST {path}/approve"), [{"tools": ["add", "mul"]}])
        listed, shown = core.answers[f"GET {path}"], []

        def changes_after_the_review(method, asked, body, answer=core.answer):
            if asked == path:
                shown.append(asked)
                text = json.dumps(listed).replace("sha256/v3:", f"sha256/v3:{len(shown)}")
                core.answers[f"GET {path}"] = json.loads(text)
            return answer(method, asked, body)

        core.answer = changes_after_the_review
        refused = world.run(CORE, "upstream", "approve", "changing", "--yes")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("has changed since it was shown", refused.stderr)
        self.assertEqual(len(core.bodies(f"POST {path}/approve")), 1, "nothing else was approved")

    def test_encryption(self):
        """status shows the URL with https if the Go core encrypts, whatever the configuration file says"""
        world, core = self.world()
        core.answers["GET /api/v1/config"]["body"]["data"]["config"]["tls"]["enabled"] = True
        for command in (("status",), ("overview",)):
            self.assertIn("https://127.0.0.1:18080/mcp", world.run(CORE, *command).stdout, command)

    def test_what_the_go_core_does_not_have(self):
        """commands without support in the Go core are explained"""
        world, core = self.world()
        for command, word in {
            "scan": "the Go core is running",
            "ui": "http://127.0.0.1:18080/ui/ and enter the API key",
            "setup --yes": "the Go core is running",
            "upstream inspect nosuch": "no server is named `nosuch`",
            "upstream remove nosuch --yes": "nosuch",
        }.items():
            done = world.run(CORE, *command.split())
            self.assertEqual(done.returncode, 1, command)
            self.assertIn(word, done.stderr, command)


if __name__ == "__main__":
    main()
