"""A release manifest, signed with minisign and served on loopback."""

import http.server
import os
import subprocess
import threading

from world import PROJECT

PAGE = "https://example.com/releases/99.0.0"


class Releases:
    """A signed manifest behind a loopback URL, and the requests for it."""

    def __init__(self, here):
        self.folder = here.directory / "releases"
        self.folder.mkdir()
        self.list = self.folder / "releases.json"
        self.asked = []
        self.key = self.new_key("first")
        releases = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=str(releases.folder))

            def do_GET(self):
                releases.asked.append((self.path, self.headers["User-Agent"]))
                super().do_GET()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def new_key(self, name):
        public, self.secret = self.folder.parent / f"{name}.pub", self.folder.parent / f"{name}.key"
        subprocess.run(["minisign", "-G", "-W", "-p", public, "-s", self.secret], check=True, capture_output=True)
        return public.read_text().splitlines()[1]

    def publish(self, version="99.0.0", page=PAGE):
        variables = {**os.environ, "VERSION": version, "MINISIGN_SECRET_KEY": str(self.secret)}
        script = PROJECT / "packaging/release-manifest"
        subprocess.run([script, self.list, page], env=variables, check=True, capture_output=True)

    def sign(self, text):
        """Signs any text with the key, as a holder of the key could."""
        self.list.write_text(text)
        subprocess.run(["minisign", "-S", "-s", self.secret, "-m", self.list], check=True, capture_output=True)

    def settings(self, **more):
        address = f"http://127.0.0.1:{self.server.server_port}/releases.json"
        return {"update_check": {"manifest": address, "public_key": self.key, **more}}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
