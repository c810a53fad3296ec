"""One bad server, client or message must not affect the others or grow the core. Run by `scripts/test mcp`."""

import http.client
import http.server
import itertools
import json
import os
import pathlib
import signal
import sys
import threading
import time
import unittest

from world import CORE, World, everything, main, wait_for

TOOLS = [{"name": name, "description": f"Answers by {name}", "inputSchema": {"type": "object"}} for name in ("json", "chunks", "stream", "resumable", "short")]
MIB = b"x" * (1 << 20)


class Endless(http.server.BaseHTTPRequestHandler):
    """A server over streamable HTTP whose tools respond with a gigabyte, each with a different kind of HTTP response."""

    protocol_version = "HTTP/1.1"
    megabytes = 1024

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            self.reply(202, b"")
        elif message["method"] == "initialize":
            capabilities = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "endless", "version": "1"}}
            self.result(message, capabilities)
        elif message["method"] == "tools/list":
            self.result(message, {"tools": TOOLS})
        elif message["method"] == "tools/call" and message["params"]["name"] != "short":
            self.flood(message["id"], message["params"]["name"])
        elif message["method"] == "tools/call":
            self.result(message, {"content": [{"type": "text", "text": "short"}]})
        elif message["method"] == "ping":
            self.result(message, {})
        else:
            self.reply(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "?"}}).encode())

    def do_GET(self):
        self.reply(405, b"")

    do_DELETE = do_GET

    def result(self, message, result):
        self.reply(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def flood(self, id, way):
        begin = b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % id
        end = b'"}]}}'
        self.send_response(200)
        streams = way in ("stream", "resumable")
        if streams:
            begin, end = (b"id: 7\n" if way == "resumable" else b"") + b"data: " + begin, end + b"\n\n"
        self.send_header("Content-Type", "text/event-stream" if streams else "application/json")
        if way == "json":
            self.send_header("Content-Length", str(len(begin) + len(end) + (self.megabytes << 20)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        frame = (lambda piece: piece) if way == "json" else (lambda piece: b"%x\r\n%s\r\n" % (len(piece), piece))
        try:
            self.wfile.write(frame(begin))
            for _ in range(self.megabytes):
                self.wfile.write(frame(MIB))
            self.wfile.write(frame(end) + (b"" if way == "json" else b"0\r\n\r\n"))
        except OSError:
            pass  # the core has read enough

    def log_message(self, *_):
        pass


def memory(core):
    """Returns the resident memory of a process and its peak, in MiB."""
    status = pathlib.Path(f"/proc/{core.pid}/status").read_text()
    return tuple(int(status.split(f"{word}:")[1].split()[0]) / 1024 for word in ("VmRSS", "VmHWM"))


class Client:
    """A minimal MCP session over HTTP, fast enough for measurements."""

    HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}

    def __init__(self, port, path="/mcp", seconds=60):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
        self.path, self.number, self.headers = path, 0, dict(self.HEADERS)
        who = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        self.ask("initialize", who)
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def post(self, message):
        self.connection.request("POST", self.path, body=json.dumps(message), headers=self.headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert answer.status in (200, 202), (answer.status, text)
        if session := answer.headers.get("Mcp-Session-Id"):
            self.headers["Mcp-Session-Id"] = session
        return text

    def ask(self, method, params):
        """Returns the complete response, with its `result` or `error`."""
        self.number += 1
        text = self.post({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        said = [line[5:] for line in text.splitlines() if line.startswith("data:")] or [text]
        return next(message for message in map(json.loads, filter(str.strip, said)) if message.get("id") == self.number)

    def call(self, tool, **arguments):
        """Calls an upstream's tool through `call_tool_read`; returns its text or the error."""
        answer = self.ask("tools/call", {"name": "call_tool_read", "arguments": {"name": tool, "args": arguments}})
        if "error" in answer:
            return answer["error"]["message"]
        return answer["result"]["content"][0]["text"] if "content" in answer["result"] else ""


class LongAnswers(unittest.TestCase):
    def test_over_http(self):
        """a gigabyte from a server over HTTP, as JSON or as a stream, is an immediate error, and the core does not grow"""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/mcp"
        try:
            with World(config={"mcpServers": [{"name": "endless", "url": url, "enabled": True}]}) as world:
                core = world.start_core()
                world.wait_connected("endless")
                client = Client(world.port)
                self.assertEqual(client.call("endless:short"), "short")
                before = memory(core)[0]
                for way in ("json", "chunks", "stream", "resumable"):
                    began = time.monotonic()
                    said = client.call(f"endless:{way}")
                    took = time.monotonic() - began
                    print(f"       {way}: {took:.1f} s, {memory(core)[1] - before:.0f} MiB more at most", flush=True)
                    self.assertIn("exceeds 16 MiB", said, way)
                    self.assertLess(took, 15, way)
                    self.assertLess(memory(core)[1] - before, 80, way)
                self.assertEqual(client.call("endless:short"), "short")
                self.assertEqual(world.server("endless")["reconnect_count"], 0, "the server was reconnected")
        finally:
            server.shutdown()
            server.server_close()


# A stdio server that behaves well, or badly in the way that its argument names.
SERVER = """
import itertools, json, sys, threading, time
way = sys.argv[1]
out = sys.stdout.buffer
def say(message):
    out.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\\n")
    out.flush()
def flood(stream, piece):
    try:
        while True:
            stream.write(piece)
            stream.flush()
    except OSError:
        sys.exit()
log = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 100}}) + "\\n"
for line in sys.stdin:
    message = json.loads(line)
    id, method = message.get("id"), message.get("method")
    if method == "initialize":
        info = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}, "logging": {}}}
        say({"id": id, "result": {**info, "serverInfo": {"name": way, "version": "1"}}})
    elif method == "tools/list":
        say({"id": id, "result": {"tools": [{"name": "echo", "description": "Says it again", "inputSchema": {"type": "object"}}]}})
        if way == "floods":
            for stream, piece in ((out, log), (sys.stderr.buffer, "noise " * 20 + "\\n"), (out, "noise\\n")):
                threading.Thread(target=flood, args=(stream, piece.encode() * 100), daemon=True).start()
        if way == "crashes":
            sys.exit(3)
        if way == "deaf":
            time.sleep(1e6)
        if way == "sends":
            out.write(b'{"jsonrpc":"2.0","id":77,"result":{"text":"')
            for _ in range(1024):
                out.write(b"x" * (1 << 20))
            out.write(b'"}}\\n')
            out.flush()
    elif method == "tools/call" and way == "hangs":
        pass
    elif method == "tools/call":
        say({"id": id, "result": {"content": [{"type": "text", "text": message["params"]["arguments"]["message"]}]}})
    elif id is not None:
        say({"id": id, "result": {}})
"""
SDK = """
from mcp.server import MCPServer
server = MCPServer("sdk")
server.add_tool(lambda message: message, name="echo", description="Says it again")
server.run()
"""
BAD = {
    "hangs": "answers no call",
    "crashes": "ends as soon as it is connected, again and again",
    "floods": "writes to both its outputs as fast as it can",
    "sends": "sends a gigabyte that nobody asked for",
    "deaf": "does not read its input",
}


# A server with many tools, written by hand so that it lists them immediately.
MANY = """
import json, sys
tools = [{"name": f"tool{number}", "description": f"Does the thing number {number}, as well as it can be done", "inputSchema":
    {"type": "object", "properties": {"number": {"type": "integer"}}}} for number in range(int(sys.argv[1]))]
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        result = {"initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "many", "version": "1"}},
            "tools/list": {"tools": tools}}.get(asked["method"], {})
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


class ManyTools(unittest.TestCase):
    def test_shared(self):
        """sessions share one list of thousands of tools: fifty more take no more memory than with few tools"""
        with World() as world:
            script = world.directory / "many.py"
            script.write_text(MANY)
            world.write_config({"mcpServers": [{"name": "many", "command": sys.executable, "args": [str(script), "5000"], "enabled": True}]})
            core = world.start_core()
            world.wait_connected("many")
            clients = [Client(world.port, "/mcp/all")]
            # Twice, so that the memory for a response is already allocated.
            for _ in range(2):
                self.assertEqual(len(clients[0].ask("tools/list", {})["result"]["tools"]), 5000)
            before, _ = memory(core)
            clients += [Client(world.port, "/mcp/all") for _ in range(50)]
            wait_for("each is known", lambda: all("result" in client.ask("ping", {}) for client in clients))
            after, _ = memory(core)
            self.assertLess((after - before) / 50, 0.4, "MiB a session")


# Continuously announces changes of its tools, and answers only the first two list requests.
SAYS_MORE_THAN_IT_LISTS = """
import json, sys, threading
listed = 0
def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def shout():
    while True:
        say(method="notifications/tools/list_changed")
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("method") == "tools/list":
        listed += 1
        print("listed", file=sys.stderr, flush=True)
        if listed == 1:
            threading.Thread(target=shout, daemon=True).start()
        if listed > 2:
            continue
    if "id" in asked:
        tools = [{"name": f"tool{number}", "inputSchema": {"type": "object"}} for number in range(listed)]
        say(id=asked["id"], result={"initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "many", "version": "1"}}, "tools/list": {"tools": tools},
            "tools/call": {"content": [{"type": "text", "text": "done"}]}}.get(asked["method"], {}))
"""


class Lists(unittest.TestCase):
    def test_unlisted(self):
        """a server that floods the core with changed lists and stops answering is asked seldom, can be called, and can be disabled"""
        with World() as world:
            script = world.directory / "says.py"
            script.write_text(SAYS_MORE_THAN_IT_LISTS)
            entry = {"name": "says", "command": sys.executable, "args": [str(script)], "enabled": True, "skip_quarantine": True}
            world.write_config({"mcpServers": [entry]})
            world.start_core()
            world.wait_connected("says")
            wait_for("its second list is used", lambda: world.server("says")["tool_count"] == 2)
            log = world.root / "logs" / "server-says.log"
            wait_for("it was asked once more", lambda: log.read_text().count("listed") == 3)
            client = Client(world.port)
            for _ in range(10):
                self.assertEqual(client.call("says:tool1"), "done")
            self.assertEqual(log.read_text().count("listed"), 3, "it is not asked again while it has not answered")
            self.assertEqual(world.post("/api/v1/servers/says/disable").status, 200)
            wait_for("it is off", lambda: world.server("says")["status"] == "disabled", 10)


class Isolation(unittest.TestCase):
    def test_bad_neighbours(self):
        """servers that hang, crash, flood, send a gigabyte or do not read do not delay calls of 15 others"""
        with World() as world:
            (world.directory / "server.py").write_text(SERVER)
            (world.directory / "sdk.py").write_text(SDK)

            def entry(name, script, *arguments, **more):
                arguments = [str(world.directory / script), *arguments]
                return {"name": name, "command": sys.executable, "args": arguments, "enabled": True, **more}

            good = [everything()] + [entry(f"sdk{number}", "sdk.py") for number in range(2)]
            good += [entry(f"good{number}", "server.py", "good") for number in range(12)]
            world.write_config({"mcpServers": good + [entry(way, "server.py", way, enabled=False) for way in BAD], "call_tool_timeout": "2s"})
            core = world.start_core()
            for server in good:
                world.wait_connected(server["name"])
            client = Client(world.port)

            def measured(seconds=3.0):
                """Returns the 95th percentile of sequential calls to the good servers, in milliseconds."""
                took, until = [], time.monotonic() + seconds
                for server in itertools.cycle(good):
                    began = time.monotonic()
                    self.assertIn("good day", client.call(f"{server['name']}:echo", message="good day"))
                    took.append((time.monotonic() - began) * 1000)
                    if time.monotonic() > until and len(took) > len(good):
                        return sorted(took)[len(took) * 95 // 100]

            def bad(ways, on):
                for way in ways:
                    self.assertEqual(world.post(f"/api/v1/servers/{way}/{'enable' if on else 'disable'}").status, 200)

            measured()
            for ways in [[way] for way in BAD] + [list(BAD)]:
                alone = measured()
                bad(ways, True)
                # Calls the bad servers in between, without expecting results.
                for way in ways:
                    wait_for(f"{way} has been there", lambda: world.server(way)["connected"] or world.server(way)["reconnect_count"] or world.server(way).get("last_error"))
                stop, wrong = threading.Event(), []
                callers = [threading.Thread(target=self.call_for_ever, args=(world.port, way, stop, wrong)) for way in ways]
                for caller in callers:
                    caller.start()
                beside = measured()
                stop.set()
                for caller in callers:
                    caller.join()
                self.assertEqual(wrong, [], ways)
                bad(ways, False)
                rss, most = memory(core)
                print(f"       beside one that {', '.join(ways)}: p95 {beside:.1f} ms (alone {alone:.1f} ms), {rss:.0f} MiB, {most:.0f} at most", flush=True)
                self.assertLess(beside, max(20 * alone, 1000), ways)
            for server in good:
                self.assertEqual(world.server(server["name"])["reconnect_count"], 0, server["name"])
            self.assertLess(memory(core)[1], 250)

    def call_for_ever(self, port, way, stop, wrong):
        client = Client(port)
        while not stop.is_set():
            said = client.call(f"{way}:echo", message="x" * (1 << 16))
            if way == "hangs" and "did not answer within 2 s" not in said:
                wrong.append(said)


# A server that ignores the end of its input and signals.
STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if sys.argv[1] == "parent":
    exec(open(sys.argv[2]).read().replace("way = sys.argv[1]", "way = 'good'"))
while True:
    time.sleep(60)
"""


class Ends(unittest.TestCase):
    SLOW = {"name": "everything:trigger-long-running-operation", "args": {"duration": 2, "steps": 2}}

    def begun(self, world, arguments, path="/mcp"):
        """A call in flight; stores its outcome and time when its thread ends."""
        client, outcome = Client(world.port, path), []

        def run():
            try:
                tool = "call_tool_read" if path == "/mcp" else arguments["name"].replace(":", "__")
                answer = client.ask("tools/call", {"name": tool, "arguments": arguments if path == "/mcp" else arguments["args"]})
            except Exception as error:
                answer = repr(error)
            outcome.extend((answer, time.monotonic()))

        caller = threading.Thread(target=run)
        caller.start()
        time.sleep(0.5)  # the call has reached the server
        self.assertFalse(outcome)
        return caller, outcome

    def test_killed_in_a_call(self):
        """if a server is killed during a call, the client gets an error within a second, on both endpoints"""
        with World(config={"mcpServers": [everything()]}) as world:
            world.start_core()
            for path in ("/mcp", "/mcp/all"):
                wait_for("it is connected", lambda: world.server("everything")["connected"], 30)
                servers = [process for process in world.processes() if "server-everything" in " ".join(process.command)]
                caller, outcome = self.begun(world, {**self.SLOW, "args": {"duration": 60, "steps": 60}}, path)
                began = time.monotonic()
                for process in servers:
                    os.kill(process.pid, signal.SIGKILL)
                caller.join(20)
                self.assertTrue(outcome, "it is still waiting")
                self.assertIn("ended during the call", json.dumps(outcome[0]), path)
                print(f"       {path}: {(outcome[1] - began) * 1000:.0f} ms", flush=True)
                self.assertLess(outcome[1] - began, 1, path)
                wait_for("it is noticed", lambda: not world.server("everything")["connected"] or world.server("everything")["reconnect_count"])

    def test_drain(self):
        """a core that is asked to stop lets calls in flight finish, on both endpoints, and takes no longer than necessary"""
        for path in ("/mcp", "/mcp/all"):
            with World(config={"mcpServers": [everything()]}) as world:
                core = world.start_core()
                world.wait_connected("everything")
                caller, outcome = self.begun(world, self.SLOW, path)
                core.send_signal(signal.SIGTERM)
                caller.join(20)
                self.assertIn("completed", json.dumps(outcome[0]), path)
                self.assertEqual(core.wait(5), 0)
                wait_for("nothing is left", lambda: not world.processes(), 2)

    def test_cut_off(self):
        """neither a call that exceeds the drain time nor a listening client prevents the core from stopping"""
        with World(config={"mcpServers": [everything()]}) as world:
            core = world.start_core()
            world.wait_connected("everything")
            listener = Client(world.port)
            headers = {**listener.headers, "Accept": "text/event-stream"}
            listener.connection.request("GET", "/mcp", headers=headers)
            self.assertEqual(listener.connection.getresponse().status, 200)
            caller, outcome = self.begun(world, {**self.SLOW, "args": {"duration": 60, "steps": 60}})
            core.send_signal(signal.SIGTERM)
            self.assertEqual(core.wait(8), 0)
            caller.join(5)
            self.assertTrue(outcome, "it is still waiting")

    def test_killed_core(self):
        """a killed core leaves no server behind, not even one that ignores the end of its input and signals"""
        with World() as world:
            (world.directory / "server.py").write_text(SERVER)
            (world.directory / "stubborn.py").write_text(STUBBORN)
            arguments = [str(world.directory / "stubborn.py"), "parent", str(world.directory / "server.py")]
            world.write_config({"mcpServers": [{"name": "stubborn", "command": sys.executable, "args": arguments, "enabled": True}]})
            core = world.start_core()
            world.wait_connected("stubborn")
            time.sleep(1)
            self.assertEqual(len(world.processes()), 2)
            core.kill()
            core.wait()
            wait_for("its server has ended with it", lambda: not world.processes(), 5)


class Clock(unittest.TestCase):
    def start(self, time):
        preload = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
        self.assertIsNotNone(preload, "the other clock is missing: run this through scripts/test")
        world = self.enterContext(World(config={"mcpServers": []}, variables={"LD_PRELOAD": str(preload), "FAKETIME": f"@{time}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}))
        core = world.start(CORE, "serve")

        def answer(over="socket"):
            try:
                return world.request("GET", "/ready", over=over).json
            except OSError:
                return None

        return world, core, answer

    def test_last_year(self):
        """a core runs in the year 9999"""
        world, core, answer = self.start("9999-06-01 00:00:00")
        wait_for("it is ready", lambda: (answer() or {}).get("ready"), 20)
        world.post("/api/v1/servers", body={"name": "a", "command": "true"}).data
        self.assertNotIn("panicked", world.output(core))

    def test_no_date(self):
        """at a time that HTTP does not have, connections are refused with the reason and nothing panics"""
        for time in ("9999-12-31 12:00:00", "1960-01-01 00:00:00"):
            with self.subTest(time=time):
                world, core, answer = self.start(time)
                refusal = wait_for("it answers", answer, 20)
                self.assertIn("set the clock", refusal.get("error", ""), refusal)
                self.assertEqual(wait_for("it answers over TCP", lambda: answer("tcp"), 20), refusal)
                core.terminate()
                core.wait(10)
                self.assertNotIn("panicked", world.output(core))


if __name__ == "__main__":
    main()
