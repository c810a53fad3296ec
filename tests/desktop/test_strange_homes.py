"""Homes that are full, read-only, or named in another script: nothing is half done, and words say what is wrong.

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
    """A small disk of its own, seen through the one process that has mounted it: so no rights of root are needed."""

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
        """a disk that is full when the person answers: nothing is registered by halves, the menu says so, and later a click does it"""
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
        """a home that is full or read-only at the start: the tray says so in a window and ends, the core and the command line in words"""
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
                    told = wait_for("a window says so", lambda: tray.poll() is None and self.sentence())
                    PICTURES.take(f"home-{what}")
                    self.assertIn(why, told)
                    self.assertIn(help, told)
                    screen().find("button", "Close").press()
                    self.assertEqual(tray.wait(10), 1)
                self.assertEqual(list((person.directory / ".config").glob("**/*.desktop")), [])

    def sentence(self):
        return next((one.name for one in screen().all() if one.name.startswith("MCPProxy could not start")), None)

    def test_another_script(self):
        """a home named in another script: asked, registered, and started from its entry at the next login"""
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
