"""What a server can access on this computer: its variables and files, in the sandbox and in a Podman container.

Run by `scripts/test mcp`. The container tests are skipped if Podman cannot run a container.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

from world import CORE, World, main, processes, wait_for

# A server without dependencies. Its only tool tries an access and returns the result.
PROBE = r"""
import json, os, pathlib, sys
def attempt(what, argument):
    try:
        if what == "read":
            return pathlib.Path(argument).read_text()
        if what == "write":
            pathlib.Path(argument).write_text("x")
            return "written"
        if what == "variables":
            return json.dumps(sorted(os.environ))
        if what == "variable":
            return os.environ.get(argument, "(not set)")
        if what == "list":
            return json.dumps(sorted(os.listdir(argument)))
    except OSError as error:
        return type(error).__name__
for line in sys.stdin:
    message = json.loads(line)
    method, number = message.get("method"), message.get("id")
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "probe", "version": "1"}}
    elif method == "tools/list":
        schema = {"type": "object", "properties": {"what": {"type": "string"}, "argument": {"type": "string"}}}
        result = {"tools": [{"name": "probe", "description": "Tries something", "inputSchema": schema}]}
    elif method == "tools/call":
        arguments = message["params"]["arguments"]
        text = attempt(arguments["what"], arguments.get("argument", ""))
        result = {"content": [{"type": "text", "text": text}]}
    else:
        result = {}
    if number is not None:
        print(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), flush=True)
"""

# Not a version manager's shim, which is a shell script that needs files of its own.
PYTHON = "/usr/bin/python3"

SECRETS = {"AWS_SECRET_ACCESS_KEY": "aws-secret", "GITHUB_TOKEN": "gh-secret", "WANTED": "wanted-value"}


class ProbedWorld(World):
    """A world with a server that reports what it can access."""

    def __init__(self, variables=None, **entry):
        super().__init__(variables={**SECRETS, **(variables or {})})
        (self.directory / "srv").mkdir()
        (self.directory / "srv/probe.py").write_text(PROBE)
        (self.directory / ".ssh").mkdir(mode=0o700)
        (self.directory / ".ssh/id_rsa").write_text("PRIVATE")
        (self.directory / "given").mkdir()
        (self.directory / "given/file").write_text("given")
        server = {"name": "probe", "command": PYTHON, "args": [str(self.directory / "srv/probe.py"), str(self.directory / "given")]}
        self.write_config({"quarantine_enabled": False, "mcpServers": [{**server, **entry}]})

    def probe(self, what, argument=""):
        call = {"tool_name": "call_tool_read", "arguments": {"name": "probe:probe", "args": {"what": what, "argument": str(argument)}}}
        answer = self.post("/api/v1/tools/call", body=call, timeout=60)
        return answer.data["content"][0]["text"]


class Variables(unittest.TestCase):
    def test_variables(self):
        """a server gets only the allowed variables and its own"""
        with ProbedWorld(env={"OWN": "own"}, inherit_env=["WANTED"]) as world:
            world.start_core()
            world.wait_connected("probe")
            names = json.loads(world.probe("variables"))
            self.assertTrue({"PATH", "HOME", "OWN", "WANTED"} <= set(names), names)
            self.assertFalse({"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MCPPROXY_API_KEY"} & set(names), names)
            self.assertEqual(world.probe("variable", "WANTED"), "wanted-value")

    def test_the_environment_block_of_the_settings_holds(self):
        """the `environment` settings determine the variables of every server"""
        with ProbedWorld() as world:
            config = world.config()
            config["environment"] = {"allowed_system_vars": ["PATH", "GITHUB_*"], "custom_vars": {"FOR_ALL": "1"}}
            world.write_config(json.dumps(config))
            world.start_core()
            world.wait_connected("probe")
            # The last one marks the server's processes.
            names = set(json.loads(world.probe("variables"))) - {"LC_CTYPE", "MCPPROXY_SERVER_RUN"}
            self.assertEqual(names, {"PATH", "GITHUB_TOKEN", "FOR_ALL"})


class Limits(unittest.TestCase):
    def test_the_core_raises_its_limit_on_files_and_servers_get_the_old_one(self):
        """the core raises its limit on open files, and servers keep the original limit"""
        def soft(pid):
            lines = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("Max open files")).split()[3])

        with ProbedWorld() as world:
            import resource

            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            core = world.start_core(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard)))
            world.wait_connected("probe")
            self.assertEqual(soft(core.pid), hard)
            server = next(one for one in processes() if str(world.directory / "srv/probe.py") in one.command)
            self.assertEqual(soft(server.pid), 1024)


class Sandbox(unittest.TestCase):
    def test_sandbox(self):
        """a sandboxed server has a private home, and can only access its own files and its arguments"""
        with ProbedWorld(isolation="sandbox") as world:
            other = world.root / "isolation/other-0123456789ab/file"
            other.parent.mkdir(parents=True)
            other.write_text("of another server")
            world.start_core()
            world.wait_connected("probe")
            self.assertEqual(world.probe("read", world.directory / ".ssh/id_rsa"), "PermissionError")
            self.assertEqual(world.probe("read", world.config_file), "PermissionError")
            self.assertEqual(world.probe("read", other), "PermissionError")
            self.assertEqual(world.probe("list", world.directory), "PermissionError")
            self.assertEqual(world.probe("read", world.directory / "given/file"), "given")
            self.assertEqual(world.probe("write", world.directory / "given/new"), "written")
            self.assertEqual(world.probe("write", world.directory / "srv/new"), "PermissionError")
            home = pathlib.Path(world.probe("variable", "HOME"))
            self.assertTrue(home.is_relative_to(world.root / "isolation"), home)
            self.assertEqual(home.stat().st_mode & 0o777, 0o700)

    def test_own_session(self):
        """what a server starts in a session of its own ends with it, with and without a sandbox, and one that a killed core left ends at the next start"""
        # The shell that starts it has ended, so it has no parent that belongs to the server.
        program = """
import os, subprocess, sys
subprocess.run(["setsid", "sh", "-c", f"trap '' TERM; setsid sleep {40000 + os.getpid() % 1000} < /dev/null > /dev/null 2>&1 &"])
"""
        for isolation in ("sandbox", "none"):
            with self.subTest(isolation=isolation), ProbedWorld(isolation=isolation) as world:
                script = world.directory / "srv/probe.py"
                script.write_text(program + script.read_text())
                sleeping = lambda: [one for one in processes() if one.command[:1] == ["sleep"] and any(str(world.directory) in value for value in one.environment)]
                core = world.start_core()
                world.wait_connected("probe")
                wait_for("its child runs", sleeping)
                world.post("/api/v1/servers/probe/disable").data
                wait_for("the child ended with it", lambda: not sleeping(), 20)
                world.post("/api/v1/servers/probe/enable").data
                world.wait_connected("probe")
                wait_for("its child runs", sleeping)
                left = sleeping()[0].pid
                core.kill()
                core.wait()
                self.assertIn(left, [one.pid for one in sleeping()])
                world.start_core()
                wait_for("the next core ended it", lambda: left not in [one.pid for one in sleeping()], 20)

    def test_the_users_browser(self):
        """a browser that a server without a sandbox opened stays when the server ends, and one that it controls does not"""
        with ProbedWorld(isolation="none") as world:
            browser = world.directory / "firefox"
            shutil.copy(shutil.which("python3", path="/usr/bin"), browser)
            program = f"""
import subprocess
for option in ("https://sign-in", "--headless"):
    subprocess.Popen(["setsid", {str(browser)!r}, "-c", "import time; time.sleep(1000)", option], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
"""
            script = world.directory / "srv/probe.py"
            script.write_text(program + script.read_text())
            options = lambda: sorted(one.command[-1] for one in processes() if one.command[:1] == [str(browser)])
            world.start_core()
            world.wait_connected("probe")
            wait_for("both run", lambda: options() == ["--headless", "https://sign-in"])
            world.post("/api/v1/servers/probe/disable").data
            wait_for("one ended", lambda: options() == ["https://sign-in"], 20)
            wait_for("the server ended", lambda: not any(str(script) in one.command for one in processes()))
            self.assertEqual(options(), ["https://sign-in"])

    def test_the_home_directory_as_an_argument_opens_all_but_the_secrets(self):
        """a server with the home directory as an argument can read it, except for secrets"""
        with ProbedWorld(isolation="auto") as world:
            config = world.config()
            config["mcpServers"][0]["args"][1] = str(world.directory)
            world.write_config(json.dumps(config))
            world.start_core()
            world.wait_connected("probe")
            self.assertEqual(world.probe("read", world.directory / "given/file"), "given")
            self.assertEqual(world.probe("read", world.directory / ".ssh/id_rsa"), "PermissionError")
            self.assertEqual(world.probe("read", world.config_file), "PermissionError")

    def test_unenforceable(self):
        """a server does not start if its isolation cannot be enforced"""
        with ProbedWorld(isolation={"mode": "sandbox", "network": "loopback"}) as world:
            world.start_core()
            failed = lambda: (world.server("probe") or {}).get("last_error")
            self.assertIn("could not limit the network", wait_for("the server failed", failed))

    def test_docker_in_a_path(self):
        """a program that is named docker is sandboxed like any other"""
        with ProbedWorld(isolation="sandbox") as world:
            place = world.directory / "docker"
            place.mkdir()
            (place / "docker").write_text("#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n")
            (place / "docker").chmod(0o755)
            config = world.config()
            config["mcpServers"][0]["command"] = str(place / "docker")
            world.write_config(json.dumps(config))
            world.start_core()
            world.wait_connected("probe")
            self.assertEqual(world.probe("read", world.directory / ".ssh/id_rsa"), "PermissionError")


    def test_browsers(self):
        """a known package that starts a browser is isolated like any other, and the review says what does not work"""
        entries = {
            "browser": ("auto", ["-y", "@playwright/mcp@latest"]),
            "other": ("auto", ["-y", "@playwright/mcp@npm:other"]),
            "open": ("none", ["-y", "@playwright/mcp"]),
        }
        with ProbedWorld() as world:
            world.write_config({"mcpServers": [
                {"name": name, "command": "npx", "args": arguments, "quarantined": True, "isolation": mode}
                for name, (mode, arguments) in entries.items()]})
            asked = {name: world.run(CORE, "upstream", "approve", name) for name in entries}
            shown = {name: done.stdout + done.stderr for name, done in asked.items()}
            self.assertIn("it starts a browser", shown["browser"])
            self.assertNotIn("Runs without isolation", shown["browser"])
            for name in ("other", "open"):
                self.assertNotIn("it starts a browser", shown[name], name)


IMAGE = "localhost/mcpproxy-test:1"
ENGINE_SETTINGS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
"""


def small_root(place):
    """Creates a root file system with a shell and Python, copied from this computer."""
    programs = ["/bin/sh", "/bin/mkdir", "/bin/cat", os.path.realpath("/usr/bin/python3")]
    modules = next(pathlib.Path("/usr/lib").glob("python3.*"))
    shutil.copytree(modules, place / modules.relative_to("/"), ignore=shutil.ignore_patterns("test", "config-*", "__pycache__"))
    libraries = set()
    for program in [*programs, *map(str, (modules / "lib-dynload").glob("*.so"))]:
        linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        libraries |= {word for line in linked.splitlines() for word in line.split() if word.startswith("/")}
    for name in {*programs, *libraries}:
        target = place / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, target)
    (place / "usr/bin/python3").symlink_to(pathlib.Path(programs[-1]).name)
    for name in ("tmp", "proc", "sys", "dev", "etc"):
        (place / name).mkdir(exist_ok=True)


@unittest.skipUnless(shutil.which("podman"), "Podman is not installed")
class Containers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = pathlib.Path(tempfile.mkdtemp(prefix="mcpp-root-"))
        cls.addClassCleanup(shutil.rmtree, cls.place, ignore_errors=True)
        (cls.place / "containers.conf").write_text(ENGINE_SETTINGS)
        cls.variables = {"CONTAINERS_CONF": str(cls.place / "containers.conf")}
        (cls.place / "root").mkdir()
        small_root(cls.place / "root")
        archive = cls.place / "root.tar"
        subprocess.run(["tar", "-C", cls.place / "root", "-cf", archive, "."], check=True)
        cls.podman("import", str(archive), IMAGE)
        if cls.podman("run", "--rm", "--network", "none", IMAGE, "python3", "-c", "pass").returncode != 0:
            raise unittest.SkipTest("Podman cannot run a container here")

    @classmethod
    def podman(cls, *arguments):
        return subprocess.run(["podman", *arguments], env={**os.environ, **cls.variables}, capture_output=True, text=True)

    def world(self, **isolation):
        entry = {"mode": "docker", "image": IMAGE, "network": "off", **isolation}
        return ProbedWorld(variables=self.variables, isolation=entry, env={"OWN": "own"})

    def containers(self, world):
        listed = self.podman("ps", "--all", "--format", "{{.Names}}").stdout.split()
        return [name for name in listed if name.startswith("mcpproxy-probe-")]

    def test_container(self):
        """a server in a container can only access its arguments, gets no secrets, and ends with the core"""
        with self.world() as world:
            core = world.start_core()
            world.wait_connected("probe")
            self.assertEqual(world.probe("read", world.directory / ".ssh/id_rsa"), "FileNotFoundError")
            self.assertEqual(world.probe("read", world.config_file), "FileNotFoundError")
            self.assertEqual(world.probe("read", world.directory / "given/file"), "given")
            self.assertEqual(world.probe("write", world.directory / "given/new"), "written")
            self.assertEqual(world.probe("write", world.directory / "srv/new"), "OSError")
            self.assertEqual(world.probe("variable", "OWN"), "own")
            self.assertFalse(set(SECRETS) & set(json.loads(world.probe("variables"))))
            self.assertEqual(len(self.containers(world)), 1)
            for one in processes():
                self.assertNotIn("own", [word for word in one.command if word.startswith("OWN=")])
            core.terminate()
            core.wait(30)
            wait_for("the container is gone", lambda: not self.containers(world), 20)

    def test_containers_of_a_core_that_was_killed_are_removed_by_the_next(self):
        """a new core removes the containers of a killed core"""
        with self.world() as world:
            # A process that ignores the end of its input.
            script = world.directory / "srv/probe.py"
            script.write_text(PROBE + "\nimport time\ntime.sleep(600)\n")
            core = world.start_core()
            world.wait_connected("probe")
            before = self.containers(world)
            core.kill()
            core.wait()
            config = world.config()
            config["mcpServers"][0]["enabled"] = False
            world.write_config(json.dumps(config))
            world.start_core()
            wait_for("the orphan is gone", lambda: not set(before) & set(self.containers(world)), 30)

    def test_each_failure_has_its_own_message(self):
        """a missing image and a missing command in the image have different errors"""
        failed = lambda world: wait_for("the server failed", lambda: (world.server("probe") or {}).get("last_error"), 60)
        with self.world(image="localhost/no-such-image:1") as world:
            world.start_core()
            self.assertIn("could not pull `localhost/no-such-image:1`", failed(world))
        with self.world() as world:
            config = world.config()
            config["mcpServers"][0]["command"] = "npx"
            world.write_config(json.dumps(config))
            world.start_core()
            self.assertIn(f"the image `{IMAGE}` has no `npx`", failed(world))


if __name__ == "__main__":
    main()
