"""Uses the tray app like a user and a desktop: reads the screen and the bus, clicks, and presses keys.

Runs with the system's Python (/usr/bin/python3), which has GObject introspection, inside scripts/virtual-desktop.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, Gio, GLib  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "mcp"))
from world import PROJECT, TRAY, World, wait_for  # noqa: E402

APP_ID = "app.mcpproxy.tray"
WELCOME = "Welcome to MCPProxy"
# The title of the second step.
SECOND = "Set up MCPProxy"
WATCHER = "org.kde.StatusNotifierWatcher"


def command(*words, check=True, **options):
    return subprocess.run([str(word) for word in words], check=check, capture_output=True, text=True, **options).stdout


class Pictures:
    """Saves screenshots for later inspection."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def take(self, name, drawn=None):
        """Takes a screenshot; waits until something is visible in the area that `drawn` returns."""
        path = self.folder / f"{name}.png"

        def taken():
            command("import", "-window", "root", path)
            if not drawn:
                return True
            area = drawn()  # left, top, width, height; a window may still move
            if not area:
                return False
            left, top, width, height = area
            area = f"{width}x{height}+{left}+{top}"
            return int(command("convert", path, "-crop", area, "+repage", "-format", "%k", "info:")) > 16

        wait_for(f"{name} is drawn", taken)
        return path


# --- the bus


class Bus:
    """Returns the session bus, or the bus at an address."""

    def __init__(self, address=None):
        kind = Gio.DBusConnectionFlags
        flags = kind.AUTHENTICATION_CLIENT | kind.MESSAGE_BUS_CONNECTION
        self.connection = (
            Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
            if address
            else Gio.bus_get_sync(Gio.BusType.SESSION, None)
        )

    def call(self, name, path, interface, method, arguments=None, reply=None, timeout=5000):
        form = GLib.VariantType(reply) if reply else None
        flags = Gio.DBusCallFlags.NO_AUTO_START
        answer = self.connection.call_sync(name, path, interface, method, arguments, form, flags, timeout, None)
        return answer.unpack()

    def get(self, name, path, interface, property):
        arguments = GLib.Variant("(ss)", (interface, property))
        return self.call(name, path, "org.freedesktop.DBus.Properties", "Get", arguments, "(v)")[0]

    def process(self, name):
        arguments = GLib.Variant("(s)", (name,))
        dbus = "org.freedesktop.DBus"
        return self.call(dbus, "/", dbus, "GetConnectionUnixProcessID", arguments, "(u)")[0]


class MenuItem:
    """A menu item as exported on the bus."""

    def __init__(self, layout):
        self.number, properties, children = layout
        self.label = properties.get("label", "").replace("__", "\0").replace("_", "").replace("\0", "_")
        self.enabled = properties.get("enabled", True)
        self.separator = properties.get("type") == "separator"
        self.ticked = bool(properties.get("toggle-state", 0)) if properties.get("toggle-type") else None
        self.items = [MenuItem(child) for child in children if child[1].get("visible", True)]

    def lines(self, depth=0):
        for item in self.items:
            mark = {None: "", True: "[x] ", False: "[ ] "}[item.ticked]
            text = "-----" if item.separator else mark + item.label + ("" if item.enabled else "  (not enabled)")
            yield "    " * depth + text
            yield from item.lines(depth + 1)

    def __str__(self):
        return "\n".join(self.lines())

    def find(self, label):
        """Returns the first item at any depth whose label begins with this text, or equals it if the text ends with `$`."""
        for item in self.items:
            if f"{item.label}$".startswith(label):
                return item
            if found := item.find(label):
                return found
        return None


class TrayItem:
    """The tray icon of one process on the session bus."""

    def __init__(self, bus, name, path):
        self.bus, self.name, self.path = bus, name, path

    @staticmethod
    def registered(bus=None):
        bus = bus or Bus()
        try:
            items = bus.get(WATCHER, "/StatusNotifierWatcher", WATCHER, "RegisteredStatusNotifierItems")
        except GLib.Error:
            return []
        split = [item.partition("/") for item in items]
        return [TrayItem(bus, name, f"/{path}" if path else "/StatusNotifierItem") for name, _, path in split]

    @staticmethod
    def of(process, bus=None):
        """Returns our icon of this process, or of any for None; None until it is registered."""
        for item in TrayItem.registered(bus):
            try:
                if item["Id"] == APP_ID and process in (None, item.bus.process(item.name)):
                    return item
            except GLib.Error:
                pass
        return None

    def __getitem__(self, property):
        return self.bus.get(self.name, self.path, "org.kde.StatusNotifierItem", property)

    def menu(self):
        arguments = GLib.Variant("(iias)", (0, -1, []))
        reply = "(u(ia{sv}av))"
        return MenuItem(self.bus.call(self.name, self["Menu"], "com.canonical.dbusmenu", "GetLayout", arguments, reply)[1])

    def click(self, label):
        """Clicks an item like a desktop that draws the menu itself. If the menu has changed meanwhile, reads it again."""
        for _ in range(5):
            item = self.menu().find(label)
            assert item, f"no menu item begins with {label!r}:\n{self.menu()}"
            assert item.enabled, f"{item.label!r} is not enabled:\n{self.menu()}"
            arguments = GLib.Variant("(isvu)", (item.number, "clicked", GLib.Variant("i", 0), 0))
            try:
                return self.bus.call(self.name, self["Menu"], "com.canonical.dbusmenu", "Event", arguments)
            except GLib.Error as error:
                # An item that ends the program may end it before the response.
                if error.matches(Gio.dbus_error_quark(), Gio.DBusError.NO_REPLY):
                    return None
                if "id not found" not in error.message:
                    raise
        raise AssertionError(f"{label!r} is redrawn all the time")

    def wait_menu(self, label, seconds=30, **wanted):
        """Waits for an item with this label and state (ticked=…, enabled=…); returns it."""

        def there():
            item = self.menu().find(label)
            return item and all(getattr(item, name) == value for name, value in wanted.items()) and item

        try:
            return wait_for(f"a menu item {label!r} {wanted or ''}", there, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe menu is:\n{self.menu()}") from None


class MenuChanges:
    """Records the signals of tray icons and their menus."""

    def __init__(self):
        self.kinds = []
        bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
        menu, member, flags = "com.canonical.dbusmenu", "ItemsPropertiesUpdated", Gio.DBusSignalFlags.NONE
        bus.signal_subscribe(None, menu, member, None, None, flags, self.told)

    def told(self, _connection, _sender, _path, _interface, _member, arguments):
        updated, removed = arguments.unpack()
        changed = [(number, sorted(names)) for number, names in (*updated, *removed)]
        self.kinds += [number for number, names in changed if "type" in names or "toggle-type" in names]

    def lines_that_changed_kind(self):
        """Returns lines that changed between separator, tick and plain line in place, which panels do not support."""
        while GLib.MainContext.default().iteration(False):
            pass
        return self.kinds


class Signals:
    """Counts the signals of one tray's icon and menu on the bus."""

    def __init__(self, item):
        self.count = {}
        bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
        flags = Gio.DBusSignalFlags.NONE
        for interface in ("com.canonical.dbusmenu", "org.kde.StatusNotifierItem"):
            bus.signal_subscribe(item.name, interface, None, None, None, flags, self.told)

    def told(self, _connection, _sender, _path, _interface, member, _arguments):
        self.count[member] = self.count.get(member, 0) + 1

    def taken(self):
        while GLib.MainContext.default().iteration(False):
            pass
        count, self.count = self.count, {}
        return count


# --- windows, through accessibility


class Widget:
    """A widget, as assistive technology sees it."""

    def __init__(self, accessible):
        self.accessible = accessible

    def __repr__(self):
        return f"{self.role} {self.name!r}"

    @property
    def name(self):
        return self.accessible.get_name() or ""

    @property
    def role(self):
        return self.accessible.get_role_name().removeprefix("push ")  # the name in Debian 12

    @property
    def ticked(self):
        return self.accessible.get_state_set().contains(Atspi.StateType.CHECKED)

    @property
    def focused(self):
        return self.accessible.get_state_set().contains(Atspi.StateType.FOCUSED)

    @property
    def selected(self):
        return self.accessible.get_state_set().contains(Atspi.StateType.SELECTED)

    @property
    def active(self):
        return self.accessible.get_state_set().contains(Atspi.StateType.ACTIVE)

    @property
    def showing(self):
        return self.accessible.get_state_set().contains(Atspi.StateType.SHOWING)

    def press(self):
        assert self.accessible.get_action_iface().do_action(0), f"{self} cannot be pressed"

    def box(self):
        """Returns left, top, width and height on the screen."""
        box = Atspi.Component.get_extents(self.accessible, Atspi.CoordType.SCREEN)
        return box.x, box.y, box.width, box.height

    def all(self):
        """Yields this widget and all its descendants; skips those that disappear meanwhile."""
        yield self
        try:
            for index in range(self.accessible.get_child_count()):
                if child := self.accessible.get_child_at_index(index):
                    yield from Widget(child).all()
        except GLib.Error:
            return

    def find(self, role, name=""):
        for widget in self.all():
            try:
                if widget.role == role and widget.name.startswith(name):
                    return widget
            except GLib.Error:
                continue
        return None


def screen():
    """Yields everything on the screen that supports accessibility."""
    desktop = Atspi.get_desktop(0)
    desktop.clear_cache()
    return Widget(desktop)


def window(title):
    """Returns the window with this title, or None."""
    for application in screen().all():
        if application.role in ("alert", "dialog", "frame", "window") and application.name == title:
            return application
    return None


# --- pointer and keyboard


def point_and_click(place, button=1):
    x, y = place
    command("xdotool", "mousemove", x, y, "click", button)


def key(*names):
    command("xdotool", "key", "--clearmodifiers", *names)


def windows():
    """Returns the titles of the windows that the window manager knows."""
    return [line.split(None, 3)[3] for line in command("wmctrl", "-l").splitlines() if len(line.split(None, 3)) > 3]


def popups():
    """Returns left, top, width and height of each open menu: new unmanaged windows above a minimum size."""
    for line in command("xwininfo", "-root", "-children").splitlines():
        found = re.search(r"(0x[0-9a-f]+) .* (\d+)x(\d+)\+-?\d+\+-?\d+  \+(-?\d+)\+(-?\d+)", line)
        if found:
            width, height, left, top = map(int, found.groups()[1:])
            large = "wrapper" in line and width > 60 and height > 60
            # A closed menu still exists, but is not mapped.
            if large and "IsViewable" in command("xwininfo", "-id", found[1], check=False):
                yield left, top, width, height


def popup():
    """Returns one of the open menus, or None."""
    return next(popups(), None)


class Icon:
    """Returns the icon's position on the panel, by comparing it with a picture of the empty panel."""

    def __init__(self, pictures):
        self.pictures = pictures
        self.empty = pictures.take("panel-empty")

    def place(self):
        now = self.pictures.take("panel-now")
        strip = "-crop 0x32+0+0 +repage -compose difference -composite -threshold 8% -format %@ info:"
        found = command("convert", self.empty, now, *strip.split(), check=False)
        box = re.match(r"(\d+)x(\d+)\+(\d+)\+(\d+)", found)
        width, height, left, top = map(int, box.groups()) if box else (0, 0, 0, 0)
        return (left + width // 2, top + height // 2) if 8 <= width <= 60 else None

    def wait(self):
        return wait_for("the icon is seen on the panel", self.place)


# --- who does it


class Person(World):
    """A user of this desktop with a new home directory."""

    def __init__(self, **options):
        super().__init__(**options)
        self.variables.setdefault("MCPPROXY_LISTEN", f"127.0.0.1:{self.port}")
        for name, place in (("CONFIG", ".config"), ("CACHE", ".cache"), ("DATA", ".local/share"), ("STATE", ".local/state")):
            self.variables[f"XDG_{name}_HOME"] = str(self.directory / place)
        # Records what is opened with the desktop's programs.
        self.opened_file = self.directory / "opened"
        opener = self.directory / "bin/xdg-open"
        opener.parent.mkdir()
        opener.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >>"{self.opened_file}"\n')
        opener.chmod(0o755)
        self.variables["PATH"] = f"{opener.parent}:{os.environ['PATH']}"

    @property
    def entry(self):
        return self.directory / ".config/autostart" / f"{APP_ID}.desktop"

    @property
    def sidecar(self):
        path = self.root / "tray-autostart.json"
        return json.loads(path.read_text()) if path.exists() else None

    def opened(self):
        return self.opened_file.read_text().split("\n") if self.opened_file.exists() else []

    def start_tray(self, *arguments):
        tray = self.start(TRAY, *arguments)
        tray.still_runs = lambda: tray.poll() is None
        return tray

    def running(self, program):
        return sorted((one for one in self.processes() if one.program == program), key=lambda one: one.pid)

    def icon(self, tray=None, seconds=30):
        """Returns the tray's icon on the bus, once it is registered."""

        def registered():
            assert tray is None or tray.poll() is None, f"the tray ended with {tray.returncode}"
            return TrayItem.of(tray.pid if tray else None)

        return wait_for("the icon is registered on the bus", registered, seconds)

    def welcome(self, tray):
        return wait_for("the first-run window is shown", lambda: tray.poll() is None and window(WELCOME))

    def wait_answered(self):
        wait_for("the first-run window is gone", lambda: not window(WELCOME))

    def dismiss_second_step(self):
        """Chooses Later in the second window of the first run."""
        wait_for("the second window is shown", lambda: window(SECOND)).find("button", "Later").press()
        wait_for("the second window is gone", lambda: not window(SECOND))

    def wait_ready(self):
        wait_for("the core is ready", self.is_ready, 20)

    def core_pid(self):
        """Returns the ID of the core's process, or None while no core responds."""
        try:
            return self.get("/api/v1/info").data["pid"]
        except OSError:
            return None

    def quit(self, tray, icon):
        icon.click("Quit")
        self.wait_gone(tray)

    def wait_gone(self, tray=None):
        if tray:
            assert tray.wait(15) == 0, f"the tray ended with {tray.returncode}"
        wait_for("no process is left", lambda: not self.processes())
