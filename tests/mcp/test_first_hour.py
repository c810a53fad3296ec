"""The first hour with the command line: approve and wait, complete names, type a secret without echo, and uninstall.

Run by `scripts/test mcp`.
"""

import json
import os
import pathlib
import pty
import select
import shutil
import socket
import subprocess
import sys
import time
import unittest

from test_doctor import HANGING
from world import CORE, World, main, wait_for


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
        script = str(self.world.directory / "server.py")
        cursor.write_text(json.dumps({"mcpServers": {"hanging": {"command": sys.executable, "args": [script]}}}))
        self.world.write_config({"mcpServers": []})
        self.world.start_core()
        refused = self.world.run(CORE, "setup")
        self.assertIn("--yes", refused.stderr)
        done = self.world.run(CORE, "setup", "--yes", seconds=90)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Undo: mcpproxy connect cursor --undo", done.stderr)
        self.assertRegex(done.stderr, r"It works: a client's call was answered in \d+ ms. 1 of 1 servers are connected, with 1 tools")
        self.assertIn("mcpproxy", json.loads(cursor.read_text())["mcpServers"])
        self.assertTrue(self.world.server("hanging")["connected"])
        again = self.world.run(CORE, "setup", "--yes", seconds=90)
        self.assertNotIn("Undo", again.stderr)
        self.assertIn("It works", again.stderr)

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
