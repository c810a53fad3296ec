"""Finds one tool by a query, calls it, and prints the result, as an AI client would.

    call.py URL QUERY TOOL ARGUMENTS-AS-JSON
"""

import asyncio
import json
import sys

import mcp


async def call(address, query, tool, arguments):
    # `legacy` uses the handshake with `initialize`, like today's AI clients.
    async with mcp.Client(address, mode="legacy", read_timeout_seconds=30) as client:
        print(f"initialize: {client.server_info.name} {client.server_info.version}, MCP {client.protocol_version}")
        tools = await client.list_tools()
        print(f"tools/list: {', '.join(tool.name for tool in tools.tools)}")
        found = await client.call_tool("retrieve_tools", {"query": query, "limit": 3})
        names = [one["name"] for one in json.loads(found.content[0].text)["tools"]]
        print(f"retrieve_tools {query!r}: {', '.join(names)}")
        result = await client.call_tool("call_tool_read", {"name": tool, "args": arguments})
        print(f"call_tool_read {tool} {json.dumps(arguments)}: {result.content[0].text}")
        if result.is_error:
            sys.exit(1)


asyncio.run(call(*sys.argv[1:4], json.loads(sys.argv[4])))
