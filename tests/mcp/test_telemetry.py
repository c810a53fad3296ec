"""Telemetry as the user and a collector see it: the real core with a clock that runs 12 times as fast.

The collector listens on loopback. Run by `scripts/test telemetry`.
"""

import json
import pathlib
import re
import time
import unittest

from world import CORE, Collector, World, main, wait_for

# A minute for the core is five seconds here; the first report is due after a minute.
FASTER = 12
PRELOAD = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def world(telemetry, **variables):
    fast = {"LD_PRELOAD": str(PRELOAD), "FAKETIME": f"+0 x{FASTER}", **variables}
    return World(config={"mcpServers": [], "telemetry": telemetry}, variables=fast)


def command(world, *arguments, **options):
    """Runs the command line with the real clock."""
    environment = {name: value for name, value in world.environment().items() if name not in ("LD_PRELOAD", "FAKETIME")}
    return world.run(CORE, *arguments, env=environment, **options)


def without_time(text):
    return re.sub(r'"timestamp":"[^"]*"', '"timestamp":"…"', text)


class AReport(unittest.TestCase):
    def setUp(self):
        self.assertIsNotNone(PRELOAD, "the fast clock is missing: run this through scripts/test")

    def test_shown_is_sent(self):
        """the report that telemetry show prints is the one that a collector receives, except for its time"""
        with Collector() as collector, world({"endpoint": collector.endpoint}) as here:
            core = here.start_core()
            shown = command(here, "telemetry", "show", "-o", "json")
            self.assertEqual(shown.returncode, 0, shown.stderr)
            wait_for("a report arrives", lambda: collector.bodies, 15)
            path, headers, body = collector.bodies[0]
            self.assertEqual(path, "/v1/heartbeat")
            self.assertEqual(headers["Content-Type"], "application/json")
            self.assertEqual(without_time(body.decode()), without_time(shown.stdout.strip()))
            verified = command(here, "telemetry", "verify", "-", input=body.decode())
            self.assertEqual(verified.returncode, 0, verified.stdout)
            kept = here.config()["telemetry"]
            self.assertEqual(kept["anonymous_id"], json.loads(body)["anonymous_id"])
            self.assertIn("telemetry disable", here.output(core), "the notice comes first")

    def test_existing_id(self):
        """an existing identifier is kept byte for byte"""
        known = "7F9C24E8-3B12-4FEF-91E0-5D3C8A1B2C4D"
        with Collector() as collector, world({"endpoint": collector.endpoint, "anonymous_id": known}) as here:
            here.start_core()
            wait_for("a report arrives", lambda: collector.bodies, 15)
            self.assertEqual(collector.payloads()[0]["anonymous_id"], known)
            self.assertEqual(here.config()["telemetry"]["anonymous_id"], known)

    def test_installer(self):
        """the launch source is installer until one report was accepted, across restarts and previews, and never afterwards"""
        told = {"notice_shown": True}
        with Collector(500) as collector, world({"endpoint": collector.endpoint, **told}) as here:
            here.variables["MCPPROXY_LAUNCHED_BY"] = "installer"
            core = here.start_core()
            self.assertEqual(here.status()["launch_source"], "installer")
            core.kill()
            core.wait()
            here.variables["MCPPROXY_LAUNCHED_BY"] = "tray"
            here.start_core()
            for _ in range(3):
                looked = command(here, "telemetry", "show", "-o", "json")
                self.assertEqual(json.loads(looked.stdout)["launch_source"], "installer", looked.stderr)
            wait_for("a refused and an accepted report", lambda: len(collector.bodies) >= 2, 30)
            wait_for("it is accepted", lambda: here.status()["launch_source"] == "tray")
            self.assertEqual([p["launch_source"] for p in collector.payloads()[:2]], ["installer", "installer"])
            here.variables["MCPPROXY_LAUNCHED_BY"] = "installer"
            self.assertEqual(command(here, "telemetry", "disable").returncode, 0)
            self.assertEqual(command(here, "telemetry", "enable").returncode, 0)
            self.assertEqual(here.status()["launch_source"], "tray")

    def test_off(self):
        """with any opt-out no byte is sent, nothing is stored, and the reason is shown"""
        silent = 60 / FASTER * 2
        for variables, telemetry in [
            ({"DO_NOT_TRACK": "1"}, {}),
            ({"MCPPROXY_TELEMETRY": "Off"}, {}),
            ({"MCPPROXY_TELEMETRY": "perhaps"}, {}),
            ({}, {"enabled": False}),
        ]:
            with Collector() as collector, world({"endpoint": collector.endpoint, **telemetry}, **variables) as here:
                core = here.start_core()
                answer = command(here, "telemetry", "status", "-o", "json")
                said = json.loads(answer.stdout)
                self.assertEqual((said["enabled"], said["sending"]), (False, "off"), answer.stdout)
                self.assertNotEqual(command(here, "telemetry", "show").returncode, 0)
                time.sleep(silent)  # the absence of a report cannot be awaited
                self.assertEqual(collector.bodies, [], variables)
                self.assertFalse((here.root / "state.redb").exists(), "a store exists")
                self.assertNotIn("anonymous_id", here.config()["telemetry"])
                self.assertNotIn("telemetry disable", here.output(core), "a notice was shown although nothing is sent")

    def test_disable_at_once(self):
        """telemetry disable stops telemetry immediately in the running core"""
        with Collector() as collector, world({"endpoint": collector.endpoint}) as here:
            here.start_core()
            done = command(here, "telemetry", "disable")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("activation", here.status())
            time.sleep(60 / FASTER * 2)
            self.assertEqual(collector.bodies, [])

    def test_notice(self):
        """a core that a tray started sends nothing before the tray's window has shown the notice"""
        with Collector() as collector, world({"endpoint": collector.endpoint}, MCPPROXY_LAUNCHED_BY="tray") as here:
            core = here.start_core()
            time.sleep(60 / FASTER * 2)
            self.assertEqual(collector.bodies, [])
            self.assertNotIn("telemetry disable", here.output(core))
            said = json.loads(command(here, "telemetry", "status", "-o", "json").stdout)
            self.assertEqual(said["sending"], "waiting")
            shown = here.request("PATCH", "/api/v1/config", body={"telemetry": {"notice_shown": True}})
            self.assertEqual(shown.status, 200, shown.text)
            wait_for("a report arrives", lambda: collector.bodies, 15)
            self.assertEqual(collector.payloads()[0]["launch_source"], "tray")

    def test_explain(self):
        """telemetry explain shows the kind, the markers and the rule for an observation"""
        with World(config={}) as here:
            for observation, kind in [
                ({"os": "linux", "env": {"GITHUB_ACTIONS": "true", "CI": "true"}}, "ci"),
                ({"os": "linux", "env": {"CI": "false"}, "tty": True}, "interactive"),
                ({"os": "linux", "env": {"CODESPACES": "true", "CI": "1"}}, "cloud_ide"),
                ({"os": "linux", "files": ["/.dockerenv"]}, "container"),
                ({"os": "linux"}, "headless"),
                ({"os": "macos"}, "interactive"),
                ({"os": "freebsd"}, "unknown"),
            ]:
                text = json.dumps(observation)
                said = here.run(CORE, "telemetry", "explain", "--from", "-", "-o", "json", input=text)
                verdict = json.loads(said.stdout)
                self.assertEqual(verdict["env_kind"], kind, text)
                self.assertEqual(set(verdict), {"env_kind", "env_markers", "rule"})
            bad = here.run(CORE, "telemetry", "explain", "--from", "-", input="[1")
            self.assertEqual(bad.returncode, 1)
            self.assertNotIn("panicked", bad.stderr)


if __name__ == "__main__":
    main()
