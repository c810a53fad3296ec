"""The first hour with the command line: approve and wait, complete names, type a secret without echo, and uninstall.

Run by `scripts/test mcp`.
"""

import fcntl
import http.client
import json
import os
import pathlib
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import time
import unittest
import urllib.parse

from test_doctor import HANGING
from world import CORE, Terminal, World, main, wait_for


# A server with one tool that only reads and one that does not; it writes down what is called.
READER = """
import json, pathlib, sys
called = pathlib.Path(__file__).with_name("called")
TOOLS = [{"name": "change_things", "inputSchema": {"type": "object"}},
         {"name": "list_things", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if message["method"] == "tools/list":
        answer = {"tools": TOOLS}
    elif message["method"] == "tools/call":
        try:
            with called.open("a") as file:
                file.write(message["params"]["name"] + chr(10))
        except OSError:
            pass  # in a sandbox
        answer = {"content": [{"type": "text", "text": "done"}]}
    else:
        answer = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "reader", "version": "1"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer}), flush=True)
"""


class FirstHour(unittest.TestCase):
    def setUp(self):
        self.world = World()
        script = self.world.directory / "server.py"
        script.write_text(HANGING)
        quick = {"command": sys.executable, "args": [str(script)], "enabled": True, "quarantined": True}
        broken = {**quick, "command": "sh", "args": ["-c", "echo no token >&2; exit 3"]}
        self.world.write_config({"mcpServers": [{"name": "quick", **quick}, {"name": "broken", **broken}]})

    def tearDown(self):
        self.world.end()

    def test_approve_and_wait(self):
        """approve --wait returns once the server is connected, and reports why another one failed"""
        self.world.start_core()
        approved = self.world.run(CORE, "upstream", "approve", "quick", "--yes", "--wait")
        self.assertEqual(approved.returncode, 0, approved.stderr)
        self.assertIn("`quick` is connected (1 tools).", approved.stdout)
        failed = self.world.run(CORE, "upstream", "approve", "broken", "--yes", "--wait=30")
        self.assertEqual(failed.returncode, 1)
        self.assertIn("no token", failed.stderr)
        self.assertIn("mcpproxy doctor --server broken", failed.stderr)

    def test_one_failure_does_not_end_the_wait_for_the_others(self):
        """approve --all --wait reports each server; setup does not claim that it works if none is connected"""
        self.world.variables["XDG_CONFIG_HOME"] = str(self.world.directory / ".config")
        (self.world.directory / "server.py").write_text(READER)
        self.world.start_core()
        done = self.world.run(CORE, "upstream", "approve", "--all", "--yes", "--wait=60", seconds=90)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("`quick` is connected (2 tools).", done.stdout)
        self.assertIn("`broken` did not start", done.stderr)
        partly = self.world.run(CORE, "setup", "--yes", seconds=90)
        self.assertEqual(partly.returncode, 0, partly.stderr)
        self.assertIn("1 of 2 servers are connected", partly.stderr)
        self.assertIn("why the others are not: mcpproxy doctor", partly.stderr)
        self.assertEqual(self.world.run(CORE, "upstream", "rm", "quick", "--yes").returncode, 0)
        none = self.world.run(CORE, "setup", "--yes", seconds=90)
        self.assertEqual(none.returncode, 1, none.stderr)
        self.assertIn("none of your servers is connected", none.stderr)
        self.assertNotIn("It works", none.stderr)

    def test_names_are_completed(self):
        """bash completes the names of servers and error codes, and everything else as usual"""
        for kind, name in (("servers", "quick"), ("codes", "MCPX_HTTP_401")):
            self.assertIn(name, self.world.run(CORE, "names", kind).stdout.split())
        bash = shutil.which("bash")
        if not bash:
            self.skipTest("needs bash")
        script = self.world.directory / "completion"
        script.write_text(self.world.run(CORE, "completion", "bash").stdout)

        def completed(*words):
            line = " ".join(f"'{word}'" for word in words)
            text = f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; COMP_LINE='{' '.join(words)}'"
            text += f"; COMP_POINT={len(' '.join(words))}; _mcpproxy_names mcpproxy '{words[-1]}' '{words[-2]}'; echo \"${{COMPREPLY[@]}}\""
            environment = {**self.world.environment(), "PATH": f"{pathlib.Path(CORE).parent}:{os.environ['PATH']}"}
            done = subprocess.run([bash, "-c", text], capture_output=True, text=True, env=environment, timeout=30)
            return done.stdout.split()

        self.assertEqual(completed("mcpproxy", "upstream", "approve", "qu"), ["quick"])
        self.assertEqual(completed("mcpproxy", "doctor", "--server", "br"), ["broken"])
        self.assertEqual(completed("mcpproxy", "doctor", "fix", "MCPX_HTTP_401"), ["MCPX_HTTP_401"])
        self.assertIn("upstream", completed("mcpproxy", "upst"))
        self.world.start_core()
        self.assertEqual(self.world.run(CORE, "upstream", "approve", "quick", "--yes", "--wait").returncode, 0)
        tool = self.world.run(CORE, "names", "tools").stdout.split()[0]
        self.assertTrue(tool.startswith("quick:"), tool)
        # Bash splits words at colons, and expects what comes after the last one.
        self.assertEqual(completed("mcpproxy", "tools", "disable", "quick:"), [tool.removeprefix("quick:")])
        self.assertEqual(completed("mcpproxy", "call", "tool-read", "--tool", "qu"), [tool])

    def test_a_name_is_never_run(self):
        """names with shell syntax are completed as text by bash, zsh and fish"""
        marker = self.world.directory / "ran"
        evil = f"$(touch {marker})`touch {marker}`;touch {marker}"
        self.world.write_config({"mcpServers": [{"name": evil, "command": "true", "enabled": False}]})
        environment = {**self.world.environment(), "PATH": f"{pathlib.Path(CORE).parent}:{os.environ['PATH']}"}
        for shell in ("bash", "zsh", "fish"):
            if not shutil.which(shell):
                continue
            script = self.world.directory / f"completion.{shell}"
            script.write_text(self.world.run(CORE, "completion", shell).stdout)
            text = {
                "bash": f"source {script}; COMP_WORDS=(mcpproxy upstream approve ''); COMP_CWORD=3; COMP_LINE='mcpproxy upstream approve '; "
                        "COMP_POINT=26; _mcpproxy_names mcpproxy '' approve; eval \"echo ${COMPREPLY[0]}\"",
                "zsh": f"autoload -U compinit; compinit -u -D; source {script}; compadd() {{ print -r -- ${{(P)2}} }}; "
                       "words=(mcpproxy upstream approve ''); CURRENT=4; _mcpproxy_names",
                "fish": f"source {script}; complete -C 'mcpproxy upstream approve '",
            }[shell]
            done = subprocess.run([shell, "-c", text], capture_output=True, text=True, env=environment, timeout=30)
            self.assertIn("touch", done.stdout, f"{shell}: {done.stderr}")
            self.assertFalse(marker.exists(), shell)

    def test_a_typed_secret_is_not_shown(self):
        """a secret typed at a terminal is never echoed; Ctrl-C restores the terminal"""
        child, terminal = pty.fork()
        if child == 0:
            os.execve(CORE, [str(CORE), "secrets", "set", "github"], self.world.environment())
        shown = b""

        def read(until):
            nonlocal shown
            deadline = time.monotonic() + 30
            while until not in shown and time.monotonic() < deadline:
                if select.select([terminal], [], [], 0.2)[0]:
                    try:
                        shown += os.read(terminal, 4096)
                    except OSError:
                        return

        read(b"not shown): ")
        os.write(terminal, b"s3cret\x03")
        read(b"could not read the secret")
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        self.assertIn(b"Secret for github (not shown): ", shown)
        self.assertNotIn(b"s3cret", shown)
        self.assertIn(b"could not read the secret", shown)
        self.assertNotEqual(os.waitstatus_to_exitcode(status), 0)

    def test_setup(self):
        """setup imports, approves, connects and makes a call, and says how to undo it; a second run does nothing"""
        cursor = self.world.directory / ".cursor" / "mcp.json"
        cursor.parent.mkdir()
        script = str(self.world.directory / "reader.py")
        pathlib.Path(script).write_text(READER)
        cursor.write_text(json.dumps({"mcpServers": {"reader": {"command": sys.executable, "args": [script]}}}))
        self.world.write_config({"mcpServers": []})
        self.world.start_core()
        refused = self.world.run(CORE, "setup")
        self.assertIn("--yes", refused.stderr)
        done = self.world.run(CORE, "setup", "--yes", seconds=90)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Undo: mcpproxy connect cursor --undo", done.stderr)
        entry = f"http://127.0.0.1:{self.world.port}/mcp"
        self.assertRegex(done.stderr, rf"Cursor's entry `{entry}` called `reader:list_things` in \d+ ms")
        self.assertIn("It works. 1 of 1 servers are connected, with 2 tools", done.stderr)
        self.assertIn("mcpproxy", json.loads(cursor.read_text())["mcpServers"])
        self.assertTrue(self.world.server("reader")["connected"])
        again = self.world.run(CORE, "setup", "--yes", seconds=90)
        self.assertNotIn("Undo", again.stderr)
        self.assertIn("It works", again.stderr)
        # Cursor still starts the server itself, too.
        self.assertIn("also start reader themselves", again.stderr)
        self.assertIn("mcpproxy import --all --move", again.stderr)
        self.assertEqual(self.world.run(CORE, "import", "--all", "--move").returncode, 0)
        self.assertEqual(list(json.loads(cursor.read_text())["mcpServers"]), ["mcpproxy"])
        self.assertNotIn("--move", self.world.run(CORE, "setup", "--yes", seconds=90).stderr)

    def test_setup_from_nothing(self):
        """without servers and without a core, setup starts the core, asks for a server and approves it only after yes; stop ends the core"""
        cursor = self.world.directory / ".cursor" / "mcp.json"
        cursor.parent.mkdir()
        script = self.world.directory / "reader.py"
        script.write_text(READER)
        self.world.variables["XDG_CONFIG_HOME"] = str(self.world.directory / ".config")
        self.world.write_config({"mcpServers": [], "telemetry": {"endpoint": "http://127.0.0.1:9/v1"}})
        setup = Terminal(self.world, CORE, "setup")
        self.assertIn("mcpproxy telemetry disable", setup.answer("Make these changes? [y/N]", "y"))
        setup.answer("Server: ", "'not closed")
        refused = setup.answer("Server: ", f"LEVEL=debug {sys.executable} '{script}'")
        self.assertIn("has no end", refused)
        setup.answer("Approve `reader-py`? [y/N]", "n")
        code, shown = setup.end()
        self.assertEqual(self.world.server("reader-py")["status"], "quarantined", shown)
        server = self.world.config()["mcpServers"][0]
        self.assertEqual((server["command"], server["args"], server["env"]), (sys.executable, [str(script)], {"LEVEL": "debug"}))
        again = Terminal(self.world, CORE, "setup")
        again.answer("Approve `reader-py`? [y/N]", "y")
        code, shown = again.end()
        self.assertEqual(code, 0, shown)
        self.assertIn("called `reader-py:list_things`", shown)
        self.assertIn("It works. 1 of 1 servers are connected", shown)
        self.assertEqual(self.world.run(CORE, "stop").stdout.strip(), "Stopped MCPProxy.")
        with open(self.world.root / "core.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while a core holds it
        self.assertFalse(self.world.is_ready())
        self.assertEqual(self.world.run(CORE, "stop").stdout.strip(), "MCPProxy is not running.")

    def test_setup_says_why_the_core_did_not_start(self):
        """setup shows the error of a core that cannot start, and what to do"""
        with socket.create_server(("127.0.0.1", self.world.port)):
            failed = self.world.run(CORE, "setup", "--yes", seconds=90)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("error: could not start MCPProxy: ", failed.stderr)
        self.assertIn(f"127.0.0.1:{self.world.port}", failed.stderr)
        self.assertIn("help: stop the program that uses", failed.stderr)

    def test_proof(self):
        """the closing call goes through the entry in each client's file, URL and program alike, and calls a read-only tool"""
        self.world.variables["XDG_CONFIG_HOME"] = str(self.world.directory / ".config")
        script = self.world.directory / "reader.py"
        script.write_text(READER)
        self.world.write_config({"mcpServers": [{"name": "reader", "command": sys.executable, "args": [str(script)], "enabled": True}]})
        self.world.start_core()
        self.world.wait_connected("reader")
        unconnected = self.world.post("/api/v1/setup/proof").data["calls"]
        self.assertEqual([(one["client"], one["server"], one["tool"]) for one in unconnected], [("", "reader", "list_things")])
        for client in ("cursor", "claude-desktop", "codex"):
            self.assertEqual(self.world.run(CORE, "connect", client).returncode, 0)
        done = self.world.run(CORE, "setup", "--yes", seconds=90)
        self.assertEqual(done.returncode, 0, done.stderr)
        for client in ("Cursor", "Claude Desktop", "Codex"):
            self.assertRegex(done.stderr, rf"{client}[^\n]*'s entry `[^`]+` called `reader:list_things` in \d+ ms \(connected in \d+ ms\)")
        self.assertRegex(done.stderr, r"Claude Desktop's entry `[^`]*mcpproxy stdio`")
        self.assertNotIn("change_things", (self.world.directory / "called").read_text())
        # Without a read-only tool none is called, and that is said.
        script.write_text(READER.replace('"readOnlyHint": True', '"readOnlyHint": False'))
        self.assertEqual(self.world.run(CORE, "upstream", "restart", "reader").returncode, 0)
        self.world.wait_connected("reader")
        self.world.run(CORE, "upstream", "approve", "reader", "--yes")
        searched = wait_for("no tool is called", lambda: (one := self.world.post("/api/v1/setup/proof").data["calls"][0]) and not one["tool"] and one)
        self.assertNotIn("error", searched)
        # An entry that has become wrong is found.
        cursor = self.world.directory / ".cursor/mcp.json"
        cursor.write_text(cursor.read_text().replace("/mcp\"", "/mcp/p/nosuch\""))
        failed = self.world.run(CORE, "setup", "--yes", seconds=90)
        self.assertEqual(failed.returncode, 1, failed.stderr)
        self.assertIn("Cursor's entry", failed.stderr)
        self.assertIn("does not work", failed.stderr)

    def test_setup_page(self):
        """the web UI guides through the same steps: each can be skipped, other pages lead back, and a test call ends it"""
        cursor = self.world.directory / ".cursor/mcp.json"
        cursor.parent.mkdir()
        cursor.write_text('{"mcpServers": {"a": {"command": "true"}}}')
        self.world.variables["XDG_CONFIG_HOME"] = str(self.world.directory / ".config")
        self.world.write_config({"mcpServers": []})
        self.world.start_core()
        ticket = urllib.parse.urlsplit(json.loads(self.world.run(CORE, "ui", "--print", "--json").stdout)["url"])
        own = f"127.0.0.1:{self.world.port}"

        def request(method, path, body=None, **headers):
            connection = http.client.HTTPConnection(own, timeout=60)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read().decode()

        opened, _ = request("GET", f"{ticket.path}?{ticket.query}&to=%2Fui%2Fsetup")
        self.assertEqual(opened.headers["Location"], "/ui/setup")
        headers = {"Cookie": opened.headers["Set-Cookie"].split(";")[0], "Origin": f"http://{own}"}
        page = lambda path="/ui/setup": request("GET", path, **headers)[1]
        token = re.search(r'name="form_token" value="([^"]+)"', page())[1]
        post = lambda path, **fields: request("POST", path, urllib.parse.urlencode({"form_token": token, **fields}), **headers)
        for step, title in (("import", "1 server in Cursor"), ("connect", "Connect your AI clients"), ("add", "Add a server")):
            self.assertIn(title, page())
            self.assertEqual(post("/ui/setup/skip", step=step)[0].headers["Location"], "/ui/setup")
        self.assertIn("Nothing is left to set up", page())
        self.assertIn("Continue setup", page("/ui/servers"))
        self.assertIn("answered a tool search", post("/ui/setup/prove")[1])
        post("/ui/setup/end")
        self.assertNotIn("Continue setup", page("/ui/servers"))
        self.assertEqual(json.loads(cursor.read_text()), {"mcpServers": {"a": {"command": "true"}}}, "nothing was done")

    def test_why_no_core_runs(self):
        """doctor reports a port in use and an invalid file if no core is running"""
        with socket.create_server(("127.0.0.1", self.world.port)):
            taken = self.world.run(CORE, "doctor")
        self.assertEqual(taken.returncode, 1)
        self.assertIn(f"another program uses `127.0.0.1:{self.world.port}`", taken.stderr)
        self.assertIn("MCPX_CONFIG_PORT_IN_USE", taken.stderr)
        self.world.config_file.write_text("{")
        broken = self.world.run(CORE, "doctor", "-o", "json")
        self.assertEqual(json.loads(broken.stdout)["code"], "MCPX_CONFIG_PARSE_ERROR")

    def test_uninstall(self):
        """uninstall removes the client's entry and its backups, keeps the data, and says what remains"""
        cursor = self.world.directory / ".cursor" / "mcp.json"
        cursor.parent.mkdir()
        other = {"mcpServers": {"other": {"command": "x"}}}
        cursor.write_text(json.dumps(other))
        self.world.start_core()
        self.assertEqual(self.world.run(CORE, "connect", "cursor").returncode, 0)
        self.assertIn("mcpproxy", json.loads(cursor.read_text())["mcpServers"])
        asked = self.world.run(CORE, "uninstall")
        self.assertNotEqual(asked.returncode, 0)
        self.assertIn("--yes", asked.stderr)
        planned = self.world.run(CORE, "uninstall", "--dry-run")
        self.assertIn("cursor", planned.stdout)
        self.assertIn("mcpproxy", json.loads(cursor.read_text())["mcpServers"])
        done = self.world.run(CORE, "uninstall", "--yes", seconds=90)
        self.assertEqual(json.loads(cursor.read_text()), other, done.stdout + done.stderr)
        self.assertEqual([file.name for file in cursor.parent.iterdir()], ["mcp.json"])
        self.assertIn(f"your settings, approvals and logs: {self.world.root}", done.stdout)
        self.assertTrue(self.world.config_file.exists())
        wait_for("the core has ended", lambda: not self.world.is_ready(), 20)


if __name__ == "__main__":
    main()
