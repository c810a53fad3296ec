"""Uses the real tray app and core on a real desktop, like a user and a session.

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
    SECOND,
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
        """first run with the box unticked and Continue pressed through accessibility: nothing is registered, and every place reports it"""
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
            # All effects of the answer have finished by now.
            self.assertFalse(person.entry.exists())
            self.assertEqual((person.sidecar["enabled"], person.sidecar["state"]), (False, "disabled"))
            # The answer is saved: the next start does not ask.
            tray = person.start_tray()
            icon = person.icon(tray)
            self.assertIsNone(window(WELCOME))
            self.assertFalse(person.entry.exists())
            person.quit(tray, icon)

    def test_second_step(self):
        """after Continue, a second window connects the AI clients that were found with Return, and leads on to guided setup"""
        with Person() as person:
            file = person.directory / ".cursor/mcp.json"
            file.parent.mkdir()
            file.write_text("{}\n")
            tray = person.start_tray()
            person.welcome(tray).find("button", "Continue").press()
            person.wait_answered()
            icon = person.icon(tray)
            person.wait_ready()
            asked = wait_for("the second window is shown", lambda: window(SECOND))
            wait_for("it has the keyboard", lambda: window(SECOND).active)
            PICTURES.take("second-step", drawn=asked.find("button", "Later").box)
            buttons = [one.name for one in asked.all() if one.role == "button"]
            self.assertEqual(sorted(buttons), ["Connect Cursor", "Get started…", "Later"])
            self.assertIn("MCPProxy can be added to Cursor", " ".join(one.name for one in asked.all()))
            key("Return")
            wait_for("Cursor is connected", lambda: "mcpproxy" in file.read_text())
            icon.wait_menu("✓ Added MCPProxy to Cursor")
            asked = wait_for("it leads on", lambda: (new := window(SECOND)) and not new.find("button", "Connect") and new)
            PICTURES.take("second-step-connected", drawn=asked.find("button", "Later").box)
            asked.find("button", "Get started…").press()
            wait_for("guided setup is opened", lambda: any("&to=%2Fui%2Fsetup" in one for one in person.opened()))
            self.assertIsNone(window(SECOND))
            for label, page in (("Add server…", "%2Fui%2Fadd"), ("Import…", "%2Fui%2Fadd%23import")):
                icon.click(label)
                wait_for(label, lambda: any(one.endswith(f"&to={page}") for one in person.opened()))
            person.quit(tray, icon)
            # It does not come back.
            tray = person.start_tray()
            icon = person.icon(tray)
            person.wait_ready()
            icon.wait_menu("Get started…", enabled=True)
            self.assertIsNone(window(SECOND))
            person.quit(tray, icon)

    def test_ticked(self):
        """first run with Enter on the keyboard: the autostart entry is valid, and the session's runner obeys it"""
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

            # The user logs in again: the session runs the entry.
            self.log_in(person)
            icon = person.icon()
            person.wait_ready()
            status = person.status()
            self.assertEqual((status["launch_source"], status["autostart_enabled"]), ("login_item", True))
            self.assertIsNone(window(WELCOME))

            # The user changes their mind twice.
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
        """Runs everything in the autostart folder, like a session at its start."""
        folder = person.entry.parent
        runner = person.start("dex", "--autostart", "--environment", "XFCE", "--search-paths", folder)
        self.assertEqual(runner.wait(10), 0, person.output(runner))

    def test_closed(self):
        """first run with the window closed: no answer, nothing registered, asked once more and then never again"""
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
        """for users with an existing configuration, the box is unticked"""
        with Person(config={}) as person:
            tray = person.start_tray()
            welcome = person.welcome(tray)
            self.assertFalse(welcome.find("check box", AT_LOGIN).ticked)
            wait_for("the window has the keyboard", lambda: welcome.active)
            key("Escape")
            person.wait_answered()
            person.quit(tray, person.icon(tray))

    def test_at_login(self):
        """a tray that the system starts at login does not ask"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            self.assertIsNone(window(WELCOME))
            self.assertEqual(person.status()["launch_source"], "login_item")
            person.quit(tray, icon)


class TheTray(unittest.TestCase):
    def test_menu(self):
        """the icon has a fixed ID and a title; the menu shows core, servers and actions, over the bus and with the pointer"""
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
        """the menu disables and enables a server, and shows one that was added elsewhere"""
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
        """Copy MCP address copies the URL to the clipboard"""
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
        """Open configuration and Open logs open the file and the directory"""
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
        """a newer release is a menu line that opens its page, and disappears if update checks are turned off"""
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
        """Anonymous statistics shows the real state, switches the core immediately, and shows the next report"""
        with Person(config={"telemetry": {"endpoint": "http://127.0.0.1:9/v1"}}) as person:
            tray = person.start_tray()
            person.welcome(tray).find("button", "Continue").press()
            person.wait_answered()
            icon = person.icon(tray)
            person.wait_ready()
            # The window contained the notice: from now on reports may be sent.
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
            config = person.config()
            del config["telemetry"]["endpoint"]
            person.write_config(config)
            icon.wait_menu("Anonymous statistics (nothing is sent)", ticked=False)
            icon.wait_menu("Show what would be sent…", enabled=True)
            icon.click("Anonymous statistics")
            wait_for("usage is not counted", lambda: person.status()["telemetry"]["sending"] == "off")
            icon.wait_menu("Anonymous statistics$", ticked=False)
            person.quit(tray, icon)

    def test_core_killed(self):
        """a killed core comes back with its servers, and the tray shows it"""
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
        """the menu stops, starts and restarts the core"""
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
        """the tray connects to a core that the user started, and leaves it running on Quit"""
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
        """after a tray is killed its core keeps running, and the next tray adopts it"""
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
        """the end of a session terminates the tray, and the core ends with it"""
        with Person() as person:
            tray = person.start_tray("--autostart")
            person.icon(tray)
            person.wait_ready()
            tray.terminate()
            person.wait_gone(tray)

    def test_second(self):
        """a second tray exits immediately and says that one is running"""
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
        """no menu line changes its kind in place, because panels draw such a line wrongly"""
        with Person() as person:
            # A core that fails after a moment: two menus of the same length with different lines.
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
        """Waits for a message of the tray, on its output or in its log."""

        def found():
            log = person.root / "logs/tray.log"
            text = person.output(tray) + (log.read_text() if log.exists() else "")
            return words.lower() in text.lower()

        wait_for(f"the tray says {words!r}", found)

    def test_no_display(self):
        """without a display the tray exits with 1 and an explanation"""
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
        """without a session bus the tray keeps running, reports it, and the core serves"""
        with Person(variables={"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus"}) as person:
            tray = person.start_tray("--autostart")
            person.wait_ready()
            self.said(person, tray, "bus")
            self.assertTrue(tray.still_runs())
            tray.terminate()
            person.wait_gone(tray)

    def test_bad_config(self):
        """an error in the configuration is shown in the menu with its location, and the file can be opened from there"""
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
            # The corrected file works without restarting the tray.
            person.write_config({})
            if item := icon.menu().find("Start core$") or icon.menu().find("Restart core"):
                icon.click(item.label)
            person.wait_ready()
            person.quit(tray, icon)

    def test_port_taken(self):
        """a port in use is shown in the menu with its address"""
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
        """a data directory that cannot be used is reported in a window, and the tray exits with 1"""
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

    # Last, because a second panel on one screen makes the first one show an error window.
    def test_no_tray_host(self):
        """without a tray host the tray keeps running, reports it, and the core serves; a later host shows the icon"""
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
