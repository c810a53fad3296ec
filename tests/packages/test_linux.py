"""The Linux packages: their contents, their scripts run against stand-ins, and installation, upgrade and removal in temporary
Debian systems, from the installer to the first report.

Run as root by `scripts/test packages_linux`, which builds the packages and names them (LINUX_DEB, LINUX_RPM). A stand-in replaces
logind, which a temporary root does not have; the user's service manager is the real systemd, with its own part of the cgroups.
"""

import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tests/mcp"))
from world import Collector, main, processes, wait_for  # noqa: E402

LINUX = PROJECT / "packaging/linux"
DEB, RPM = (pathlib.Path(os.environ.get(name, "/nowhere")) for name in ("LINUX_DEB", "LINUX_RPM"))
NAMES = dict(re.findall(r'pub const (\w+): &str = "(.*)";', (PROJECT / "src/contract/names.rs").read_text()))
VERSION = re.search(r'^version = "(.*)"', (PROJECT / "Cargo.toml").read_text(), re.M)[1]
PICTURES = PROJECT / "target/desktop"
ADA = "env -i HOME=/home/ada USER=ada LOGNAME=ada PATH=/usr/local/bin:/usr/bin:/bin"


def run(*words, check=True, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600, **options)
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def files_of(package):
    if package.suffix == ".rpm":
        return set(run("rpm", "-qpl", package).stdout.split())
    lines = run("dpkg-deb", "-c", package).stdout.splitlines()
    return {line.split()[5][1:] for line in lines if not line.startswith("d")}


class Contents(unittest.TestCase):
    def test_files(self):
        """Linux: both packages contain the programs and all related files, under the names in the contract"""
        core, tray, icon = NAMES["CORE_PROGRAM"], NAMES["TRAY_PROGRAM"], NAMES["APP_ID"]
        wanted = [
            f"/usr/bin/{core}", f"/usr/bin/{tray}", f"/usr/share/applications/{icon}.desktop",
            f"/usr/share/metainfo/{icon}.metainfo.xml", f"/usr/share/icons/hicolor/scalable/apps/{icon}.svg",
            f"/usr/share/icons/hicolor/symbolic/apps/{icon}-symbolic.svg", f"/usr/share/icons/hicolor/48x48/apps/{icon}.png",
            "/usr/lib/systemd/user/mcpproxy.service", f"/usr/share/man/man1/{core}.1.gz", f"/usr/share/man/man1/{tray}.1.gz",
            f"/usr/share/man/man1/{core}-upstream-add.1.gz", f"/usr/share/bash-completion/completions/{core}",
            f"/usr/share/fish/vendor_completions.d/{core}.fish",
        ]  # fmt: skip
        for package in (DEB, RPM):
            files = files_of(package)
            self.assertEqual([one for one in wanted if one not in files], [], package)
            self.assertTrue(any(one.endswith(f"/_{core}") for one in files), "zsh")
            # No login entry for all users, and no service that is enabled by default.
            self.assertEqual([one for one in files if one.startswith(("/etc", "/var", "/opt"))], [])
        self.assertEqual(run("dpkg-deb", "-f", DEB, "Version").stdout.strip(), f"{VERSION}-1")
        self.assertEqual(run("rpm", "-qp", "--qf", "%{VERSION}", RPM).stdout, VERSION)

    def test_names(self):
        """Linux: the names in the packaging match the contract"""
        session, spec = (LINUX / "session").read_text(), (LINUX / "mcpproxy.spec").read_text()
        desktop = (LINUX / f"{NAMES['APP_ID']}.desktop").read_text()
        metainfo = (LINUX / f"{NAMES['APP_ID']}.metainfo.xml").read_text()
        self.assertIn(f"tray=/usr/bin/{NAMES['TRAY_PROGRAM']}\n", session)
        self.assertIn(f"--setenv={NAMES['ENV_LAUNCHED_BY']}=installer", session)
        self.assertIn(f"~/.config/autostart/{NAMES['AUTOSTART_ENTRY']}", session)
        for line in (f"Name={NAMES['PRODUCT']}", f"Exec={NAMES['TRAY_PROGRAM']}", f"Icon={NAMES['APP_ID']}"):
            self.assertIn(f"\n{line}\n", desktop)
        self.assertIn(f"<id>{NAMES['APP_ID']}</id>", metainfo)
        self.assertIn(f"\nName: {NAMES['CORE_PROGRAM']}\n", spec)
        unit = (LINUX / "mcpproxy.service").read_text()
        self.assertIn(f"ExecStart=/usr/bin/{NAMES['CORE_PROGRAM']} serve", unit)
        manual = (LINUX / "mcpproxy-tray.1").read_text()
        for option in re.findall(r"^  (--\S+)", (PROJECT / "src/tray/options.rs").read_text(), re.M):
            self.assertIn(option.replace("-", r"\-"), manual)

    def test_checked(self):
        """Linux: lintian, rpmlint and the validators of desktop entry, metadata and unit report nothing"""
        self.assertEqual(run("lintian", "--fail-on", "error,warning", "--allow-root", DEB).stdout, "")
        said = run("rpmlint", "-c", LINUX / "rpmlint.toml", RPM).stdout
        self.assertIn("0 errors, 0 warnings", said)
        with tempfile.TemporaryDirectory() as folder:
            run("dpkg-deb", "-x", DEB, folder)
            usr = pathlib.Path(folder) / "usr"
            run("desktop-file-validate", *usr.glob("share/applications/*"))
            run("appstreamcli", "validate", "--no-net", *usr.glob("share/metainfo/*"))
            unit = (usr / "lib/systemd/user/mcpproxy.service").read_text()
            check = pathlib.Path(folder) / "mcpproxy.service"
            check.write_text(unit.replace("/usr/bin/mcpproxy", str(usr / "bin/mcpproxy")))
            said = run("systemd-analyze", "verify", "--user", "--man=no", check, env={**os.environ, "XDG_RUNTIME_DIR": folder})
            self.assertNotIn("mcpproxy.service", said.stderr)
            run("bash", "-n", usr / "share/bash-completion/completions/mcpproxy")
            run("zsh", "-n", usr / "share/zsh/vendor-completions/_mcpproxy")
            run("fish", "--no-execute", usr / "share/fish/vendor_completions.d/mcpproxy.fish")

    def test_same_again(self):
        """Linux: the same programs result in the same packages, byte for byte"""
        with tempfile.TemporaryDirectory() as folder:
            for package in (DEB, RPM):
                run(LINUX / "build", package.suffix[1:], folder)
                self.assertEqual((pathlib.Path(folder) / package.name).read_bytes(), package.read_bytes())


class Session(unittest.TestCase):
    """The script, with stand-ins for the tools that list users and act for them; records their calls."""

    ADA = {"Name": "ada", "User": "1000", "Type": "wayland", "Class": "user", "State": "active"}

    def session(self, verb, *sessions, **answers):
        with tempfile.TemporaryDirectory() as folder:
            tools = pathlib.Path(folder)
            listed = "; ".join(f"echo '{number} 1 x seat0'" for number, _ in enumerate(sessions)) or "true"
            shown = "".join(
                f"{number}) printf '{''.join(f'{key}={value}' + chr(92) + 'n' for key, value in one.items())}' ;;\n"
                for number, one in enumerate(sessions)
            )
            usual = {
                "loginctl": f"case $1 in list-sessions) {listed} ;; show-session) case $2 in\n{shown} esac ;; esac",
                "getent": f'mkdir -p {folder}/home; echo "x:x:$2:$2::{folder}/home:/bin/sh"',
                "runuser": "exit 0",
            }
            for tool, answer in {**usual, **answers}.items():
                note = f'echo "{tool} $*" >>{folder}/calls\n' if tool == "runuser" else ""
                (tools / tool).write_text(f"#!/bin/sh\n{note}{answer}\n")
                (tools / tool).chmod(0o755)
            (tools / "calls").touch()
            # Users who are really logged in here must not affect these tests.
            (tools / "users/1000").mkdir(parents=True)
            script = tools / "session"
            script.write_text((LINUX / "session").read_text().replace("/run/user/[1-9]*", f"{folder}/users/[1-9]*"))
            done = run("/bin/sh", script, verb, check=False, env={"PATH": f"{folder}:/usr/bin:/bin", "HOME": "/root"})
            calls = (tools / "calls").read_text().replace(f"{folder}/home", "/home/ada").splitlines()
            return done.returncode, done.stdout + done.stderr, calls

    def test_first_installation(self):
        """Linux: the tray is started once, as the user, with a clean environment and the launch source"""
        code, said, calls = self.session("start", self.ADA, self.ADA)
        self.assertEqual((code, said), (0, ""))
        self.assertEqual(len(calls), 1)
        self.assertRegex(
            calls[0],
            rf"^runuser -u ada -- {ADA} LANG=\S+ XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "
            r"systemd-run --user --quiet --collect --property=KillMode=process --setenv=MCPPROXY_LAUNCHED_BY=installer "
            r"/usr/bin/mcpproxy-tray$",
        )

    def test_who(self):
        """Linux: root, the login screen, SSH, a console and a closing session start nothing; two users start two trays"""
        ignored = [{"User": "0", "Name": "root"}, {"Class": "greeter"}, {"Type": "tty"}, {"Type": "unspecified"}, {"State": "closing"}]
        others = [{**self.ADA, **change} for change in ignored]
        self.assertEqual(self.session("start", *others), (0, "", []))
        second = {**self.ADA, "Name": "bob", "User": "1001", "Type": "x11", "State": "online"}
        _, _, calls = self.session("start", *others, self.ADA, second)
        self.assertEqual([call.split()[2] for call in calls], ["ada", "bob"])

    def test_nothing_fails(self):
        """Linux: without logind, home or service manager the installation succeeds, at most with a message"""
        self.assertEqual(self.session("start", loginctl="exit 127"), (0, "", []))
        code, said, calls = self.session("start", self.ADA, getent="echo x:x:1::/nowhere/at/all:/bin/sh")
        self.assertEqual((code, calls), (0, []))
        self.assertIn("ada has no home directory", said)
        code, said, _ = self.session("start", self.ADA, runuser="exit 1")
        self.assertEqual(code, 0)
        self.assertIn("could not be started for ada", said)
        self.assertEqual(self.session("end", self.ADA), (0, "", []))
        # A core of the user's service manager: restarted after an upgrade, stopped with the removal.
        code, said, calls = self.session("again", self.ADA, runuser="exit 1")
        self.assertEqual((code, said), (0, ""))
        self.assertEqual([call.split(" systemctl ")[1] for call in calls], ["--user --quiet daemon-reload", "--user --quiet try-restart mcpproxy.service"])
        _, _, calls = self.session("leave", self.ADA)
        self.assertTrue(calls[-1].endswith("systemctl --user --quiet disable --now mcpproxy.service"), calls)
        code, said, _ = self.session("leave", self.ADA, runuser="exit 1")
        self.assertEqual(code, 0)
        self.assertIn("ada keeps ~/.config/autostart/", said)
        self.assertEqual(self.session("nonsense")[0], 64)


class Debian:
    """A temporary system of this Debian release."""

    def __init__(self, release):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"{release}-"))
        self.root.chmod(0o755)
        self.mounted, self.groups = [], []
        sources = "".join(path.read_text() for path in pathlib.Path("/etc/apt").glob("sources.list*/*.sources"))
        sources += pathlib.Path("/etc/apt/sources.list").read_text() if pathlib.Path("/etc/apt/sources.list").exists() else ""
        mirror = re.search(r"(?:URIs:|deb(?: \[.*\])?) *(https?://\S+/debian)/?\s", sources)
        run("debootstrap", "--variant=minbase", release, self.root, mirror[1] if mirror else "http://deb.debian.org/debian")
        self.mount("--bind", "/proc", "proc")
        self.mount("--bind", "/dev", "dev")
        self.mount("--bind", "/dev/pts", "dev/pts")
        for file in ["/etc/resolv.conf", *pathlib.Path("/etc/apt/apt.conf.d").glob("99*")]:
            shutil.copy(file, self.root / str(file)[1:])
        self.run("apt-get", "-qq", "update")

    def mount(self, *words):
        (self.root / words[-1]).mkdir(exist_ok=True)
        run("mount", *words[:-1], self.root / words[-1])
        self.mounted.append(self.root / words[-1])

    def run(self, *words, **options):
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        return run("chroot", self.root, *words, env=environment, **options)

    def apt(self, *words):
        return self.run("apt-get", "-qq", "-y", "--no-install-recommends", *words)

    def service_manager(self, name, uid, **variables):
        """Starts the user's systemd like a login does; returns a function that runs commands in it."""
        runtime = self.root / f"run/user/{uid}"
        runtime.mkdir(parents=True)
        os.chown(runtime, uid, uid)
        (self.root / "run/systemd/system").mkdir(parents=True)  # systemd checks here whether it booted the system
        self.mount("--rbind", "/sys", "sys")
        run("mount", "--make-rslave", self.root / "sys")
        kinds = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
        for kind in (pathlib.Path(one) for one in kinds if pathlib.Path(one, "cgroup.procs").exists()):
            group = kind / self.root.name
            group.mkdir()
            self.groups.append(group)
            run("chown", "-R", str(uid), group)
        environment = [
            f"HOME=/home/{name}", f"USER={name}", "PATH=/usr/bin:/bin", f"XDG_RUNTIME_DIR=/run/user/{uid}",
            f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{uid}/bus",
        ]  # fmt: skip
        person = ["runuser", "-u", name, "--", "env", "-i", *environment]
        joins = "; ".join(f"echo $$ >{group}/cgroup.procs" for group in self.groups)
        manager = " ".join(["exec chroot", str(self.root), *person, "/usr/lib/systemd/systemd --user --log-target=console"])
        log = open(self.root / f"home/{name}/systemd.out", "w")
        subprocess.Popen(["sh", "-ec", f"{joins}; {manager}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

        def systemctl(*words, check=True):
            return self.run(*person, "systemctl", "--user", *words, check=check)

        wait_for("the person's systemd runs", lambda: systemctl("is-system-running", check=False).stdout.strip() == "running", 20)
        # The desktop passes the display to systemd.
        systemctl("set-environment", *(f"{name}={value}" for name, value in variables.items()))
        return systemctl

    def ours(self):
        """Returns files with our name outside of homes and of the package manager's data."""
        skipped = [self.root / one for one in ("proc", "dev", "home", "tmp", "var/log", "var/cache/apt", "var/lib/apt")]
        skip = [word for one in skipped for word in ("-path", str(one), "-prune", "-o")]
        found = run("find", self.root, *skip, "-iname", "*mcpproxy*", "-print").stdout.split()
        return [one.removeprefix(str(self.root)) for one in found if not one.endswith(".deb")]

    def running(self):
        """Returns our programs that run in this system."""
        return [one for one in processes() if one.program.startswith("mcpproxy") and str(self.root) in os.path.realpath(f"/proc/{one.pid}/root")]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for said in (self.root / "home/ada").glob("*.out") if kind else []:
            print(f"{said.name}: {said.read_text(errors='replace')}")
        for one in processes():
            if os.path.realpath(f"/proc/{one.pid}/root") == str(self.root):
                os.kill(one.pid, 9)
        for mounted in reversed(self.mounted):
            subprocess.run(["umount", "-R", "-l", mounted])
        for group in self.groups:
            wait_for("its control groups are empty", lambda: subprocess.run(["find", group, "-depth", "-type", "d", "-delete"], capture_output=True).returncode == 0)
        run("rm", "-rf", "--one-file-system", self.root)


LOGINCTL = """#!/bin/sh
case $1 in
    list-sessions) echo '1 1000 ada seat0' ;;
    show-session) printf 'Name=ada\\nUser=1000\\nType=x11\\nClass=user\\nState=active\\n' ;;
esac
"""

class Installed(unittest.TestCase):
    def test_debian_13(self):
        """Linux: on Debian 13 the deb installs, also after an interruption; rpm installs, and upgrades the deb; removal leaves nothing"""
        with Debian("trixie") as debian:
            shutil.copy(DEB, debian.root / "mcpproxy.deb")
            # Interrupted after unpacking: removed again, or completed.
            debian.run("dpkg", "--unpack", "/mcpproxy.deb")
            debian.run("dpkg", "--purge", "mcpproxy")
            self.assertEqual(debian.ours(), [])
            debian.run("dpkg", "--unpack", "/mcpproxy.deb")
            debian.apt("--fix-broken", "install")
            self.assertEqual(debian.run("dpkg-query", "-W", "-f", "${Status}", "mcpproxy").stdout, "install ok installed")
            self.assertIn(VERSION, debian.run("mcpproxy", "version").stdout)
            self.assertIn(VERSION, debian.run("mcpproxy-tray", "--version").stdout)
            self.assertEqual(debian.running(), [], "without a session nothing is started")
            for program in ("mcpproxy", "mcpproxy-tray --unregister"):
                said = run("chroot", "--userspec=4242:4242", debian.root, "/usr/bin/env", "-i", *f"/usr/bin/{program}".split(), check=False)
                self.assertIn("home directory", said.stderr)
                self.assertEqual(said.returncode, 1)
            debian.apt("purge", "mcpproxy")
            self.assertEqual(debian.ours(), [])
            self.rpm(debian)

    def rpm(self, debian):
        """Installs the other package with rpm, in a root that has its programs' dependencies."""
        debian.run("useradd", "--create-home", "--uid", "1000", "ada")
        (debian.root / "usr/bin/loginctl").write_text(LOGINCTL)
        (debian.root / "usr/bin/systemd-run").write_text('#!/bin/sh\necho "$*" >>/home/ada/started\n')
        for name in ("loginctl", "systemd-run"):
            (debian.root / "usr/bin" / name).chmod(0o755)
        with tempfile.TemporaryDirectory() as folder:
            run(LINUX / "build", "rpm", folder, env={**os.environ, "VERSION": "99.0"})
            later = next(pathlib.Path(folder).glob("*.rpm"))
            tool = ["rpm", "--root", debian.root, "--nodeps", "--noverify"]
            run("rpm", "--root", debian.root, "--initdb")
            run(*tool, "-i", RPM)
            self.assertIn(VERSION, debian.run("mcpproxy", "version").stdout)
            started = (debian.root / "home/ada/started").read_text()
            self.assertIn("--setenv=MCPPROXY_LAUNCHED_BY=installer /usr/bin/mcpproxy-tray", started)
            run(*tool, "-U", later)
            self.assertEqual((debian.root / "home/ada/started").read_text(), started, "no tray ran that could go on")
            run("rpm", "--root", debian.root, "-e", "mcpproxy")
        shutil.rmtree(debian.root / "var/lib/rpm", ignore_errors=True)
        self.assertEqual(debian.ours(), [])

    def test_debian_12(self):
        """Linux: installation, first-run window, first report, login, upgrade, removal and purge on Debian 12"""
        screen = subprocess.Popen(["Xvfb", "-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-ac"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        display = f":{screen.stdout.readline().strip()}"
        try:
            with Debian("bookworm") as debian:
                self.whole_way(debian, display)
        finally:
            screen.terminate()
            screen.wait()

    def whole_way(self, debian, display):
        # Includes GTK's recommendations, as on a desktop.
        debian.apt("install", "libfaketime", "fonts-dejavu-core", "librsvg2-common", "libgtk-3-0", "systemd", "dbus-user-session")
        debian.run("useradd", "--create-home", "--shell", "/bin/sh", "--uid", "1000", "ada")
        debian.mount("--bind", "/tmp/.X11-unix", "tmp/.X11-unix")
        home = debian.root / "home/ada"
        systemctl = debian.service_manager("ada", 1000, DISPLAY=display)
        (debian.root / "usr/bin/loginctl").write_text(LOGINCTL)
        shutil.copy(DEB, debian.root / "mcpproxy.deb")

        def ada(*words, check=True, **variables):
            given = [f"{name}={value}" for name, value in {"HOME": "/home/ada", "DISPLAY": display, **variables}.items()]
            return debian.run("runuser", "-u", "ada", "--", "env", "-i", "PATH=/usr/bin:/bin", *given, *words, check=check)

        def report():
            said = ada("mcpproxy", "telemetry", "show", "-o", "json", check=False)
            return json.loads(said.stdout) if said.returncode == 0 else None

        def look(name):
            PICTURES.mkdir(parents=True, exist_ok=True)
            run("import", "-display", display, "-window", "root", PICTURES / f"{name}.png")

        def pointer(*words):
            return run("xdotool", *words, env={**os.environ, "DISPLAY": display}, check=False).stdout.split()

        # Root installs it during ada's session: ada's window appears.
        said = debian.apt("install", "/mcpproxy.deb")
        self.assertNotIn("could not be started", said.stdout + said.stderr)
        window = wait_for("the first-run window is shown", lambda: pointer("search", "--onlyvisible", "--name", "^Welcome to MCPProxy$"), 30)
        self.assertEqual({os.stat(f"/proc/{one.pid}").st_uid for one in debian.running()}, {1000})
        tray = next(one for one in debian.running() if one.program == NAMES["TRAY_PROGRAM"])
        self.assertRegex(pathlib.Path(f"/proc/{tray.pid}/cgroup").read_text(), r"app\.slice/run-\w+\.service")
        told = {one.partition("=")[0] for one in tray.environment if one}
        self.assertIn(NAMES["ENV_LAUNCHED_BY"], told)
        # The environment of ada's service manager only, nothing of root's or the package manager's, with the launch source.
        known = set(systemctl("show-environment").stdout.replace("=", "\n").split("\n"))
        said = {"SYSTEMD_EXEC_PID", "INVOCATION_ID", "MANAGERPID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "JOURNAL_STREAM"}
        self.assertEqual(told - known - said, {NAMES["ENV_LAUNCHED_BY"]})
        entry = home / ".config/autostart" / NAMES["AUTOSTART_ENTRY"]
        self.assertFalse(entry.exists())
        wait_for("the core answers", report, 60)
        pointer("windowfocus", "--sync", window[0])
        look("package-first-run")
        pointer("key", "Return")
        wait_for("the login entry is written", entry.exists)
        shown = wait_for("the core knows", lambda: (one := report()) and one["autostart_enabled"] and one)
        self.assertEqual(shown["launch_source"], "installer")

        # She logs out and in before the first report was sent; it must still contain the first launch source.
        config = home / ".mcpproxy/mcp_config.json"
        collector = Collector()
        text = json.loads(config.read_text())
        text["telemetry"] = {**text.get("telemetry", {}), "endpoint": collector.endpoint}
        config.write_text(json.dumps(text))
        ada("mcpproxy-tray", "--quit")
        wait_for("both have ended", lambda: not debian.running())
        command = re.search(r"^Exec=(.*)$", entry.read_text(), re.M)[1]
        preload = next((debian.root / "usr/lib").glob("*/faketime/libfaketime.so.1"))

        def log_in(**variables):
            ada("sh", "-c", f"setsid {command} >/home/ada/login.out 2>&1 </dev/null &", **variables)

        log_in(LD_PRELOAD="/" + str(preload.relative_to(debian.root)), FAKETIME="+0 x120")
        first = wait_for("the first report comes", lambda: collector.payloads(), 60)[0]
        self.assertEqual((first["launch_source"], first["autostart_enabled"]), ("installer", True))
        wait_for("the next would say something else", lambda: (one := report()) and one["launch_source"] == "login_item", 20)

        # An upgrade during the session.
        later = debian.root / "later"
        debian.run("dpkg-deb", "-R", "/mcpproxy.deb", "/later")
        control = later / "DEBIAN/control"
        control.write_text(control.read_text().replace(f"Version: {VERSION}-1", "Version: 99.0-1"))
        debian.run("dpkg-deb", "--root-owner-group", "-Znone", "--build", "/later", "/later.deb")
        shutil.rmtree(later)
        before = {one.pid for one in debian.running()}
        self.assertEqual(len(before), 2)
        written = entry.read_text()
        debian.apt("install", "/later.deb")
        wait_for("other programs run", lambda: len(debian.running()) == 2 and not before & {one.pid for one in debian.running()}, 60)
        self.assertEqual(entry.read_text(), written)
        self.assertEqual(wait_for("the core answers", report, 60)["launch_source"], "tray")
        self.assertFalse(pointer("search", "--onlyvisible", "--name", "^Welcome to MCPProxy$"))

        # Without a desktop, her service manager keeps the core running.
        ada("mcpproxy-tray", "--quit")
        wait_for("both have ended", lambda: not debian.running())
        systemctl("enable", "--now", "mcpproxy")
        wait_for("the core answers", report, 60)
        os.kill(debian.running()[0].pid, 9)
        wait_for("it is started again", report, 20)
        wanted = home / ".config/systemd/user/default.target.wants/mcpproxy.service"
        self.assertTrue(wanted.is_symlink())
        log_in()
        wait_for("the tray joins it", lambda: len(debian.running()) == 2, 20)

        # Removal: nothing runs, nothing starts at the next login, her files stay.
        debian.apt("remove", "mcpproxy")
        wait_for("nothing runs any more", lambda: not debian.running(), 20)
        self.assertFalse(entry.exists())
        self.assertFalse(wanted.is_symlink())
        self.assertTrue(config.exists())
        # No configuration files of the package are left, so there is nothing to purge.
        self.assertEqual(debian.ours(), [])


if __name__ == "__main__":
    if pwd.getpwuid(os.getuid()).pw_uid != 0:
        sys.exit("test_linux.py: only root can create a temporary root; run this through scripts/test or sudo")
    main()
