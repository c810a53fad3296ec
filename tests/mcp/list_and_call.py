"""The official Python client over HTTP, the newest or the oldest: list_and_call.py URL CALLS, like list_and_call.cjs."""

import asyncio
import json
import sys

import mcp
from mcp.client import streamable_http

address, calls = sys.argv[1:]
connect = getattr(streamable_http, "streamablehttp_client", None) or streamable_http.streamable_http_client
broken = []


async def hear(message):
    if isinstance(message, Exception):
        broken.append(str(message))


async def work():
    async with (
        connect(address) as (read, write, *_),
        mcp.ClientSession(read, write, message_handler=hear) as session,
    ):
        capabilities = (await session.initialize()).capabilities
        tools = [tool.name for tool in (await session.list_tools()).tools]
        if capabilities.prompts:
            await session.list_prompts()
        if capabilities.resources:
            await session.list_resources()
        said = []
        for name, arguments in [(tool, {}) for tool in tools] if calls == "all" else json.loads(calls):
            try:
                result = await session.call_tool(name, arguments)
                said.append([getattr(block, "text", block.type) for block in result.content])
            except Exception as error:
                said.append(str(error))
        print(json.dumps({"tools": tools, "said": said, "broken": broken}))


asyncio.run(asyncio.wait_for(work(), 200))
