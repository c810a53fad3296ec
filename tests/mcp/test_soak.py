"""Simulates hours of mixed use: the core's memory, descriptors and processes must not grow. `SOAK_MINUTES` sets the duration (default 1).

Run by `scripts/test mcp`, or with a longer duration by `scripts/soak`.
"""

import contextlib
import http.client
import itertools
import json
import os
import pathlib
import random
import signal
import statistics
import sys
import threading
import time
import unittest

from test_stays_up import SERVER, Client
from world import CORE, World, main, wait_for

MINUTES = float(os.environ.get("SOAK_MINUTES", "1"))
SESSIONS = 1000


def measures(world, core):
    """Returns what must not grow: resident memory in MiB, descriptors, threads, child processes."""
    process = pathlib.Path(f"/proc/{core.pid}")
    resident = int((process / "status").read_text().split("VmRSS:")[1].split()[0]) / 1024
    children = sum(process.parent == core.pid for process in world.processes())
    return resident, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), children


def end(client):
    """Ends a client's session with DELETE."""
    client.connection.request("DELETE", client.path, headers=client.headers)
    client.connection.getresponse().read()
    client.connection.close()


class Soak(unittest.TestCase):
    def setUp(self):
        self.world = World()
        (self.world.directory / "server.py").write_text(SERVER)
        arguments = [str(self.world.directory / "server.py"), "good"]
        entry = lambda name: {"name": name, "command": sys.executable, "args": [*arguments, name], "enabled": True}
        self.world.write_config({"mcpServers": [entry(f"good{number}") for number in range(3)]})
        self.core = self.world.start_core()
        for number in range(3):
            self.world.wait_connected(f"good{number}")

    def tearDown(self):
        self.world.end()

    def test_many_sessions(self):
        """a thousand simultaneous sessions all work, including those removed from memory, and their memory is released at the end"""
        one = Client(self.world.port)
        one.call("good0:echo", message="a")
        before = measures(self.world, self.core)[0]
        sessions = [Client(self.world.port, path) for path in ("/mcp", "/mcp/all") for _ in range(SESSIONS // 2)]
        with_them = measures(self.world, self.core)[0]
        for number, session in enumerate(sessions):
            if session.path == "/mcp":
                self.assertEqual(session.call("good0:echo", message=str(number)), str(number))
            else:
                answer = session.ask("tools/call", {"name": "good1__echo", "arguments": {"message": str(number)}})
                self.assertEqual(answer["result"]["content"][0]["text"], str(number))
        for session in sessions:
            end(session)
        print(f"       {SESSIONS} sessions: {(with_them - before) * 1024 / SESSIONS:.0f} KiB each", flush=True)
        wait_for("what they took is given back", lambda: measures(self.world, self.core)[0] < before + 40 and measures(self.world, self.core)[1] < 100, 20)

    def test_mixed(self):
        """repeated calls, searches, sessions, listeners, restarts, crashes and edits use no more memory, descriptors, threads or processes"""
        stop, failures, done = threading.Event(), [], itertools.count()

        def always(work):
            def run():
                while not stop.is_set():
                    try:
                        work()
                        next(done)
                    except Exception as error:  # reported below
                        failures.append(repr(error))
            return threading.Thread(target=run, daemon=True)

        steady = Client(self.world.port)

        def call():
            size = random.choice((10, 1000, 100_000))
            said = steady.call(f"good{random.randrange(2)}:echo", message="x" * size)
            assert said.startswith("xxxxxxxxxx"), said[:200]
            steady.ask("tools/call", {"name": "retrieve_tools", "arguments": {"query": "say it again"}})

        def come_and_go():
            client = Client(self.world.port, random.choice(("/mcp", "/mcp/all", "/mcp/all/good0")))
            client.ask("tools/list", {})
            if random.random() < 0.7:
                end(client)
            else:
                client.connection.close()

        def listen():
            connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=10)
            connection.request("GET", "/events", headers={"X-API-Key": "key-of-the-test"})
            connection.getresponse().readline()
            connection.close()

        def disturb():
            action = random.choice(("restart", "kill", "edit", "off"))
            if action == "restart":
                self.world.post("/api/v1/servers/good2/restart")
            elif action == "off":
                self.world.post("/api/v1/servers/good2/disable")
                self.world.post("/api/v1/servers/good2/enable")
            elif action == "edit":
                self.world.write_config({**self.world.config(), "tools_limit": random.randrange(5, 20)})
            else:
                for process in (process for process in self.world.processes() if process.command[-1:] == ["good2"]):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
            stop.wait(0.3)

        threads = [always(work) for work in (call, come_and_go, listen, disturb)]
        for thread in threads:
            thread.start()
        began, taken = time.monotonic(), []
        # Runs a quarter longer at the start: abandoned sessions are removed from memory when there are many and they are 10 s
        # old.
        while time.monotonic() - began < MINUTES * 75:
            stop.wait(min(1.0, MINUTES * 2))
            taken.append(measures(self.world, self.core))
        stop.set()
        for thread in threads:
            thread.join(30)
        self.assertEqual(failures[:3], [])
        self.assertIsNone(self.core.poll())
        wait_for("all servers are back", lambda: all(self.world.server(f"good{number}")["connected"] for number in range(3)), 120)
        del taken[: len(taken) // 5]
        third = len(taken) // 3
        early, late = taken[third : 2 * third], taken[2 * third :]
        for index, (what, room) in enumerate((("MiB of memory", 20), ("descriptors", 12), ("threads", 6), ("processes", 1))):
            first, last = (statistics.median(one[index] for one in part) for part in (early, late))
            print(f"       {what}: {first:.0f} in the second third, {last:.0f} in the last", flush=True)
            self.assertLessEqual(last, first + room, what)
        print(f"       {next(done)} rounds in {MINUTES * 1.25:g} min", flush=True)
        self.world.run(CORE, "status")


if __name__ == "__main__":
    main()
