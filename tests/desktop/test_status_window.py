"""The status window: for desktops without tray icons, for the keyboard and for screen readers.

Run by `scripts/test desktop` inside scripts/virtual-desktop; the pictures are in target/desktop.
"""

import re
import unittest

from desktop import PROJECT, Bus, Person, Pictures, TrayItem, command, key, wait_for, window, windows
from world import TRAY, everything, main

PICTURES = Pictures(PROJECT / "target/desktop")
TITLE = "MCPProxy"


class StatusWindow(unittest.TestCase):
    def open_by_second_start(self, person):
        second = person.run(TRAY, seconds=10)
        self.assertEqual(second.returncode, 0, second.stderr)
        return wait_for("the status window is shown", lambda: window(TITLE))

    def test_keyboard(self):
        """a second start shows the menu as a window; the keyboard alone can set a tick and quit the tray"""
        with Person(config={"mcpServers": [everything()]}) as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            person.wait_connected("everything")
            icon.wait_menu("1 of 1 server")
            status = self.open_by_second_start(person)
            wait_for("the window has the keyboard", lambda: window(TITLE).active)
            tick = status.find("check box", "Run at Startup")
            self.assertFalse(tick.ticked)
            PICTURES.take("status-window", drawn=tick.box)
            wait_for("Tab reaches the tick", lambda: key("Tab") or window(TITLE).find("check box", "Run at Startup").focused, 20)
            key("space")
            wait_for("the entry is written", person.entry.exists)
            wait_for("the tick stays", lambda: window(TITLE).find("check box", "Run at Startup").ticked)
            icon.wait_menu("Run at Startup", ticked=True)
            # The same menu lines as on the panel.
            for line in icon.menu().items:
                if not line.separator:
                    self.assertTrue(any(one.name == line.label for one in window(TITLE).all()), line.label)
            wait_for("Tab reaches Quit", lambda: key("Tab") or window(TITLE).find("button", "Quit").focused, 20)
            key("Return")
            person.wait_gone(tray)

    def test_names_and_roles(self):
        """every widget in the window that accepts the keyboard has a name and a role"""
        with Person(config={"mcpServers": [everything()]}) as person:
            tray = person.start_tray("--autostart")
            icon = person.icon(tray)
            person.wait_ready()
            person.wait_connected("everything")
            icon.wait_menu("1 of 1 server")
            status = self.open_by_second_start(person)
            roles = ("button", "check box", "toggle button")
            seen = [widget for widget in status.all() if widget.role in roles]
            self.assertGreaterEqual(len(seen), 8)
            self.assertEqual([widget for widget in seen if not widget.name], [])
            # The open window shows changes.
            icon.click("Disable")
            wait_for("the window follows", lambda: (w := window(TITLE)) and w.find("label", "0 of 0 servers"))
            status.find("button", "About MCPProxy").press()
            about = wait_for("About is shown", lambda: window(f"MCPProxy {self.version(person)}"))
            PICTURES.take("about", drawn=about.find("button", "Close").box)
            self.assertTrue(any(str(person.root) in one.name for one in about.all()))
            about.find("button", "Close").press()
            wait_for("the window is active again", lambda: window(TITLE).active)
            key("Escape")
            wait_for("Escape closes it", lambda: not window(TITLE))
            self.assertTrue(tray.still_runs())
            # The next start shows a closed window again.
            self.open_by_second_start(person)
            person.quit(tray, icon)

    def version(self, person):
        return person.run(TRAY, "--version").stdout.split()[1]

    def test_quit_option(self):
        """--quit ends the tray and its core, and waits for both; without a tray it does nothing"""
        with Person() as person:
            self.assertEqual(person.run(TRAY, "--quit").returncode, 0)
            tray = person.start_tray("--autostart")
            person.icon(tray)
            person.wait_ready()
            ended = person.run(TRAY, "--quit", seconds=20)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertEqual(tray.wait(1), 0)
            person.wait_gone()

    # Last, because another panel appears and disappears.
    def test_without_a_panel(self):
        """without a tray host the window appears once, says what to install, and a second start shows it again"""
        with Person() as person:
            bus = person.start("dbus-daemon", "--session", "--nofork", "--print-address")
            address = wait_for("another bus", lambda: re.search(r"^unix:\S+$", person.output(bus), re.M)).group()
            person.variables.update(DBUS_SESSION_BUS_ADDRESS=address, MCPPROXY_NO_FIRST_RUN="1")
            tray = person.start_tray()
            wait_for("the window comes up by itself", lambda: TITLE in windows(), 20)
            PICTURES.take("no-panel")
            self.assertIn("told_no_tray_host", (person.root / "tray.json").read_text())
            command("wmctrl", "-c", TITLE)
            wait_for("it is closed", lambda: TITLE not in windows())
            self.assertTrue(tray.still_runs())
            second = person.run(TRAY, seconds=10)
            self.assertEqual(second.returncode, 0, second.stderr)
            wait_for("a second start brings it back", lambda: TITLE in windows())
            self.assertEqual(TrayItem.registered(Bus(address)), [])
            self.assertEqual(person.run(TRAY, "--quit", seconds=20).returncode, 0)
            self.assertEqual(tray.wait(1), 0)
            # The message is shown only once: the next start shows no window, although there still is no panel.
            tray = person.start_tray()
            log = person.root / "logs/tray.log"
            wait_for("it has noticed again", lambda: log.read_text().count("AppIndicator") >= 2, 20)
            self.assertNotIn(TITLE, windows())
            self.assertEqual(person.run(TRAY, "--quit", seconds=20).returncode, 0)


if __name__ == "__main__":
    main()
