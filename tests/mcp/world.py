"""A temporary MCPProxy for a test, with access to its files, REST, events, processes and results.

A world's files are in one directory, it uses only loopback, and its processes end with it.
"""

import contextlib
import faulthandler
import http.client
import http.server
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("CHECKS_PROGRAMS") or PROJECT / "target/debug")
CORE = PROGRAMS / "mcpproxy"
TRAY = PROGRAMS / "mcpproxy-tray"
# The official TypeScript test server, as installed by scripts/test.
SERVER = PROJECT / "target/tools/node/node_modules/.bin/mcp-server-everything"

# A test that takes longer hangs: the run then prints where, and ends.
TEST_SECONDS = 480 + 60 * float(os.environ.get("SOAK_MINUTES", "0"))


def wait_for(what, condition, seconds=30.0):
    """Returns the condition's first true value; fails after a timeout."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"timeout after {seconds:g} s: {what}")
        time.sleep(0.03)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    """An HTTP response: its status, and its JSON or text."""

    def __init__(self, status, text):
        self.status = status
        self.text = text

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def data(self):
        body = self.json
        assert body["success"] is True, body
        return body["data"]


class Process:
    """A running process. Its start time distinguishes it from a later process with the same ID."""

    def __init__(self, pid, state, parent, started, command, environment):
        self.pid, self.state, self.parent, self.started = pid, state, parent, started
        self.command, self.environment = command, environment

    def __repr__(self):
        return f"{self.pid} ({' '.join(self.command) or '?'})"

    def __eq__(self, other):
        return (self.pid, self.started) == (other.pid, other.started)

    def __hash__(self):
        return hash((self.pid, self.started))

    @property
    def program(self):
        return pathlib.Path(self.command[0]).name if self.command else ""


def processes():
    """All running processes of this machine, without zombies."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            environment = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        fields = stat[stat.rindex(")") + 2 :].split()
        if fields[0] not in "ZX":
            found.append(Process(int(entry.name), fields[0], int(fields[1]), int(fields[19]), command, environment))
    return found


class World:
    """One data directory in a new home directory, with the programs started there."""

    def __init__(self, directory=None, config=None, variables=None):
        self.owned = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="mcpp-"))
        self.root = self.directory / ".mcpproxy"
        self.port = free_port()
        self.variables = dict(variables or {})
        self.started = []
        self.streams = []
        if config is not None:
            self.write_config(config)

    # --- files

    @property
    def config_file(self):
        return self.root / "mcp_config.json"

    def write_config(self, config):
        """Writes a configuration: adds this world's address to a dictionary, and writes text unchanged."""
        self.root.mkdir(mode=0o700, exist_ok=True)
        text = config
        if not isinstance(config, str):
            text = json.dumps({"listen": f"127.0.0.1:{self.port}", "api_key": "key-of-the-test", **config}, indent=2)
        self.config_file.write_text(text)
        self.config_file.chmod(0o600)

    def config(self):
        return json.loads(self.config_file.read_text())

    # --- programs

    def environment(self):
        """Returns the environment of this world's programs, without the caller's MCPProxy, desktop or CI."""
        kept = ("PATH", "LANG", "USER", "LOGNAME", "TMPDIR", "TERM", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS")
        fetching = ("_proxy", "_PROXY", "SSL_CERT_", "_CA_", "npm_config_")
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in kept or name.startswith("XDG_") or any(part in name for part in fetching)
        }
        environment["HOME"] = str(self.directory)
        environment["MCPPROXY_KEYRING_WRITE"] = "0"
        return {**environment, **self.variables}

    def start(self, program, *arguments, **options):
        """Starts a program. Its output goes to a file, which `output` reads."""
        log = open(self.directory / f"{pathlib.Path(program).name}.{len(self.started)}.out", "w+b")
        self.streams.append(log)
        options = {"env": self.environment(), "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **options}
        process = subprocess.Popen([str(program), *map(str, arguments)], start_new_session=True, **options)
        process.log = log.name
        self.started.append(process)
        return process

    def output(self, process):
        return pathlib.Path(process.log).read_text(errors="replace")

    def run(self, program, *arguments, seconds=30, **options):
        """Runs a program to its end; returns standard output and standard error separately, as text."""
        options = {"env": self.environment(), "stdin": subprocess.DEVNULL, **options}
        if "input" in options:
            del options["stdin"]
        command = [str(program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, **options)

    def start_core(self, *arguments, **options):
        core = self.start(CORE, "serve", *arguments, **options)

        def ready():
            if core.poll() is not None:
                raise AssertionError(f"the core ended with {core.returncode}: {self.output(core)}")
            return self.is_ready()

        wait_for("the core is ready", ready, 20)
        return core

    def is_ready(self):
        try:
            return self.get("/ready").status == 200
        except OSError:
            return False

    def processes(self):
        """Returns the processes whose command or environment contains this world's directory."""
        mine = str(self.directory)
        return {
            process
            for process in processes()
            if process.pid != os.getpid()
            and (any(mine in word for word in process.command) or any(mine in word for word in process.environment))
        }

    # --- HTTP

    def request(self, method, path, *, over="socket", key=None, body=None, headers=None, timeout=10):
        if over == "socket":
            connection = UnixConnection(self.root / "mcpproxy.sock", timeout)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = dict(headers or {})
        if key is not None:
            headers["X-API-Key"] = key
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)

    def status(self):
        return self.get("/api/v1/status").data

    def server(self, name):
        servers = self.get("/api/v1/servers").data["servers"]
        return next((server for server in servers if server["name"] == name), None)

    def wait_connected(self, name, seconds=60):
        def connected():
            server = self.server(name)
            if server and server["status"] == "error":
                raise AssertionError(f"{name}: {server.get('last_error')}")
            return server and server["connected"]

        wait_for(f"server {name} is connected", connected, seconds)

    def events(self, timeout=10):
        """Yields (event, data) of the event stream."""
        for name, data, _ in self.numbered_events(timeout=timeout):
            yield name, data

    def numbered_events(self, last=None, timeout=10):
        """Yields (event, data, id) of the event stream, optionally after an ID."""
        connection = UnixConnection(self.root / "mcpproxy.sock", timeout)
        try:
            resume = {"Last-Event-ID": last} if last else {}
            connection.request("GET", "/events", headers={"Accept": "text/event-stream", **resume})
            answer = connection.getresponse()
            assert answer.status == 200, answer.status
            name, data, number = "message", [], None
            while line := answer.readline():
                line = line.decode().rstrip("\r\n")
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].strip())
                elif line.startswith("id:"):
                    number = line[3:].strip()
                elif not line and data:
                    yield name, json.loads("\n".join(data)), number
                    name, data = "message", []
        finally:
            connection.close()

    # --- end

    def end(self):
        """Ends the processes started here, by ID, and removes the directory."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in self.streams:
            stream.close()
        if self.owned:
            for left in self.processes():
                try:
                    os.kill(left.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            for process in self.started:
                text = self.output(process).strip()
                if text:
                    said = "\n    ".join(text.splitlines()[-30:])
                    print(f"    output of {pathlib.Path(process.log).name}:\n    {said}", file=sys.stderr)
        self.end()


class Terminal:
    """A command of a world that runs at a terminal, where its questions are answered. It ends with the world."""

    def __init__(self, world, *command):
        self.terminal, child = pty.openpty()
        self.process = subprocess.Popen([*map(str, command)], stdin=child, stdout=child, stderr=child, env=world.environment(), start_new_session=True)
        os.close(child)
        self.shown = ""

    def read(self, seconds):
        """Reads what is shown within this time; returns whether there may be more."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return True
        try:
            more = os.read(self.terminal, 65536)
        except OSError:
            return False  # Linux reports the end like this
        self.shown += more.decode(errors="replace")
        return bool(more)

    def answer(self, question, text, seconds=60):
        """Waits for a question after the last answer, and types the answer. Returns what was shown before the question."""
        deadline = time.monotonic() + seconds
        while question not in self.shown:
            if not self.read(0.2) or time.monotonic() > deadline:
                raise AssertionError(f"{question!r} was not asked:\n{self.shown}")
        before, self.shown = self.shown.split(question, 1)
        os.write(self.terminal, f"{text}\n".encode())
        return before

    def end(self, seconds=180):
        """Waits for the end. Returns the exit code and what was shown after the last answer."""
        deadline = time.monotonic() + seconds
        while self.read(0.2):
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not end:\n{self.shown}")
        os.close(self.terminal)
        return self.process.wait(20), self.shown.replace("\r\n", "\n")


def everything(name="everything", **more):
    """Returns a configuration entry for the official TypeScript server, which node runs."""
    assert SERVER.exists(), f"{SERVER} is missing: run this through scripts/test"
    return {"name": name, "protocol": "stdio", "command": str(SERVER), "args": [], "enabled": True, **more}


# A server of the official SDK that reads its tools from a file, so that they can change between two starts.
CHANGING_SERVER = """
import json, pathlib, sys
from mcp.server import MCPServer
server = MCPServer("changing")
for name, description in json.loads(pathlib.Path(sys.argv[1]).read_text()).items():
    server.add_tool(lambda text: "ran: " + text, name=name, description=description)
server.run()
"""


def stdio_server(answers, capabilities=("tools",)):
    """Returns a program that is an MCP server over stdio. `answers` are statements that set `result` for `message`."""
    hello = {"protocolVersion": "2025-06-18", "serverInfo": {"name": "s", "version": "1"}, "capabilities": {name: {} for name in capabilities}}
    return f"""
import json, pathlib, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = {{}}
    if message["method"] == "initialize":
        result = {hello}
{textwrap.indent(textwrap.dedent(answers).strip(), "    ")}
    print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": result}}), flush=True)
"""


class McpOverHttp(http.server.BaseHTTPRequestHandler):
    """The base of an MCP server over HTTP without a stream of its own. A subclass handles POST."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(405, b"")

    do_DELETE = do_GET

    def body(self):
        """The body of the request."""
        return self.rfile.read(int(self.headers["Content-Length"])).decode()

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(handler):
    """Serves HTTP with this handler on a free port; yields the URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Collector:
    """Records every request. Sends the next of `answers`, and 204 after the last one."""

    def __init__(self, *answers):
        self.bodies, self.answers = [], list(answers)
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.bodies.append((self.path, self.headers, body))
                self.send_response(collector.answers.pop(0) if collector.answers else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/v1"

    def payloads(self):
        return [json.loads(body) for _, _, body in self.bodies]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Results(unittest.TestResult):
    """Prints one line per test, and records it for scripts/test."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        faulthandler.dump_traceback_later(TEST_SECONDS, exit=True)

    def say(self, word, test, detail=""):
        title = test.shortDescription() or str(test)
        took = time.monotonic() - getattr(self, "began", time.monotonic())
        print(f"{word:6} {title} ({took:.1f} s)", flush=True)
        if detail:
            print("       " + detail.rstrip().replace("\n", "\n       "), flush=True)
        if path := os.environ.get("CHECKS_RESULTS"):
            with open(path, "a") as results:
                why = f": {detail.strip().splitlines()[-1]}" if detail else ""
                results.write(f"{'passed' if word == 'ok' else 'failed'}\t{title}{why}\n")

    def addSuccess(self, test):
        self.say("ok", test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.say("FAILED", test, self.failures[-1][1])

    def addError(self, test, error):
        super().addError(test, error)
        self.say("FAILED", test, self.errors[-1][1])

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:
            self.say("FAILED", subtest, (self.failures + self.errors)[-1][1])


def main(module="__main__"):
    """Runs the module's tests in source order; arguments select tests by a part of their name."""
    loader = unittest.TestLoader()
    loader.sortTestMethodsUsing = None
    suite = unittest.TestSuite()
    words = sys.argv[1:]
    for case in vars(sys.modules[module]).values():
        if isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ == module:
            tests = [name for name in vars(case) if name.startswith("test")]
            picked = [name for name in tests if not words or any(word in f"{case.__name__}.{name}" for word in words)]
            suite.addTests([case(name) for name in picked])
    results = Results()
    suite.run(results)
    sys.exit(0 if results.wasSuccessful() and results.testsRun else 1)
