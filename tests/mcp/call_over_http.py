"""The official Python client of May 2025 over HTTP: call_over_http.py URL TOOL ARGUMENTS ASKING, like call_over_http.cjs."""

import asyncio
import json
import sys

from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamablehttp_client

address, tool, given, asking = sys.argv[1:]
asked, broken = [], []


async def sample(_context, params):
    asked.append(params.messages[0].content.text)
    return types.CreateMessageResult(role="assistant", model="m", content=types.TextContent(type="text", text="forty-two"))


async def hear(message):
    if isinstance(message, Exception):
        broken.append(str(message))


async def work():
    async with (
        streamablehttp_client(address) as (read, write, _),
        ClientSession(read, write, sampling_callback=sample, message_handler=hear) as session,
    ):
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        said = [await session.call_tool(*call) for call in [(tool, json.loads(given))] * 2 + [json.loads(asking)]]
        try:
            wrong = (await session.call_tool("unknown__nothing", {})).content[0].text
        except McpError as error:
            wrong = str(error)
        # Waits until a stream beside the calls could deliver messages.
        await asyncio.sleep(0.5)
        texts = [result.content[0].text for result in said]
        print(json.dumps({"said": texts, "asked": asked, "tools": tools, "wrong": wrong, "broken": broken}))


asyncio.run(asyncio.wait_for(work(), 30))
