"""Home directories that are full, read-only, or have names in other scripts: nothing is half done, and errors are explained.

Run by `scripts/test desktop` inside scripts/virtual-desktop; the pictures are in target/desktop.
"""

import pathlib
import subprocess
import tempfile
import unittest

from desktop import PROJECT, Person, Pictures, screen, wait_for
from world import CORE, TRAY, main

PICTURES = Pictures(PROJECT / "target/desktop")


class Disk:
    """A small disk, mounted in the namespace of one process, which needs no root rights."""

    def __init__(self, kilobytes):
        self.place = tempfile.mkdtemp(prefix="mcpp-disk-")
        words = ["unshare", "--map-current-user", "--mount", "--keep-caps", "sh"]
        self.holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.do(f"mount -t tmpfs -o size={kilobytes}k tmpfs {self.place}")
        self.directory = pathlib.Path(f"/proc/{self.holder.pid}/root{self.place}")

    def do(self, command):
        self.holder.stdin.write(f"{command} && echo done || echo failed\n")
        self.holder.stdin.flush()
        assert self.holder.stdout.readline() == "done\n", command

    def fill(self):
        with open(self.directory / "fill", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def make_room(self):
        (self.directory / "fill").unlink()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.communicate()
        pathlib.Path(self.place).rmdir()


class StrangeHome(unittest.TestCase):
    def test_full_at_the_answer(self):
        """a full disk during the first run: nothing is half registered, the menu reports it, and a later click succeeds"""
        with Disk(8192) as disk, Person(directory=disk.directory) as person:
            tray = person.start_tray()
            welcome = person.welcome(tray)
            person.wait_ready()
            disk.fill()
            welcome.find("button", "Continue").press()
            icon = person.icon(tray)
            wait_for("the menu says so", lambda: "No space left" in " ".join(item.label for item in icon.menu().items))
            self.assertEqual(list(person.entry.parent.glob("*")), [])
            icon.wait_menu("Run at Startup", ticked=False)
            disk.make_room()
            icon.click("Run at Startup")
            icon.wait_menu("Run at Startup", ticked=True)
            wait_for("the core hears of it", lambda: person.status()["autostart_enabled"] is True)
            person.quit(tray, icon)

    def test_nothing_can_be_written(self):
        """a full or read-only home at startup: the tray shows the error in a window and exits, the core and the command line print it"""
        for what, why, help in [
            ("full", "No space left on device", "free up space on that disk"),
            ("read-only", "Read-only file system", "writable for you"),
        ]:
            with self.subTest(what), Disk(256) as disk, Person(directory=disk.directory) as person:
                if what == "full":
                    disk.fill()
                else:
                    disk.do(f"mount -o remount,ro {disk.place}")
                said = person.run(CORE, "serve")
                self.assertIn(why, said.stderr)
                self.assertIn(help, said.stderr.split("help: ")[-1])
                self.assertEqual(said.returncode, 5, said.stderr)
                said = person.run(CORE, "upstream", "add", "a", "--", "npx", "x")
                self.assertEqual(said.returncode, 5, said.stderr)
                self.assertIn(why, said.stderr)
                with tempfile.TemporaryFile() as log:
                    tray = subprocess.Popen([TRAY], env=person.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                    told = wait_for("a window shows the error", lambda: tray.poll() is None and self.sentence())
                    PICTURES.take(f"home-{what}")
                    self.assertIn(why, told)
                    self.assertIn(help, told)
                    screen().find("button", "Close").press()
                    self.assertEqual(tray.wait(10), 1)
                self.assertEqual(list((person.directory / ".config").glob("**/*.desktop")), [])

    def sentence(self):
        return next((one.name for one in screen().all() if one.name.startswith("MCPProxy could not start")), None)

    def test_another_script(self):
        """a home with a name in another script: the first run, registration, and the start from the entry at the next login work"""
        with tempfile.TemporaryDirectory(prefix="Зоя Ñandú 木-") as directory, Person(directory=directory) as person:
            tray = person.start_tray()
            person.welcome(tray).find("button", "Continue").press()
            person.wait_answered()
            icon = person.icon(tray)
            icon.wait_menu("Run at Startup", ticked=True)
            person.wait_ready()
            self.assertEqual(person.run(CORE, "status").returncode, 0)
            person.quit(tray, icon)
            runner = person.start("dex", "--autostart", "--environment", "XFCE", "--search-paths", person.entry.parent)
            self.assertEqual(runner.wait(10), 0, person.output(runner))
            icon = person.icon()
            wait_for("the core knows who started it", lambda: person.is_ready() and person.status()["launch_source"] == "login_item", 20)
            icon.click("Quit")
            person.wait_gone()


if __name__ == "__main__":
    main()
