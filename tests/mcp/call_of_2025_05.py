"""Drives the official Python client of May 2025; prints what it was told. Arguments: address, tool, arguments, tool that asks, arguments."""

import asyncio
import json
import sys

from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client

address, tool, given, asking, asked_with = sys.argv[1:]
asked, wrong = [], []


async def sample(_context, params):
    asked.append(params.messages[0].content.text)
    return types.CreateMessageResult(role="assistant", model="m", content=types.TextContent(type="text", text="forty-two"))


async def hear(message):
    if isinstance(message, Exception):
        wrong.append(str(message))


async def work():
    async with (
        streamablehttp_client(address) as (read, write, _),
        ClientSession(read, write, sampling_callback=sample, message_handler=hear) as session,
    ):
        begun = await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        said = [await session.call_tool(tool, json.loads(given)) for _ in range(2)]
        said.append(await session.call_tool(asking, json.loads(asked_with)))
        # Long enough for a stream that is opened beside the calls to say something.
        await asyncio.sleep(0.5)
        texts = [result.content[0].text for result in said]
        print(json.dumps({"revision": begun.protocolVersion, "tools": tools, "said": texts, "asked": asked, "wrong": wrong}))


asyncio.run(asyncio.wait_for(work(), 30))
