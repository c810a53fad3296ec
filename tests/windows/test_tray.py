"""Uses the Windows programs under Wine, like a user with a mouse and like the system.

Run by `scripts/test wine` inside scripts/virtual-windows; the pictures are in target/windows-desktop.
"""

import getpass
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "mcp"))
from world import PROJECT, main, processes, wait_for  # noqa: E402

PROGRAMS = pathlib.Path(os.environ["WINDOWS_PROGRAMS"])
DRIVE = pathlib.Path(os.environ.get("WINEPREFIX", "/nowhere")) / "drive_c"
HOME = DRIVE / "users" / getpass.getuser()
ROOT = HOME / ".mcpproxy"
PICTURES = PROJECT / "target/windows-desktop"
VALUE = "MCPProxy"
RUN = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run"
APPROVED = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
WELCOME, MENU, DIALOG = "Welcome to MCPProxy", "#32768", "#32770"
WM_POWERBROADCAST, PBT_APMRESUMEAUTOMATIC = "0x218", "0x12"

# The menu while a core without servers is running; None is a separator.
LINES = [
    "MCPProxy", "No servers yet", None, "Servers", "Connect AI client", "Copy MCP address", "Open MCPProxy…", None, "Add server…", "Import…", "Get started…", None, "Run at Startup", "Anonymous statistics",
    "Show what is sent", None, "Stop core", "Restart core", "Start core automatically", None, "Open configuration",
    "Open logs", None, "About MCPProxy", "Quit",
]  # fmt: skip


def wine(*words, check=False):
    """Runs a Windows program to its end. Its output goes to files, because its children would keep a pipe open."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        done = subprocess.run(["wine", *map(str, words)], stdout=out, stderr=err, timeout=60)
        for file in (out, err):
            file.seek(0)
        done.stdout, done.stderr = (file.read().decode(errors="replace").replace("\r\n", "\n") for file in (out, err))
    assert not check or done.returncode == 0, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
    return done


def hand(*words):
    return wine(os.environ["HAND"], *words)


def rectangle(kind):
    """Returns left, top, width and height of the visible window of this class, or None."""
    said = hand("rectangle", kind)
    return [int(number) for number in said.stdout.split()] if said.returncode == 0 else None


def value(key, name=VALUE):
    """Returns a value of this user's registry, or None."""
    said = hand("value", key.removeprefix("HKCU\\"), name)
    return said.stdout.strip() if said.returncode == 0 else None


def host(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True).stdout


def window(title):
    return host("xdotool", "search", "--onlyvisible", "--name", f"^{title}$").split()


def key(*names):
    host("xdotool", "key", "--clearmodifiers", *names)


def picture(name):
    PICTURES.mkdir(parents=True, exist_ok=True)
    host("import", "-window", "root", PICTURES / f"{name}.png")


def running(program):
    """Returns the processes of this program in this Windows."""
    here = f"WINEPREFIX={os.environ.get('WINEPREFIX')}"
    named = re.compile(rf"(^|[\\/]){re.escape(program)}$")
    return [one for one in processes() if one.command and named.search(one.command[0]) and here in one.environment]


class Tray(unittest.TestCase):
    def setUp(self):
        self.started = []
        self.forget()

    def tearDown(self):
        for program in ("mcpproxy-tray.exe", "mcpproxy.exe"):
            if running(program):
                wine("taskkill", "/f", "/im", program)
        for process in self.started:
            process.wait(20)
        wait_for("all programs are gone", lambda: not running("mcpproxy.exe") and not running("mcpproxy-tray.exe"))
        self.forget()

    def forget(self):
        """A user who has never used MCPProxy."""
        shutil.rmtree(ROOT, ignore_errors=True)
        for place in (RUN, APPROVED):
            wine("reg", "delete", place, "/v", VALUE, "/f")

    # --- what a person and the system do

    def start(self, *arguments, folder=PROGRAMS, **variables):
        tray = subprocess.Popen(
            ["wine", str(folder / "mcpproxy-tray.exe"), *arguments],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.started.append(tray)
        return tray

    def serving(self, *arguments, **options):
        """Starts a tray that does not ask, and its core."""
        tray = self.start(*arguments, MCPPROXY_NO_FIRST_RUN="1", **options)
        self.wait_ready()
        self.wait_icon()
        return tray

    def status(self):
        said = wine(PROGRAMS / "mcpproxy.exe", "status", "-o", "json")
        status = json.loads(said.stdout) if said.returncode == 0 else {}
        return status if status.get("state") == "Running" else None

    def report(self):
        return json.loads(wine(PROGRAMS / "mcpproxy.exe", "telemetry", "show", "-o", "json", check=True).stdout)

    def wait_ready(self):
        return wait_for("the core answers over the pipe", self.status, 30)

    def sidecar(self):
        try:
            return json.loads((ROOT / "tray-autostart.json").read_text())
        except (OSError, ValueError):
            return {}

    def log(self):
        path = ROOT / "logs/tray.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def icon(self):
        """Returns the icon's position on the taskbar, by its colour."""
        bar = rectangle("Shell_TrayWnd")
        if not bar:
            return None
        left, top, width, height = bar
        picture("now")
        strip = f"{width}x{height}+{left}+{top}"
        found = host(
            "convert", PICTURES / "now.png", "-crop", strip, "+repage", "-fill", "black", "+opaque", "#1f6f8b",
            "-fill", "white", "-opaque", "#1f6f8b", "-fuzz", "1%", "-format", "%@", "info:",
        )  # fmt: skip
        box = re.match(r"(\d+)x(\d+)\+(\d+)\+(\d+)", found)
        if not box or not 8 < int(box[1]) < 40:
            return None
        return left + int(box[3]) + int(box[1]) // 2, top + int(box[4]) + int(box[2]) // 2

    def wait_icon(self):
        return wait_for("the icon is in the notification area", self.icon, 20)

    def open_menu(self):
        x, y = self.wait_icon()
        host("xdotool", "mousemove", x, y, "click", 3)
        return wait_for("the menu opens", lambda: rectangle(MENU))

    def close_menu(self):
        host("xdotool", "mousemove", 200, 300, "click", 1)
        wait_for("the menu closes", lambda: not rectangle(MENU))

    def click(self, label, name=None):
        """Clicks a line of the menu, once the menu is complete."""
        between = LINES.count(None)

        def complete():
            left, top, width, height = self.open_menu()
            line = (height - 6 - 9 * between) / (len(LINES) - between)
            if line == round(line):
                return left, top, width, line
            return self.close_menu()

        left, top, width, line = wait_for("the menu has the lines that this test knows", complete)
        at = LINES.index(label)
        y = top + 3 + sum(9 if one is None else line for one in LINES[:at]) + line / 2
        host("xdotool", "mousemove", left + width // 3, round(y))
        if name:
            picture(name)
        host("xdotool", "click", 1)
        wait_for("the menu closes", lambda: not rectangle(MENU))

    def ended(self, tray):
        self.assertEqual(tray.wait(20), 0)
        wait_for("the core has ended", lambda: not running("mcpproxy.exe"), 15)

    def welcome(self):
        wait_for("the first-run window is shown", lambda: window(WELCOME), 20)
        host("xdotool", "search", "--name", f"^{WELCOME}$", "windowfocus", "--sync")

    # --- the first run

    def test_ticked(self):
        """the first-run window appears with its box ticked; Continue writes a Run value that the system parses correctly"""
        self.start()
        self.welcome()
        self.wait_icon()
        picture("first-run")
        self.assertIsNone(value(RUN))
        key("Return")
        command = wait_for("the Run value is written", lambda: value(RUN))
        program, argument = hand("arguments", command).stdout.split("\n")[:2]
        self.assertTrue(program.endswith(r"\mcpproxy-tray.exe"), program)
        self.assertEqual(argument, "--autostart")
        self.assertTrue(command.startswith('"'), command)
        wait_for("the core receives the setting", lambda: self.sidecar().get("enabled") is True)
        self.assertFalse(window(WELCOME))

    def test_unticked(self):
        """with the box unticked by keyboard, Continue registers nothing, and the answer is final"""
        tray = self.start()
        self.welcome()
        key("Tab")
        key("space")
        picture("first-run-unticked")
        key("Return")
        wait_for("the answer is kept", lambda: '"no"' in (ROOT / "tray.json").read_text())
        self.assertIsNone(value(RUN))
        self.assertIs(self.sidecar()["enabled"], False)
        self.click("Quit")
        self.ended(tray)
        self.start()
        self.wait_icon()
        self.assertFalse(window(WELCOME))

    def test_closed(self):
        """closing the window is not an answer; it appears once more, and never a third time"""
        for time in ("first", "second"):
            tray = self.start()
            self.welcome()
            key("alt+F4")
            wait_for("the window is gone", lambda: not window(WELCOME))
            self.assertIsNone(value(RUN), time)
            self.wait_ready()
            self.click("Quit")
            self.ended(tray)
        self.serving()
        self.assertFalse(window(WELCOME))
        self.assertIsNone(value(RUN))

    # --- the tray

    def test_menu(self):
        """the menu opens by mouse; Run at Startup writes and removes the Run value; About is shown; Quit ends both programs"""
        tray = self.serving()
        report = self.report()
        self.assertEqual((report["launch_source"], report["os"]), ("tray", "windows"))
        for console in ("ConsoleWindowClass", "WineConsoleClass"):
            self.assertIsNone(rectangle(console), "a console window is open")
        self.click("Run at Startup", "menu")
        wait_for("the Run value is written", lambda: value(RUN))
        wait_for("the core receives the setting", lambda: self.sidecar().get("enabled") is True)
        self.assertIs(self.report()["autostart_enabled"], True)
        self.click("Run at Startup", "menu-ticked")
        wait_for("the Run value is gone", lambda: not value(RUN))
        self.click("About MCPProxy")
        wait_for("About is shown", lambda: rectangle(DIALOG))
        picture("about")
        key("Return")
        wait_for("About is closed", lambda: not rectangle(DIALOG))
        self.click("Quit")
        self.ended(tray)

    def test_second(self):
        """a second start exits immediately and opens the menu of the first"""
        self.serving()
        second = self.start()
        self.assertEqual(second.wait(20), 0)
        wait_for("the menu opens", lambda: rectangle(MENU))
        self.assertEqual(len(running("mcpproxy-tray.exe")), 1)
        self.close_menu()

    def test_switched_off_in_the_system(self):
        """a change in Task Manager is noticed immediately, survives a restart, and only a click reverts it"""
        tray = self.serving()
        self.click("Run at Startup")
        wait_for("it is on", lambda: self.sidecar().get("enabled") is True)
        command = value(RUN)
        off = "030000000000000000000000"
        wine("reg", "add", APPROVED, "/v", VALUE, "/t", "REG_BINARY", "/d", off, "/f", check=True)
        wait_for("the switch is seen", lambda: self.sidecar().get("enabled") is False, 5)
        self.click("Quit")
        self.ended(tray)
        self.serving()
        self.assertEqual(value(APPROVED), off)
        self.assertEqual(value(RUN), command)
        self.assertIs(self.sidecar()["enabled"], False)
        wine("reg", "delete", APPROVED, "/v", VALUE, "/f", check=True)
        wait_for("and the switch back", lambda: self.sidecar().get("enabled") is True, 5)
        done = wine(PROGRAMS / "mcpproxy-tray.exe", "--unregister")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIsNone(value(RUN))
        wait_for("the running tray sees that, too", lambda: self.sidecar().get("enabled") is False, 5)

    def test_taskbar_comes_anew(self):
        """the icon reappears after a restart of the shell"""
        self.serving()
        self.assertEqual(hand("forget", "tray_icon_app").returncode, 0)
        wait_for("the icon is gone", lambda: not self.icon())
        self.assertEqual(hand("broadcast", "TaskbarCreated").returncode, 0)
        self.wait_icon()
        self.open_menu()
        self.close_menu()

    def test_path(self):
        """servers get the current PATH of the registry, with variables expanded"""
        key_of_user = r"HKCU\Environment"
        wine("reg", "add", key_of_user, "/v", "Path", "/t", "REG_EXPAND_SZ", "/d", r"%USERPROFILE%\tools", "/f", check=True)
        tools, told = HOME / "tools", DRIVE / "path.txt"
        tools.mkdir(exist_ok=True)
        (tools / "tell-path.cmd").write_text("@echo %PATH%>C:\\path.txt\r\n")
        ROOT.mkdir()
        server = {"name": "tells", "command": "tell-path", "enabled": True}
        (ROOT / "mcp_config.json").write_text(json.dumps({"mcpServers": [server]}))
        try:
            self.start("--autostart")
            wait_for("a program found through the registry's PATH ran", told.exists, 30)
            path = wait_for("the server has written its PATH", lambda: told.read_text(errors="replace").strip())
            self.assertIn(rf"C:\users\{getpass.getuser()}\tools", path)
            self.assertIn(r"C:\windows\system32", path)
            self.assertNotIn("%", path)
        finally:
            told.unlink(missing_ok=True)
            wine("reg", "delete", key_of_user, "/v", "Path", "/f")

    def test_odd_folder(self):
        """a program in a folder with blanks, %, ' and letters of other scripts is registered, and the system starts it at login"""
        folder = DRIVE / "Program Files" / "größe 100% & 'x' 漢字"
        folder.mkdir(parents=True)
        for program in PROGRAMS.glob("mcpproxy*.exe"):
            shutil.copy(program, folder)
        try:
            tray = self.serving(folder=folder)
            self.click("Run at Startup")
            command = wait_for("the Run value is written", lambda: value(RUN))
            program = hand("arguments", command).stdout.split("\n")[0]
            self.assertEqual(program, rf"C:\Program Files\{folder.name}\mcpproxy-tray.exe")
            self.click("Quit")
            self.ended(tray)
            # Starts the programs of the Run key, as Wine does at a login.
            subprocess.run(["wineboot"], timeout=60, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.wait_ready()
            self.assertEqual(self.report()["launch_source"], "login_item")
            self.wait_icon()
            self.click("Quit")
            wait_for("both have ended", lambda: not running("mcpproxy.exe") and not running("mcpproxy-tray.exe"), 20)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def test_wake(self):
        """after a sleep the tray checks the core again"""
        self.serving()
        self.assertEqual(hand("send", "MCPProxy session", WM_POWERBROADCAST, PBT_APMRESUMEAUTOMATIC).returncode, 0)
        wait_for("the tray notices the wake-up", lambda: "the computer woke up" in self.log())
        wait_for("the tray is connected again", lambda: re.search(r"woke up(?s:.*)core: Running", self.log()))

    def test_z_session_ends(self):
        """at log-out the core is stopped with the tray, and nothing is started again"""
        self.serving()
        subprocess.run(["wineboot", "--end-session"], timeout=60, capture_output=True)
        wait_for("both have ended", lambda: not running("mcpproxy.exe") and not running("mcpproxy-tray.exe"), 20)
        last = json.loads((ROOT / "tray-lifecycle.jsonl").read_text().splitlines()[-1])
        self.assertEqual((last["kind"], last["reason"]), ("appTerminating", "the session ends"))


if __name__ == "__main__":
    main()
