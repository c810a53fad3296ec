"""Runs the public conformance suite against `/mcp/all/{server}`, with the server it expects behind the proxy.

Run by `scripts/test conformance`. What is expected to fail is in `expected.yml`: something else that fails, or one of
those that passes, is a failure.
"""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from world import PROJECT, World  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = PROJECT / "target/tools/conformance/node_modules"
NODE = next(TOOLS.glob("node-linux-*/bin/node"), "node")
SUITE = TOOLS / "@modelcontextprotocol/conformance/dist/index.js"


def main():
    server = {"name": "suite", "command": "node", "args": [str(HERE / "server.cjs")], "enabled": True}
    with World(config={"mcpServers": [server]}) as world:
        world.start_core()
        world.wait_connected("suite")
        address = f"http://127.0.0.1:{world.port}/mcp/all/suite"
        command = [NODE, SUITE, "server", "--url", address, "--suite", "active", "--expected-failures", HERE / "expected.yml"]
        return subprocess.run(command, cwd=world.directory, timeout=300).returncode


sys.exit(main())
