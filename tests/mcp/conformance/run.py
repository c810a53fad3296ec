"""Runs the public MCP conformance suite against `/mcp/all/{server}`, with the suite's expected server behind the proxy.
Runs the released scenarios of the protocol versions with sessions, and the scenarios of 2026-07-28.

Run by `scripts/test conformance`. `expected.yml` and `expected-2026.yml` list the scenarios that may fail. Any other failure,
and any listed scenario that passes, fails the run.
"""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from world import PROJECT, World  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = PROJECT / "target/tools/conformance/node_modules"
NODE = next(TOOLS.glob("node-linux-*/bin/node"), "node")
SUITES = [
    ("@modelcontextprotocol/conformance", "--suite", "active", "expected.yml"),
    ("conformance-2026", "--requirements", "2026-07-28", "expected-2026.yml"),
]


def main():
    server = {"name": "suite", "command": "node", "args": [str(HERE / "server.cjs")], "enabled": True,
              "auto_approve_tool_changes": True}  # the suite makes the server change its tools
    failed = False
    with World(config={"mcpServers": [server]}) as world:
        world.start_core()
        world.wait_connected("suite")
        address = f"http://127.0.0.1:{world.port}/mcp/all/suite"
        for name, option, which, expected in SUITES:
            suite = [NODE, TOOLS / name / "dist/index.js", "server", "--url", address, option, which]
            done = subprocess.run([*suite, "--expected-failures", HERE / expected], cwd=world.directory, timeout=400)
            failed = failed or done.returncode != 0
    return failed


sys.exit(main())
