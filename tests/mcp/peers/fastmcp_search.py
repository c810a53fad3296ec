"""FastMCP's own tool search in front of several servers: fastmcp_search.py PORT LIMIT CONFIG, where CONFIG is JSON with mcpServers."""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.server import create_proxy
from fastmcp.server.transforms.search import BM25SearchTransform


async def main() -> None:
    port, limit, config = sys.argv[1:]
    # All searches share one session per server. Without a connected client, FastMCP would start a process for each search.
    async with Client(json.loads(config)) as client:
        proxy = create_proxy(client)
        proxy.add_transform(BM25SearchTransform(max_results=int(limit)))
        await proxy.run_async(transport="http", host="127.0.0.1", port=int(port), show_banner=False, log_level="error")


asyncio.run(main())
