"""The core's own tools and settings, as AI clients and people use them. Run by `scripts/test mcp`."""

import asyncio
import concurrent.futures
import json
import re
import time
import unittest

import mcp

from world import CORE, World, everything, main, wait_for


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


class Management(unittest.TestCase):
    def test_added_by_a_model(self):
        """a server that an AI client adds or changes does not run until a person approves it; no client can"""
        with World(config={"mcpServers": []}) as world:
            world.start_core()

            def ask(tool, **arguments):
                result = call(world, tool, arguments)
                return result.is_error, text_of(result)

            entry = everything("added")
            wrong, text = ask(
                "upstream_servers",
                operation="add",
                name="added",
                command=entry["command"],
                env_json='{"SECRET": "of-the-test"}',
                quarantined=False,
                skip_quarantine=True,
            )
            self.assertFalse(wrong, text)
            self.assertEqual(json.loads(text)["security_status"], "QUARANTINED_FOR_REVIEW")
            written = world.config()["mcpServers"][0]
            self.assertIs(written["quarantined"], True)
            self.assertNotIn("skip_quarantine", written)
            self.assertEqual(world.server("added")["status"], "quarantined")
            self.assertFalse([process for process in world.processes() if "SECRET=of-the-test" in process.environment])
            self.assertNotIn("of-the-test", ask("upstream_servers", operation="list")[1])
            self.assertIn("added", ask("quarantine_security", operation="list_quarantined")[1])
            for operation in ["approve_tool", "approve_all_tools", "approve", "unquarantine"]:
                wrong, text = ask("quarantine_security", operation=operation, name="added", tool_name="echo")
                self.assertTrue(wrong)
                self.assertIn("mcpproxy upstream approve", text)
            wrong, text = ask("call_tool_read", name="added:echo", args={"message": "x"})
            self.assertTrue(wrong, text)
            ask("upstream_servers", operation="enable", name="added")
            self.assertEqual(world.server("added")["status"], "quarantined")

            approved = world.run(CORE, "upstream", "approve", "added")
            self.assertEqual(approved.returncode, 0, approved.stderr)
            world.wait_connected("added")
            self.assertFalse(ask("call_tool_read", name="added:echo", args={"message": "x"})[0])
            self.assertFalse(ask("upstream_servers", operation="update", name="added", args_json='["stdio"]')[0])
            self.assertEqual(world.server("added")["status"], "quarantined")
            self.assertFalse(ask("upstream_servers", operation="remove", name="added")[0])
            self.assertEqual(world.config()["mcpServers"], [])

    def test_kept_to_people(self):
        """a configuration that keeps servers to people offers no tool to change them"""
        with World(config={"mcpServers": [], "read_only_mode": True}) as world:
            world.start_core()
            added = call(world, "upstream_servers", {"operation": "add", "name": "a", "command": "x"})
            self.assertTrue(added.is_error)
            self.assertEqual(world.config()["mcpServers"], [])


class LiveConfiguration(unittest.TestCase):
    """A core that runs while its configuration is edited."""

    def setUp(self):
        self.world = World(config={"mcpServers": [everything("one"), everything("two")]})
        self.addCleanup(self.world.end)
        self.world.start_core()
        self.world.wait_connected("one")
        self.world.wait_connected("two")

    def edit(self, change, write):
        config = self.world.config()
        change(config)
        write(self.world.config_file, json.dumps(config, indent=2))

    def test_edits(self):
        """edits by hand are taken up within a second, however they are saved, and only what changed starts again"""

        def in_place(path, text):
            path.write_text(text)

        def by_rename(path, text):
            new = path.with_suffix(".new")
            new.write_text(text)
            new.replace(path)

        def in_steps(path, text):
            with open(path, "w") as file:
                file.flush()
                file.write(text[: len(text) // 2])
                file.flush()
                time.sleep(0.05)  # an editor that saves slowly
                file.write(text[len(text) // 2 :])

        before = self.world.processes()
        for number, save in enumerate([in_place, by_rename, in_steps]):
            name = f"new-{number}"
            began = time.monotonic()
            self.edit(lambda config: config["mcpServers"].append(everything(name)), save)
            wait_for(f"{name} is there", lambda: self.world.server(name), 1.5)
            self.assertLess(time.monotonic() - began, 1.5)
            self.world.wait_connected(name)
        self.assertLessEqual(before, self.world.processes(), "a server that nobody edited was started again")

        self.edit(lambda config: config["mcpServers"].__delitem__(slice(2, None)), in_place)
        wait_for("the new servers are gone", lambda: self.world.processes() == before)
        self.edit(lambda config: config["mcpServers"][0].update(env={"MARK": "1"}), by_rename)
        wait_for("server one is started again", lambda: len(before - self.world.processes()) in (1, 2))
        self.world.wait_connected("one")
        self.edit(lambda config: config.update(tool_response_limit=10), in_place)
        long = {"name": "two:echo", "args": {"message": "x" * 50}}
        wait_for("a setting is taken up", lambda: "truncated" in text_of(call(self.world, "call_tool_read", long)))

    def test_mistakes(self):
        """a file with a mistake changes nothing but what the status says, and the correction is taken up"""
        before, good = self.world.processes(), self.world.config_file.read_text()
        for text, said in [
            ('{\n  "listen": 8080\n}', "line 2, column 16"),
            ("", "line 1, column 1: the file is empty"),
            (good[: len(good) // 2], "expected more JSON"),
        ]:
            self.world.config_file.write_text(text)
            wait_for(said, lambda: said in (self.world.status().get("configuration") or ""))
            self.assertIn(said, self.world.status()["status"]["message"])
            self.assertIn(said, self.world.run(CORE, "status").stdout)
            refused = self.world.post("/api/v1/servers/one/disable")
            self.assertGreaterEqual(refused.status, 400, "an edit went into a file with a mistake")
            self.assertEqual(self.world.config_file.read_text(), text)
        self.world.config_file.unlink()
        wait_for("a lost file is told", lambda: "cannot be read" in (self.world.status().get("configuration") or ""))
        self.assertGreaterEqual(self.world.post("/api/v1/servers/one/disable").status, 400)
        self.world.config_file.write_text(good)
        wait_for("the correction is told", lambda: "configuration" not in self.world.status())
        self.assertEqual(before, self.world.processes())
        self.assertEqual(self.world.get("/ready").status, 200)

    def test_restart_needed(self):
        """what needs a restart is said, told to listeners, and no longer once it is taken back"""
        events = self.world.events(20)
        self.assertEqual(next(events)[0], "status")
        self.edit(lambda config: config.update(listen="127.0.0.1:1"), lambda path, text: path.write_text(text))
        status = next(data for name, data in events if name == "status" and "configuration" in data)
        self.assertIn("`listen` takes effect once the core is started again", status["configuration"])
        back = f"127.0.0.1:{self.world.port}"
        self.edit(lambda config: config.update(listen=back), lambda path, text: path.write_text(text))
        wait_for("all is in force", lambda: "configuration" not in self.world.status())

    def test_interleaved(self):
        """edits by hand, by REST and by the command line, each right after the other: none is lost"""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for number in range(8):
                entry = everything(f"hand-{number}", enabled=False)
                # The core has not seen this edit yet when the next two come, both at once.
                self.edit(lambda config: config["mcpServers"].append(entry), lambda path, text: path.write_text(text))
                entry = everything(f"rest-{number}", enabled=False)
                added = pool.submit(self.world.post, "/api/v1/servers", body=entry)
                command = ["upstream", "add", f"cli-{number}", "--", "no-such-program"]
                typed = pool.submit(self.world.run, CORE, *command)
                self.assertEqual(added.result(30).status, 200, added.result().text)
                self.assertEqual(typed.result(30).returncode, 0, typed.result().stderr)
        wanted = {f"{who}-{number}" for who in ("hand", "rest", "cli") for number in range(8)} | {"one", "two"}
        self.assertEqual({server["name"] for server in self.world.config()["mcpServers"]}, wanted)
        self.assertEqual({server["name"] for server in self.world.get("/api/v1/servers").data["servers"]}, wanted)

    def test_environment(self):
        """what the environment says is never written into the file, and no secret is shown or replaced by its mask"""
        with World(config={"mcpServers": []}, variables={"MCPPROXY_API_KEY": "from-the-environment"}) as world:
            world.start_core()
            self.assertEqual(world.post("/api/v1/servers", body=everything("a", enabled=False)).status, 200)
            self.assertEqual(world.config()["api_key"], "key-of-the-test")
            shown = world.get("/api/v1/config").data
            self.assertEqual(shown["config"]["listen"], f"127.0.0.1:{world.port}")
            self.assertNotIn("key-of-the-test", json.dumps(shown))
            masked = world.request("PATCH", "/api/v1/config", body={"api_key": shown["config"]["api_key"]})
            self.assertEqual(masked.status, 400)
            self.assertEqual(world.config()["api_key"], "key-of-the-test")


if __name__ == "__main__":
    main()
