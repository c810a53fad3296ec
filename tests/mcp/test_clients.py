"""Official clients over HTTP with the official server: the newest and the oldest TypeScript client, and the oldest Python client.

Run by `scripts/test mcp`.
"""

import json
import pathlib
import unittest

from world import PROJECT, World, everything, main

HERE = pathlib.Path(__file__).parent
CLIENTS = (
    ("node", HERE / "call_over_http.cjs", "@modelcontextprotocol/sdk"),
    ("node", HERE / "call_over_http.cjs", "sdk-of-2025-03"),
    (PROJECT / "target/tools/python-of-2025-05/bin/python", HERE / "call_over_http.py"),
)


class Clients(unittest.TestCase):
    def test_clients(self):
        """each client works on every endpoint: tools, calls on both paths, questions and errors; none reports a broken message"""
        with World(config={"mcpServers": [everything()]}) as world:
            world.start_core()
            world.wait_connected("everything")
            prompt = {"prompt": "the answer?", "maxTokens": 9}
            ask = "trigger-sampling-request"
            ways = {
                "/mcp": ("call_tool_read", {"name": "everything:echo", "args": {"message": "a"}},
                         ["call_tool_write", {"name": f"everything:{ask}", "args": prompt}]),
                "/mcp/all": ("everything__echo", {"message": "a"}, [f"everything__{ask}", prompt]),
                "/mcp/all/everything": ("echo", {"message": "a"}, [ask, prompt]),
            }
            for client in CLIENTS:
                for path, (tool, given, asking) in ways.items():
                    address = f"http://127.0.0.1:{world.port}{path}"
                    done = world.run(*client, address, tool, json.dumps(given), json.dumps(asking))
                    self.assertEqual(done.returncode, 0, f"{client} {path}: {done.stderr}")
                    told = json.loads(done.stdout)
                    self.assertEqual(told["said"][:2], ["Echo: a"] * 2, client)
                    self.assertIn("forty-two", told["said"][2])
                    self.assertIn("the answer?", told["asked"][0])
                    self.assertIn(tool, told["tools"])
                    self.assertIn("unknown__nothing", str(told["wrong"]))
                    self.assertEqual(told["broken"], [], client)


if __name__ == "__main__":
    main()
