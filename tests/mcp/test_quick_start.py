"""The documents show the programs' actual output: runs every `console` block in order, in a new home directory.

With GENERATE=1 in the environment, replaces the outputs in the documents; scripts/generate does that.
"""

import os
import re
import shlex
import unittest

from world import CORE, PROJECT, World, main, wait_for

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# An npm server must be downloaded first, and its tools may change.
DOWNLOAD_SECONDS = 180


def steps(block):
    """Returns the commands of a block, each with the output in the document."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


def without_numbers(text):
    """Replaces versions, process IDs and counts, which change."""
    return re.sub(r"\d+", "0", " ".join(text.split()))


class Documents(unittest.TestCase):
    maxDiff = None

    def check(self, name):
        path = PROJECT / name
        text = path.read_text()
        with World() as world:
            world.variables["MCPPROXY_LISTEN"] = f"127.0.0.1:{world.port}"
            world.start_core()

            def printed(command):
                words = shlex.split(command)
                self.assertEqual(words[0], "mcpproxy", command)
                # At a terminal the command shows the review and asks; there is no terminal here.
                words += ["--yes"] if words[1:3] == ["upstream", "approve"] else []
                wait_for("every server is connected", lambda: self.settled(world), DOWNLOAD_SECONDS)
                done = world.run(CORE, *words[1:])
                self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
                output = "\n".join(line.rstrip() for line in (done.stdout + done.stderr).rstrip().splitlines())
                return output.replace(str(world.directory), "~").replace(f":{world.port}", ":8080")

            def block(match):
                lines = []
                for command, shown in steps(match[1]):
                    output = printed(command)
                    if not os.environ.get("GENERATE"):
                        self.assertEqual(without_numbers(output), without_numbers(shown), f"{name}: {command}")
                    lines += [f"$ {command}", *output.splitlines()]
                return "```console\n" + "\n".join(lines) + "\n```"

            text, blocks = BLOCK.subn(block, text)
            self.assertGreater(blocks, 0)
        if os.environ.get("GENERATE"):
            path.write_text(text)

    def settled(self, world):
        servers = world.get("/api/v1/servers").data["servers"]
        return all(one["connected"] or one["quarantined"] or not one["enabled"] for one in servers)

    def test_readme(self):
        """the output in README.md is current"""
        self.check("README.md")

    def test_quick_start(self):
        """the output in docs/quick-start.md is current"""
        self.check("docs/quick-start.md")


main()
