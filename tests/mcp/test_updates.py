"""Update checks: a manifest signed with minisign, served on loopback, and a core and a command line that read it.

Run by `scripts/test mcp`.
"""

import json
import unittest

from releases import PAGE, Releases
from world import CORE, World, main, wait_for


def update(here):
    return here.get("/api/v1/info").data.get("update")


class NewerRelease(unittest.TestCase):
    def test_told_everywhere(self):
        """automatic checks are shown in REST, events and the command line, and only fetch the manifest and its signature"""
        with World() as here, Releases(here) as releases:
            releases.publish()
            here.write_config({"mcpServers": [], **releases.settings(enabled=True)})
            here.start_core()
            known = wait_for("the core has checked", lambda: update(here))
            self.assertEqual(
                (known["available"], known["latest_version"], known["release_url"]), (True, "99.0.0", PAGE), known
            )
            self.assertEqual(here.get("/api/v1/info").data["update_policy"]["enabled"], True)
            told = next(data for name, data in here.events() if name == "status")
            self.assertEqual(told["update"]["latest_version"], "99.0.0")
            self.assertIn(f"version 99.0.0 is available: {PAGE}", here.run(CORE, "status").stdout)
            self.assertEqual([path for path, _ in releases.asked], ["/releases.json", "/releases.json.minisig"])
            self.assertEqual({agent for _, agent in releases.asked}, {"mcpproxy"})
            shown = here.run(CORE, "update", "-o", "json")
            self.assertEqual(json.loads(shown.stdout)["latest_version"], "99.0.0", shown.stderr)
            self.assertEqual(len(releases.asked), 4, "a manual check fetches again")

    def test_followed_live(self):
        """enabling the check applies at once, and disabling it withdraws the result"""
        with World() as here, Releases(here) as releases:
            releases.publish()
            here.write_config({"mcpServers": [], **releases.settings(enabled=False)})
            here.start_core()
            self.assertIsNone(update(here))
            self.assertEqual(releases.asked, [])
            here.write_config({"mcpServers": [], **releases.settings(enabled=True)})
            wait_for("the release is shown", lambda: (update(here) or {}).get("available"))
            here.write_config({"mcpServers": [], **releases.settings(enabled=False)})
            wait_for("the result is withdrawn", lambda: not update(here)["available"])

    def test_nobody_asked(self):
        """no automatic checks in CI, if the environment forbids them, or without a source; a manual check works"""
        for variables, settings in [
            ({"CI": "true", "GITHUB_ACTIONS": "true"}, {}),
            ({"MCPPROXY_DISABLE_AUTO_UPDATE": "true"}, {"enabled": True}),
        ]:
            with self.subTest(variables), World(variables=variables) as here, Releases(here) as releases:
                releases.publish()
                here.write_config({"mcpServers": [], **releases.settings(**settings)})
                here.start_core()
                self.assertEqual(here.get("/api/v1/info").data["update_policy"]["enabled"], False)
                self.assertEqual(releases.asked, [])
                self.assertIn("Version 99.0.0 is available", here.run(CORE, "update").stdout)
        with World(config={"mcpServers": []}) as here:
            here.start_core()
            said = here.run(CORE, "update")
            self.assertEqual(said.returncode, 1)
            self.assertIn("no update source configured (set update_check.manifest)", said.stderr)

    def test_not_believed(self):
        """manifests that are unsigned, malformed, too long or missing are explained and ignored"""
        with World() as here, Releases(here) as releases:
            here.write_config({"mcpServers": [], **releases.settings()})

            def said():
                shown = here.run(CORE, "update")
                self.assertEqual(shown.returncode, 1, shown.stdout)
                return shown.stderr

            self.assertIn("HTTP status 404", said())
            releases.publish()
            self.assertEqual(here.run(CORE, "update").returncode, 0)
            releases.list.write_text(releases.list.read_text().replace("99.0.0", "99.0.1"))
            self.assertIn("signature verification failed", said())
            releases.new_key("another")
            releases.publish()
            self.assertIn("signature verification failed", said())
            releases.key = releases.new_key("third")
            here.write_config({"mcpServers": [], **releases.settings()})
            for text, why in [
                ("not JSON", "not a list of MCPProxy releases"),
                ('{"product":"another","releases":[]}', "its product is `another`"),
                ('{"product":"mcpproxy","releases":[{"version":"next","url":"https://a"}]}', "not a list"),
                ('{"product":"mcpproxy","releases":[{"version":"9.0.0","url":"file:///bin/sh"}]}', "is not https"),
            ]:
                releases.sign(text)
                self.assertIn(why, said())
            releases.sign(" " * 300_000)
            self.assertIn("releases.json", said())
            asked = {path for path, _ in releases.asked}
            self.assertEqual(asked, {"/releases.json", "/releases.json.minisig"}, "nothing else is downloaded")

    def test_older_and_candidates(self):
        """older releases are ignored, and release candidates are only shown on the rc channel"""
        with World() as here, Releases(here) as releases:
            releases.publish("0.0.1", "https://example.com/old")
            releases.publish("98.0.0-rc.1", "https://example.com/rc")
            here.write_config({"mcpServers": [], **releases.settings()})
            self.assertIn("is up to date", here.run(CORE, "update").stdout)
            here.write_config({"mcpServers": [], **releases.settings(channel="rc")})
            self.assertIn("Version 98.0.0-rc.1 is available", here.run(CORE, "update").stdout)


if __name__ == "__main__":
    main()
