"""What a new user does in their first minute, done on the desktop this runs on. Called by scripts/run.

Starts the tray app, answers its first window, adds a real server, lets a real AI client call one tool,
takes pictures, quits from the menu, and looks whether anything is left.

    tour.py FOLDER-OF-THE-PROGRAMS FOLDER-FOR-PICTURES PYTHON-WITH-THE-MCP-CLIENT
"""

import os
import pathlib
import socket
import subprocess
import sys

os.environ["CHECKS_PROGRAMS"] = sys.argv[1]
project = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(project / "tests/desktop"), str(project / "tests/mcp")]
from desktop import Icon, Person, Pictures, key, point_and_click, popup, wait_for  # noqa: E402
from world import CORE  # noqa: E402


def say(text, detail=""):
    print(f"  {text}", flush=True)
    for line in detail.strip().splitlines():
        print(f"      {line}", flush=True)


def usual_port_or_another(person):
    """The address a new user gets, if nothing else has it here."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8080))
        except OSError:
            return
    person.port = 8080
    del person.variables["MCPPROXY_LISTEN"]


def tour(person, pictures, python):
    panel = Icon(pictures)
    usual_port_or_another(person)

    tray = person.start_tray()
    welcome = person.welcome(tray)
    box = welcome.find("check box")
    picture = pictures.take("1-first-run", drawn=box.box)
    say("Started mcpproxy-tray; it greets a new user.", str(picture))
    box_ticked = box.ticked
    answer = f"{box.name!r} {'ticked' if box_ticked else 'unticked'}"
    welcome.find("button", "Continue").press()
    person.wait_answered()
    icon = person.icon(tray)
    person.wait_ready()
    person.dismiss_second_step()
    if box_ticked:
        wait_for("the autostart entry", person.entry.exists)
    say(f"Pressed Continue with {answer}.", f"{person.entry}: {'written' if person.entry.exists() else 'absent'}")

    command = ["npx", "-y", "@modelcontextprotocol/server-everything"]
    added = person.run(CORE, "upstream", "add", "everything", "--", *command)
    assert added.returncode == 0, added.stderr
    approved = person.run(CORE, "upstream", "approve", "everything", "--yes")
    assert approved.returncode == 0, approved.stderr
    person.wait_connected("everything", 180)
    say(f"mcpproxy upstream add everything -- {' '.join(command)}, and approve everything", person.run(CORE, "upstream", "list").stdout)

    address = f"http://127.0.0.1:{person.port}/mcp"
    call = [python, project / "tests/mcp/call.py", address, "echo a message back", "everything:echo"]
    called = subprocess.run([*call, '{"message": "Hello from an AI client"}'], capture_output=True, text=True, timeout=60)
    assert called.returncode == 0 and "Hello from an AI client" in called.stdout, called.stdout + called.stderr
    say(f"The official Python client called a tool through {address}.", called.stdout)
    say("mcpproxy status", person.run(CORE, "status").stdout)

    place = panel.wait()
    say("The icon is on the panel.", str(pictures.take("2-panel")))
    point_and_click(place, button=3)
    picture = pictures.take("3-menu", drawn=popup)
    say("A click on it opens the menu.", f"{picture}\n{icon.menu()}")
    key("Escape")

    icon.click("Quit")
    person.wait_gone(tray)
    say("Quit from the menu: no process is left.")


def main():
    pictures = Pictures(sys.argv[2])
    with Person() as person:
        try:
            tour(person, pictures, sys.argv[3])
        except BaseException:
            pictures.take("failed")
            raise
        finally:
            for name in ("panel-empty", "panel-now"):
                (pictures.folder / f"{name}.png").unlink(missing_ok=True)


main()
