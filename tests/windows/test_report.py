"""The complete path on Windows, under Wine: from the installer's last page to the first report at a collector, and the next login.

Run by `scripts/test wine` inside scripts/virtual-windows, beside the other tests: the first report is due five minutes after the start,
and the clock of Wine cannot run faster.
"""

import json
import os
import subprocess
import unittest

import test_installer as installer
from test_tray import ROOT, running, value, wine
from world import Collector, free_port, main, wait_for


class FirstReport(unittest.TestCase):
    def test_whole_way(self):
        """Windows: the first report after an installation contains the launch source installer, and after the next login login_item"""
        installer.tidy()
        # This Windows shares its loopback with the others.
        os.environ["MCPPROXY_LISTEN"] = f"127.0.0.1:{free_port()}"
        command = installer.by_its_pages()
        config = ROOT / "mcp_config.json"
        with Collector() as collector:
            # The last change that the core writes to the file: the window contained the notice.
            text = wait_for("the notice is remembered", lambda: (one := json.loads(config.read_text())).get("telemetry", {}).get("notice_shown") and one)
            text["telemetry"]["endpoint"] = collector.endpoint
            config.write_text(json.dumps(text))
            first = wait_for("the first report comes", lambda: collector.payloads(), 420)[0]
            self.assertEqual((first["launch_source"], first["autostart_enabled"], first["os"]), ("installer", True, "windows"))
            wait_for("it is remembered", lambda: installer.report()["launch_source"] == "tray", 20)
            wine(installer.TRAY, "--quit", check=True)
            wait_for("both have ended", lambda: not running("mcpproxy.exe") and not running("mcpproxy-tray.exe"), 20)
            # Starts the programs of the Run key, as Wine does at a login.
            subprocess.run(["wineboot"], timeout=60, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for("the core runs", installer.status, 30)
            self.assertEqual(installer.report()["launch_source"], "login_item")
            self.assertEqual(value(installer.RUN), command)
            installer.remove()
            self.assertEqual(len(collector.payloads()), 1)


if __name__ == "__main__":
    main()
