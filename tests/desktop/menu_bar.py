"""Shows a tray icon's menu in a menu bar, with the library that panels use.

    menu_bar.py BUS-NAME OBJECT-PATH

xfce4-panel hides the menus of its plug-ins from assistive technology; this window does not.
"""

import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("DbusmenuGtk3", "0.4")
from gi.repository import DbusmenuGtk3, Gtk  # noqa: E402

window = Gtk.Window(title="The menu of the icon")
bar = Gtk.MenuBar()
item = Gtk.MenuItem(label="Icon")
item.set_submenu(DbusmenuGtk3.Menu(dbus_name=sys.argv[1], dbus_object=sys.argv[2]))
bar.append(item)
window.add(bar)
window.connect("destroy", Gtk.main_quit)
window.show_all()
window.present()
Gtk.main()
