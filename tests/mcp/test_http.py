"""Servers over streamable HTTP: the official TypeScript test server, and an official Python server that requires a header.

Run by `scripts/test mcp`.
"""

import json
import sys
import unittest

from test_own_tools import call, text_of
from world import CORE, SERVER, World, free_port, main, wait_for

# A server that requires a header.
GUARDED = """
import sys
import uvicorn
from mcp.server import MCPServer
server = MCPServer("guarded")
@server.tool()
def add(a: int, b: int) -> int:
    "Adds two numbers"
    return a + b
app = server.streamable_http_app()
async def guarded(scope, receive, send):
    if scope["type"] == "http" and dict(scope["headers"]).get(b"authorization") != b"Bearer of-the-test":
        await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]})
        await send({"type": "http.response.body", "body": b"who are you?"})
        return
    await app(scope, receive, send)
uvicorn.run(guarded, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


class OverHttp(unittest.TestCase):
    def everything(self, world, port):
        """Starts the TypeScript server on this port, and waits until it listens."""
        server = world.start(SERVER, "streamableHttp", env={**world.environment(), "PORT": str(port)})
        wait_for("the server listens", lambda: f"port {port}" in world.output(server), 20)
        return server

    def failed(self, world, name, words):
        def said():
            server = world.server(name)
            return server and words in (server.get("last_error") or "")

        wait_for(f"{name}: {words}", said, 20)

    def test_headers(self):
        """a server that requires a header is called with it; a wrong value is reported with advice, and the header is never shown"""
        with World(config={}) as world:
            port = free_port()
            script = world.directory / "guarded.py"
            script.write_text(GUARDED)
            world.start(sys.executable, script, port)
            world.start_core()
            for name, header in (("right", "Bearer of-the-test"), ("wrong", "Bearer other")):
                url = f"http://127.0.0.1:{port}/mcp"
                added = world.run(CORE, "upstream", "add", "--no-quarantine", name, url, "--header", f"Authorization: {header}")
                self.assertEqual(added.returncode, 0, added.stderr)
            wait_for("the first is connected", lambda: world.server("right")["connected"], 30)
            self.assertEqual(text_of(call(world, "call_tool_read", {"name": "right:add", "args": {"a": 1, "b": 2}})), "3")
            self.failed(world, "wrong", "requires authentication (401): set another `Authorization` in `headers`")
            shown = world.get("/api/v1/config").text + world.get("/api/v1/servers").text
            shown += world.run(CORE, "upstream", "list", "-o", "json").stdout
            shown += "".join(log.read_text() for log in (world.root / "logs").glob("*.log"))
            self.assertNotIn("of-the-test", shown)
            refused = world.run(CORE, "upstream", "add", "third", "http://127.0.0.1:1/", "--header", "no colon, a secret")
            self.assertEqual(refused.returncode, 2)
            self.assertNotIn("secret", refused.stderr)

    def test_gone_and_back(self):
        """a server's exit is noticed with the next call, which fails immediately; after its restart it reconnects automatically"""
        with World(config={}) as world:
            port = free_port()
            server = self.everything(world, port)
            world.write_config({"mcpServers": [{"name": "everything", "url": f"http://127.0.0.1:{port}/mcp?secret=1", "enabled": True}]})
            world.start_core()
            world.wait_connected("everything")
            self.assertEqual(world.server("everything")["url"], f"http://127.0.0.1:{port}/mcp?…")
            self.assertEqual(world.server("everything")["protocol"], "streamable-http")
            echo = {"name": "everything:echo", "args": {"message": "hello"}}
            self.assertIn("hello", text_of(call(world, "call_tool_read", echo)))
            found = json.loads(text_of(call(world, "retrieve_tools", {"query": "echo a message"})))
            self.assertEqual(found["tools"][0]["name"], "everything:echo")
            server.kill()
            server.wait()
            self.assertTrue(call(world, "call_tool_read", echo).is_error)
            self.failed(world, "everything", "could not connect to")
            self.everything(world, port)
            wait_for("it is back", lambda: world.server("everything")["connected"], 30)
            self.assertIn("hello", text_of(call(world, "call_tool_read", echo)))

    def test_no_certificate_authorities(self):
        """a server over plain HTTP works on a system without certificate authorities"""
        with World(config={}) as world:
            port = free_port()
            self.everything(world, port)
            world.write_config({"mcpServers": [{"name": "everything", "url": f"http://127.0.0.1:{port}/mcp", "enabled": True}]})
            missing = str(world.directory / "missing")
            world.start_core(env={**world.environment(), "SSL_CERT_FILE": missing, "SSL_CERT_DIR": missing})
            world.wait_connected("everything")

    def test_refusals(self):
        """an unreachable server, a missing endpoint, missing TLS and an invalid URL are each explained, for both transports"""
        with World(config={}) as world:
            port = free_port()
            self.everything(world, port)
            entries = {
                "silent": f"http://127.0.0.1:{free_port()}/mcp",
                "lost": f"http://127.0.0.1:{port}/nothing",
                "tls": f"https://127.0.0.1:{port}/mcp",
                "file": "file:///etc/passwd",
            }
            servers = [{"name": name, "url": url, "enabled": True} for name, url in entries.items()]
            older = {"older": f"http://127.0.0.1:{port}/sse", "none": f"http://127.0.0.1:{free_port()}/sse"}
            servers += [{"name": name, "url": url, "protocol": "sse", "enabled": True} for name, url in older.items()]
            servers.append({"name": "said", "url": f"http://127.0.0.1:{port}/nothing", "protocol": "http", "enabled": True})
            world.write_config({"mcpServers": servers})
            world.start_core()
            self.failed(world, "silent", "Check that the server runs and that `url` is right")
            self.failed(world, "lost", "has neither a streamable HTTP nor a legacy HTTP+SSE endpoint (404)")
            self.failed(world, "said", "has no streamable HTTP endpoint (404): correct `url`, or set `protocol` to `sse`")
            self.failed(world, "tls", "could not connect to")
            self.failed(world, "file", "expected `https:` or `http:`")
            self.failed(world, "older", "no legacy HTTP+SSE endpoint (404)")
            self.failed(world, "none", "Check that the server runs and that `url` is right")


if __name__ == "__main__":
    main()
