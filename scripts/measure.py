"""Measures the programs on the desktop this runs on. Called by scripts/measure.

    measure.py FOLDER-OF-THE-PROGRAMS [--seconds N] [--starts N]
"""

import argparse
import os
import pathlib
import re
import signal
import statistics
import sys
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("programs")
arguments.add_argument("--seconds", type=int, default=60)
arguments.add_argument("--starts", type=int, default=20)
arguments = arguments.parse_args()
os.environ["CHECKS_PROGRAMS"] = arguments.programs
project = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(project / "tests/desktop"), str(project / "tests/mcp")]
from desktop import WATCHER, Gio, GLib, Person, Signals, wait_for  # noqa: E402
from world import CORE, TRAY, everything  # noqa: E402


def milliseconds_to_icon(start):
    """From exec until the desktop reports that an icon was registered; `start` returns the process."""
    bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
    loop, seen = GLib.MainLoop(), []

    def registered(*_):
        seen.append(time.monotonic())
        loop.quit()

    member = "StatusNotifierItemRegistered"
    subscription = bus.signal_subscribe(None, WATCHER, member, None, None, Gio.DBusSignalFlags.NONE, registered)
    began = time.monotonic()
    program = start()
    deadline = GLib.timeout_add_seconds(20, loop.quit)
    loop.run()
    bus.signal_unsubscribe(subscription)
    assert seen, "no icon within 20 s"
    GLib.source_remove(deadline)
    program.terminate()
    program.wait(20)
    return (seen[0] - began) * 1000


def tray_to_icon(person):
    return milliseconds_to_icon(lambda: person.start(TRAY, "--autostart"))


class Applet:
    """NetworkManager's applet, with a system bus of its own on which there is no NetworkManager: an icon and a menu."""

    def __init__(self, person):
        self.person = person
        self.bus = person.start("dbus-daemon", "--session", "--nofork", "--print-address")
        address = wait_for("a bus", lambda: re.search(r"^unix:\S+$", person.output(self.bus), re.M)).group()
        person.variables["DBUS_SYSTEM_BUS_ADDRESS"] = address

    def start(self):
        return self.person.start("nm-applet", "--indicator")


def milliseconds_to_ready(person):
    """From exec to the first 200 of /ready."""
    began = time.monotonic()
    core = person.start(CORE, "serve")
    while not person.is_ready():
        assert core.poll() is None, person.output(core)
        time.sleep(0.001)
    took = (time.monotonic() - began) * 1000
    core.terminate()
    core.wait(20)
    return took


class Cost:
    """What a process has used up to now."""

    def __init__(self, pid):
        process = pathlib.Path(f"/proc/{pid}")
        fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
        self.processor = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        self.wakeups = 0
        for thread in (process / "task").iterdir():
            for line in (thread / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    self.wakeups += int(line.split()[1])
        status = (process / "status").read_text().splitlines()
        self.resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
        self.own = next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024


def milliseconds_to_serve_again(person):
    """From the end of the core to the first 200 of /ready from the next one. The first pause is a second by design."""
    tray = person.start_tray("--autostart")
    icon = person.icon(tray)
    person.wait_ready()
    core = person.core_pid()
    icon.wait_menu("Restart core", enabled=True)
    os.kill(core, signal.SIGKILL)
    began = time.monotonic()
    while not person.is_ready():
        time.sleep(0.001)
    took = (time.monotonic() - began) * 1000
    person.quit(tray, icon)
    return took


def signals_of_a_change(person):
    """What the bus hears when a server is switched off in the menu, by the desktop's own word."""
    tray = person.start_tray("--autostart")
    icon = person.icon(tray)
    person.wait_ready()
    person.wait_connected("everything")
    icon.wait_menu("1 of 1 server")
    signals = Signals(icon)
    icon.click("Disable")
    icon.wait_menu("Enable")
    icon.wait_menu("0 of 0 servers")
    time.sleep(2)  # longer than two views can be apart
    count = signals.taken()
    person.quit(tray, icon)
    return count


def median(name, aim, measure, times=None):
    values = []
    for _ in range(times or arguments.starts):
        with Person(config={}) as person:
            values.append(measure(person))
    row(name, f"{statistics.median(values):.0f} ms", aim, f"{min(values):.0f} to {max(values):.0f} ms")


def row(name, value, aim, more=""):
    print(f"| {name:46} | {value:>10} | {aim:>9} | {more:28} |", flush=True)


def idle(programs):
    """What these programs, (name, process id, aim), cost while nothing happens."""
    before = {name: Cost(pid) for name, pid, _ in programs}
    time.sleep(arguments.seconds)
    for name, pid, aim in programs:
        cost = Cost(pid)
        row(f"{name}: resident memory, idle", f"{cost.resident:.1f} MB", aim, f"{cost.own:.1f} MB of it its own")
        share = (cost.processor - before[name].processor) / arguments.seconds * 100
        row(f"{name}: processor over {arguments.seconds} s idle", f"{share:.2f} %", "0 %")
        wakeups = (cost.wakeups - before[name].wakeups) / arguments.seconds
        row(f"{name}: wake-ups over {arguments.seconds} s idle", f"{wakeups:.2f} /s", "< 1 /s")


def main():
    row("measured", "value", "aim", "more")
    row("-" * 46, "-" * 10, "-" * 9, "-" * 28)
    median(f"mcpproxy-tray: exec to icon, median of {arguments.starts}", "60 ms", tray_to_icon)
    median(
        f"nm-applet: exec to icon, median of {arguments.starts}",
        "",
        lambda person: milliseconds_to_icon(Applet(person).start),
    )
    median(f"mcpproxy serve: exec to ready, median of {arguments.starts}", "40 ms", milliseconds_to_ready)
    median("core killed to serving again, median of 5", "1500 ms", milliseconds_to_serve_again, 5)
    with Person(config={"mcpServers": [everything()]}) as person:
        count = signals_of_a_change(person)
        kinds = ", ".join(f"{number} {name}" for name, number in sorted(count.items()))
        row("D-Bus signals when a server is switched off", f"{sum(count.values())}", "< 30", kinds)
    with Person(config={}) as person:
        applet = Applet(person).start()
        tray = person.start_tray("--autostart")
        icon = person.icon(tray)
        person.wait_ready()
        time.sleep(5)  # what a start leaves to do is done
        idle(
            [
                ("mcpproxy-tray", tray.pid, "30 MB"),
                ("nm-applet", applet.pid, ""),
                ("mcpproxy", person.core_pid(), "15 MB"),
            ]
        )
        icon.click("Quit")
        tray.wait(15)


main()
