"""Measures the programs on the desktop this runs on. Called by scripts/measure.

    measure.py FOLDER-OF-THE-PROGRAMS [--seconds N] [--starts N]
"""

import argparse
import os
import pathlib
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
from desktop import WATCHER, Gio, GLib, Person  # noqa: E402
from world import CORE, TRAY  # noqa: E402


def milliseconds_to_icon(person):
    """From exec to the desktop's word that an icon was registered."""
    bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
    loop, seen = GLib.MainLoop(), []

    def registered(*_):
        seen.append(time.monotonic())
        loop.quit()

    signal = "StatusNotifierItemRegistered"
    subscription = bus.signal_subscribe(None, WATCHER, signal, None, None, Gio.DBusSignalFlags.NONE, registered)
    began = time.monotonic()
    tray = person.start(TRAY, "--autostart")
    deadline = GLib.timeout_add_seconds(20, loop.quit)
    loop.run()
    bus.signal_unsubscribe(subscription)
    assert seen, f"no icon: {person.output(tray)}"
    GLib.source_remove(deadline)
    tray.terminate()
    tray.wait(20)
    return (seen[0] - began) * 1000


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


def median(name, aim, measure):
    values = []
    for _ in range(arguments.starts):
        with Person(config={}) as person:
            values.append(measure(person))
    row(name, f"{statistics.median(values):.0f} ms", aim, f"{min(values):.0f} to {max(values):.0f} ms")


def row(name, value, aim, more=""):
    print(f"| {name:46} | {value:>10} | {aim:>9} | {more:28} |", flush=True)


def main():
    row("measured", "value", "aim", "more")
    row("-" * 46, "-" * 10, "-" * 9, "-" * 28)
    median(f"mcpproxy-tray: exec to icon, median of {arguments.starts}", "60 ms", milliseconds_to_icon)
    median(f"mcpproxy serve: exec to ready, median of {arguments.starts}", "40 ms", milliseconds_to_ready)
    with Person(config={}) as person:
        tray = person.start_tray("--autostart")
        icon = person.icon(tray)
        person.wait_ready()
        time.sleep(5)  # what a start leaves to do is done
        programs = [("mcpproxy-tray", tray.pid, "30 MB"), ("mcpproxy", person.core_pid(), "15 MB")]
        before = {name: Cost(pid) for name, pid, _ in programs}
        time.sleep(arguments.seconds)
        for name, pid, aim in programs:
            cost = Cost(pid)
            row(f"{name}: resident memory, idle", f"{cost.resident:.1f} MB", aim, f"{cost.own:.1f} MB of it its own")
            share = (cost.processor - before[name].processor) / arguments.seconds * 100
            row(f"{name}: processor over {arguments.seconds} s idle", f"{share:.2f} %", "0 %")
            wakeups = (cost.wakeups - before[name].wakeups) / arguments.seconds
            row(f"{name}: wake-ups over {arguments.seconds} s idle", f"{wakeups:.2f} /s", "< 1 /s")
        person.quit(tray, icon)


main()
