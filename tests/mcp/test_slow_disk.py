"""A disk that takes seconds for each write delays no call: only approvals, edits and lists wait for it.

Run by `scripts/test mcp`.
"""

import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time
import unittest

from test_stays_up import Client
from world import World, main, wait_for

# Every fsync takes two seconds while the file `slow` exists.
SLOW = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static void delay(void) {
    const char *slow = getenv("SLOW_DISK");
    if (slow && access(slow, F_OK) == 0) usleep(2000000);
}
int fsync(int file) { delay(); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file); }
int fdatasync(int file) { delay(); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file); }
"""
# A server with a tool and a prompt.
SERVER = r"""
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    id, method = message.get("id"), message.get("method")
    if id is None:
        continue
    result = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}, "prompts": {}},
                       "serverInfo": {"name": "quick", "version": "1"}},
        "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]},
        "prompts/list": {"prompts": [{"name": "greet", "description": "Greets"}]},
        "tools/call": {"content": [{"type": "text", "text": "echo"}]},
    }.get(method, {})
    print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
"""


@unittest.skipUnless(sys.platform == "linux" and shutil.which("cc"), "needs a C compiler and LD_PRELOAD")
class SlowDisk(unittest.TestCase):
    def setUp(self):
        self.world = World()
        here = self.world.directory
        self.slow = here / "slow"
        here.joinpath("slow.c").write_text(SLOW)
        library = here / "slow.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, here / "slow.c", "-ldl"], check=True)
        script = here / "server.py"
        script.write_text(SERVER)
        servers = [{"name": name, "command": sys.executable, "args": [str(script)], "enabled": True} for name in ("quick", "other")]
        servers.append({**servers[1], "name": "new", "quarantined": True})
        url = "http://127.0.0.1:1/mcp"
        servers.append({"name": "signed", "url": url, "enabled": True})
        self.world.write_config({"mcpServers": servers})
        credentials = {"client_id": "c", "token_response": {"access_token": "a", "token_type": "bearer", "expires_in": 3600}}
        self.tokens = self.world.root / "oauth-tokens.json"
        self.tokens.write_text(json.dumps({"signed": {"url": url, "credentials": credentials}}))
        self.tokens.chmod(0o600)
        self.world.variables = {"LD_PRELOAD": str(library), "SLOW_DISK": str(self.slow)}
        self.world.start_core()
        for name in ("quick", "other"):
            self.world.wait_connected(name)

    def tearDown(self):
        self.world.end()

    def timed(self, client):
        time.sleep(0.005)
        began = time.monotonic()
        self.assertEqual(client.call("quick:echo"), "echo")
        return time.monotonic() - began

    def test_calls_go_on(self):
        """while settings, approvals, tokens and the first list of prompts are saved, calls take milliseconds"""
        client = Client(self.world.port)
        lister = Client(self.world.port, "/mcp/all")
        for _ in range(20):
            self.assertEqual(client.call("quick:echo"), "echo")
        usual = [self.timed(client) for _ in range(200)]
        self.slow.touch()
        done, took = [], []

        def write(name, work):
            began = time.monotonic()
            work()
            done.append((name, time.monotonic() - began))

        writers = [
            threading.Thread(target=write, args=arguments)
            for arguments in (
                ("edit", lambda: self.world.request("PATCH", "/api/v1/config", body={"tools_limit": 7}, timeout=60)),
                ("approve", lambda: self.world.post("/api/v1/servers/new/approve", body={}, timeout=60)),
                ("tokens", lambda: self.world.post("/api/v1/servers/signed/logout", body={}, timeout=60)),
                ("prompts", lambda: lister.ask("prompts/list", {})),
            )
        ]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            took.append(self.timed(client))
        for writer in writers:
            writer.join()
        self.slow.unlink()
        self.assertTrue(all(seconds > 1.5 for _, seconds in done), f"nothing waited for the disk: {done}")
        self.assertNotIn("signed", self.tokens.read_text())
        self.assertGreater(len(took), 50)
        # A call that waits for one fsync takes two seconds; a busy test machine may delay some calls.
        self.assertLess(max(took), 1.0, sorted(took)[-5:])
        for name, times in (("on a usual disk", usual), ("on a slow disk", took)):
            p50, p99 = (1000 * statistics.quantiles(times, n=100)[at] for at in (49, 98))
            print(f"       {len(times)} calls {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)
        self.assertLess(statistics.median(took), 0.01)


if __name__ == "__main__":
    main()
