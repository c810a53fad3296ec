"""Drives the real tray app and core on a real desktop, as a person and as a session do.

Run by `scripts/test desktop` inside scripts/virtual-desktop; the pictures are in target/desktop.
"""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import unittest

from desktop import (
    APP_ID,
    Bus,
    Icon,
    MenuChanges,
    PROJECT,
    Person,
    Pictures,
    TrayItem,
    WELCOME,
    command,
    key,
    point_and_click,
    popup,
    screen,
    wait_for,
    window,
    windows,
)
from releases import PAGE, Releases
from world import CORE, TRAY, everything, main

AT_LOGIN = "Launch MCPProxy at login"
PICTURES = Pictures(PROJECT / "target/desktop")
EMPTY_PANEL = Icon(PICTURES)


class FirstRun(unittest.TestCase):
    def test_unticked(self):
        """first run, box unticked and Continue pressed by accessibility: nothing is registered, all say so"""
        with Person() as person:
            tray = person.start_tray()
            welcome = person.welcome(tray)
            box = welcome.find("check box", AT_LOGIN)
            PICTURES.take("first-run", drawn=box.box)
            self.assertTrue(box.ticked, "the box is not ticked at first")
            box.press()
            wait_for("the box is unticked", lambda: not box.ticked)
            PICTURES.take("first-run-unticked")
            welcome.find("button", "Continue").press()
            person.wait_answered()
            icon = person.icon(tray)
            person.wait_ready()
            wait_for("the sidecar is written", lambda: person.sidecar)
            self.assertIs(person.status()["autostart_enabled"], False)
            icon.wait_menu("Run at Startup", ticked=False)
            person.quit(tray, icon)
            # Whatever the answer has set off is done by now.
            self.assertFalse(person.entry.exists())
            self.assertEqual((person.sidecar["enabled"], person.sidecar["state"]), (False, "disabled"))
            # The answer holds: the next start asks nothing.
            tray = person.start_tray()
            icon = person.icon(tray)
            self.assertIsNone(window(WELCOME))
            self.assertFalse(person.entry.exists())
            person.quit(tray, icon)

    def test_ticked(self):
        """first run, Enter pressed on the keyboard: a valid autostart entry, and the session's runner obeys it"""
        with Person() as person:
            tray = person.start_tray()
            welcome = person.welcome(tray)
            wait_for("the window has the keyboard", lambda: welcome.active)
            key("Return")
            person.wait_answered()
            icon = person.icon(tray)
            person.wait_ready()
            wait_for("the sidecar says on", lambda: person.sidecar and person.sidecar["enabled"])
            entry = person.entry.read_text()
            validated = subprocess.run(["desktop-file-validate", person.entry], capture_output=True, text=True)
            self.assertEqual((validated.returncode, validated.stdout), (0, ""), entry)
            self.assertIn("--autostart", entry)
            self.assertEqual(person.sidecar["state"], "enabled")
            self.assertRegex(person.sidecar["updated_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            status = person.status()
            wait_for("the core says on", lambda: person.status()["autostart_enabled"] is True)
            self.assertEqual((status["launch_source"], status["env_kind"]), ("tray", "interactive"))
            icon.wait_menu("Run at Startup", ticked=True)
            for file in person.root.iterdir():
                if file.is_file():
                    self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600, file)
            person.quit(tray, icon)

            # The person logs in again: the session starts what the entry says.
            self.log_in(person)
            icon = person.icon()
            person.wait_ready()
            status = person.status()
            self.assertEqual((status["launch_source"], status["autostart_enabled"]), ("login_item", True))
            self.assertIsNone(window(WELCOME))

            # And changes their mind, twice.
            icon.click("Run at Startup")
            wait_for("the sidecar says off", lambda: person.sidecar["enabled"] is False)
            icon.wait_menu("Run at Startup", ticked=False)
            self.assertTrue(not person.entry.exists() or "Hidden=true" in person.entry.read_text())
            wait_for("the core says off", lambda: person.status()["autostart_enabled"] is False)
            self.log_in(person)
            self.assertEqual(len(person.running("mcpproxy-tray")), 1)
            icon.click("Run at Startup")
            wait_for("the sidecar says on", lambda: person.sidecar["enabled"] is True)
            icon.wait_menu("Run at Startup", ticked=True)
            self.assertNotIn("Hidden=true", person.entry.read_text())
            icon.click("Quit")
            person.wait_gone()
            self.assertTrue(person.entry.exists())

    def log_in(self, person):
        """What a session does once at its start: it runs everything in the autostart folder."""
        folder = person.entry.parent
        runner = person.start("dex", "--autostart", "--environment", "XFCE", "--search-paths", folder)
        self.assertEqual(runner.wait(10), 0, person.output(runner))

    def test_closed(self):
        """first run, window closed: no answer, nothing registered, asked once more and then never"""
        with Person() as person:
            for time_asked in (1, 2):
                tray = person.start_tray()
                person.welcome(tray)
                wait_for("the window manager knows the window", lambda: WELCOME in windows())
                command("wmctrl", "-c", WELCOME)
                person.wait_answered()
                person.quit(tray, person.icon(tray))
                self.assertFalse(person.entry.exists(), f"registered after {time_asked} closed windows")
            tray = person.start_tray()
            icon = person.icon(tray)
            self.assertIsNone(window(WELCOME), "asked a third time")
            self.assertFalse(person.entry.exists())
            person.quit(tray, icon)

    def test_configured_before(self):
        """someone who already has a configuration gets the question unticked"""
        with Person(config={}) as person:
            tray = person.start_tray()
            self.assertFalse(person.welcome(tray).find("check box", AT_LOGIN).ticked)
            key("Escape")
            person.wait_answered()
            person.quit(tray, person.icon(tray))

    def test_at_login(self):
        """a tray that the system starts at login asks nothing"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            self.assertIsNone(window(WELCOME))
            self.assertEqual(person.status()["launch_source"], "login_item")
            person.quit(tray, icon)


class TheTray(unittest.TestCase):
    def test_menu(self):
        """the icon has a fixed id and a title; the menu shows core, servers and actions, by bus and by pointer"""
        with Person(config={"mcpServers": [everything()]}) as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            self.assertEqual(icon["Id"], APP_ID)
            self.assertIn("MCPProxy", icon["Title"])
            person.wait_ready()
            person.wait_connected("everything")
            icon.wait_menu("Servers (1)")
            icon.wait_menu("1 of 1 server")
            menu = icon.menu()
            self.assertRegex(menu.items[0].label, r"^MCPProxy v?\d+\.\d+\.\d+")
            labels = "Servers", "Copy MCP address", "Run at Startup", "Open configuration", "Open logs", "Quit"
            for label in labels:
                self.assertIsNotNone(menu.find(label), f"{label}:\n{menu}")
            (PROJECT / "target/desktop/menu.txt").write_text(f"{menu}\n")
            place = EMPTY_PANEL.wait()
            PICTURES.take("panel")
            point_and_click(place, button=3)
            left, top, width, height = wait_for("the menu opens under the pointer", popup)
            PICTURES.take("menu", drawn=popup)
            point_and_click((left + width // 3, top + height - 14))  # the last item
            tray.wait(15)
            person.wait_gone(tray)

    def test_servers(self):
        """a server is disabled and enabled in the menu, and one added elsewhere appears there"""
        with Person(config={"mcpServers": [everything()]}) as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            person.wait_connected("everything")
            icon.wait_menu("Disable").label
            icon.click("Disable")
            wait_for("the server is disabled", lambda: (person.server("everything") or {}).get("enabled") is False)
            icon.wait_menu("Enable")
            icon.click("Enable")
            person.wait_connected("everything")
            added = person.run(CORE, "upstream", "add", "--no-quarantine", "second", "--", everything()["command"])
            self.assertEqual(added.returncode, 0, added.stderr)
            icon.wait_menu("Servers (2)")
            icon.wait_menu("2 of 2 servers", 20)
            person.quit(tray, icon)

    def test_copy(self):
        """Copy MCP address puts the address on the clipboard"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            icon.wait_menu("Copy MCP address", enabled=True)
            icon.click("Copy MCP address")

            def pasted():
                return subprocess.run(
                    ["xclip", "-o", "-selection", "clipboard"], capture_output=True, text=True, timeout=5
                ).stdout

            wait_for("the address is on the clipboard", lambda: pasted() == f"http://127.0.0.1:{person.port}/mcp")
            person.quit(tray, icon)

    def test_open(self):
        """Open configuration and Open logs open what they say"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            icon.click("Open configuration")
            wait_for("the configuration is opened", lambda: any("mcp_config.json" in one for one in person.opened()))
            icon.click("Open logs")
            wait_for("the logs are opened", lambda: any(one.rstrip("/").endswith("logs") for one in person.opened()))
            person.quit(tray, icon)

    def test_newer_release(self):
        """a newer release is a line of the menu that opens its page, and goes once nobody wants to be told"""
        with Person() as person, Releases(person) as releases:
            releases.publish()
            person.write_config({"mcpServers": [], **releases.settings(enabled=True)})
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            icon.wait_menu("Version 99.0.0 is available", enabled=True)
            icon.click("Version 99.0.0 is available: see what's new…")
            wait_for("its page is opened", lambda: PAGE in person.opened())
            person.write_config({"mcpServers": [], **releases.settings(enabled=False)})
            wait_for("the line is gone", lambda: not any("is available: see" in item.label for item in icon.menu().items))
            person.quit(tray, icon)

    def test_statistics(self):
        """Anonymous statistics tells the truth, switches the core at once, and shows what would be sent"""
        with Person(config={"telemetry": {"endpoint": "http://127.0.0.1:9/v1"}}) as person:
            tray = person.start_tray()
            person.welcome(tray).find("button", "Continue").press()
            person.wait_answered()
            icon = person.icon(tray)
            person.wait_ready()
            # The window was the notice: only now may anything be sent.
            wait_for("the core knows", lambda: person.status()["telemetry"]["notice_shown"])
            icon.wait_menu("Anonymous statistics", ticked=True)
            icon.click("Show what is sent…")
            wait_for("the report is opened", lambda: any("next-report.json" in one for one in person.opened()))
            report = json.loads((person.root / "logs/next-report.json").read_text())
            self.assertEqual((report["launch_source"], report["env_kind"]), ("tray", "interactive"))
            icon.click("Anonymous statistics")
            wait_for("the core is silent", lambda: person.status()["telemetry"]["sending"] == "off")
            icon.wait_menu("Anonymous statistics", ticked=False)
            icon.wait_menu("Show what is sent…", enabled=False)
            self.assertIs(person.config()["telemetry"]["enabled"], False)
            icon.click("Anonymous statistics")
            icon.wait_menu("Anonymous statistics", ticked=True)
            person.quit(tray, icon)

    def test_core_killed(self):
        """a core that is killed comes back with its servers, and the tray with it"""
        with Person(config={"mcpServers": [everything()]}) as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            person.wait_connected("everything")
            first = person.core_pid()
            os.kill(first, signal.SIGKILL)
            wait_for("the core is back", lambda: person.core_pid() not in (None, first), 10)
            person.wait_connected("everything")
            icon.wait_menu("1 of 1 server")
            person.quit(tray, icon)

    def test_stop_and_start(self):
        """the core is stopped, started and restarted from the menu"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            first = person.core_pid()
            icon.wait_menu("Stop core", enabled=True)
            icon.click("Stop core")
            wait_for("the core stopped", lambda: not person.running("mcpproxy"))
            icon.wait_menu("Start core$", enabled=True)
            icon.click("Start core$")
            person.wait_ready()
            second = person.core_pid()
            self.assertNotEqual(first, second)
            icon.wait_menu("Restart core", enabled=True)
            icon.click("Restart core")
            wait_for("another core runs", lambda: person.core_pid() not in (None, first, second))
            person.quit(tray, icon)

    def test_own_core_stays(self):
        """a core that the person started is attached to, and left alone on Quit"""
        with Person() as person:
            core = person.start_core()
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            icon.wait_menu("Copy MCP address", enabled=True)
            self.assertEqual(len(person.running("mcpproxy")), 1)
            icon.click("Quit")
            self.assertEqual(tray.wait(15), 0)
            self.assertIsNone(core.poll())
            self.assertTrue(person.is_ready())

    def test_tray_killed(self):
        """a tray that is killed leaves its core serving, and the next tray adopts it"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            person.icon(tray)
            person.wait_ready()
            core = person.core_pid()
            tray.kill()
            tray.wait()
            self.assertTrue(person.is_ready())
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            icon.wait_menu("Copy MCP address", enabled=True)
            self.assertEqual(person.core_pid(), core)
            person.quit(tray, icon)

    def test_ended_by_the_session(self):
        """a session that ends terminates the tray, and the core ends with it"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            person.icon(tray)
            person.wait_ready()
            tray.terminate()
            person.wait_gone(tray)

    def test_second(self):
        """a second tray leaves at once and says that one runs"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            second = person.run(TRAY, "--autostart", seconds=5)
            self.assertEqual(second.returncode, 0, second.stderr)
            self.assertRegex(second.stdout + second.stderr, r"(?i)already|runs|running")
            self.assertTrue(tray.still_runs())
            person.quit(tray, icon)


    def test_kinds(self):
        """no line of the menu changes its kind in place: panels draw such a line wrongly"""
        with Person() as person:
            # A core that takes a moment to fail: two menus of the same length, with other lines.
            slow = person.directory / "bin/slow-core"
            slow.write_text('#!/bin/sh\nsleep 1\necho "error: the address is taken" >&2\nexit 2\n')
            slow.chmod(0o755)
            person.variables["MCPPROXY_CORE_PATH"] = str(slow)
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            icon.wait_menu("Stop core")
            changes = MenuChanges()
            icon.wait_menu("Start core$", enabled=True)
            self.assertEqual(changes.lines_that_changed_kind(), [])
            person.quit(tray, icon)


class Trouble(unittest.TestCase):
    def said(self, person, tray, words):
        """What the tray said on its output or in its log."""

        def found():
            log = person.root / "logs/tray.log"
            text = person.output(tray) + (log.read_text() if log.exists() else "")
            return words.lower() in text.lower()

        wait_for(f"the tray says {words!r}", found)

    def test_no_display(self):
        """without a display the tray ends with 1 and a sentence"""
        with Person() as person:
            environment = person.environment()
            for name in ("DISPLAY", "WAYLAND_DISPLAY"):
                environment.pop(name, None)
            ended = person.run(TRAY, env=environment, seconds=10)
            self.assertEqual(ended.returncode, 1, ended.stderr)
            self.assertIn("display", ended.stderr.lower())
            self.assertNotIn("panicked", ended.stderr)
            environment["DISPLAY"] = ":4711"
            ended = person.run(TRAY, env=environment, seconds=10)
            self.assertEqual(ended.returncode, 1, ended.stderr)
            self.assertNotIn("panicked", ended.stderr)
            person.wait_gone()

    def test_no_bus(self):
        """without a session bus the tray keeps running, says so, and the core serves"""
        with Person(variables={"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus"}) as person:
            tray = person.start_tray("--autostart")
            person.wait_ready()
            self.said(person, tray, "bus")
            self.assertTrue(tray.still_runs())
            tray.terminate()
            person.wait_gone(tray)

    def test_bad_config(self):
        """a broken configuration is told in the menu with its place, and can be opened from there"""
        text = '{\n  "mcpServers": [,]\n}'
        with Person(config=text) as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            wait_for("the menu names the place", lambda: "mcp_config.json" in str(icon.menu()) and "2" in str(icon.menu()))
            place = EMPTY_PANEL.wait()
            point_and_click(place, button=3)
            PICTURES.take("bad-config", drawn=popup)
            key("Escape")
            icon.click("Open configuration")
            wait_for("the configuration is opened", lambda: any("mcp_config.json" in one for one in person.opened()))
            self.assertEqual(person.config_file.read_text(), text)
            # Mended, it is taken without another start of the tray.
            person.write_config({})
            if item := icon.menu().find("Start core$") or icon.menu().find("Restart core"):
                icon.click(item.label)
            person.wait_ready()
            person.quit(tray, icon)

    def test_port_taken(self):
        """a taken port is told in the menu with its address"""
        with Person() as person, socket.socket() as taken:
            taken.bind(("127.0.0.1", person.port))
            taken.listen()
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            wait_for("the menu names the address", lambda: f"127.0.0.1:{person.port}" in str(icon.menu()))
            place = EMPTY_PANEL.wait()
            point_and_click(place, button=3)
            PICTURES.take("port-taken", drawn=popup)
            key("Escape")
            person.quit(tray, icon)

    def test_unusable_root(self):
        """an instance root that cannot be used is told in a window, and the tray ends with 1"""
        with Person() as person:
            person.root.write_text("a file where the directory should be")
            tray = person.start_tray()

            def told():
                for widget in screen().all():
                    if widget.role == "label" and str(person.root) in widget.name:
                        return widget

            wait_for("a window names the path", told)
            PICTURES.take("unusable-root", drawn=lambda: told().box())
            self.assertEqual(tray.poll(), None)
            wait_for("the window has the keyboard", lambda: window("Error").active)
            key("Return")
            self.assertEqual(tray.wait(10), 1, person.output(tray))
            self.assertNotIn("panicked", person.output(tray))

    # Last: a second panel on one screen makes the first one complain in a window of its own.
    def test_no_tray_host(self):
        """without a tray host the tray keeps running, says so, the core serves; a host that comes later gets it"""
        with Person() as person:
            bus = person.start("dbus-daemon", "--session", "--nofork", "--print-address")
            address = wait_for("another bus", lambda: re.search(r"^unix:\S+$", person.output(bus), re.M)).group()
            person.variables["DBUS_SESSION_BUS_ADDRESS"] = address
            tray = person.start_tray("--autostart")
            person.wait_ready()
            self.said(person, tray, "tray")
            self.assertTrue(tray.still_runs())
            panel = person.start("xfce4-panel", "--disable-wm-check")
            other = Bus(address)
            wait_for("the panel that came later has the icon", lambda: TrayItem.of(tray.pid, other), 15)
            tray.terminate()
            self.assertEqual(tray.wait(15), 0, person.output(tray))
            panel.terminate()
            panel.wait(10)


if __name__ == "__main__":
    main()
