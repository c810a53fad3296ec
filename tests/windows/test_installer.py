"""Installs, upgrades and removes MCPProxy under Wine, silently and through the installer's pages, and compares files and registry.

Run by `scripts/test wine` inside scripts/virtual-windows, which names the installers (WINDOWS_SETUP and, with a higher version,
WINDOWS_SETUP_LATER); the pictures are in target/windows-desktop.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from test_tray import APPROVED, DRIVE, HOME, ROOT, RUN, VALUE, WELCOME, hand, host, key, picture, running, value, window, wine
from world import PROJECT, main, wait_for

SETUP, LATER = (pathlib.Path(os.environ.get(name, "/nowhere")) for name in ("WINDOWS_SETUP", "WINDOWS_SETUP_LATER"))
NAMES = dict(re.findall(r'pub const (\w+): &str = "(.*)";', (PROJECT / "src/contract/names.rs").read_text()))
VERSION = re.search(r'^version = "(.*)"', (PROJECT / "Cargo.toml").read_text(), re.M)[1]
APPS = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\MCPProxy"
FOLDER = HOME / "AppData/Local/Programs/MCPProxy"
CORE, TRAY = FOLDER / "mcpproxy.exe", FOLDER / "mcpproxy-tray.exe"
ENVIRONMENT = r"HKCU\Environment"
# Longer than the installer's strings, and of the type REG_EXPAND_SZ.
PATH = r"%USERPROFILE%\bin;" + r"C:\some where\else;" * 100 + r"C:\last"


def registry():
    """Returns this user's registry, without entries that Windows itself writes."""
    wine("regedit", "/E", r"C:\exported.reg", "HKEY_CURRENT_USER", check=True)
    text = (DRIVE / "exported.reg").read_text("utf-16")
    keys = re.split(r"\n(?=\[)", text.replace("\r\n", "\n"))
    volatile = (r"\Software\Wine", r"\Volatile", r"\Explorer\Shell Folders", r"\StartupApproved", r"\CurrentVersion\Run]")
    return {one.strip() for one in keys[1:] if not any(part in one.split("\n")[0] + "]" for part in volatile)}


def files():
    kept = ("windows", "ProgramData/Microsoft", "exported.reg")
    names = (str(path.relative_to(DRIVE)) for path in DRIVE.rglob("*") if not path.is_dir())
    return {name for name in names if not name.startswith(kept) and "/Temp/" not in name}


def tidy():
    for program in ("mcpproxy-tray.exe", "mcpproxy.exe", SETUP.name, LATER.name):
        if running(program):
            wine("taskkill", "/f", "/im", program)
    for folder in (FOLDER, ROOT):
        shutil.rmtree(folder, ignore_errors=True)
    for place in (RUN, APPROVED):
        wine("reg", "delete", place, "/v", VALUE, "/f")
    wine("reg", "delete", APPS, "/f")


def silently(program):
    wine(program, "/S", check=True)


def remove():
    """Waits for the uninstaller, which runs as a copy of itself."""
    silently(FOLDER / "uninstall.exe")
    wait_for("the folder is gone", lambda: not FOLDER.exists(), 30)
    wait_for("its entry is gone", lambda: not value(APPS, "DisplayName"))


def status():
    said = wine(CORE, "status", "-o", "json")
    shown = json.loads(said.stdout) if said.returncode == 0 else {}
    return shown if shown.get("state") == "Running" else None


def report():
    return json.loads(wine(CORE, "telemetry", "show", "-o", "json", check=True).stdout)


def by_its_pages():
    """Installs through the installer's pages, and answers the first-run window of the launched tray; returns
    the command that starts at login."""
    setup = subprocess.Popen(["wine", SETUP], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("the installer is shown", lambda: window("MCPProxy Setup ?"), 30)
    host("xdotool", "search", "--name", "^MCPProxy Setup ?$", "windowfocus", "--sync")
    picture("setup-folder")
    key("alt+i")
    wait_for("the programs are there", lambda: (FOLDER / "uninstall.exe").exists(), 90)
    wait_for("they are registered", lambda: value(APPS, "EstimatedSize"), 30)
    # The last page has another button label than the other pages, and its check box is drawn.
    wait_for("the last page is shown", lambda: hand("child", "#32770", "Launch MCPProxy now").returncode == 0, 30)
    picture("setup-last-page")
    key("Return")
    assert setup.wait(30) == 0
    wait_for("the first-run window is shown", lambda: window(WELCOME), 30)
    host("xdotool", "search", "--name", f"^{WELCOME}$", "windowfocus", "--sync")
    picture("setup-first-run")
    key("Return")
    command = wait_for("the Run value is written", lambda: value(RUN))
    assert r"\Programs\MCPProxy\mcpproxy-tray.exe" in command, command
    wait_for("the core runs", status, 30)
    wait_for("it knows", lambda: report()["autostart_enabled"] is True)
    return command


class Installer(unittest.TestCase):
    def setUp(self):
        tidy()
        wine("reg", "add", ENVIRONMENT, "/v", "Path", "/t", "REG_EXPAND_SZ", "/d", PATH, "/f", check=True)

    def tearDown(self):
        wine("reg", "delete", ENVIRONMENT, "/v", "Path", "/f")
        tidy()

    def test_silent(self):
        """Windows: a silent installation and removal start nothing, keep a long PATH, and leave nothing behind"""
        wine(SETUP, "/nothing-but-a-first-start", "/S", r"/D=C:\elsewhere")  # creates Wine's own files first
        wine(DRIVE / "elsewhere/uninstall.exe", "/S")
        wait_for("it is gone again", lambda: not (DRIVE / "elsewhere/mcpproxy.exe").exists(), 30)
        registry_before, files_before = registry(), files()
        silently(SETUP)
        self.assertEqual(sorted(one.name for one in FOLDER.iterdir()), ["LICENSE.txt", "mcpproxy-tray.exe", "mcpproxy.exe", "uninstall.exe"])
        self.assertEqual((value(APPS, "DisplayName"), value(APPS, "DisplayVersion")), (NAMES["PRODUCT"], VERSION))
        self.assertTrue(list((HOME / "AppData/Roaming/Microsoft/Windows/Start Menu/Programs").glob("MCPProxy.lnk")))
        self.assertEqual((running("mcpproxy-tray.exe"), running("mcpproxy.exe")), ([], []))
        self.assertIn(VERSION, wine(CORE, "version").stdout)
        folder = rf"C:\users\{HOME.name}\AppData\Local\Programs\MCPProxy"
        self.assertEqual(self.path(), f"{PATH};{folder}")
        remove()
        self.assertEqual(self.path(), PATH)
        self.assertEqual(registry() ^ registry_before, set())
        self.assertEqual(files() ^ files_before, set())

    def test_two_and_interrupted(self):
        """Windows: a second installer reports the first and changes nothing; the next one repairs a killed installation"""
        first = subprocess.Popen(["wine", SETUP], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the installer is shown", lambda: window("MCPProxy Setup ?"), 30)
        self.assertEqual(wine(SETUP, "/S").returncode, 2)
        self.assertFalse(FOLDER.exists())
        wine("taskkill", "/f", "/im", SETUP.name, check=True)
        first.wait(20)
        second = subprocess.Popen(["wine", SETUP, "/S"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the first file is there", FOLDER.exists, 30)
        second.kill()
        second.wait(20)
        self.assertFalse((FOLDER / "uninstall.exe").exists(), "it was too late to interrupt")
        silently(SETUP)
        self.assertIn(VERSION, wine(CORE, "version").stdout)
        remove()
        self.assertEqual(self.path(), PATH)

    def path(self):
        """Returns PATH as written in the registry; exported, because it is too long for hand.c."""
        wine("regedit", "/E", r"C:\exported.reg", r"HKEY_CURRENT_USER\Environment", check=True)
        text = (DRIVE / "exported.reg").read_text("utf-16").replace("\\\n  ", "").replace("\\\r\n  ", "")
        digits = re.search(r'^"Path"=hex\(2\):([0-9a-f,]*)', text, re.M)[1]
        return bytes.fromhex(digits.replace(",", "")).decode("utf-16-le").rstrip("\0")

    def test_by_its_pages(self):
        """Windows: the installer's last page launches the tray with the launch source; upgrade and removal work while it runs"""
        command = by_its_pages()
        self.assertEqual(report()["launch_source"], "installer")

        # Disabled in Task Manager, then upgraded: the programs are new, the user's answers stay.
        before = {one.pid for one in running("mcpproxy-tray.exe") + running("mcpproxy.exe")}
        silently(LATER)
        wait_for("the tray runs again", lambda: running("mcpproxy-tray.exe"), 30)
        wait_for("and its core", status, 30)
        self.assertFalse(before & {one.pid for one in running("mcpproxy-tray.exe") + running("mcpproxy.exe")})
        self.assertEqual(value(APPS, "DisplayVersion"), "99.0.0")
        self.assertEqual(value(RUN), command)
        self.assertFalse(window(WELCOME))

        remove()
        self.assertEqual((running("mcpproxy-tray.exe"), running("mcpproxy.exe")), ([], []))
        self.assertIsNone(value(RUN))
        self.assertTrue((ROOT / "mcp_config.json").exists())


class Script(unittest.TestCase):
    def test_names(self):
        """Windows: the names in the installer match the contract"""
        script = (PROJECT / "packaging/windows/installer.nsi").read_text()
        for line in (
            f'!define PRODUCT "{NAMES["PRODUCT"]}"',
            f'!define CORE "{NAMES["CORE_PROGRAM"]}.exe"',
            f'!define TRAY "{NAMES["TRAY_PROGRAM"]}.exe"',
            f'SetEnvironmentVariableW(w "{NAMES["ENV_LAUNCHED_BY"]}", w "installer")',
        ):
            self.assertIn(line, script)
        self.assertNotIn(VERSION, script)


if __name__ == "__main__":
    main()
