"""The official TypeScript clients over HTTP, the newest and one of the first that speaks it, with the official server.

Run by `scripts/test mcp`.
"""

import json
import pathlib
import unittest

from world import World, everything, main

SCRIPT = pathlib.Path(__file__).with_name("call_over_http.cjs")
SDKS = ("@modelcontextprotocol/sdk", "sdk-of-2025-03")


class TypeScript(unittest.TestCase):
    def test_clients(self):
        """each gets through on every address: tools, calls the short way and the long one, questions and errors"""
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
            for sdk in SDKS:
                for path, (tool, given, asking) in ways.items():
                    address = f"http://127.0.0.1:{world.port}{path}"
                    done = world.run("node", SCRIPT, sdk, address, tool, json.dumps(given), json.dumps(asking))
                    self.assertEqual(done.returncode, 0, f"{sdk} {path}: {done.stderr}")
                    told = json.loads(done.stdout)
                    self.assertEqual(told["said"][:2], ["Echo: a"] * 2, sdk)
                    self.assertIn("forty-two", told["said"][2])
                    self.assertIn("the answer?", told["asked"][0])
                    self.assertIn(tool, told["tools"])
                    self.assertIn("nobody__nothing", str(told["wrong"]))


if __name__ == "__main__":
    main()
