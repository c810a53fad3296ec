"""Imports, approves and calls published servers, each in an empty home directory. Called by scripts/public-servers.

The list is the twenty npm packages with the most downloads a month that are local servers (Playwright: 6,293,000; the last of them:
181,000), and the ten first ones of PyPI's 15,000 most downloaded packages (places 2,350 to 5,495). Left out are libraries, bridges and
proxies, and parts of other tools. No account is used: where one is needed, the call must reach the server and bring back its refusal.
"""

import http.server
import json
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/mcp"))
from world import CORE, World  # noqa: E402

OFFICIAL = "@modelcontextprotocol/server-"


def npx(package, *args, **env):
    return {"command": "npx", "args": ["-y", package, *args], **({"env": env} if env else {})}


def uvx(package, *args, **env):
    return {"command": "uvx", "args": [package, *args], **({"env": env} if env else {})}


# Entries as the servers' pages show them, and a call that changes nothing outside the directory. <dir> is the user's project, a git
# repository, and <site> a web site on this computer. Browsers are Debian's, without their own sandbox, as tests may run as root.
SERVERS = {
    "playwright": (npx("@playwright/mcp@latest", "--headless", "--no-sandbox", "--executable-path", "/usr/bin/chromium"),
                   "browser_navigate", {"url": "<site>/note.txt"}),
    "chrome-devtools": (npx("chrome-devtools-mcp@latest", "--headless", "--executablePath=/usr/bin/chromium", "--chromeArg=--no-sandbox"),
                        "list_pages", {}),
    "context7": (npx("@upstash/context7-mcp"), "resolve-library-id", {"libraryName": "react", "query": "hooks"}),
    "filesystem": (npx(OFFICIAL + "filesystem", "<dir>"), "list_directory", {"path": "<dir>"}),
    "sequential-thinking": (npx(OFFICIAL + "sequential-thinking"), "sequentialthinking",
                            {"thought": "a", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1}),
    "azure-devops": (npx("@azure-devops/mcp", "contoso"), "core_list_projects", {}),
    "supabase": (npx("@supabase/mcp-server-supabase@latest", "--read-only", "--project-ref=aaaaaaaaaaaaaaaaaaaa",
                     SUPABASE_ACCESS_TOKEN="sbp_" + "0" * 40), "list_tables", {"schemas": ["public"]}),
    "github": (npx(OFFICIAL + "github", GITHUB_PERSONAL_ACCESS_TOKEN="none"), "search_repositories", {"query": "mcp"}),
    "memory": (npx(OFFICIAL + "memory"), "read_graph", {}),
    "postgres": (npx(OFFICIAL + "postgres", "postgresql://localhost/mydb"), "query", {"sql": "select 1"}),
    "azure": (npx("@azure/mcp@latest", "server", "start"), "get_azure_bestpractices", {"intent": "list"}),
    "everything": (npx(OFFICIAL + "everything"), "echo", {"message": "hello"}),
    "notion": (npx("@notionhq/notion-mcp-server", NOTION_TOKEN="ntn_none"), "API-get-self", {}),
    "google-maps": (npx(OFFICIAL + "google-maps", GOOGLE_MAPS_API_KEY="none"), "maps_geocode", {"address": "Berlin"}),
    "gmail": (npx("@gongrzhe/server-gmail-autoauth-mcp"), "list_email_labels", {}),
    "nx": (npx("nx-mcp@latest", "<dir>"), "nx_docs", {"userPrompt": "tasks"}),
    "circleci": (npx("@circleci/mcp-server-circleci@latest", CIRCLECI_TOKEN="none"), "list_followed_projects", {"params": {}}),
    "n8n": (npx("n8n-mcp", MCP_MODE="stdio", LOG_LEVEL="error", DISABLE_CONSOLE_OUTPUT="true"), "search_nodes", {"query": "http"}),
    "cclsp": (npx("cclsp@latest", CCLSP_CONFIG_PATH="<dir>/cclsp.json"), "get_diagnostics", {"file_path": "<dir>/note.txt"}),
    "next-devtools": (npx("next-devtools-mcp@latest"), "nextjs_index", {}),
    "qdrant": (uvx("mcp-server-qdrant", QDRANT_LOCAL_PATH="<dir>/qdrant", COLLECTION_NAME="notes",
                   EMBEDDING_MODEL="sentence-transformers/all-MiniLM-L6-v2"), "qdrant-find", {"query": "a"}),
    "git": (uvx("mcp-server-git", "--repository", "<dir>"), "git_status", {"repo_path": "<dir>"}),
    "aws-documentation": (uvx("awslabs.aws-documentation-mcp-server@latest", FASTMCP_LOG_LEVEL="ERROR"),
                          "search_documentation", {"search_phrase": "s3"}),
    "fetch": (uvx("mcp-server-fetch", "--allow-private-ips"), "fetch", {"url": "<site>/note.txt"}),
    "atlassian": (uvx("mcp-atlassian", JIRA_URL="http://127.0.0.1:9", JIRA_USERNAME="a@example.org", JIRA_API_TOKEN="none"),
                  "jira_search", {"jql": "project = A"}),
    "office-word": (uvx("--from", "office-word-mcp-server", "word_mcp_server"), "create_document", {"filename": "<dir>/a.docx"}),
    "excel": (uvx("excel-mcp-server", "stdio"), "create_workbook", {"path": "<dir>/a.xlsx"}),
    "pdf-tools": (uvx("pdf-tools-mcp", "--workspace_path", "<dir>"), "get_pdf_info", {"pdf_file_path": "<dir>/a.pdf"}),
    "web-forager": (uvx("web-forager", "serve"), "duckduckgo_search", {"query": "mcp"}),
    "cli": (uvx("cli-mcp-server", ALLOWED_DIR="<dir>", ALLOWED_COMMANDS="ls"), "show_security_rules", {}),
}
FILES = {"note.txt": "hello", "cclsp.json": json.dumps({"servers": [{"extensions": ["txt"], "command": ["true"]}]})}


def attempt(name, mode, site):
    """Returns what happened: whether it was imported unchanged, how it was approved, and what its tool answered."""
    entry, tool, arguments = SERVERS[name]
    with World() as world:
        world.variables["XDG_CONFIG_HOME"] = str(world.directory / ".config")
        project = world.directory / "project"
        subprocess.run(["git", "init", "--quiet", project], check=True)
        for file, text in FILES.items():
            (project / file).write_text(text)
        entry, arguments = json.loads(json.dumps([entry, arguments]).replace("<dir>", str(project)).replace("<site>", site))
        world.write_config({"mcpServers": [], **({"docker_isolation": json.loads(mode)} if mode else {})})
        cursor = world.directory / ".cursor/mcp.json"
        cursor.parent.mkdir()
        cursor.write_text(json.dumps({"mcpServers": {name: entry}}, indent=2))
        before = cursor.read_bytes()
        world.start_core()
        done = world.run(CORE, "import", "--all", "--no-keychain", seconds=60)
        ours = (world.config()["mcpServers"] or [{}])[0]
        same = cursor.read_bytes() == before and all(ours.get(key) == value for key, value in entry.items())
        row = {"name": name, "mode": mode, "imported": same if done.returncode == 0 else done.stderr}
        began = time.monotonic()
        done = world.run(CORE, "upstream", "approve", name, "--yes", "--wait=600", seconds=660)
        row["approved"], row["seconds"] = done.returncode == 0 or done.stderr, round(time.monotonic() - began)
        row["tools"] = world.server(name).get("tool_count")
        if row["approved"] is True:
            for kind in ("tool-read", "tool-write", "tool-destructive"):
                done = world.run(CORE, "call", kind, "--tool", f"{name}:{tool}", "--json_args", json.dumps(arguments), seconds=300)
                row["called"], row["answer"] = done.returncode, (done.stdout + done.stderr).strip()[:600]
                if "call_tool_" not in row["answer"]:
                    break
        if row.get("called") != 0:
            row["log"] = world.run(CORE, "upstream", "logs", name, "-n", "30").stdout[-3000:]
            row["doctor"] = world.run(CORE, "doctor", "--server", name).stdout[-2000:]
        return row


class Site(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/note.txt"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"hello" if found else b"")

    def log_message(self, *_):
        pass


def main():
    mode, names = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in names or SERVERS:
        print(json.dumps(attempt(name, mode, f"http://127.0.0.1:{server.server_port}")), flush=True)


main()
