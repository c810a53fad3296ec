"""`/mcp/all`: AI clients see the tools, prompts and resources of the servers directly. Run by `scripts/test mcp`."""

import asyncio
import json
import unittest

import mcp

from world import World, everything, main


def text_of(result):
    return "\n".join(block.text for block in result.content if block.type == "text")


class PassThrough(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(config={"mcpServers": [everything("one"), everything("one__more")]})
        cls.core = cls.world.start_core()
        cls.world.wait_connected("one")
        cls.world.wait_connected("one__more")

    @classmethod
    def tearDownClass(cls):
        cls.world.end()

    def client(self, work, path="/mcp/all", mode="legacy", **more):
        async def run():
            async with mcp.Client(f"http://127.0.0.1:{self.world.port}{path}", mode=mode, **more) as client:
                try:
                    return await work(client)
                except mcp.MCPError as error:  # raised here, because leaving the client would wrap it
                    return error

        answer = asyncio.run(asyncio.wait_for(run(), 30))
        if isinstance(answer, mcp.MCPError):
            raise answer
        return answer

    def test_tools(self):
        """clients of both protocol generations list and call every server's tools under names that contain the server's name"""

        async def work(client):
            names = {tool.name for tool in (await client.list_tools()).tools}
            said = [
                text_of(await client.call_tool(f"{server}__echo", {"message": server})) for server in ["one", "one__more"]
            ]
            return client.protocol_version, names, said

        for mode, revision in [("legacy", "2025-11-25"), ("auto", "2026-07-28")]:
            version, names, said = self.client(work, mode=mode)
            self.assertEqual(version, revision)
            self.assertLessEqual({"one__echo", "one__more__echo"}, names)
            self.assertNotIn("retrieve_tools", names)
            self.assertEqual(said, ["Echo: one", "Echo: one__more"])

    def test_one_server(self):
        """/mcp/all/{server} lists one server's tools under their own names, and an unknown server's error lists the servers"""

        async def work(client):
            names = {tool.name for tool in (await client.list_tools()).tools}
            return names, text_of(await client.call_tool("echo", {"message": "hi"}))

        names, said = self.client(work, path="/mcp/all/one__more")
        self.assertIn("echo", names)
        self.assertEqual(said, "Echo: hi")
        with self.assertRaisesRegex(mcp.MCPError, "there are: one, one__more"):
            self.client(lambda client: client.list_tools(), path="/mcp/all/unknown")

    def test_prompts(self):
        """prompts are passed through, and their arguments are completed"""

        async def work(client):
            prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
            prompt = await client.get_prompt("one__more__args-prompt", {"city": "Ulm"})
            reference = mcp.types.PromptReference(type="ref/prompt", name="one__completable-prompt")
            completed = await client.complete(reference, {"name": "department", "value": "E"})
            return prompts, prompt.messages[0].content.text, completed.completion.values

        prompts, text, completed = self.client(work)
        self.assertLessEqual({"one__simple-prompt", "one__more__simple-prompt"}, prompts)
        self.assertIn("Ulm", text)
        self.assertIn("Engineering", completed)

    def test_newest_completion(self):
        """results for a client of 2026-07-28 contain a result type, including completions"""
        own = "io.modelcontextprotocol/"
        meta = {f"{own}protocolVersion": "2026-07-28", f"{own}clientInfo": {"name": "t", "version": "1"}, f"{own}clientCapabilities": {}}
        params = {"ref": {"type": "ref/prompt", "name": "completable-prompt"}, "argument": {"name": "department", "value": "E"}, "_meta": meta}
        body = {"jsonrpc": "2.0", "id": 1, "method": "completion/complete", "params": params}
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "completion/complete"}
        answer = self.world.post("/mcp/all/one", over="tcp", body=body, headers=headers)
        result = json.loads(answer.text.split("data: ", 1)[-1])["result"]
        self.assertEqual((result["resultType"], result["completion"]["values"]), ("complete", ["Engineering"]))

    def test_resources(self):
        """resources and resources of templates are read under their own URIs; a URI without an owner is sent to no server"""

        async def work(client):
            resources = (await client.list_resources()).resources
            templates = (await client.list_resource_templates()).resource_templates
            listed = await client.read_resource(resources[0].uri)
            templated = await client.read_resource("demo://resource/dynamic/text/1")
            return resources, templates, listed, templated

        # Both servers have the same resources, so only the endpoint of one server is unambiguous.
        with self.assertRaisesRegex(mcp.MCPError, "ambiguous.*/mcp/all/one"):
            self.client(work)
        resources, templates, listed, templated = self.client(work, path="/mcp/all/one")
        self.assertTrue(resources and templates)
        self.assertTrue(listed.contents[0].text)
        self.assertIn("1", templated.contents[0].text)
        with self.assertRaisesRegex(mcp.MCPError, "no connected server has the resource"):
            self.client(lambda client: client.read_resource("file:///private"))

    def test_unknown(self):
        """a call of an unknown tool returns an error that names it"""
        for name, sentence in [
            ("nobody__echo", "Unknown tool: nobody__echo"),
            ("one__nothing", "server `one` has no tool `nothing`"),
            ("echo", "Unknown tool: echo"),
        ]:
            with self.assertRaisesRegex(mcp.MCPError, sentence):
                self.client(lambda client: client.call_tool(name, {}))


class Watched(unittest.TestCase):
    def test_quarantine(self):
        """a server that the user disables disappears from an open session, which is notified"""
        with World(config={"mcpServers": [everything()]}) as world:
            world.start_core()
            world.wait_connected("everything")

            async def work():
                changed = asyncio.Event()

                async def hear(message):
                    if "list_changed" in str(getattr(message, "method", "")):
                        changed.set()

                address = f"http://127.0.0.1:{world.port}/mcp/all"
                async with mcp.Client(address, mode="legacy", message_handler=hear) as client:
                    before = (await client.list_tools()).tools
                    await asyncio.to_thread(world.post, "/api/v1/servers/everything/quarantine")
                    await asyncio.wait_for(changed.wait(), 10)
                    after = (await client.list_tools()).tools
                    prompts = (await client.list_prompts()).prompts
                    return before, after, prompts

            before, after, prompts = asyncio.run(asyncio.wait_for(work(), 30))
            self.assertTrue(before)
            self.assertEqual((after, prompts), ([], []))


if __name__ == "__main__":
    main()
