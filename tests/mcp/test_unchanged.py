"""Arguments and results arrive as they were written, on every route between a client and a server. Run by `scripts/test mcp`."""

import json
import subprocess
import sys
import unittest

from test_stays_up import Client
from world import CORE, McpOverHttp, UnixConnection, World, main, serving

# Numbers that a parser easily changes.
NUMBERS = ["1.0", "1.50", "0.1000", "1e2", "1e+2", "1E5", "1e400", "-1e-400", "2.5E-7", "-0", "-0.0", "12345678901234567890", "18446744073709551616",
           "-9223372036854775809", "0.1234567890123456789", "123456789.123456789", "100000000000000000000000", "5e-324"]
NESTED = '{"n": [%s], "deep": {"a": [{"b": 2.50}]}, "text": "1.0", "big": 9007199254740993}' % ", ".join(NUMBERS)
# A result with members and numbers that the protocol does not define.
RESULT = (
    '{"content": [{"type": "text", "text": TEXT, "annotations": {"priority": 0.123456789, "x": 1.50}, "extra": {"n": 2.0}},'
    ' {"type": "resource_link", "uri": "shots://884", "name": "S", "size": 3, "vendor": [1.50]}],'
    ' "structuredContent": ARGUMENTS, "_meta": {"vendor/cost": 0.10}, "vendor": 1.50, "isError": false}'
)
# Answers with the text of its arguments, as it arrived.
ANSWER = r'''
import json, re

RESULT = json.loads(%r)

def answer(line):
    """Returns the response to a message, as text; `None` for a notification."""
    message = json.loads(line)
    id, method = message.get("id"), message.get("method")
    if id is None:
        return None
    if method == "tools/call":
        start = re.search(r'"arguments"\s*:\s*', line).end()
        depth = 0
        for end in range(start, len(line)):
            depth += (line[end] == "{") - (line[end] == "}")
            if depth == 0:
                break
        arguments = line[start : end + 1]
        result = RESULT.replace("ARGUMENTS", arguments).replace("TEXT", json.dumps(arguments))
    else:
        result = json.dumps({
            "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}},
            "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]},
        }.get(method, {}))
    return '{"jsonrpc":"2.0","id":%%s,"result":%%s}' %% (json.dumps(id), result)
''' % json.dumps(RESULT)
STDIO = ANSWER + """
import sys
for line in sys.stdin:
    if text := answer(line):
        print(text, flush=True)
"""
namespace = {}
exec(ANSWER, namespace)


class Number(str):
    """A number as it was written."""

    def __repr__(self):
        return f"<{self}>"


def read(text):
    """Parses JSON and keeps numbers as written."""
    return json.loads(text, parse_int=Number, parse_float=Number)


class Raw(Client):
    """A client that sends and receives text."""

    def raw(self, text):
        self.connection.request("POST", self.path, body=text, headers=self.headers)
        answer = self.connection.getresponse().read().decode()
        events = [line[5:] for line in answer.splitlines() if line.startswith("data:") and line[5:].strip()]
        return events[-1] if events else answer


class Http(McpOverHttp):
    """The same server over HTTP, with JSON or an event stream as responses."""

    def do_POST(self):
        text = namespace["answer"](self.body())
        if text is None:
            self.reply(202, b"")
        elif self.path == "/stream":
            self.reply(200, f"data: {text}\n\n".encode(), {"Content-Type": "text/event-stream"})
        else:
            self.reply(200, text.encode())


class Unchanged(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        url = cls.enterClassContext(serving(Http))
        cls.world = cls.enterClassContext(World())
        script = cls.world.directory / "server.py"
        script.write_text(STDIO)
        servers = [
            {"name": "stdio", "command": sys.executable, "args": [str(script)]},
            # Its calls cannot use the fast path, because they may have to wait.
            {"name": "limited", "command": sys.executable, "args": [str(script)], "max_concurrent_requests": 1},
            {"name": "json", "url": f"{url}/json"},
            {"name": "stream", "url": f"{url}/stream"},
        ]
        cls.servers = [server["name"] for server in servers]
        cls.world.write_config({"mcpServers": [{**server, "enabled": True} for server in servers]})
        cls.world.start_core()
        for name in cls.servers:
            cls.world.wait_connected(name)

    def check(self, route, text, given=NESTED):
        """Checks the text of a JSON-RPC response."""
        with self.subTest(route=route):
            expected = read(given)
            result = read(text)["result"]
            self.assertEqual(read(result["content"][0]["text"]), expected, "the arguments")
            sent = read(RESULT.replace("ARGUMENTS", given).replace("TEXT", json.dumps(result["content"][0]["text"])))
            result.pop("resultType", None)
            self.assertEqual(result, sent, "the result")

    def calls(self, server, arguments=NESTED):
        """Yields the path of each endpoint, and the parameters of a call there."""
        escaped = json.dumps(arguments)
        yield "/mcp", '{"name": "call_tool_read", "arguments": {"name": "%s:echo", "args": %s}}' % (server, arguments)
        yield "/mcp", '{"name": "call_tool_read", "arguments": {"name": "%s:echo", "args_json": %s}}' % (server, escaped)
        yield "/mcp/all", '{"name": "%s__echo", "arguments": %s}' % (server, arguments)
        yield f"/mcp/all/{server}", '{"name": "echo", "arguments": %s}' % arguments

    def test_http(self):
        """numbers and unknown members pass unchanged over HTTP, on the fast path and through the library, in the first call and later"""
        for server in self.servers:
            for path, params in self.calls(server):
                client = Raw(self.world.port, path)
                for call in range(2):
                    body = '{"jsonrpc": "2.0", "id": %d, "method": "tools/call", "params": %s}' % (call + 5, params)
                    self.check((server, path, call), client.raw(body))

    def test_stdio(self):
        """numbers and unknown members pass unchanged through `mcpproxy stdio`"""
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        bridge = subprocess.Popen([CORE, "stdio"], env=self.world.environment(), text=True, **pipes)
        try:
            def ask(text, id):
                print(text, file=bridge.stdin, flush=True)
                while True:
                    line = bridge.stdout.readline()
                    if id is None or json.loads(line).get("id") == id:
                        return line
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
            ask(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}), 1)
            print('{"jsonrpc": "2.0", "method": "notifications/initialized"}', file=bridge.stdin, flush=True)
            number = 10
            for server in self.servers:
                for path, params in self.calls(server):
                    if path == "/mcp":
                        number += 1
                        self.check((server, "bridge"), ask('{"jsonrpc": "2.0", "id": %d, "method": "tools/call", "params": %s}' % (number, params), number))
        finally:
            bridge.stdin.close()
            bridge.wait(10)
            bridge.stdout.close()
            bridge.stderr.close()

    def test_rest(self):
        """numbers and unknown members pass unchanged through `mcpproxy call` and over REST"""
        for server in self.servers:
            called = self.world.run(CORE, "call", "tool-read", "-t", f"{server}:echo", "-j", NESTED, "-o", "json")
            self.check((server, "call"), '{"result": %s}' % called.stdout)
            answer = self.rest("POST", "/api/v1/tools/call", '{"tool_name": "call_tool_read", "arguments": {"name": "%s:echo", "args": %s}}' % (server, NESTED))
            self.check((server, "REST"), answer.replace('"data":', '"result":', 1))

    def test_settings(self):
        """numbers in the configuration stay as they were written, through edits of other keys and over REST"""
        self.rest("PATCH", "/api/v1/config", '{"mine": {"n": [1e400, 1E5, 1.50], "tokens": 2E5}}')
        self.rest("PATCH", "/api/v1/servers/stdio", '{"mine": 1e400}')
        self.world.post("/api/v1/servers/stdio/disable").data
        self.world.post("/api/v1/servers/stdio/enable").data
        shown = json.loads(self.rest("GET", "/api/v1/config"), parse_float=Number)["data"]["config"]
        for config in (json.loads(self.world.config_file.read_text(), parse_float=Number), shown):
            self.assertEqual(config["mine"], {"n": ["1e400", "1E5", "1.50"], "tokens": "2E5"})
            self.assertEqual(next(one for one in config["mcpServers"] if one["name"] == "stdio")["mine"], "1e400")
        # What REST changes needs approval.
        self.assertEqual(self.world.run(CORE, "upstream", "approve", "stdio", "--yes").returncode, 0)
        self.world.wait_connected("stdio")

    def rest(self, method, path, body=None):
        """Sends text to REST, and returns the text of the response."""
        connection = UnixConnection(self.world.root / "mcpproxy.sock", 10)
        connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        self.assertEqual(answer.status, 200, text)
        return text


if __name__ == "__main__":
    main()
