"""The macOS package: its contents, and its scripts run against stand-ins for the system's tools, which record their calls.

Nothing here was tested on a Mac. Run by `scripts/test packages_macos`, which builds the package and names it.
"""

import os
import pathlib
import plistlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tests/mcp"))
from world import main  # noqa: E402

MACOS = PROJECT / "packaging/macos"
NAMES = dict(re.findall(r'pub const (\w+): &str = "(.*)";', (PROJECT / "src/contract/names.rs").read_text()))
VERSION = re.search(r'^version = "(.*)"', (PROJECT / "Cargo.toml").read_text(), re.M)[1]
APP = "/Applications/MCPProxy.app"
TRAY = r"^/Applications/MCPProxy\.app/Contents/MacOS/(mcpproxy-tray|MCPProxy)( |$)"
AGENT = "/Users/ada/Library/LaunchAgents/com.smartmcpproxy.mcpproxy.plist"
AS_ADA = (
    "launchctl asuser 501 sudo -u ada env -i HOME=/Users/ada USER=ada LOGNAME=ada PATH=/usr/bin:/bin:/usr/sbin:/sbin "
)
LOOKS = ["stat -f %Su /dev/console", "id -u ada", "id -P ada"]
OPENED = AS_ADA + f"open --env MCPPROXY_LAUNCHED_BY=installer {APP}"
# A user called Ada is logged in at the screen; no tray and no agent of the Go MCPProxy are running.
USUAL = {
    "stat": "echo ada",
    "id": 'case $1 in -u) echo 501 ;; -P) echo "ada:*:501:20::0:0:Ada L:/Users/ada:/bin/zsh" ;; esac',
    "pgrep": "exit 1",
    "launchctl": 'case "$*" in *" test -e "*) exit 1 ;; esac',
}
TOOLS = ["stat", "id", "pgrep", "pkill", "sleep", "launchctl", "sudo", "open", "scutil", "defaults", "osascript", "rm"]


class Script:
    """A run of a script: its exit code, its output, and its calls of the stand-ins."""

    def __init__(self, script, *arguments, answers=None):
        with tempfile.TemporaryDirectory() as folder:
            tools = pathlib.Path(folder)
            for tool in {*TOOLS, *(answers or {})}:
                stand_in = tools / tool
                answer = (answers or {}).get(tool, "")
                stand_in.write_text(f'#!/bin/sh\necho "{tool} $*" >>{folder}/.calls\ncd {folder}\n{answer}\n')
                stand_in.chmod(0o755)
            # The real `cut`, which only reads.
            (tools / "cut").symlink_to("/usr/bin/cut")
            (tools / ".calls").touch()
            ran = subprocess.run(
                ["/bin/sh", script, *arguments],
                env={"PATH": folder, "HOME": "/var/root", "SUDO_USER": "nobody"},
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.calls = (tools / ".calls").read_text().splitlines()
            self.code, self.said = ran.returncode, ran.stdout + ran.stderr


def postinstall(*arguments, **changes):
    arguments = arguments or ("/tmp/MCPProxy.pkg", "/", "/", "/")
    return Script(MACOS / "scripts/postinstall", *arguments, answers={**USUAL, **changes})


class Scripts(unittest.TestCase):
    def test_first_installation(self):
        """macOS: a first installation starts the app once, as the user at the screen, with the launch source"""
        run = postinstall()
        self.assertEqual(run.calls, [*LOOKS, f"pgrep -u 501 -f {TRAY}", AS_ADA + f"test -e {AGENT}", OPENED])
        self.assertEqual((run.code, run.said), (0, ""))

    def test_no_user_at_the_screen(self):
        """macOS: without a user at the screen nothing is started, and the installation succeeds"""
        for name in ["root", "loginwindow", "_mbsetupuser", ""]:
            run = postinstall(stat=f"echo {name}")
            self.assertEqual(run.calls, LOOKS[:1], name)
            self.assertEqual(run.code, 0)
            self.assertIn("No user is logged in", run.said)
        run = postinstall(stat="exit 1")
        self.assertEqual((run.calls, run.code), (LOOKS[:1], 0))

    def test_no_user_account(self):
        """macOS: a system account, an unknown account and an account without a home start nothing"""
        for answer in ["exit 1", "echo none", "case $1 in -u) echo 248 ;; -P) echo x:*:248:1::0:0:X:/x:/x ;; esac"]:
            run = postinstall(id=answer)
            self.assertEqual((run.calls, run.code), (LOOKS, 0), answer)
            self.assertIn("is not a user account", run.said)
        run = postinstall(id="case $1 in -u) echo 501 ;; esac")
        self.assertEqual((run.calls, run.code), (LOOKS, 0))

    def test_another_volume(self):
        """macOS: an installation on another volume does not affect the running system"""
        run = postinstall("/tmp/MCPProxy.pkg", "/Volumes/Two", "/Volumes/Two", "/")
        self.assertEqual((run.calls, run.code, run.said), ([], 0, ""))

    def test_upgrade(self):
        """macOS: an upgrade quits this user's tray before it starts the new one"""
        run = postinstall(pgrep="echo >>seen; [ $(/usr/bin/wc -l <seen) -lt 4 ]")
        seen = f"pgrep -u 501 -f {TRAY}"
        self.assertEqual(
            run.calls,
            [*LOOKS, seen, f"pkill -TERM -u 501 -f {TRAY}", seen, "sleep 1", seen, "sleep 1", seen]
            + [AS_ADA + f"test -e {AGENT}", OPENED],
        )
        self.assertEqual((run.code, run.said), (0, ""))

    def test_upgrade_of_a_stuck_tray(self):
        """macOS: a tray that does not quit within 10 s is killed, but only this user's"""
        run = postinstall(pgrep="exit 0")
        self.assertEqual(run.calls.count("sleep 1"), 10)
        self.assertEqual(run.calls[-3:], [f"pkill -KILL -u 501 -f {TRAY}", AS_ADA + f"test -e {AGENT}", OPENED])
        self.assertTrue(all("-u 501" in call for call in run.calls if call.startswith(("pkill", "pgrep"))))
        self.assertIn("killing it", run.said)

    def test_legacy_agent(self):
        """macOS: the login agent of the Go MCPProxy is unloaded and removed, as the user and not as root"""
        for answer in ["", "case $1 in bootout) exit 3 ;; esac"]:
            run = postinstall(launchctl=answer)
            self.assertEqual(
                run.calls[-4:],
                [AS_ADA + f"test -e {AGENT}", "launchctl bootout gui/501/com.smartmcpproxy.mcpproxy"]
                + [AS_ADA + f"rm -f {AGENT}", OPENED],
            )
            self.assertEqual((run.code, run.said), (0, ""))

    def test_everything_fails(self):
        """macOS: if starting the app fails, the installation still succeeds, and says what to do"""
        run = postinstall(launchctl='case "$*" in *" test -e "*) ;; *) exit 1 ;; esac', pkill="exit 1", pgrep="exit 0")
        self.assertEqual((run.code, run.calls[-1]), (0, OPENED))
        self.assertIn(f"{AGENT} could not be removed", run.said)
        self.assertIn("can open it in Applications", run.said)

    def test_other_names(self):
        """macOS: a user name and a home with a space and non-ASCII letters work"""
        run = postinstall(
            stat="echo zoë",
            id='case $1 in -u) echo 502 ;; -P) echo "zoë:*:502:20::0:0:Zoë:/Users/zoë b:/bin/zsh" ;; esac',
            launchctl='for word; do case $word in HOME=*) echo "$word" ;; esac; done',
        )
        self.assertEqual(set(run.said.splitlines()), {"HOME=/Users/zoë b"})

    def test_existing_product_makes_way(self):
        """macOS: the Go MCPProxy's application with the same path is removed first, and no other"""
        for found, calls in [("com.smartmcpproxy.mcpproxy", True), (NAMES["APP_ID"], False), ("", False)]:
            run = Script(MACOS / "scripts/preinstall", "p", "/", "/", "/", answers={"defaults": f"echo {found}"})
            asked = f"defaults read {APP}/Contents/Info CFBundleIdentifier"
            self.assertEqual(run.calls, [asked, f"rm -rf {APP}"] if calls else [asked])
            self.assertEqual(run.code, 0)
        elsewhere = Script(
            MACOS / "scripts/preinstall", "p", "/", "/Volumes/Two", "/", answers={"defaults": "exit 1"}
        )
        self.assertEqual(elsewhere.calls, [f"defaults read /Volumes/Two{APP}/Contents/Info CFBundleIdentifier"])

    def test_uninstall(self):
        """macOS: removal deletes the login item and keeps the settings; as root it does nothing"""
        run = Script(MACOS / "uninstall", answers={"id": "echo 501"})
        self.assertEqual(
            run.calls[-3:],
            [rf"pkill -TERM -u 501 -f ^{APP}/Contents/MacOS/mcpproxy-tray( |$)"]
            + [f"sudo rm -rf {APP} /etc/paths.d/{NAMES['APP_ID']}", f"sudo pkgutil --forget {NAMES['APP_ID']}"],
        )
        self.assertEqual(run.code, 0)
        as_root = Script(MACOS / "uninstall", answers={"id": "echo 0"})
        self.assertEqual((as_root.calls, as_root.code), (["id -u"], 1))
        refused = Script(MACOS / "uninstall", answers={"id": "echo 501", "sudo": "exit 1"})
        self.assertEqual(refused.code, 1)
        self.assertNotIn("pkgutil", " ".join(refused.calls))


class Bill:
    """Parses a bill of materials in Apple's format."""

    def __init__(self, data):
        magic, version, _, index, _, names, _ = struct.unpack_from(">8sIIIIII", data)
        assert (magic, version) == (b"BOMStore", 1)
        (count,) = struct.unpack_from(">I", data, index)
        blocks = [struct.unpack_from(">II", data, index + 4 + 8 * number) for number in range(count)]
        self.block = lambda number: data[blocks[number][0] : sum(blocks[number])]
        self.named, at = {}, names + 4
        for _ in range(struct.unpack_from(">I", data, names)[0]):
            number, length = struct.unpack_from(">IB", data, at)
            self.named[data[at + 5 : at + 5 + length].decode()] = number
            at += 5 + length

    def files(self):
        tree, _, child, _, count = struct.unpack_from(">4sIIII", self.block(self.named["Paths"]))
        assert tree == b"tree"
        leaf = self.block(child)
        assert struct.unpack_from(">HH", leaf) == (1, count)
        found, paths = {}, {0: None}
        for place in range(count):
            value, key = struct.unpack_from(">II", leaf, 12 + 8 * place)
            number, facts = struct.unpack(">II", self.block(value))
            name = self.block(key)
            parent = paths[struct.unpack_from(">I", name)[0]]
            path = name[4:-1].decode() if parent is None else f"{parent}/{name[4:-1].decode()}"
            paths[number] = path
            kind, _, _, mode, user, group, _, size, _, checksum, _ = struct.unpack(">BBHHIIIIBII", self.block(facts))
            found[path] = (kind, mode, user, group, size, checksum)
        return found


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.package = pathlib.Path(os.environ["MACOS_PACKAGE"])
        cls.flat, cls.root = cls.folder / "flat", cls.folder / "root"
        cls.unpack(cls.package, cls.flat)
        cls.unpack(cls.flat / "app.pkg/Payload", cls.root)
        cls.unpack(cls.flat / "app.pkg/Scripts", cls.folder / "scripts")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @staticmethod
    def unpack(archive, target):
        target.mkdir()
        subprocess.run(["bsdtar", "-xpf", archive, "-C", target], check=True)

    def test_application(self):
        """macOS: Info.plist has the project's names and version, and shows nothing in the Dock"""
        contents = self.root / "Applications/MCPProxy.app/Contents"
        info = plistlib.loads((contents / "Info.plist").read_bytes())
        self.assertEqual(info["CFBundleIdentifier"], NAMES["APP_ID"])
        self.assertEqual(info["CFBundleName"], NAMES["PRODUCT"])
        self.assertEqual((info["CFBundleShortVersionString"], info["CFBundleVersion"]), (VERSION, VERSION))
        self.assertIs(info["LSUIElement"], True)
        self.assertIs(info["NSSupportsSuddenTermination"], False)
        self.assertTrue((contents / "MacOS" / info["CFBundleExecutable"]).is_file())
        self.assertEqual(info["CFBundleExecutable"], NAMES["TRAY_PROGRAM"])
        self.assertTrue((contents / "MacOS" / NAMES["CORE_PROGRAM"]).is_file())
        icon = (contents / "Resources" / f"{info['CFBundleIconFile']}.icns").read_bytes()
        self.assertEqual((icon[:4], int.from_bytes(icon[4:8], "big")), (b"icns", len(icon)))
        self.assertEqual(plistlib.loads((MACOS / "entitlements.plist").read_bytes()), {})

    def test_names(self):
        """macOS: the names in the scripts match the contract"""
        text = (MACOS / "scripts/postinstall").read_text()
        self.assertIn(f"{NAMES['ENV_LAUNCHED_BY']}=installer", text)
        for name, file in [("PRODUCT", "scripts/preinstall"), ("TRAY_PROGRAM", "scripts/postinstall")]:
            self.assertIn(NAMES[name], (MACOS / file).read_text())
        for name in ["PRODUCT", "TRAY_PROGRAM", "APP_ID"]:
            self.assertIn(NAMES[name], (MACOS / "uninstall").read_text())
        self.assertIn("--unregister", (PROJECT / "src/tray/options.rs").read_text())

    def test_bill_and_payload(self):
        """macOS: the bill of materials contains every packed file with its mode, owner, size and checksum, and no other"""
        bill = Bill((self.flat / "app.pkg/Bom").read_bytes())
        self.assertEqual(set(bill.named), {"BomInfo", "Paths", "HLIndex", "VIndex", "Size64"})
        files = bill.files()
        packed = {"."} | {f"./{path.relative_to(self.root)}" for path in self.root.rglob("*")}
        self.assertEqual(set(files), packed)
        for path, (kind, mode, user, group, size, checksum) in files.items():
            real = self.root / path
            self.assertEqual((user, group), (0, 0), path)
            self.assertEqual(mode, real.stat().st_mode if path != "." else 0o40755, path)
            if real.is_file():
                said = subprocess.run(["cksum", real], capture_output=True, check=True).stdout.split()
                self.assertEqual((kind, checksum, size), (1, int(said[0]), int(said[1])), path)
        listing = subprocess.run(
            ["bsdtar", "--numeric-owner", "-tvf", self.flat / "app.pkg/Payload"], capture_output=True, text=True
        ).stdout.splitlines()
        for line in listing:
            self.assertEqual(line.split()[2:4], ["0", "0"], line)
        runs = {path for path, facts in files.items() if facts[0] == 1 and facts[1] & 0o111}
        names = [f"MacOS/{NAMES['CORE_PROGRAM']}", f"MacOS/{NAMES['TRAY_PROGRAM']}", "Resources/uninstall"]
        self.assertEqual(runs, {f"./Applications/MCPProxy.app/Contents/{name}" for name in names})
        self.assertFalse([path for path, facts in files.items() if facts[1] & 0o022])
        line = self.root / "private/etc/paths.d" / NAMES["APP_ID"]
        self.assertEqual(line.read_text(), f"{APP}/Contents/MacOS\n")

    def test_package_description(self):
        """macOS: the package has its ID, version, minimum system and processor, and cannot be relocated"""
        about = ElementTree.parse(self.flat / "app.pkg/PackageInfo").getroot()
        self.assertEqual((about.get("identifier"), about.get("version")), (NAMES["APP_ID"], VERSION))
        self.assertEqual((about.get("install-location"), about.get("relocatable")), ("/", "false"))
        self.assertEqual(about.get("overwrite-permissions"), "false")
        self.assertEqual(len(about.find("relocate")), 0)
        files = Bill((self.flat / "app.pkg/Bom").read_bytes()).files()
        self.assertEqual(int(about.find("payload").get("numberOfFiles")), len(files))
        for script in ["preinstall", "postinstall"]:
            packed = self.folder / "scripts" / script
            self.assertEqual(about.find(f"scripts/{script}").get("file"), f"./{script}")
            self.assertEqual(packed.read_bytes(), (MACOS / "scripts" / script).read_bytes())
            self.assertEqual(packed.stat().st_mode & 0o777, 0o755)
        distribution = ElementTree.parse(self.flat / "Distribution").getroot()
        oldest = plistlib.loads((self.root / "Applications/MCPProxy.app/Contents/Info.plist").read_bytes())
        self.assertEqual(distribution.find(".//os-version").get("min"), oldest["LSMinimumSystemVersion"])
        self.assertIn(distribution.find("options").get("hostArchitectures"), ["arm64", "x86_64", "arm64,x86_64"])
        self.assertEqual(distribution.find("pkg-ref").text, "#app.pkg")
        self.assertEqual(self.package.name, f"{NAMES['PRODUCT']}-{VERSION}.pkg")

    def test_wrong_programs(self):
        """macOS: programs for another system are refused by name"""
        done = subprocess.run(
            [MACOS / "assemble", "/bin/sh", "/bin/sh", self.folder / "x"], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("`/bin/sh` is not a program for macOS", done.stderr)


if __name__ == "__main__":
    main()
