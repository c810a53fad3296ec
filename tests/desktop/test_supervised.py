"""Supervision of the core: ports, old cores, upgrades, the journal, misbehaving cores and broken files.

Run by `scripts/test desktop` inside scripts/virtual-desktop.
"""

import json
import os
import re
import shutil
import signal
import socket
import time
import unittest

from desktop import PROJECT, Bus, Person, Signals, wait_for
from gi.repository import GLib
from strange_core import StrangeCore, envelope, events
from world import CORE, TRAY, everything, main

LOGIND = "org.freedesktop.login1"


def journal(person):
    return [json.loads(line) for line in (person.root / "tray-lifecycle.jsonl").read_text().splitlines()]


class AlwaysThere(unittest.TestCase):
    def test_another_port(self):
        """a port in use: one click switches to the next free port, and saves it in the configuration"""
        with Person() as person, socket.socket() as taken:
            taken.bind(("127.0.0.1", person.port))
            taken.listen()
            del person.variables["MCPPROXY_LISTEN"]
            person.write_config({"listen": f"127.0.0.1:{person.port}", "mine": [1, 2]})
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            offer = icon.wait_menu("Use 127.0.0.1:")
            address = offer.label.split()[1]
            self.assertNotEqual(address, f"127.0.0.1:{person.port}")
            icon.click("Use 127.0.0.1:")
            person.wait_ready()
            self.assertEqual(person.status()["listen_addr"], address)
            wait_for("the configuration names it", lambda: person.config()["listen"] == address)
            self.assertEqual(person.config()["mine"], [1, 2])
            wait_for("the offer is gone", lambda: not icon.menu().find("Use 127.0.0.1:"))
            person.quit(tray, icon)
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            self.assertEqual(person.status()["listen_addr"], address)
            person.quit(tray, icon)

    def older(self, person):
        """Returns this project's core with another version number."""
        version = person.run(CORE, "version").stdout.split()[1]
        older = person.directory / "bin/older"
        older.parent.mkdir(exist_ok=True)
        program = CORE.read_bytes()
        self.assertRegex(version, r"^0\.\d\.\d$")
        older.write_bytes(program.replace(version.encode(), b"0.0.0"))
        older.chmod(0o755)
        return older

    def test_older_core(self):
        """an older core that a tray started is replaced immediately"""
        with Person() as person:
            person.variables["MCPPROXY_LAUNCHED_BY"] = "tray"
            first = person.start(self.older(person), "serve")
            person.wait_ready()
            self.assertEqual(person.get("/api/v1/info").data["version"], "0.0.0")
            del person.variables["MCPPROXY_LAUNCHED_BY"]
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            self.assertEqual(first.wait(15), 0, person.output(first))
            wait_for("another core serves", lambda: person.core_pid() not in (None, first.pid))
            self.assertNotEqual(person.get("/api/v1/info").data["version"], "0.0.0")
            person.quit(tray, icon)

    def test_older_core_of_a_person(self):
        """an older core that the user started keeps running until a click replaces it"""
        with Person() as person:
            first = person.start(self.older(person), "serve")
            person.wait_ready()
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            icon.wait_menu("Replace old core (0.0.0)")
            self.assertIsNone(first.poll())
            icon.click("Replace old core")
            self.assertEqual(first.wait(15), 0, person.output(first))
            wait_for("another core serves", lambda: person.core_pid() not in (None, first.pid))
            icon.wait_menu("Stop core", enabled=True)
            person.quit(tray, icon)

    def test_upgrade(self):
        """a replaced program is noticed; one click starts it, and the core keeps running meanwhile"""
        with Person(config={"mcpServers": [everything()]}) as person:
            folder = person.directory / "opt"
            folder.mkdir()
            for program in (CORE, TRAY):
                shutil.copy2(program, folder)
            own = folder / TRAY.name
            tray = person.start(own, "--autostart")
            tray.still_runs = lambda: tray.poll() is None
            icon = person.icon(tray)
            person.wait_ready()
            person.wait_connected("everything")
            icon.wait_menu("1 of 1 server")
            core = person.core_pid()
            fresh = folder / "fresh"
            shutil.copy(TRAY, fresh)  # with another modification time
            fresh.rename(own)
            # The tray checks at the next event.
            icon.click("Disable")
            icon.wait_menu("Restart to use the updated")
            icon.click("Restart to use the updated")
            self.assertEqual(tray.wait(10), 0, person.output(tray))
            next_tray = wait_for("the new tray runs", lambda: person.running(TRAY.name))
            icon = wait_for("its icon is there", lambda: person.icon(None))
            self.assertEqual(person.core_pid(), core)
            self.assertEqual(len(next_tray), 1)
            icon.wait_menu("Stop core", enabled=True)
            icon.click("Quit")
            person.wait_gone()

    def test_preference(self):
        """without Start core automatically the tray waits for a click, and connects to a core that starts on its own"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            icon.click("Start core automatically")
            icon.wait_menu("Start core automatically", ticked=False)
            person.quit(tray, icon)
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            icon.wait_menu("Start core automatically", ticked=False)
            icon.wait_menu("No core is running")
            self.assertEqual(person.running("mcpproxy"), [])
            icon.click("Start core$")
            person.wait_ready()
            person.quit(tray, icon)

    def test_journal(self):
        """the journal records who started and stopped the core, and a killed tray"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            os.kill(person.core_pid(), signal.SIGKILL)
            wait_for("the end is recorded", lambda: any(line["kind"] == "coreExited" for line in journal(person)))
            person.wait_ready()
            icon.wait_menu("Stop core", enabled=True)
            tray.kill()
            tray.wait()
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            icon.wait_menu("Stop core", enabled=True)
            icon.click("Stop core")
            wait_for("the stop is recorded", lambda: any(line["kind"] == "coreTerminated" for line in journal(person)))
            person.quit(tray, icon)
            told = [(line["kind"], line["reason"]) for line in journal(person)]
            self.assertEqual(
                [kind for kind, _ in told],
                ["appLaunched", "coreLaunched", "coreExited", "coreLaunched"]
                + ["appLaunched", "coreTerminated", "appTerminating"],
            )
            self.assertIn("at login", told[0][1])
            self.assertIn("did not shut down cleanly", told[4][1])
            self.assertEqual(told[5][1], "the user chose Stop core")
            self.assertEqual(told[6][1], "the user chose Quit")

    def test_sleep(self):
        """when logind reports that the computer woke up, the tray checks and follows the core again"""
        with Person() as person:
            bus = person.start("dbus-daemon", "--session", "--nofork", "--print-address")
            address = wait_for("a system bus", lambda: re.search(r"^unix:\S+$", person.output(bus), re.M)).group()
            person.variables["DBUS_SYSTEM_BUS_ADDRESS"] = address
            logind = Bus(address)
            logind.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "RequestName", GLib.Variant("(su)", (LOGIND, 0)))
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            icon.wait_menu("Stop core", enabled=True)
            log = person.root / "logs/tray.log"

            def woken():
                told = GLib.Variant("(b)", (False,))
                logind.connection.emit_signal(
                    None, "/org/freedesktop/login1", f"{LOGIND}.Manager", "PrepareForSleep", told
                )
                return "the computer woke up" in log.read_text()

            wait_for("the tray notices the wake-up", woken)
            wait_for("the core was checked", lambda: re.search(r"Rejoining.*\n(.*\n)*.*core: Running", log.read_text()))
            icon.wait_menu("Stop core", enabled=True)
            self.assertEqual(person.run(TRAY, "--quit", seconds=20).returncode, 0)

    def test_back_soon(self):
        """a killed core is back within seconds"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            icon.wait_menu("Stop core", enabled=True)
            first = person.core_pid()
            began = time.monotonic()
            os.kill(first, signal.SIGKILL)
            wait_for("the core is back", lambda: person.core_pid() not in (None, first) and person.is_ready(), 10)
            took = time.monotonic() - began
            self.assertLess(took, 5)  # the first pause takes one second, the rest depends on this computer
            person.quit(tray, icon)


class Quiet(unittest.TestCase):
    def test_signals(self):
        """a change causes few signals on the bus, and none if nothing changed"""
        with Person(config={"mcpServers": [everything()]}) as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            person.wait_connected("everything")
            icon.wait_menu("1 of 1 server")
            signals = Signals(icon)
            GLib.timeout_add(2500, GLib.MainContext.default().wakeup)
            deadline = time.monotonic() + 2.5  # longer than the time between two updates
            while time.monotonic() < deadline:
                GLib.MainContext.default().iteration(True)
            self.assertEqual(signals.taken(), {})
            icon.click("Disable")
            icon.wait_menu("Enable")
            icon.wait_menu("0 of 0 servers")
            count = signals.taken()
            (PROJECT / "target/desktop/signals.json").write_text(json.dumps(count))
            self.assertLessEqual(sum(count.values()), 30, count)
            person.quit(tray, icon)


class StrangeCores(unittest.TestCase):
    """Misbehaving cores. The tray must stay usable, and small."""

    def attached(self, person, answers):
        return StrangeCore(person.root / "mcpproxy.sock", answers)

    def lives(self, person, tray, icon):
        """The tray responds to the desktop, uses little memory, and can be quit."""
        self.assertTrue(tray.still_runs())
        self.assertIsNotNone(icon.menu().find("Quit"))
        status = open(f"/proc/{tray.pid}/status").read()
        resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        self.assertLess(resident, 200_000, "kB resident")
        self.assertNotIn("panicked", person.output(tray))
        self.assertEqual(person.run(TRAY, "--quit", seconds=20).returncode, 0)
        self.assertEqual(tray.wait(5), 0)

    def person(self):
        person = Person()
        person.root.mkdir(mode=0o700, exist_ok=True)
        return person

    def test_many_and_odd_servers(self):
        """10,000 servers with names full of markup and line breaks result in a short, plain menu"""
        odd = ["a\nb", "<b>bold</b> & _x_", "\u202eevil", "é" * 300, "", "\x00\x07"]
        servers = [
            {"name": name, "enabled": True, "connected": True, "status": "connected", "tool_count": 1}
            for name in odd + [f"server {number}" for number in range(10_000)]
        ]
        with self.person() as person, self.attached(person, {"/api/v1/servers": envelope({"servers": servers})}):
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            icon.wait_menu("Servers (10006)")
            labels = list(icon.menu().lines())
            self.assertLess(len(labels), 400)
            self.assertTrue(all("\n" not in label and "\u202e" not in label and len(label) < 90 for label in labels))
            self.assertTrue(any("<b>bold</b> & _x_" in label for label in labels), labels[:40])
            self.lives(person, tray, icon)

    def test_garbage(self):
        """a core that sends garbage is reported in the menu, and never restarted"""
        with self.person() as person, self.attached(person, {"/ready": b"\x00\xffnonsense" * 1000}):
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            icon.wait_menu("Quit")
            self.assertEqual(person.running("mcpproxy"), [])
            self.lives(person, tray, icon)

    def test_hundred_megabytes(self):
        """a response of 100 MB is refused"""

        def flood(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
            for _ in range(100):
                connection.sendall(b" " * (1 << 20))

        with self.person() as person, self.attached(person, {"/api/v1/servers": flood}) as core:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            wait_for("the list was asked for", lambda: "/api/v1/servers" in core.seen)
            wait_for("and asked for again: it was refused", lambda: core.seen.count("/api/v1/servers") > 1, 15)
            self.lives(person, tray, icon)

    def test_flood_of_events(self):
        """a flood of events changes the menu at most once a second"""

        def flood(connection):
            for number in range(20_000):
                body = json.dumps({"payload": {"servers": [{"name": f"s{number}", "enabled": True}]}, "timestamp": 1})
                connection.sendall(f"event: servers.changed\ndata: {body}\n\n".encode())
            flooded.append(True)
            connection.recv(1)

        flooded = []
        with self.person() as person, self.attached(person, {"/events": events(then=flood)}):
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            signals = Signals(icon)
            began = time.monotonic()
            wait_for("the flood is over", lambda: flooded, 60)
            icon.wait_menu("Servers (1)")
            wait_for("the last one is shown", lambda: icon.menu().find("◌ s19999"), 20)
            seconds = time.monotonic() - began + 2
            layouts = signals.taken().get("LayoutUpdated", 0)
            self.assertLessEqual(layouts, 3 * seconds, "for three lines that change with each server")
            self.lives(person, tray, icon)

    def test_closed_in_the_middle(self):
        """a core that repeatedly closes in the middle of an event is asked again after pauses"""
        half = lambda connection: connection.sendall(b"event: servers.changed\ndata: {\"payl")  # noqa: E731
        with self.person() as person, self.attached(person, {"/events": events(then=half)}) as core:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            wait_for("it was asked three times", lambda: core.seen.count("/events") >= 3, 20)
            self.assertLess(core.seen.count("/events"), 10)
            self.lives(person, tray, icon)


class StrangeFiles(unittest.TestCase):
    def test_corrupt(self):
        """a broken tray.json is reported and kept, a broken sidecar is replaced, a broken journal is continued"""
        with Person(config={}) as person:
            broken = b"\xff\xfe{ not json"
            for name in ("tray.json", "tray-autostart.json", "tray-lifecycle.jsonl"):
                (person.root / name).write_bytes(broken)
            tray = person.start_tray()
            icon = person.icon(tray)
            person.wait_ready()
            self.assertEqual((person.root / "tray.json").read_bytes(), broken)
            wait_for("the sidecar is whole", lambda: json.loads((person.root / "tray-autostart.json").read_text()))
            icon.click("Start core automatically")
            icon.wait_menu("⚠")
            self.assertIn("tray.json", str(icon.menu()))
            icon.wait_menu("Start core automatically", ticked=True)
            self.assertEqual((person.root / "tray.json").read_bytes(), broken)
            person.quit(tray, icon)
            lines = (person.root / "tray-lifecycle.jsonl").read_bytes()
            self.assertIn(b'"appTerminating"', lines)


if __name__ == "__main__":
    main()
