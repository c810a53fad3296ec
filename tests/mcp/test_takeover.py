"""Taking over a data directory of the Go core never makes a tool available; also profiles, routing modes, HTTPS and limits.

Run by `scripts/test mcp`. The recorded directory is `tests/data/go-homes/full`; a script simulates its servers.
"""

import concurrent.futures
import fcntl
import hashlib
import http.client
import itertools
import json
import pathlib
import re
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request

import unittest

from world import CORE, PROJECT, World, main, wait_for

HOMES = PROJECT / "tests/data/go-homes"
RECORDED = json.loads((HOMES / "full/rest-v0.60.json").read_text())

# Lists the tools in a file, and returns what it was called with; `slow` takes half a second.
SERVER = """
import json, sys, threading, time
tools = json.load(open(sys.argv[1]))
lock = threading.Lock()
def write(message):
    with lock:
        print(json.dumps(message), flush=True)
def call(message):
    name = message["params"]["name"]
    if name == "slow":
        time.sleep(0.5)
    write({"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"type": "text", "text": "ran " + name}],
        **({"structuredContent": {"temperature": 1, "conditions": "x", "humidity": 1}} if name == "get-structured-content" else {})}})
for line in sys.stdin:
    message = json.loads(line)
    method, number = message.get("method"), message.get("id")
    if number is None:
        continue
    if method == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {"listChanged": True}, "prompts": {}, "resources": {}},
            "serverInfo": {"name": "played", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": tools}
    elif method == "prompts/list":
        result = {"prompts": [{"name": "ask-" + sys.argv[2]}]}
    elif method == "prompts/get":
        result = {"messages": []}
    elif method == "resources/list":
        result = {"resources": [{"uri": "x://" + sys.argv[2], "name": sys.argv[2]}]}
    elif method == "resources/templates/list":
        result = {"resourceTemplates": []}
    elif method == "resources/read":
        result = {"contents": [{"uri": message["params"]["uri"], "text": "secret of " + sys.argv[2]}]}
    elif method == "tools/call":
        threading.Thread(target=call, args=(message,), daemon=True).start()
        continue
    else:
        result = {}
    write({"jsonrpc": "2.0", "id": number, "result": result})
"""


def tool(name, description="A tool", **more):
    return {"name": name, "description": description, "inputSchema": {"type": "object", "properties": {}}, **more}


class Client:
    """One MCP session over HTTP."""

    def __init__(self, world, path="/mcp"):
        self.world, self.path, self.numbers, self.session = world, path, itertools.count(1), None
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                                "clientInfo": {"name": "test", "version": "1"}})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message, path=None):
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self.session:
            headers["Mcp-Session-Id"] = self.session
        request = urllib.request.Request(f"http://127.0.0.1:{self.world.port}{path or self.path}",
                                         json.dumps(message).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            self.session = answer.headers.get("Mcp-Session-Id") or self.session
            return answer.read().decode()

    def ask(self, method, params=None, path=None):
        number = next(self.numbers)
        text = self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}, path)
        lines = [line[5:] for line in text.splitlines() if line.startswith("data:")] or [text]
        return next(m for m in map(json.loads, filter(str.strip, lines)) if m.get("id") == number)

    def call(self, tool, path=None, /, **arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments}, path)

    def text(self, tool, path=None, /, **arguments):
        answer = self.call(tool, path, **arguments)
        if "error" in answer:
            return answer["error"]["message"]
        return "\n".join(block["text"] for block in answer["result"]["content"])

    def tools(self, path=None):
        return sorted(tool["name"] for tool in self.ask("tools/list", path=path)["result"]["tools"])


def stop(process):
    process.terminate()
    process.wait(20)


def played(world, name, tools, **entry):
    """Returns an entry for a server with these tools."""
    script, listed = world.directory / "played.py", world.directory / f"{name}.json"
    script.write_text(SERVER)
    listed.write_text(json.dumps(tools))
    return {"name": name, "protocol": "stdio", "command": sys.executable,
            "args": [str(script), str(listed), name], "enabled": True, **entry}


def everything_tools(database):
    tools = []
    for one in RECORDED["GET /api/v1/servers/everything/tools"]["body"]["data"]["tools"]:
        tools.append({"name": one["name"], "description": one["description"], "inputSchema": one["schema"]})
        if one["name"] == "get-structured-content":
            record = re.search(rb'everything:get-structured-content(\{.*?"current_output_schema":"(?:[^"\\]|\\.)*")', database)
            tools[-1]["outputSchema"] = json.loads(json.loads(record.group(1) + b"}")["current_output_schema"])
    return tools


def go_home(world, **changes):
    """Copies the recorded data directory into a world, with servers that exist there."""
    world.root.mkdir(mode=0o700)
    shutil.copy(HOMES / "full/dot-mcpproxy/config.db", world.root / "config.db")
    config = json.loads((HOMES / "full/dot-mcpproxy/mcp_config.json").read_text())
    database = (world.root / "config.db").read_bytes()
    told = json.loads((HOMES / "tools.json").read_text())
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    changing = [{"name": name, "description": text, "inputSchema": schema} for name, text in told.items()]
    for entry in config["mcpServers"]:
        is_changing = "changing.py" in str(entry.get("args"))
        tools = changing if is_changing else everything_tools(database)
        entry.update({key: value for key, value in played(world, entry["name"], tools).items()
                      if key in ("command", "args")})
    config.update({"listen": f"127.0.0.1:{world.port}", "api_key": "key-of-the-test", "data_dir": str(world.root)})
    config.update(changes)
    world.config_file.write_text(json.dumps(config, indent=2))
    world.config_file.chmod(0o600)


def state_of(world, server):
    """Returns the server's tools by state, once it has listed them."""
    def listed():
        tools = world.get(f"/api/v1/servers/{server}/tools").data["tools"]
        return tools or None
    found = {}
    for one in wait_for(f"the tools of {server}", listed, 20):
        found.setdefault("off" if one.get("disabled") else one["approval_status"], []).append(one["name"])
    return {state: sorted(names) for state, names in found.items()}


class TakeOver(unittest.TestCase):
    def test_nothing_is_opened_and_the_go_core_can_have_it_back(self):
        """the takeover makes no blocked tool available, and leaves everything that the Go core needs"""
        with World() as world:
            go_home(world)
            database, config = (world.root / "config.db").read_bytes(), world.config()
            shown = world.run(CORE, "migrate", "--dry-run")
            self.assertIn("needs approval: add (changed since it was approved), mul (new, not approved yet)", shown.stdout)
            self.assertEqual(world.config(), config)
            self.assertFalse((world.root / "takeover.json").exists())
            world.start_core()
            self.assertEqual(len(state_of(world, "everything")["approved"]), 11)
            self.assertEqual(state_of(world, "everything")["off"], ["echo", "get-sum"])
            for server in ("changing", "manual"):
                self.assertEqual(state_of(world, server), {"approved": ["sub"], "changed": ["add"], "pending": ["mul"]})
            self.assertEqual(state_of(world, "auto"), {"approved": ["add", "mul", "sub"]})
            servers = {one["name"]: one for one in world.get("/api/v1/servers").data["servers"]}
            self.assertFalse(servers["off"]["enabled"])
            self.assertTrue(servers["waiting"]["quarantined"])
            client = Client(world)
            self.assertIn("ran sub", client.text("call_tool_write", name="changing:sub", args={}))
            for name in ("changing:add", "changing:mul", "manual:add", "everything:echo", "everything:get-sum"):
                for variant in ("read", "write", "destructive"):
                    self.assertNotIn("ran ", client.text(f"call_tool_{variant}", name=name, args={}), name)
            direct = Client(world, "/mcp/all").tools()
            self.assertNotIn("changing__add", direct)
            self.assertIn("changing__sub", direct)
            activation = world.get("/api/v1/status").data["activation"]
            self.assertTrue(activation["first_connected_server_ever"])
            self.assertIn("claude-code", activation["mcp_clients_seen_ever"])
            doctor = world.run(CORE, "doctor").stdout
            self.assertNotIn("has no effect", doctor)
            takeover = world.get("/api/v1/takeover").data
            self.assertTrue(takeover["complete"])
            self.assertFalse(takeover["shown"])
            # Everything that the Go core needs is unchanged, except for the disabled tools.
            self.assertEqual((world.root / "config.db").read_bytes(), database)
            after = world.config()
            everything = next(one for one in after["mcpServers"] if one["name"] == "everything")
            self.assertEqual(everything.pop("disabled_tools"), ["echo", "get-sum"])
            self.assertEqual(after, config)

    def test_a_database_that_cannot_be_read_opens_nothing_until_a_person_approves(self):
        """with an unreadable database every tool needs approval"""
        for damage in ("truncated", "garbage", "newer"):
            with self.subTest(damage), World() as world:
                go_home(world)
                path = world.root / "config.db"
                content = bytearray(path.read_bytes())
                if damage == "truncated":
                    content = content[:100_000]
                elif damage == "garbage":
                    content[8192:] = b"\xa5" * (len(content) - 8192)
                else:
                    content[20], content[4096 + 20] = 3, 3
                path.write_bytes(content)
                world.start_core()
                for server in ("everything", "changing", "auto"):
                    self.assertEqual(set(state_of(world, server)), {"pending"}, server)
                self.assertIn("could not be read", world.run(CORE, "doctor").stdout)
                direct = Client(world, "/mcp/all")
                self.assertEqual(direct.tools(), [])
                # The database also has the approvals of prompts, and says which servers are held back.
                self.assertEqual(direct.ask("prompts/list")["result"]["prompts"], [])
                self.assertEqual(direct.ask("resources/list")["result"]["resources"], [])
                one = Client(world, "/mcp/all/everything")
                self.assertIn("error", one.ask("prompts/get", {"name": "ask-everything"}))
                self.assertNotIn("secret of", json.dumps(one.ask("resources/read", {"uri": "x://everything"})))

    def test_what_only_the_database_says_about_a_server_is_kept(self):
        """a server that is held back or disabled in the database only stays so, and one that the Go core never loaded needs approval"""
        with World() as world:
            go_home(world)
            config = world.config()
            for entry in config["mcpServers"]:
                entry.pop("quarantined", None)
                if entry["name"] == "off":
                    entry.pop("enabled")
            config["mcpServers"].append(played(world, "new", [tool("open-door")]))
            config["mcpServers"].append(None)
            world.write_config(config)
            shown = world.run(CORE, "migrate", "--dry-run").stdout
            self.assertIn("The Go core held it back until you approve it", shown)
            self.assertIn("The Go core has never loaded it", shown)
            world.start_core()
            self.assertEqual(len(state_of(world, "everything")["approved"]), 11)
            servers = {one["name"]: one for one in world.get("/api/v1/servers").data["servers"]}
            self.assertEqual([name for name, one in servers.items() if one["quarantined"]], ["new", "waiting"])
            self.assertFalse(servers["off"]["enabled"])
            direct = Client(world, "/mcp/all")
            for name in ("waiting", "new", "off"):
                self.assertEqual([one for one in direct.tools() if one.startswith(name)], [])
            # What a person approves here stays approved.
            self.assertEqual(world.run(CORE, "upstream", "approve", "new", "--yes").returncode, 0)
            stop(world.started[-1])
            world.start_core()
            self.assertEqual(state_of(world, "new"), {"approved": ["open-door"]})

    def test_a_scan_does_not_approve_what_the_go_core_held_back(self):
        """with trust mode scan, a clean tool that was new in the Go core still needs approval"""
        with World() as world:
            go_home(world)
            config = world.config()
            next(one for one in config["mcpServers"] if one["name"] == "changing")["trust_mode"] = "scan"
            world.write_config(config)
            world.start_core()
            self.assertIn("mul", state_of(world, "changing")["pending"])
            # A tool that appears here is scanned.
            listed = world.directory / "changing.json"
            listed.write_text(json.dumps(json.loads(listed.read_text()) + [tool("clean", "Counts")]))
            world.post("/api/v1/servers/changing/restart")
            wait_for("the scan", lambda: "clean" in state_of(world, "changing").get("approved", []), 20)
            self.assertEqual(state_of(world, "changing"),
                             {"approved": ["clean", "sub"], "changed": ["add"], "pending": ["mul"]})

    def test_a_database_in_use_is_taken_over_later(self):
        """a locked database is read later, when it is free"""
        with World() as world:
            go_home(world)
            with open(world.root / "config.db", "rb") as database:
                fcntl.flock(database, fcntl.LOCK_EX)
                world.start_core()
                self.assertEqual(set(state_of(world, "auto")), {"pending"})
                self.assertIn("needs your approval once", world.run(CORE, "migrate").stdout)
            self.assertIn("4 tools that need approval", world.run(CORE, "migrate").stdout)
            wait_for("the approvals", lambda: state_of(world, "everything").get("off") == ["echo", "get-sum"], 20)
            wait_for("the open tools", lambda: state_of(world, "auto") == {"approved": ["add", "mul", "sub"]}, 20)
            self.assertEqual(state_of(world, "manual"), {"approved": ["sub"], "changed": ["add"], "pending": ["mul"]})


class Profiles(unittest.TestCase):
    def world(self, **config):
        world = World()
        world.root.mkdir(mode=0o700)
        servers = [played(world, "inside", [tool("open-door", "Opens a door")]),
                   played(world, "outside", [tool("launch-rocket", "Launches a rocket")])]
        profiles = [{"name": "work", "servers": ["inside", "nosuch"]}, {"name": "empty", "servers": []}]
        world.write_config({"mcpServers": servers, "profiles": profiles, **config})
        world.start_core()
        for server in ("inside", "outside"):
            state_of(world, server)
        return world

    def test_every_way_around_a_profile_is_closed(self):
        """a profile hides other servers in every tool, list and endpoint, on both paths"""
        with self.world() as world:
            client = Client(world, "/mcp/p/work")
            self.assertIn("inside:open-door", client.text("retrieve_tools", query="open door"))
            for query in ("launch rocket", "outside", "tool"):
                told = client.text("retrieve_tools", query=query, include_disabled=True, debug=True,
                                   explain_tool="outside:launch-rocket")
                self.assertNotIn("Launches", told)
            self.assertNotIn("Launches", client.text("describe_tool", tool_ids=["outside:launch-rocket"]))
            for _ in range(3):  # the first call takes the library path, the next ones the fast path
                self.assertIn("ran open-door", client.text("call_tool_write", name="inside:open-door", args={}))
                self.assertNotIn("ran", client.text("call_tool_write", name="outside:launch-rocket", args={}))
            self.assertNotIn("outside", client.text("upstream_servers", operation="list"))
            self.assertIn("no server `outside`", client.text("upstream_servers", operation="tail_log", name="outside"))
            direct = Client(world, "/mcp/p/work/all")
            self.assertEqual(direct.tools(), ["inside__open-door"])
            for _ in range(3):
                self.assertIn("ran open-door", direct.text("inside__open-door"))
                self.assertNotIn("ran", direct.text("outside__launch-rocket"))
            prompts = direct.ask("prompts/list")["result"]["prompts"]
            self.assertEqual([one["name"] for one in prompts], ["inside__ask-inside"])
            self.assertIn("error", direct.ask("prompts/get", {"name": "outside__ask-outside"}))
            resources = direct.ask("resources/list")["result"]["resources"]
            self.assertEqual([one["uri"] for one in resources], ["x://inside"])
            # A resource of the only visible server is requested from that server; the other server gets no request.
            self.assertNotIn("secret of outside", json.dumps(direct.ask("resources/read", {"uri": "x://outside"})))
            self.assertEqual(Client(world, "/mcp/p/empty/all").tools(), [])
            self.assertNotIn("open-door", Client(world, "/mcp/p/empty").text("retrieve_tools", query="open door"))

    def test_a_session_chooses_its_profile_and_keeps_it(self):
        """a session selects its profile and keeps it across restarts; a deleted profile shows nothing"""
        with self.world() as world:
            client, other = Client(world), Client(world)
            chosen = json.loads(client.text("set_profile", profile="work"))
            self.assertEqual(chosen, {"active_profile": "work", "servers": ["inside"]})
            for _ in range(3):
                self.assertNotIn("ran", client.text("call_tool_write", name="outside:launch-rocket", args={}))
                self.assertIn("ran", other.text("call_tool_write", name="outside:launch-rocket", args={}))
            self.assertIn("unknown profile `nosuch`", client.text("set_profile", profile="nosuch"))
            stop(world.started[-1])
            world.start_core()
            state_of(world, "outside")
            self.assertNotIn("ran", client.text("call_tool_write", name="outside:launch-rocket", args={}))
            self.assertEqual(world.run(CORE, "profile", "remove", "work").returncode, 0)
            self.assertNotIn("ran", client.text("call_tool_write", name="inside:open-door", args={}), "deleted: nothing")
            self.assertEqual(json.loads(client.text("set_profile", profile=""))["servers"], ["inside", "outside"])

    def test_profiles_from_the_command_line_and_unknown_paths(self):
        """the command line manages profiles, and unknown MCP paths return 404"""
        with self.world() as world:
            self.assertIn("/mcp/p/play", world.run(CORE, "profile", "create", "play", "outside").stdout)
            self.assertEqual(Client(world, "/mcp/p/play/all").tools(), ["outside__launch-rocket"])
            self.assertNotEqual(world.run(CORE, "profile", "create", "all", "outside").returncode, 0)
            self.assertNotEqual(world.run(CORE, "profile", "create", "play", "nosuch").returncode, 0)
            self.assertIn("only the servers of `work`", world.run(CORE, "profile", "use", "work").stdout)
            wait_for("the default", lambda: Client(world, "/mcp/all").tools() == ["inside__open-door"])
            self.assertEqual(world.get("/api/v1/profiles/active").data, {"active_profile": "work"})
            world.run(CORE, "profile", "use")
            wait_for("no default", lambda: len(Client(world, "/mcp/all").tools()) == 2)
            self.assertIn("the server `nosuch`, which does not exist", world.run(CORE, "doctor").stdout)
            for path in ("/mcp/p/gone", "/mcp/nosuch", "/mcp/p/work/more/of/it"):
                with self.assertRaises(urllib.error.HTTPError) as refused:
                    Client(world, path)
                self.assertEqual(refused.exception.code, 404, path)
                self.assertIn("there are", json.loads(refused.exception.read())["error"])

    def test_names_that_cannot_be_used_are_refused_with_their_place(self):
        """invalid profile names in the configuration are an error that names them"""
        for name in ("all", "Work", "a b"):
            with World() as world:
                world.write_config({"profiles": [{"name": name, "servers": []}]})
                ended = world.run(CORE, "serve")
                self.assertEqual(ended.returncode, 4, ended.stderr)
                self.assertIn(name, ended.stderr)


class Serving(unittest.TestCase):
    def test_direct_mode_serves_the_tools_at_mcp_and_the_search_at_mcp_call(self):
        """in direct mode, /mcp lists the tools of the servers, and /mcp/call the search tools"""
        with World() as world:
            world.root.mkdir(mode=0o700)
            servers = [played(world, "one", [tool("open-door")])]
            world.write_config({"mcpServers": servers, "routing_mode": "direct"})
            world.start_core()
            state_of(world, "one")
            self.assertEqual(Client(world).tools(), ["one__open-door"])
            self.assertIn("retrieve_tools", Client(world, "/mcp/call").tools())
            self.assertEqual(world.get("/api/v1/routing").data["routing_mode"], "direct")

    def test_code_execution_is_served_as_a_search_and_told(self):
        """the routing mode code_execution behaves like the search mode, with a warning"""
        with World() as world:
            world.root.mkdir(mode=0o700)
            world.write_config({"routing_mode": "code_execution"})
            world.start_core()
            self.assertIn("retrieve_tools", Client(world).tools())
            self.assertIn("retrieve_tools", Client(world, "/mcp/code").tools())
            self.assertIn("`code_execution`, which does not exist here", world.run(CORE, "doctor").stdout)

    def test_https_is_served_where_it_was_asked_for_and_nothing_else(self):
        """with TLS enabled the core only serves HTTPS, and does not start with an invalid certificate"""
        with World() as world:
            world.root.mkdir(mode=0o700)
            world.write_config({"tls": {"enabled": True}})
            core = world.start(CORE, "serve")
            certificates = world.root / "certs"
            wait_for("the certificate", (certificates / "localhost.pem").exists, 20)
            self.assertEqual((certificates / "localhost.key").stat().st_mode & 0o777, 0o600)
            trusting = ssl.create_default_context(cafile=certificates / "ca.pem")

            def ready():
                try:
                    return urllib.request.urlopen(f"https://localhost:{world.port}/ready", context=trusting, timeout=5)
                except OSError:
                    return None

            self.assertEqual(wait_for("HTTPS", ready, 20).status, 200)
            with self.assertRaises((OSError, http.client.HTTPException)):
                urllib.request.urlopen(f"http://127.0.0.1:{world.port}/ready", timeout=5).read()
            stop(core)
            (certificates / "localhost.pem").write_text("no certificate")
            refused = world.run(CORE, "serve")
            self.assertEqual(refused.returncode, 4)
            self.assertIn("could not serve HTTPS", refused.stderr)

    def test_commands_say_that_the_core_does_not_start_with_the_encryption_that_was_asked_for(self):
        """with encryption that is not possible, serve, doctor and status show the reason and the remedy"""
        with World() as world:
            world.root.mkdir(mode=0o700)
            world.write_config({"tls": {"enabled": True, "require_client_cert": True}})
            refused = world.run(CORE, "serve")
            self.assertEqual(refused.returncode, 4)
            doctor, status = world.run(CORE, "doctor"), world.run(CORE, "status")
            self.assertEqual((doctor.returncode, status.returncode), (4, 0))
            for shown in (refused.stderr, doctor.stderr, status.stdout):
                self.assertIn("could not serve HTTPS: `tls.require_client_cert` is set", shown)
                self.assertIn("set `tls.require_client_cert` to false", shown)

    def test_a_burst_runs_within_the_limits_and_leaves_other_servers_alone(self):
        """a burst of calls obeys the limits of its server, and does not delay other servers"""
        with World() as world:
            world.root.mkdir(mode=0o700)
            limited = {"max_concurrent_requests": 4, "queue_size": 8, "queue_timeout": "10s"}
            servers = [played(world, "busy", [tool("slow")], **limited), played(world, "free", [tool("quick")])]
            world.write_config({"mcpServers": servers})
            world.start_core()
            for server in ("busy", "free"):
                state_of(world, server)
            clients = [Client(world) for _ in range(8)]
            with concurrent.futures.ThreadPoolExecutor(200) as pool:
                calls = [pool.submit(clients[n % 8].text, "call_tool_write", name="busy:slow", args={}) for n in range(200)]
                time.sleep(0.1)
                since = time.monotonic()
                self.assertIn("ran quick", Client(world).text("call_tool_write", name="free:quick", args={}))
                self.assertLess(time.monotonic() - since, 5)
                answers = [call.result() for call in calls]
            ran = sum("ran slow" in answer for answer in answers)
            refused = [answer for answer in answers if "ran slow" not in answer]
            self.assertGreaterEqual(ran, 12)
            self.assertTrue(refused)
            self.assertTrue(all("is busy: retry in" in answer for answer in refused), refused[0])


class Compatibility(unittest.TestCase):
    """REST with the Go core's request and response formats."""

    def test_all_servers_at_once_and_json_for_every_error(self):
        """all servers can be restarted, disabled and enabled together, and every error is JSON"""
        with World() as world:
            world.write_config({"mcpServers": [played(world, name, [tool("t")]) for name in ("one", "two")]})
            world.start_core()
            for server in ("one", "two"):
                state_of(world, server)
            done = {"total": 2, "successful": 2, "failed": 0, "errors": {}}
            self.assertEqual(world.post("/api/v1/servers/restart_all").data, done)
            self.assertEqual(world.post("/api/v1/servers/disable_all").data, done)
            self.assertEqual([one["enabled"] for one in world.config()["mcpServers"]], [False, False])
            self.assertEqual(world.post("/api/v1/servers/restart_all").data["total"], 0)
            self.assertEqual(world.post("/api/v1/servers/enable_all").data, done)
            self.assertEqual([one["enabled"] for one in world.config()["mcpServers"]], [True, True])
            self.assertEqual(world.get("/api/v1/nosuch").status, 404)
            self.assertIn("does not have this path", world.get("/api/v1/nosuch").json["error"])
            wrong = world.post("/api/v1/sessions")
            self.assertEqual((wrong.status, wrong.json["success"]), (405, False))

    def test_sessions_are_those_that_exist(self):
        """the list of sessions shows existing sessions with their usage, also after a restart"""
        with World() as world:
            world.write_config({"mcpServers": [played(world, "one", [tool("t")])]})
            world.start_core()
            state_of(world, "one")
            first, second = Client(world), Client(world, "/mcp/all")
            for _ in range(3):  # the first call takes the library path, the next ones the fast path
                first.text("call_tool_write", name="one:t", args={})
            second.text("one__t")

            def sessions(query=""):
                answer = world.get(f"/api/v1/sessions{query}").data
                return {one["id"]: one for one in answer["sessions"]}

            listed = sessions()
            first.label, second.label = (hashlib.sha256(one.session.encode()).hexdigest()[:8] for one in (first, second))
            self.assertEqual({first.label, second.label}, set(listed))
            self.assertEqual(listed[first.label]["tool_call_count"], 3)
            self.assertEqual(listed[second.label]["tool_call_count"], 1)
            self.assertEqual((listed[first.label]["client_name"], listed[first.label]["status"]), ("test", "active"))
            self.assertEqual(sessions("?status=closed"), {})
            self.assertEqual(world.get("/api/v1/sessions?status=odd").status, 400)
            self.assertEqual(world.get(f"/api/v1/sessions/{first.label}").data["session"]["id"], first.label)
            calls = world.get("/api/v1/servers/one/tool-calls?limit=3").data
            self.assertEqual((calls["server_name"], calls["total"], len(calls["tool_calls"])), ("one", 3, 3))
            call = calls["tool_calls"][0]
            self.assertEqual((call["tool_name"], call["mcp_session_id"], call["arguments"]), ("t", second.label, {}))
            self.assertEqual(world.get("/api/v1/servers/nosuch/tool-calls").status, 404)
            first.text("retrieve_tools", query="a tool")
            tokens = world.get("/api/v1/stats/tokens").data
            self.assertEqual(list(tokens["per_server_tool_list_sizes"]), ["one"])
            self.assertGreater(min(tokens["total_server_tool_list_size"], tokens["average_query_result_size"]), 0)
            stop(world.started[-1])
            world.start_core()
            again = sessions()
            self.assertEqual(again[first.label]["tool_call_count"], 4, "a session outlives the core")
            self.assertGreaterEqual(again[first.label]["last_activity"], listed[first.label]["start_time"])
            self.assertGreater(again[first.label]["total_tokens"], 0)

    def test_tokens_saved_are_what_a_session_did_not_receive(self):
        """a session at /mcp saves the list of all tools, less its own list and its searches, also after a kill"""
        with World() as world:
            tools = [tool(f"tool_{number}", f"Creates the report number {number} of the department") for number in range(60)]
            world.write_config({"mcpServers": [played(world, "one", tools)]})
            world.start_core()
            state_of(world, "one")
            client, direct = Client(world), Client(world, "/mcp/all")
            for _ in range(2):
                client.ask("tools/list")
            listed = json.dumps(direct.ask("tools/list")["result"], separators=(",", ":"))
            client.text("retrieve_tools", query="create a report")
            client.text("retrieve_tools", query="create a report")

            def savings():
                return world.get("/api/v1/stats/tokens").data["savings"]

            [day] = savings()["days"]
            self.assertEqual((day["client"], day["sessions"]), ("test", 1))
            self.assertTrue(len(listed) / 6 < day["all_tools_tokens"] < len(listed) / 3, (day, len(listed)))
            records = world.get("/api/v1/activity?type=internal_tool_call").data["activities"]
            self.assertEqual([record["tool_name"] for record in records], ["retrieve_tools"] * 2 + ["tools/list"])
            self.assertEqual(sum(record["saved_tokens"] for record in records), day["saved_tokens"])
            self.assertEqual(day["received_tokens"], sum(record["response_tokens"] for record in records))
            self.assertEqual(savings()["this_month"]["saved_tokens"], day["saved_tokens"])
            time.sleep(1)
            world.started[-1].kill()
            world.started[-1].wait()
            world.start_core()
            self.assertEqual(savings()["days"], [day])

    def test_a_configuration_is_checked_and_applied(self):
        """a complete configuration is validated and applied without losing settings or secrets"""
        with World() as world:
            server = played(world, "one", [tool("t")], env={"TOKEN": "hidden-value"})
            world.write_config({"mcpServers": [server], "telemetry": {"enabled": False}, "mine": 1})
            world.start_core()
            state_of(world, "one")
            check = lambda config: world.post("/api/v1/config/validate", body=config).data
            self.assertEqual(check({"listen": "127.0.0.1:1"}), {"valid": True})
            refused = check({"listen": "127.0.0.1:1", "tools_limit": "many"})
            self.assertEqual((refused["valid"], refused["errors"][0]["field"]), (False, "tools_limit"))
            shown = world.get("/api/v1/config").data["config"]
            self.assertNotIn("hidden-value", json.dumps(shown))
            applied = world.post("/api/v1/config/apply", body={**shown, "tools_limit": 7}).data
            self.assertEqual((applied["success"], applied["changed_fields"]), (True, ["tools_limit"]))
            after = world.config()
            self.assertEqual((after["tools_limit"], after["mcpServers"][0]["env"]), (7, {"TOKEN": "hidden-value"}))
            self.assertNotIn("quarantined", after["mcpServers"][0], "it runs what was approved")
            del shown["telemetry"]
            shown["mcpServers"].append({"name": "new", "command": "/nosuch", "enabled": False, "quarantined": False})
            self.assertTrue(world.post("/api/v1/config/apply", body=shown).data["success"])
            after = world.config()
            self.assertEqual((after["telemetry"], after["mine"]), ({"enabled": False}, 1), "nothing is lost")
            self.assertTrue(after["mcpServers"][1]["quarantined"], "a program does not approve a server")
            wrong = world.post("/api/v1/config/apply", body={"listen": "nowhere"}).data
            self.assertEqual((wrong["success"], wrong["validation_errors"][0]["field"]), (False, "listen"))

    def test_secrets_are_names(self):
        """the list of secrets contains names and never values"""
        with World(variables={"SET_HERE": "hidden-value"}) as world:
            env = {"A": "${env:SET_HERE}", "B": "${env:NOT_SET_HERE}", "C": "${keyring:kept}"}
            world.write_config({"mcpServers": [played(world, "one", [tool("t")], env=env, enabled=False)]})
            world.start_core()
            answer = world.get("/api/v1/secrets")
            self.assertNotIn("hidden-value", answer.text)
            self.assertEqual(answer.data["secrets"][0]["secret_ref"],
                             {"type": "keyring", "name": "kept", "original": "${keyring:kept}"})
            variables = {one["secret_ref"]["name"]: one["is_set"] for one in answer.data["environment_vars"]}
            self.assertEqual(variables, {"SET_HERE": True, "NOT_SET_HERE": False})


if __name__ == "__main__":
    main()
