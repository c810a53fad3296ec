"""The command line with a running core: tools, calls, logs, doctor, and references to secrets in a server's entry.

Uses the official TypeScript server. Run by `scripts/test mcp`.
"""

import json
import os
import signal
import subprocess
import sys
import unittest

from world import CHANGING_SERVER, CORE, PROJECT, World, everything, main, wait_for

sys.path.insert(0, str(PROJECT / "tests/desktop"))
from strange_core import StrangeCore, envelope, http  # noqa: E402


HIDING_SERVER = '''
import json, sys
TEXT = "a\\x1b[31mb\\x7f\\x9bc\\u202ed\\u200be"
for line in sys.stdin:
    message = json.loads(line)
    method, answer = message.get("method"), {}
    if "id" not in message:
        continue
    if method == "initialize":
        answer = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "hide", "version": "1"}}
    elif method == "tools/list":
        answer = {"tools": [{"name": "hide", "description": TEXT, "inputSchema": {"type": "object"},
                             "annotations": {"readOnlyHint": True}}]}
    elif method == "tools/call":
        answer = {"content": [{"type": "text", "text": TEXT}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer}), flush=True)
'''


def said(here, *arguments, code=0, **options):
    done = here.run(CORE, *arguments, **options)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


class CommandLine(unittest.TestCase):
    def test_tools_and_calls(self):
        """the command line lists, finds and calls tools; a failed tool exits with 1; these calls do not count as those of an AI client"""
        with World(config={"mcpServers": [everything()]}) as here:
            here.start_core()
            here.wait_connected("everything")
            listed = json.loads(said(here, "tools", "list", "-o", "json"))
            self.assertIn("echo", [tool["name"] for tool in listed])
            self.assertEqual(listed, json.loads(said(here, "tools", "list", "--server", "everything", "-o", "json")))
            self.assertIn("everything:echo", said(here, "tools", "list"))
            found = json.loads(said(here, "tools", "search", "add", "two", "numbers", "-n", "3", "-o", "json"))
            self.assertEqual(found[0]["tool"]["name"], "get-sum")
            self.assertLessEqual(len(found), 3)
            echo = ["call", "tool-read", "-t", "everything:echo"]
            self.assertIn("Grüße", said(here, *echo, "-j", '{"message": "Grüße"}'))
            self.assertIn("over stdin", said(here, *echo, "-j", "-", input='{"message": "over stdin"}'))
            result = json.loads(said(here, *echo, "-j", '{"message": "x"}', "-o", "json"))
            self.assertEqual(result["content"][0]["type"], "text")
            self.assertIn("not a valid JSON object", said(here, *echo, "-j", "[1]", code=2))
            said(here, "call", "tool-read", "-t", "everything:nothing", code=1)
            self.assertIn("everything", said(here, "call", "tool-write", "-t", "unknown:echo", code=1))
            self.assertFalse(here.status()["activation"]["first_retrieve_tools_call_ever"])
            self.assertFalse(here.status()["activation"]["first_mcp_client_ever"])
            wrong = here.post("/api/v1/tools/call", body={"tool_name": "upstream_servers", "arguments": {}})
            self.assertEqual(wrong.status, 400)

    def test_wrong_names_and_values(self):
        """a wrong name or value is named before anything is asked, with the command that shows the right ones"""
        with World(config={"mcpServers": [everything()]}) as here:
            self.assertIn("no server is named `nosuch`", said(here, "upstream", "remove", "nosuch", code=1))
            for command in ("connect", "disconnect"):
                self.assertIn("mcpproxy connect --list", said(here, command, code=2))
            self.assertIn("nothing changed", said(here, "upstream", "remove", "nosuch", "--if-exists"))
            here.start_core()
            here.wait_connected("everything")
            self.assertIn("no server is named `nosuch`", said(here, "upstream", "remove", "nosuch", code=1))
            for words in (["upstream", "approve", "nosuch"], ["tools", "list", "-s", "nosuch"], ["tools", "disable", "nosuch:x"],
                          ["profile", "create", "work", "nosuch"]):
                self.assertIn("`mcpproxy upstream list`", said(here, *words, code=1), words)
            self.assertIn("`mcpproxy profile list`", said(here, "profile", "use", "nosuch", code=1))
            self.assertIn("`mcpproxy activity list -o json`", said(here, "activity", "show", "nosuch", code=1))
            self.assertIn("SERVER:TOOL", said(here, "call", "tool-read", "-t", "echo", code=2))
            failed = here.run(CORE, "call", "tool-read", "-t", "everything:echo", "-j", "{}")
            self.assertIn("error: `everything:echo` returned an error\nhelp: ", failed.stderr)
            self.assertIn("30m", said(here, "activity", "list", "--since", "yesterday", code=2))
            self.assertIn("No entries match.", said(here, "activity", "list", "--since", "1h", "--server", "nosuch"))
            self.assertIn("No matching tools.", said(here, "tools", "search", "--explain", "zzzqqq"))
            self.assertNotIn("#", said(here, "doctor", "list-codes", "MCPX_STDIO_SPAWN_ENOENT"))
            twice = here.run(CORE, "serve")
            self.assertEqual(len(twice.stderr.splitlines()), 2, twice.stderr)

    def test_without_a_core(self):
        """without a core, commands that need one say how to start it, and doctor reports a broken configuration"""
        with World(config={"mcpServers": []}) as here:
            for words in (["tools", "list"], ["doctor"], ["call", "tool-read", "-t", "a:b"]):
                self.assertIn("mcpproxy serve", said(here, *words, code=1))
            here.write_config('{"listen": 1}')
            self.assertIn("line 1", said(here, "doctor", code=4))

    def test_logs(self):
        """a server's log is shown, also while it is written and without a core; an unknown server is an error"""
        script = "import sys, time\nprint('first\\x1b[31m', file=sys.stderr, flush=True)\nsys.stdin.readline()\nprint('second', file=sys.stderr, flush=True)\n"
        with World() as here:
            (here.directory / "server.py").write_text(script)
            entry = {"name": "talker", "command": sys.executable, "args": [str(here.directory / "server.py")]}
            here.write_config({"mcpServers": [entry]})
            here.start_core()
            wait_for("the server has written to its log", lambda: "second" in said(here, "upstream", "logs", "talker"))
            self.assertIn("first\\u{1b}[31m", said(here, "upstream", "logs", "talker"))
            logs = here.get("/api/v1/servers/talker/logs?tail=1").data
            self.assertEqual(logs["count"], 1)
            self.assertEqual(here.get("/api/v1/servers/unknown/logs").status, 404)
            follower = here.start(CORE, "upstream", "logs", "talker", "-n", "0", "-f")
            here.post("/api/v1/servers/talker/restart")
            wait_for("new lines are shown", lambda: "second" in here.output(follower))
            self.assertIn("no server is named `unknown`", said(here, "upstream", "logs", "unknown", code=1))

    def test_own_logs(self):
        """the core's log is shown, also while it is written and after the core has stopped; without one there is a message"""
        with World(config={"mcpServers": []}) as here:
            self.assertEqual(said(here, "logs", "-o", "json").strip(), "[]")
            core = here.start_core()
            self.assertIn("serving", said(here, "logs").lower())
            follower = here.start(CORE, "logs", "-n", "0", "-f")
            here.write_config({"mcpServers": [{"name": "nothing", "command": "no-such-program"}]})
            wait_for("new lines are shown", lambda: "no-such-program" in here.output(follower))
            self.assertEqual(here.run(CORE, "logs", "--tray", "-n", "5").stdout.strip(), "")
            lines = json.loads(said(here, "logs", "-n", "2", "-o", "json"))
            self.assertEqual(len(lines), 2)
            core.terminate()
            core.wait(15)
            self.assertIn("no-such-program", said(here, "logs"))

    def test_secrets_and_doctor(self):
        """${env:…} is replaced when a server starts and never shown; doctor and the server's state report a missing variable"""
        with World(variables={"TOKEN_OF_THE_TEST": "s3cr3t-value"}) as here:
            show = "import os, sys; open(sys.argv[1], 'w').write(os.environ['KEY'] + ' ' + sys.argv[2])"
            words = [sys.executable, "-c", show, str(here.directory / "seen"), "${env:TOKEN_OF_THE_TEST}"]
            good = {"name": "good", "command": words[0], "args": words[1:], "env": {"KEY": "Bearer ${env:TOKEN_OF_THE_TEST}"}}
            missing = {"name": "missing", "command": sys.executable, "env": {"KEY": "${env:NOT_SET_ANYWHERE}"}}
            unknown = {"name": "unknown", "command": sys.executable, "env": {"KEY": "${input:x}"}}
            here.write_config({"mcpServers": [good, missing, unknown]})
            core = here.start_core()
            seen = here.directory / "seen"
            wait_for("the server saw its secrets", lambda: seen.exists() and seen.read_text() == "Bearer s3cr3t-value s3cr3t-value")
            server = wait_for("the server failed", lambda: (one := here.server("missing")) and one["status"] == "error" and one)
            self.assertEqual(server["health"]["action"], "set_secret")
            self.assertIn("`NOT_SET_ANYWHERE`", server["last_error"])
            found = here.get("/api/v1/diagnostics").data
            self.assertEqual(found["missing_secrets"], [{"secret_name": "NOT_SET_ANYWHERE", "used_by": ["missing"]}])
            told = said(here, "doctor")
            self.assertIn("`NOT_SET_ANYWHERE` is not set", told)
            self.assertIn("${input:x}", told)
            shown = here.output(core) + told + here.get("/api/v1/servers").text + here.get("/api/v1/config").text + here.config_file.read_text()
            shown += "".join(log.read_text() for log in (here.root / "logs").iterdir())
            self.assertNotIn("s3cr3t-value", shown)

    def test_healthy(self):
        """doctor says so if there are no problems"""
        with World() as here:
            (here.directory / "server.py").write_text(CHANGING_SERVER)
            (here.directory / "tools.json").write_text('{"one": "The one tool"}')
            words = [str(here.directory / name) for name in ("server.py", "tools.json")]
            here.write_config({"mcpServers": [{"name": "fine", "command": sys.executable, "args": words}]})
            here.start_core()
            here.wait_connected("fine")
            self.assertIn("No problems found.", said(here, "doctor"))


class Manners(unittest.TestCase):
    def test_reader_gone(self):
        """a reader that closes the output early, such as `head`, causes no error message"""
        with World() as here:
            for words in (["--help"], ["doctor", "list-codes"], ["upstream", "list"], ["config", "schema"]):
                reader, writer = os.pipe()
                os.close(reader)
                done = subprocess.run([CORE, *words], stdout=writer, stderr=subprocess.PIPE, env=here.environment(), timeout=30)
                os.close(writer)
                self.assertEqual(done.stderr, b"", words)

    def test_usage(self):
        """a usage error exits with 2; a prompt without a terminal fails and names the flag; `-q` prints nothing"""
        with World(config={}) as here:
            for words in (["nonsense"], ["upstream", "add", "a b", "--", "x"], ["upstream", "add", "a", "htp://h/"], ["status", "-o", "xml"]):
                self.assertIn("error: ", said(here, *words, code=2))
            said(here, "upstream", "add", "a", "--", "x")
            self.assertIn("--yes", said(here, "upstream", "remove", "a", code=1))
            self.assertIn("--yes", said(here, "upstream", "approve", "a", code=1))
            self.assertTrue(here.config()["mcpServers"][0]["quarantined"])
            self.assertEqual(said(here, "-q", "upstream", "rm", "a", "--yes"), "")
            self.assertIn("No servers yet", said(here, "upstream", "ls"))

    def test_entries(self):
        """entries are changed by key and added in any format, and the file is checked, with and without a core"""
        for running in (False, True):
            with World(config={"mcpServers": []}) as here:
                if running:
                    here.start_core()
                entry = json.dumps({"command": ["x", "y"], "environment": {"A": "1"}, "disabled": True, "isolation": "none", "odd": 1})
                added = here.run(CORE, "upstream", "add-json", "a", entry)
                self.assertIn("ignored `odd`", added.stderr)
                said(here, "upstream", "set", "a", "--env", "B=2", "--unset-env", "A", "--timeout", "90s", "--", "z", "w")
                server = here.config()["mcpServers"][0]
                self.assertEqual((server["command"], server["args"], server["env"]), ("z", ["w"], {"B": "2"}))
                self.assertEqual(server["isolation"], "none")
                self.assertEqual((server["init_timeout"], server["enabled"], server["quarantined"]), ("90s", False, True))
                self.assertIn("no server is named `b`", said(here, "upstream", "set", "b", "--env", "A=1", code=1))
                said(here, "upstream", "set", "a", code=2)
                self.assertEqual(said(here, "config", "path").strip(), str(here.config_file))
                self.assertIn("is valid", said(here, "config", "validate"))
        with World(config={}) as here:
            here.config_file.write_text("{ nonsense")
            self.assertIn("line 1", said(here, "config", "validate", code=4))

    def test_at_once(self):
        """simultaneous edits wait for each other, and a core can start meanwhile"""
        with World(config={"mcpServers": []}) as here:
            command = [str(CORE), "upstream", "add", "--no-quarantine"]
            options = {"env": here.environment(), "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
            adding = [subprocess.Popen([*command, f"s{number}", "http://127.0.0.1:1/"], **options) for number in range(20)]
            here.start_core()
            for one in adding:
                self.assertEqual((one.wait(60), one.stderr.read()), (0, b""))
                one.stderr.close()
            self.assertEqual(len(here.config()["mcpServers"]), 20)

    def test_hidden_characters(self):
        """no text from a server can control the terminal or hide text, in any output format"""
        with World(config={}) as here:
            here.start_core()
            said(here, "upstream", "add", "a", "--no-quarantine", "--", sys.executable, "-c", HIDING_SERVER)
            here.wait_connected("a")
            for words in (["tools", "list"], ["upstream", "inspect", "a"], ["call", "tool-read", "-t", "a:hide"]):
                for form in ("table", "json", "yaml"):
                    text = said(here, *words, "-o", form)
                    self.assertFalse(set(text) & set("\x1b\x7f\x9b\u202e\u200b"), f"{words} {form}: {text!r}")

    def test_silent_core(self):
        """`status` does not claim that MCPProxy is not running if a core does not respond"""
        with World(config={}) as here:
            core = here.start_core()
            os.kill(core.pid, signal.SIGSTOP)
            try:
                told = json.loads(here.run(CORE, "status", "-o", "json", seconds=60).stdout)
            finally:
                os.kill(core.pid, signal.SIGCONT)
            self.assertEqual(told["state"], "Not responding")

    def test_strange_core(self):
        """if a core gives strange answers, commands say that it does not respond, and none edits its configuration file"""
        with World(config={"mcpServers": [{"name": "a", "command": "x", "enabled": True}]}) as here:
            before = here.config_file.read_bytes()
            for answer in (b"\x00\xffnonsense", http(b"<html></html>", "text/html", 502), (500, {"error": "no database"}),
                           envelope(None), lambda connection: connection.sendall(http(b"{}" * 99)[:-9])):
                with StrangeCore(here.root / "mcpproxy.sock", {"/api/v1/status": answer}):
                    self.assertEqual(json.loads(said(here, "status", "-o", "json", code=1))["state"], "Not responding")
                    for command in ("doctor", "upstream list", "tools list", "profile list", "telemetry show", "stdio",
                                    "upstream add b -- x", "upstream disable a", "tools disable a:b", "profile create play a",
                                    "telemetry disable"):
                        text = said(here, *command.split(), code=1)
                        self.assertIn("MCPProxy is running but not responding", text, command)
                        self.assertIn("help: see `mcpproxy logs`, or restart MCPProxy", text, command)
                self.assertEqual(here.config_file.read_bytes(), before)


if __name__ == "__main__":
    main()
