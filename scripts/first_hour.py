"""Measures the first hour of a new user. Called by scripts/first-hour.

Each way begins in an empty home directory with the files of some AI clients, and ends when the official Python client, which
connects with the entry in a client's file, has the result of a server's tool. Words are counted as a shell splits them, `mcpproxy`
included, and so is everything that is typed after a question.
"""

import asyncio
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/mcp"))
import mcp  # noqa: E402
from test_registry import Registry  # noqa: E402
from world import CORE, SERVER, Terminal, World, wait_for  # noqa: E402

PACKAGE = "@modelcontextprotocol/server-everything"
# Files of three AI clients; the servers are split among them.
CLIENTS = {".claude.json": 4, ".cursor/mcp.json": 3, ".gemini/settings.json": 3}


class Way:
    """Runs a user's commands, and counts them."""

    def __init__(self, world):
        self.world, self.commands, self.answers, self.began = world, [], [], time.monotonic()

    def serve(self):
        self.commands.append(["mcpproxy", "serve"])
        self.world.start(CORE, "serve")
        wait_for("the core is ready", self.world.is_ready, 20)

    def run(self, *arguments, seconds=180):
        self.commands.append(["mcpproxy", *arguments])
        began = time.monotonic()
        done = self.world.run(CORE, *arguments, seconds=seconds)
        if done.returncode:
            sys.exit(f"mcpproxy {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done, time.monotonic() - began

    def talk(self, *arguments, answers):
        """Runs a command at a terminal, and types an answer to each of its questions."""
        self.commands.append(["mcpproxy", *arguments])
        terminal = Terminal(self.world, CORE, *arguments)
        for question, answer in answers:
            terminal.answer(question, answer, 300)
            self.answers.append(answer.split())
        code, shown = terminal.end(300)
        if code:
            sys.exit(f"mcpproxy {' '.join(arguments)} failed:\n{shown}")

    def call(self, server):
        """Calls a tool as a client with the entry in Cursor's file. Returns the time since the beginning."""
        address = json.loads((self.world.directory / ".cursor/mcp.json").read_text())["mcpServers"]["mcpproxy"]["url"]

        async def work():
            async with mcp.Client(address, mode="legacy", read_timeout_seconds=30) as client:
                echo = {"name": f"{server}:echo", "args": {"message": "hello"}}
                return await client.call_tool("call_tool_read", echo)

        result = asyncio.run(work())
        if result.is_error or "hello" not in result.content[0].text:
            sys.exit(f"the call failed: {result.content}")
        return time.monotonic() - self.began

    def row(self, name, seconds):
        words = sum(len(words) for words in self.commands + self.answers)
        print(f"| {name} | {len(self.commands)} | {words} | {seconds:.1f} s |", flush=True)


def world(config=None):
    made = World()
    made.variables["XDG_CONFIG_HOME"] = str(made.directory / ".config")
    # The port of a test, so that several can run at the same time; a user has the default one.
    made.write_config({"mcpServers": [], **(config or {})})
    return made


def with_servers(made):
    """Writes ten servers into the files of three clients. Returns the files' contents."""
    number = 0
    for below, count in CLIENTS.items():
        servers = {}
        for _ in range(count):
            number += 1
            servers[f"everything{number}"] = {"command": str(SERVER), "args": [], "env": {"NUMBER": str(number)}}
        path = made.directory / below
        path.parent.mkdir(exist_ok=True)
        path.write_text("{\n" + f'  "theme" : "dark",\n  "mcpServers": {json.dumps(servers, indent=4)}' + "\n}\n")
    return contents(made)


def contents(made):
    return {below: (made.directory / below).read_bytes() for below in CLIENTS}


def without_servers():
    """Types what a page about the server says: its command. npx downloads the package into the server's own home directory."""
    with world() as made:
        (made.directory / ".cursor").mkdir()
        download(made, PACKAGE)
        way = Way(made)
        way.talk("setup", answers=[
            ("Make these changes? [y/N] ", "y"),
            ("Server: ", f"npx -y {PACKAGE}"),
            ("Approve `server-everything`? [y/N] ", "y"),
        ])
        way.row("No servers; one AI client", way.call("server-everything"))


def download(made, package):
    """Downloads a package before the time is taken, which proves that the package registry answers."""
    warmed = made.run("npx", "-y", f"--package={package}", "--", "node", "-e", "0", seconds=180)
    if warmed.returncode:
        sys.exit(f"could not download the package with npx: {warmed.stderr}")


def from_a_registry():
    """Finds the official test server in a registry on loopback, and runs it with npx, which downloads its package: the sandbox gives
    each server a home directory of its own."""
    version = json.loads((SERVER.parents[2] / "package.json").read_text())["dependencies"][PACKAGE]
    package = {"registryType": "npm", "identifier": PACKAGE, "version": version, "transport": {"type": "stdio"}}
    record = {"name": "io.modelcontextprotocol/everything", "description": "Every feature of MCP", "version": version, "packages": [package]}
    registry = Registry()
    registry.records[record["name"]] = record
    source = {"id": "test", "name": "Test", "url": registry.url, "protocol": "modelcontextprotocol/registry"}
    with world({"registries": [source]}) as made:
        (made.directory / ".cursor").mkdir()
        download(made, f"{PACKAGE}@{version}")
        way = Way(made)
        way.run("add", "everything")
        way.run("setup", "--yes")
        way.row("A server from a registry; one AI client", way.call("everything"))
    registry.stop()


def ten_servers():
    with world() as made:
        before = with_servers(made)
        way = Way(made)
        way.run("setup", "--yes")
        way.row("Ten servers in three AI clients", way.call("everything10"))
        for client in ("claude-code", "cursor", "gemini"):
            way.run("connect", client, "--undo")
        if contents(made) != before:
            sys.exit("connecting and undoing it changed a client's file")


def import_alone():
    with world() as made:
        before = with_servers(made)
        way = Way(made)
        way.serve()
        _, seconds = way.run("import", "--all")
        count = len(made.config()["mcpServers"])
        if count != 10 or contents(made) != before:
            sys.exit(f"imported {count} of 10 servers, or a client's file changed")
        print(f"\n`mcpproxy import --all` imported ten servers in {seconds * 1000:.0f} ms; no client's file changed.")


print("| From nothing to the first call | commands | words | time |\n|---|---|---|---|")
without_servers()
from_a_registry()
ten_servers()
import_alone()
