"""The core's own tools and settings, as AI clients and people use them. Run by `scripts/test mcp`."""

import asyncio
import json
import re
import unittest

import mcp

from world import World, everything, main


def text_of(result):
    return "\n".join(block.text for block in result.content if block.type == "text")


def call(world, tool, arguments, seconds=20):
    """One tool call by a client of its own, with a deadline."""

    async def one_call():
        async with mcp.Client(f"http://127.0.0.1:{world.port}/mcp", mode="legacy") as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(asyncio.wait_for(one_call(), seconds))


def echo(world, message):
    return call(world, "call_tool_read", {"name": "everything:echo", "args": {"message": message}})


class LongResults(unittest.TestCase):
    def test_read_cache(self):
        """a long result is cut on a character, and read_cache reads all of it, page by page, each below the limit"""
        with World(config={"mcpServers": [everything()], "tool_response_limit": 1000}) as world:
            world.start_core()
            world.wait_connected("everything")
            self.assertEqual(text_of(echo(world, "short")), "Echo: short")
            message = "\n".join(f"line {number} äöü" for number in range(300))
            cut = text_of(echo(world, message))
            self.assertTrue(cut.startswith(f"Echo: {message}"[:1000] + "\n\n... [truncated by mcpproxy]"), cut)
            self.assertIn(f"limit: 1000 chars, actual: {len(message) + 6} chars, records: 300", cut)
            key = re.search(r'key="([^"]+)"', cut).group(1)
            whole, offset, pages = "", 0, 0
            while offset is not None:
                page = text_of(call(world, "read_cache", {"key": key, "offset": offset}))
                page, pages = json.loads(page), pages + 1
                self.assertLessEqual(len(json.dumps(page["records"], ensure_ascii=False)), 1200)
                whole += "".join(page["records"])
                offset = page["meta"].get("next_offset")
            self.assertEqual(whole, f"Echo: {message}")
            self.assertGreater(pages, 3)
            for arguments in [{}, {"key": "no such key"}, {"key": key, "offset": -1}, {"key": key, "limit": 1001}]:
                result = call(world, "read_cache", arguments)
                self.assertTrue(result.is_error, arguments)
            # Once a person has taken the server out of use, its text is gone, too.
            world.post("/api/v1/servers/everything/quarantine")
            self.assertTrue(call(world, "read_cache", {"key": key}).is_error)


if __name__ == "__main__":
    main()
