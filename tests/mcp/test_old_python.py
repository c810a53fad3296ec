"""The official Python client of May 2025, among the first that speak HTTP, with the official server. Run by `scripts/test mcp`."""

import json
import pathlib
import unittest

from world import PROJECT, World, everything, main

PYTHON = PROJECT / "target/tools/python-of-2025-05/bin/python"
SCRIPT = pathlib.Path(__file__).with_name("call_of_2025_05.py")


class OldPython(unittest.TestCase):
    def test_client(self):
        """it gets through on every address, calls and questions, and takes nothing that it is told for broken"""
        with World(config={"mcpServers": [everything()]}) as world:
            world.start_core()
            world.wait_connected("everything")
            prompt = {"prompt": "the answer?", "maxTokens": 9}
            ask = "trigger-sampling-request"
            ways = {
                "/mcp": ("call_tool_read", {"name": "everything:echo", "args": {"message": "a"}},
                         "call_tool_write", {"name": f"everything:{ask}", "args": prompt}),
                "/mcp/all": ("everything__echo", {"message": "a"}, f"everything__{ask}", prompt),
                "/mcp/all/everything": ("echo", {"message": "a"}, ask, prompt),
            }
            for path, (tool, given, asking, asked_with) in ways.items():
                address = f"http://127.0.0.1:{world.port}{path}"
                done = world.run(PYTHON, SCRIPT, address, tool, json.dumps(given), asking, json.dumps(asked_with))
                self.assertEqual(done.returncode, 0, f"{path}: {done.stderr}")
                told = json.loads(done.stdout)
                self.assertEqual((told["revision"], told["said"][:2]), ("2024-11-05", ["Echo: a"] * 2), path)
                self.assertIn("forty-two", told["said"][2], path)
                self.assertIn("the answer?", told["asked"][0], path)
                self.assertIn(tool, told["tools"], path)
                self.assertEqual(told["wrong"], [], path)
                self.assertNotIn("Error parsing", done.stderr, path)


if __name__ == "__main__":
    main()
